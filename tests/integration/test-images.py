# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images service: pulled from a web server on loopback, verified, gone on with, and kept."""

import hashlib
import io
import os
import subprocess
import tarfile
import unittest

from imagecase import IMAGE, MANAGER, MIB, ROOT, ImagesTest
from imageserver import Server, sha256
from storagecase import can_mount


class Http(ImagesTest):
    def test_an_image_is_kept_by_its_digest(self):
        image, cached = self.pull(self.source, name="one", checksum=sha256(self.data))
        self.assertFalse(cached)
        self.assertEqual(self.content(image), self.data)
        self.assertEqual([self.get(image, name) for name in ("Digest", "Name", "Source", "Format", "Size", "FileSize")],
                         [sha256(self.data), "one", self.source, "Raw", 3 * MIB, 3 * MIB])
        self.assertEqual(self.files("images"), [hashlib.sha256(self.data).hexdigest()])
        self.assertEqual(self.files("partial"), [])
        # Nobody is asked for what has the checksum, wherever it is said to be.
        self.requests()
        self.assertEqual(self.pull(self.server.url + "/elsewhere", checksum=sha256(self.data)), (image, True))
        self.assertEqual(self.requests(), [])

    def test_without_a_checksum_the_server_says_whether_it_is_another(self):
        image, _ = self.pull(self.source, name="latest")
        self.assertEqual(self.pull(self.source), (image, True))
        self.server.files["/disk.raw"] = self.data[::-1]
        other, cached = self.pull(self.source, name="latest")
        self.assertFalse(cached)
        self.assertEqual(self.content(other), self.data[::-1])
        # The name goes with the last pulled.
        self.assertEqual((self.get(image, "Name"), self.get(other, "Name")), ("", "latest"))
        self.assertEqual(self.caller.call(ROOT, MANAGER, "LookupImage", "(s)", "latest")[0], other)

    def test_a_checksum_of_sha512(self):
        checksum = "sha512:" + hashlib.sha512(self.data).hexdigest()
        image, _ = self.pull(self.source, checksum=checksum)
        self.requests()
        self.assertEqual(self.pull(self.source, checksum=checksum), (image, True))
        self.assertEqual(self.requests(), [])

    def test_what_is_not_what_it_should_be_is_not_kept(self):
        self.failed(self.begin(self.source, checksum=sha256(b"other")), "Corrupt", sha256(b"other") + ", but " + sha256(self.data).removeprefix("sha256:"))
        self.failed(self.begin(self.source, checksum="sha512:" + "0" * 128), "Corrupt")
        self.assertEqual((self.images(), self.files("images"), self.files("partial")), ([], [], []))

    def test_a_connection_that_breaks_off_is_gone_on_with(self):
        self.server.cuts = [MIB, 10_000]
        image, _ = self.pull(self.source)
        self.assertEqual(self.content(image), self.data)
        ranges = [requested for _, requested in self.requests()]
        self.assertEqual(ranges[0], None)
        for requested in ranges[1:]:
            self.assertRegex(requested, r"^bytes=[1-9]\d*-$")

    def test_what_was_cancelled_is_gone_on_with(self):
        self.server.stand_still_after = 2 * MIB
        task = self.begin(self.source)
        self.wait_partial(2 * MIB)
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.assertEqual(self.images(), [])
        self.server.stand_still_after = None
        self.requests()
        image, _ = self.pull(self.source)
        self.assertEqual(self.content(image), self.data)
        self.assertEqual(self.requests(), [("/disk.raw", f"bytes={2 * MIB}-")])

    def test_what_was_begun_is_not_mixed_with_another(self):
        self.server.stand_still_after = MIB
        task = self.begin(self.source)
        self.wait_partial(MIB)
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.server.stand_still_after = None
        self.server.files["/disk.raw"] = self.data[::-1]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data[::-1])

    def test_a_server_without_ranges_and_tags(self):
        self.server.ranges = self.server.etags = False
        self.server.cuts = [MIB]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data)

    def test_what_cannot_be_had_is_said(self):
        self.failed(self.begin(self.server.url + "/nothing"), "DoesNotExist", "/nothing")
        self.server.redirects["/loop"] = "/loop"
        self.failed(self.begin(self.server.url + "/loop"), "Unreachable")
        self.server.redirects["/file"] = "file:///etc/passwd"
        self.failed(self.begin(self.server.url + "/file"), "Unreachable")
        self.assertEqual(self.images(), [])

    def test_a_server_that_is_busy_is_asked_again(self):
        """Unless it wants that so late that nobody would wait for it."""
        self.server.answers["/disk.raw"] = [(503, b"", {})]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data)
        self.server.answers["/other"] = [(429, b"", {"Retry-After": "3600"})]
        self.failed(self.begin(self.server.url + "/other"), "Unreachable", "status 429, and wants to be asked again in 3600 s")

    def test_answers_that_are_not_believed(self):
        self.server.files["/page"] = b"<html>"
        page = (200, b"<html>", {"Content-Type": "text/html"})
        for answer, error, words in (((302, b"", {}), "Unreachable", "status 302, and with no image"), ((204, b"", {}), "Unreachable", "status 204"),
                                     ((206, b"a part", {"Content-Range": "bytes 0-5/9"}), "Corrupt", "a part (bytes 0-5/9) where all was asked for"),
                                     ((403, b"", {}), "Unreachable", "does not give it to us"), (page, "Corrupt", "page for people (text/html)")):
            with self.subTest(answer=answer[0]):
                self.server.answers["/page"] = [answer]
                self.failed(self.begin(self.server.url + "/page"), error, words)
                self.assertEqual(self.files("images"), [])
        self.server.answers["/page"] = [page]
        self.pull(self.server.url + "/page", checksum=sha256(b"<html>"))

    def test_a_part_of_something_else(self):
        """With another entity tag, though it was asked for by the one that was there; and one that ends before its end."""
        def first(handler):
            return int(handler.headers["Range"][6:-1])

        def of_another(handler):
            return 206, self.data[::-1][first(handler):], {"Content-Range": f"bytes {first(handler)}-{3 * MIB - 1}/{3 * MIB}", "ETag": '"other"'}

        def short(handler):
            return 206, self.data[first(handler):][:10], {"Content-Range": f"bytes {first(handler)}-{first(handler) + 9}/{3 * MIB}"}

        for part in of_another, short:
            with self.subTest(part=part.__name__):
                self.server.cuts = [MIB]
                self.server.answers["/disk.raw"] = [None, part]
                image, cached = self.pull(self.source)
                self.assertEqual((self.content(image), cached), (self.data, False))
                self.caller.call(image, IMAGE, "Remove")

    def test_redirects_are_followed(self):
        self.server.redirects["/moved"] = self.source
        self.assertEqual(self.content(self.pull(self.server.url + "/moved")[0]), self.data)

    def test_https_is_verified(self):
        certificate = self.root / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", certificate, "-out", self.root / "public.pem", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        public = (self.root / "public.pem").read_bytes()
        with open(certificate, "ab") as file:
            file.write(public)
        server = Server(self, certificate)
        server.files["/disk.raw"] = self.data
        server.redirects["/down"] = self.source
        self.failed(self.begin(server.url + "/disk.raw"), "Unreachable", "certificate")
        os.environ["XCP_CA_FILE"] = str(self.root / "public.pem")
        self.addCleanup(os.environ.pop, "XCP_CA_FILE")
        self.manager.kill()
        self.start_images()
        self.assertEqual(self.content(self.pull(server.url + "/disk.raw")[0]), self.data)
        self.failed(self.begin(server.url + "/down"), "Unreachable")  # not from https to http


@unittest.skipUnless(can_mount(), "mount namespaces cannot be made here")
class Full(ImagesTest):
    def around(self, argv):
        (self.root / "images").mkdir()
        return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"', self.root / "images", *argv]

    def test_a_disk_that_is_full_does_not_stay_so(self):
        self.failed(self.begin(self.source), "NotEnoughSpace")
        self.assertEqual(self.partial_size(), 0)
        self.server.files["/disk.raw.zst"] = subprocess.run(["zstd", "-qc"], input=self.data[:MIB] * 3, stdout=subprocess.PIPE, check=True).stdout
        self.failed(self.begin(self.source + ".zst"), "NotEnoughSpace")
        self.server.lengths = False
        self.failed(self.begin(self.source), "NotEnoughSpace")
        self.server.lengths = True
        self.assertEqual((self.partial_size(), list(self.inside("images/images").iterdir())), (0, []))
        self.server.files["/disk.raw"] = self.data[:MIB]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data[:MIB])


class Limits(ImagesTest):
    def use(self, limits):
        os.environ["XCP_IMAGES_LIMITS"] = limits
        self.addCleanup(os.environ.pop, "XCP_IMAGES_LIMITS", None)
        self.manager.kill()
        self.start_images()

    def test_a_server_that_drips_is_left(self):
        """And asked again, for the rest."""
        self.use("speed=20000,seconds=1")
        self.server.drips = [5000]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data)
        first, second, *_ = [requested for _, requested in self.requests()]
        self.assertIsNone(first)
        self.assertRegex(second, r"^bytes=5\d{3}-$")
        self.server.add_layer(self.data)
        self.server.drips = [0]
        self.failed(self.begin(f"oci+http://127.0.0.1:{self.server.port}/vm:1"), "Unreachable", "timed out")

    def test_what_is_larger_than_an_image_may_be(self):
        """By what the server says, without that, and by what comes out of it."""
        self.use(f"size={2 * MIB}")
        zeros = bytes(5 * MIB)
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w:gz") as archive:
            info = tarfile.TarInfo("disk/vm.img")
            info.size = len(zeros)
            archive.addfile(info, io.BytesIO(zeros))
        self.server.files["/bomb.zst"] = subprocess.run(["zstd", "-qc"], input=zeros, stdout=subprocess.PIPE, check=True).stdout
        self.server.add_layer(tar.getvalue(), media_type="application/vnd.oci.image.layer.v1.tar+gzip")
        for lengths, source in ((True, self.source), (False, self.source), (True, self.server.url + "/bomb.zst"),
                                (True, f"oci+http://127.0.0.1:{self.server.port}/vm:1")):
            with self.subTest(source=source, lengths=lengths):
                self.server.lengths = lengths
                self.failed(self.begin(source), "LimitExceeded", "more than 2 MiB")
                self.assertEqual((self.partial_size(), self.files("images")), (0, []))
        self.server.files["/disk.raw"] = self.data[: 2 * MIB]
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data[: 2 * MIB])

    def test_limits_that_are_none(self):
        self.use("speed=fast")
        self.failed(self.begin(self.source), "BackendFailed", "limits 'speed=fast'")


class Formats(ImagesTest):
    def compress(self, path):
        return subprocess.run(["zstd", "--quiet", "--stdout", path], check=True, capture_output=True).stdout

    def test_zstd(self):
        path = self.root / "disk"
        path.write_bytes(self.data + bytes(20 * MIB) + b"end")
        compressed = self.compress(path)
        self.server.files["/disk.zst"] = compressed
        image, _ = self.pull(self.server.url + "/disk.zst", checksum=sha256(compressed))
        self.assertEqual(self.content(image), path.read_bytes())
        self.assertEqual((self.get(image, "Digest"), self.get(image, "Size")), (sha256(compressed), 23 * MIB + 3))
        [file] = self.files("images")
        self.assertLess((self.root / "images/images" / file).stat().st_blocks * 512, 10 * MIB)  # zeros take no space
        self.assertEqual(self.files("partial"), [])

    def test_zstd_that_is_damaged(self):
        (self.root / "disk").write_bytes(self.data)
        compressed = self.compress(self.root / "disk")
        self.server.files["/short.zst"] = compressed[:-1000]
        self.failed(self.begin(self.server.url + "/short.zst"), "Corrupt", "too early")
        self.server.files["/bad.zst"] = compressed[:5000] + bytes(5000) + compressed[10000:]
        self.failed(self.begin(self.server.url + "/bad.zst"), "Corrupt")
        self.assertEqual(self.files("images"), [])

    def test_qcow2_with_the_size_of_its_disk(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.root / "disk", "64M"], check=True)
        self.server.files["/disk"] = (self.root / "disk").read_bytes()
        image, _ = self.pull(self.server.url + "/disk")
        self.assertEqual((self.get(image, "Format"), self.get(image, "Size")), ("Qcow2", 64 * MIB))

    def test_qcow2_that_names_another_file(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", self.root / "disk", "64M"], check=True)
        self.server.files["/disk"] = (self.root / "disk").read_bytes()
        self.failed(self.begin(self.server.url + "/disk"), "Corrupt")

    def test_nothing_is_no_image(self):
        self.server.files["/empty"] = b""
        self.failed(self.begin(self.server.url + "/empty"), "Corrupt", "nothing in it")


class Keeping(ImagesTest):
    def test_what_is_asked_for_wrongly(self):
        for source in ("ftp://h/x", "file:///etc/passwd", "disk.raw", "http://h/ x", "oci://h/UPPER", ""):
            with self.subTest(source=source):
                self.refused("InvalidArgument", self.begin, source)
        self.refused("LimitExceeded", self.begin, "http://h/" + "x" * 3000)
        self.refused("InvalidArgument", self.begin, self.source, checksum="md5:0")
        self.refused("InvalidArgument", self.begin, self.source, name="a/b")

    def test_one_source_is_pulled_once_at_a_time(self):
        self.server.stand_still_after = 1000
        task = self.begin(self.source)
        self.assertIn(task.path, self.refused("Busy", self.begin, self.source, checksum=sha256(self.data)))
        others = [self.begin(self.source, name=name) for name in ("one", "two")]
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.server.go_on.set()
        self.server.stand_still_after = None
        image = self.done(others[0])["image"]
        self.assertEqual(self.done(others[1])["image"], image)
        self.assertEqual((self.content(image), self.get(image, "Name")), (self.data, "two"))
        self.assertEqual([part for _, part in self.requests() if part is None], [None])
        # Nobody waits for it any more.
        self.caller.call(image, IMAGE, "Remove")
        self.server.go_on.clear()
        self.server.stand_still_after = 1000
        tasks = [self.begin(self.source) for _ in range(3)]
        for task in tasks:
            task.cancel()
            self.failed(task, "Cancelled", state="Cancelled")
        self.server.stand_still_after = None
        self.server.go_on.set()
        self.pull(self.source)

    def test_images_outlive_the_service(self):
        image, _ = self.pull(self.source, name="one")
        (self.root / "images/images" / ("0" * 64)).write_bytes(b"of nobody")
        self.manager.kill()
        self.start_images()
        self.assertEqual(len(self.images()), 1)
        self.assertEqual((self.get(image, "Name"), self.content(image)), ("one", self.data))
        self.assertEqual(len(self.files("images")), 1)
        self.assertEqual(self.pull(self.source), (image, True))

    def test_what_was_interrupted_by_a_kill_is_gone_on_with(self):
        self.server.stand_still_after = 2 * MIB
        self.begin(self.source)
        self.wait_partial(2 * MIB)
        self.manager.kill()
        self.server.stand_still_after = None
        self.start_images()
        self.requests()
        self.assertEqual(self.content(self.pull(self.source)[0]), self.data)
        self.assertEqual(self.requests(), [("/disk.raw", f"bytes={2 * MIB}-")])

    def test_removed_it_is_gone(self):
        image, _ = self.pull(self.source)
        self.caller.call(image, IMAGE, "Remove")
        self.assertEqual((self.images(), self.files("images")), ([], []))
        self.assertFalse(self.pull(self.source)[1])
