# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images service: pulled from a web server and a registry on loopback, verified, gone on with, and kept."""

import base64
import contextlib
import hashlib
import io
import json
import os
import pathlib
import random
import subprocess
import tarfile
import unittest

from gi.repository import GLib
from imageserver import Server, sha256
from storagecase import can_mount
from xenopsdcase import XenopsdTest

NAME = "org.xen.xcp.images"
ROOT = "/org/xen/xcp/images"
MANAGER = "org.xen.xcp.images1.Manager"
IMAGE = "org.xen.xcp.images1.Image"
MIB = 1 << 20


class ImagesTest(XenopsdTest):
    autostarted = False

    def setUp(self):
        super().setUp()
        self.start_images()
        self.server = Server(self)
        self.data = random.Random(1).randbytes(3 * MIB)
        self.server.files["/disk.raw"] = self.data
        self.source = self.server.url + "/disk.raw"

    def start_images(self):
        self.manager = self.start_service("images/xcp-images", NAME, "images")
        self.caller = self.connect(NAME)

    def begin(self, source, **options):
        packed = {name: GLib.Variant("s", value) for name, value in options.items()}
        return self.caller.object(ROOT, MANAGER).begin("Pull", "(sa{sv})", source, packed)

    def pull(self, source, **options):
        """The image, and whether it was here already."""
        result = self.done(self.begin(source, **options))
        return result["image"], result.get("cached", False)

    def content(self, image):
        _, [fd] = self.caller.call_fds(image, IMAGE, "Open")
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def get(self, image, name):
        return self.caller.get(image, IMAGE, name)

    def files(self, directory):
        path = self.root / "images" / directory
        return sorted(os.listdir(path)) if path.exists() else []

    def partial_size(self):
        """How much is there of what is not whole."""
        return sum(file.stat().st_size for file in self.inside("images/partial").iterdir() if file.suffix != ".etag")

    def inside(self, path):
        """A file of the service's, as it sees it."""
        return pathlib.Path(f"/proc/{self.manager.pid}/root{self.root / path}")

    def wait_partial(self, size):
        """Waits until so much of something has come that is not whole yet."""
        def is_there():
            for file in (self.root / "images/partial").glob("*"):
                with contextlib.suppress(FileNotFoundError):  # it has got another name meanwhile
                    if file.stat().st_size >= size:
                        return True
            return False

        self.caller.wait_until(is_there, f"{size} bytes to come")

    def images(self):
        return self.caller.call(ROOT, MANAGER, "ListImages")[0]

    def requests(self):
        requests, self.server.requests = self.server.requests, []
        return requests


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
        self.failed(self.begin(self.source, checksum=sha256(b"other")), "Corrupt", "its checksum is not sha256:")
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
                self.failed(self.begin(source), "LimitExceeded", f"more than {2 * MIB}")
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


class RegistryTest(ImagesTest):
    def oci(self, rest):
        return f"oci+http://127.0.0.1:{self.server.port}/{rest}"


class Registry(RegistryTest):
    def test_by_tag_and_by_digest(self):
        digest = self.server.add_layer(self.data)
        image, _ = self.pull(self.oci("vm:1"))
        self.assertEqual((self.content(image), self.get(image, "Digest")), (self.data, sha256(self.data)))
        self.requests()
        self.assertEqual(self.pull(self.oci(f"vm@{digest}")), (image, True))
        self.assertEqual([path for path, _ in self.requests()], [f"/v2/vm/manifests/{digest}"])

    def test_an_index_and_a_token(self):
        self.server.token = True
        self.server.add_layer(self.data, index=True)
        self.assertEqual(self.content(self.pull(self.oci("vm:1"))[0]), self.data)
        self.assertIn("/token?service=test&scope=repository:vm:pull", [path for path, _ in self.requests()])

    def test_a_registry_that_is_busy_is_asked_again(self):
        self.server.token = True
        self.server.add_layer(self.data)
        token = "/token?service=test&scope=repository:vm:pull"
        self.server.answers = {"/v2/vm/manifests/1": [None, (429, b"", {"Retry-After": "1"})], token: [(503, b"", {})]}
        self.assertEqual(self.content(self.pull(self.oci("vm:1"))[0]), self.data)
        self.server.answers["/v2/vm/manifests/1"] = [(429, b"", {"Retry-After": "900"})]
        self.failed(self.begin(self.oci("vm:1")), "Unreachable", "to be asked again in 900 s")

    def test_a_token_that_expires_meanwhile(self):
        """Another is asked for; once."""
        self.server.token = True
        self.server.add_layer(self.data)
        blob = f"/v2/vm/blobs/{sha256(self.data)}"
        refusal = (401, b"", {"WWW-Authenticate": f'Bearer realm="{self.server.url}/token",service="again"'})
        self.server.cuts = [MIB * 10, MIB]  # the manifest is whole
        self.server.answers[blob] = [None, refusal]
        image, _ = self.pull(self.oci("vm:1"))
        self.assertEqual(self.content(image), self.data)
        asked = [(path, part is not None) for path, part in self.requests()][-4:]
        self.assertEqual(asked, [(blob, False), (blob, True), ("/token?service=again", False), (blob, True)])
        self.caller.call(image, IMAGE, "Remove")
        self.server.answers[blob] = [refusal, refusal]
        self.failed(self.begin(self.oci("vm:1")), "Unreachable", "status 401")

    def test_a_blob_that_breaks_off_is_gone_on_with(self):
        self.server.etags = False  # its digest is enough
        self.server.add_layer(self.data)
        manifest = len(self.server.files["/v2/vm/manifests/1"])
        self.server.cuts = [manifest, MIB]
        self.assertEqual(self.content(self.pull(self.oci("vm:1"))[0]), self.data)
        self.assertEqual([requested is not None for _, requested in self.requests()], [False, False, True])

    def test_what_is_not_of_its_digest(self):
        digest = self.server.add_layer(self.data)
        self.server.files[f"/v2/vm/blobs/{sha256(self.data)}"] = self.data[::-1]
        self.failed(self.begin(self.oci("vm:1")), "Corrupt", "checksum")
        self.server.files[f"/v2/vm/manifests/{digest}"] = b"{}"
        self.failed(self.begin(self.oci(f"vm@{digest}")), "Corrupt", "manifest")

    def test_a_blob_that_does_not_end(self):
        self.server.add_layer(self.data)
        self.server.files[f"/v2/vm/blobs/{sha256(self.data)}"] = self.data + bytes(MIB)
        self.failed(self.begin(self.oci("vm:1")), "Corrupt", f"more of it than the {len(self.data)} bytes")
        self.assertEqual(self.partial_size(), 0)

    def test_what_is_no_disk(self):
        self.server.add_layer(self.data, media_type="application/vnd.example+gzip")
        self.failed(self.begin(self.oci("vm:1")), "NotSupported", "example+gzip")
        self.server.files["/v2/vm/manifests/1"] = b'{"layers": []}'
        self.failed(self.begin(self.oci("vm:1")), "NotSupported", "0 layers")
        self.server.files["/v2/vm/manifests/1"] = b'{"layers": '
        self.failed(self.begin(self.oci("vm:1")), "Corrupt", "no JSON")
        self.failed(self.begin(self.oci("vm:2")), "DoesNotExist")


class Archives(RegistryTest):
    """Layers that are archives, as container disks have them."""

    def archive(self, mode, *members):
        """members: name and content; None is a directory."""
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
                info.size = len(content or b"")
                archive.addfile(info, io.BytesIO(content or b""))
        return file.getvalue()

    def add(self, data, kind="tar+gzip", tag="1"):
        self.server.add_layer(data, media_type=f"application/vnd.oci.image.layer.v1.{kind}", tag=tag)

    def test_the_disk_of_a_container(self):
        disk = self.data + bytes(20 * MIB) + b"end" + bytes(MIB)
        for i, (mode, kind, folder) in enumerate((("w:gz", "tar+gzip", "disk/"), ("w", "tar", "./disk/"), ("w:gz", "tar+gzip", "/disk/"))):
            with self.subTest(kind=kind, folder=folder):
                layer = self.archive(mode, ("etc/passwd", b"root"), (folder, None), (f"{folder}vm{i}.img", disk), (f"{folder}sub/other", b"other"))
                self.add(layer, kind)
                image, cached = self.pull(self.oci("vm:1"))
                self.assertEqual((self.content(image), cached), (disk, False))
                self.assertEqual((self.get(image, "Digest"), self.get(image, "Format")), (sha256(layer), "Raw"))
                self.assertLess((self.root / "images/images" / sha256(layer)[7:]).stat().st_blocks * 512, 10 * MIB)  # zeros take no space
                self.assertEqual(self.pull(self.oci("vm:1")), (image, True))
        self.assertEqual(self.files("partial"), [])

    def test_a_qcow2_compressed_with_zstd(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.root / "disk", "64M"], check=True)
        (self.root / "tar").write_bytes(self.archive("w", ("disk/vm.qcow2", (self.root / "disk").read_bytes())))
        self.add(subprocess.run(["zstd", "-q", "--stdout", self.root / "tar"], check=True, capture_output=True).stdout, "tar+zstd")
        image, _ = self.pull(self.oci("vm:1"))
        self.assertEqual((self.get(image, "Format"), self.get(image, "Size")), ("Qcow2", 64 * MIB))

    def test_what_somebody_has_pulled_as_it_is(self):
        """The archive itself, as an image, has the same digest: it is not taken for the disk in it."""
        layer = self.archive("w", ("disk/vm.img", self.data))
        self.server.files["/layer"] = layer
        self.assertEqual(self.content(self.pull(self.server.url + "/layer")[0]), layer)
        self.add(layer, "tar")
        image, cached = self.pull(self.oci("vm:1"))
        self.assertEqual((self.content(image), self.get(image, "Size"), cached), (self.data, len(self.data), False))

    def test_archives_without_a_disk(self):
        for members, words in (
            ((("vm.img", self.data),), "no file in /disk"),
            ((("disk/.wh.vm.img", b""), ("other/disk/vm.img", self.data), ("disk", None)), "no file in /disk"),
            ((("disk/a.img", b"a"), ("disk/b.img", b"b")), "more than one"),
        ):
            with self.subTest(words=words):
                self.add(self.archive("w:gz", *members))
                self.failed(self.begin(self.oci("vm:1")), "NotSupported", words)
        self.add(self.archive("w:gz", ("disk/vm.img", self.data))[:-50000])
        self.failed(self.begin(self.oci("vm:1")), "Corrupt", "damaged")
        self.add(self.data)
        self.failed(self.begin(self.oci("vm:1")), "Corrupt", "damaged")
        self.assertEqual((self.files("images"), self.files("partial")), ([], []))


class Credentials(RegistryTest):
    def use(self, auths):
        """Has the service started anew with a file of credentials."""
        (self.root / "auth.json").write_text(json.dumps({"auths": auths}))
        os.environ["XCP_REGISTRY_AUTH_FILE"] = str(self.root / "auth.json")
        self.addCleanup(os.environ.pop, "XCP_REGISTRY_AUTH_FILE", None)
        self.manager.kill()
        self.start_images()

    def encoded(self, text):
        return {"auth": base64.b64encode(text.encode()).decode()}

    def test_a_user_and_password(self):
        """For a token, and where none is wanted; and nobody sees them."""
        self.server.password = "ann:s3cret:s"
        self.server.add_layer(self.data)
        host = f"127.0.0.1:{self.server.port}"
        for token in True, False:
            self.server.token = token
            self.failed(self.begin(self.oci("vm:1")), "Unreachable", "there are none for 127.0.0.1")
        self.use({"https://elsewhere.example/v1/": self.encoded("no:body"), f"{host}/v": self.encoded("no:body"), host: self.encoded("ann:s3cret:s")})
        self.server.stand_still_after = 100_000
        task = self.begin(self.oci("vm:1"))
        self.caller.wait_until(lambda: "/v2/vm/manifests/1" in [path for path, _ in self.server.requests], "somebody to ask")
        [child] = pathlib.Path(f"/proc/{self.manager.pid}/task/{self.manager.pid}/children").read_text().split()
        for name in "cmdline", "environ":
            self.assertNotIn(b"s3cret", pathlib.Path(f"/proc/{child}/{name}").read_bytes())
        self.server.stand_still_after = None
        self.server.go_on.set()
        self.done(task)
        self.server.token = True
        image, _ = self.pull(self.oci("vm:1"))
        self.assertEqual(self.content(image), self.data)
        self.use({f"{host}/vm": {"username": "ann", "password": "wrong"}, host: self.encoded("ann:s3cret:s")})  # the nearest counts
        for token in True, False:
            self.server.token = token
            self.failed(self.begin(self.oci("vm:1")), "Unreachable", "does not take")

    def test_another_server_gets_none(self):
        """Neither the token, by a redirect, nor the password, though it asks for that."""
        other = Server(self)
        other.password, other.token = "ann:s3cret", True
        host = f"127.0.0.1:{self.server.port}"
        self.server.password, self.server.token = "ann:s3cret", True
        self.server.add_layer(self.data)
        self.use({host: self.encoded("ann:s3cret")})
        blob = f"/v2/vm/blobs/{sha256(self.data)}"
        other.files["/blob"] = self.data
        redirect = (307, b"", {"Location": other.url + "/blob"})
        self.server.answers[blob] = [redirect]
        self.assertEqual(self.content(self.pull(self.oci("vm:1"))[0]), self.data)
        self.server.answers["/v2/vm/manifests/2"] = [(307, b"", {"Location": other.url + "/v2/vm/manifests/2"})]
        self.failed(self.begin(self.oci("vm:2")), "Unreachable", "sends us to another server")
        self.assertEqual(other.requests, [("/blob", None), ("/v2/vm/manifests/2", None)])
        self.assertEqual(other.authorizations, [None, None])

    def test_files_that_are_not_of_use(self):
        self.server.add_layer(self.data)
        host = f"127.0.0.1:{self.server.port}"
        for entry, error, words in (({"auth": "%%%"}, "BackendFailed", "no user and password"), ({"auth": "YW5u"}, "BackendFailed", "no user and password"),
                                    ({"identitytoken": "x"}, "NotSupported", "identity token")):
            with self.subTest(entry=entry):
                self.use({host: entry})
                self.failed(self.begin(self.oci("vm:1")), error, words)
        (self.root / "auth.json").write_text("not JSON")
        self.failed(self.begin(self.oci("vm:1")), "BackendFailed", "no JSON")
        (self.root / "auth.json").unlink()
        self.failed(self.begin(self.oci("vm:1")), "BackendFailed", "No such file")
        self.use({host: {}})  # a helper has them
        self.pull(self.oci("vm:1"))

    def test_a_source_has_none(self):
        for source in "https://ann:s3cret@host.example/disk", "http://ann@host.example?x", "oci://ann:s3cret@registry.example/vm":
            self.assertNotIn("s3cret", self.refused("InvalidArgument", self.begin, source))


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
