# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images service: pulled from a registry on loopback: manifests, layers that are archives, and credentials."""

import base64
import io
import json
import os
import pathlib
import subprocess
import tarfile

from imagecase import IMAGE, MIB, ImagesTest
from imageserver import Server, sha256


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
