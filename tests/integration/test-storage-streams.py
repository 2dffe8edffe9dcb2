# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: imports and exports."""

import os
import random
import socket
import struct
import threading

from harness import run, wait_until
from storagecase import K, M, PATTERN, StorageTest, feed
from storageclient import TASK, VDI, VDI_SPEC, pack


class Streams(StorageTest):
    def setUp(self):
        super().setUp()
        self.start()
        self.sr = self.directory_sr()

    def begin(self, sr, data, times, **spec):
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, **spec)
        os.close(reader)
        feeder = threading.Thread(target=feed, args=(writer, data, times), daemon=True)
        feeder.start()
        self.addCleanup(feeder.join, 10)
        return task

    def test_import_and_export_through_pipes(self):
        block = random.Random(1).randbytes(M)
        file = self.file_sr(size="100M")
        for sr, spec in ((self.sr, {}), (self.sr, {"format": "Qcow2"}), (file, {"size": 64 * M})):
            with self.subTest(spec=spec):
                task = self.begin(sr, block, 64, name="a", **spec)
                vdi = self.client.wait(task)["vdi"]
                self.assertEqual(self.client.get(vdi, VDI, "Size"), 64 * M)
                reader, writer = os.pipe()
                export = self.client.begin_export(vdi, writer)
                os.close(writer)
                with os.fdopen(reader, "rb") as pipe:
                    for _ in range(64):
                        self.assertEqual(pipe.read(M), block)
                    self.assertEqual(pipe.read(), b"")
                self.client.wait(export)
                self.client.vdi(vdi, "Destroy")
        counters = self.client.counters()
        self.assertEqual(counters["bytes-imported"], 3 * 64 * M)
        self.assertEqual(counters["bytes-exported"], 3 * 64 * M)
        self.assertEqual(self.files(), set())

    def test_progress(self):
        path = self.root / "source"
        with open(path, "w+b") as file:
            feed(os.dup(file.fileno()), random.Random(2).randbytes(M), 64)
            file.seek(0)
            task = self.client.begin_import(self.sr, file.fileno(), name="a")
            self.client.wait(task)
        self.assertEqual(self.client.get(task, TASK, "Progress"), 1)

        reader, writer = os.pipe()
        vdi = self.client.disks(self.sr)["a"]
        export = self.client.begin_export(vdi, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            pipe.read(32 * M)
            self.client.wait_until(lambda: 0.4 < self.client.get(export, TASK, "Progress") < 0.6, "the export to be half done")
            pipe.read()
        self.client.wait(export)

    def test_a_sparse_file_stays_sparse(self):
        path = self.root / "source"
        with open(path, "w+b") as file:
            file.truncate(1 << 30)
            file.seek(512 * M)
            file.write(PATTERN)
            file.seek(0)
            vdi = self.client.import_vdi(self.sr, file.fileno(), name="a")
        self.assertLess(self.client.call(vdi, VDI, "GetUsage")["allocated"], M)
        copy = self.client.vdi(vdi, "Clone", "(s)", "b")["vdi"]
        self.assertLess(self.client.call(copy, VDI, "GetUsage")["allocated"], M)

    def test_cancel_in_the_middle(self):
        reader, writer = os.pipe()
        task = self.client.begin_import(self.sr, reader, name="a", size=64 * M)
        os.close(reader)
        os.write(writer, PATTERN)
        wait_until(lambda: any(name.endswith(".tmp") for name in self.files()), "the import to begin")
        self.assertLessEqual(self.client.get(task, TASK, "CancelWithinMs"), 10_000)
        self.client.call(task, TASK, "Cancel")
        with self.refused("Cancelled"):
            self.client.wait(task)
        os.close(writer)
        self.assertEqual((self.files(), self.client.disks(self.sr)), (set(), {}))

    def test_cancel_while_it_waits(self):
        vdi = self.client.create(self.sr, name="a", size=M)
        reader, writer = os.pipe()
        export = self.client.begin_export(vdi, writer)
        resize = self.client.call(vdi, VDI, "Resize", "(t)", 2 * M)
        self.client.call(resize, TASK, "Cancel")
        with self.refused("Cancelled"):
            self.client.wait(resize)
        os.close(reader)
        os.close(writer)
        with self.refused("BackendFailed"):
            self.client.wait(export)
        self.assertEqual(self.client.get(vdi, VDI, "Size"), M)

    def test_sockets(self):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        task = self.client.begin_import(self.sr, theirs.fileno(), name="a", size=2 * M)
        theirs.close()
        ours.sendall(PATTERN)
        ours.close()
        vdi = self.client.wait(task)["vdi"]
        self.assertEqual(self.content(vdi), PATTERN + bytes(2 * M - 64 * K))

    def test_images(self):
        """Qcow2 comes and goes as well, in whatever format it is stored."""
        raw, image = self.root / "raw", self.root / "image"
        raw.write_bytes(bytes(M) + PATTERN + bytes(M))
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
        size = (raw.stat().st_size + 511) // 512 * 512
        for sr, format, wanted in ((self.sr, "Raw", size), (self.sr, "Qcow2", size), (self.file_sr(), "Raw", size), (self.sr, "Raw", 4 * M),
                                   (self.sr, "Qcow2", 4 * M)):
            with self.subTest(format=format, wanted=wanted), open(image, "rb") as file:
                spec = {"size": wanted} if wanted > size else {}
                vdi = self.client.import_vdi(sr, file.fileno(), "Qcow2", name="a", format=format, **spec)
                self.assertEqual(self.content(vdi), raw.read_bytes() + bytes(wanted - size))
        with open(self.root / "out", "w+b") as out:
            self.client.wait(self.client.begin_export(vdi, out.fileno(), "Qcow2"))
        self.assertIn("identical", run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, self.root / "out").stdout)
        with open(image, "rb") as file, self.refused("InvalidArgument"):
            self.client.import_vdi(self.sr, file.fileno(), "Qcow2", name="a", size=M)

    def test_images_that_are_traps(self):
        """An image that names another file would have that read, as whoever the service runs as."""
        secret = self.root / "secret"
        secret.write_bytes(b"secret" * 1000)
        backed, data, broken = (self.root / name for name in ("backed", "data", "broken"))
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", backed)
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={self.root}/data.raw,data_file_raw=on", data, "1M")
        broken.write_bytes(b"QFI\xfb" + struct.pack(">I", 3) + bytes(1000))
        file_sr = self.file_sr()
        for trap, said in ((backed, "backing file"), (data, "another file"), (broken, "")):
            for sr in (self.sr, file_sr):
                with self.subTest(trap=trap.name), open(trap, "rb") as file:
                    with self.refused("Corrupt") as caught:
                        self.client.import_vdi(sr, file.fileno(), "Qcow2", name="a")
                    self.assertIn(said, caught.exception.message)
        self.assertEqual((self.files(), self.client.disks(self.sr), self.client.disks(file_sr)), (set(), {}, {}))

    def test_a_raw_disk_is_never_taken_for_an_image(self):
        """What a guest has written into its disk is its own affair."""
        vdi = self.client.create(self.sr, name="a", size=M)
        trap = self.root / "trap"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", trap)
        self.write(vdi, 0, trap.read_bytes()[: 64 * K])
        copy = self.client.vdi(vdi, "Copy", "(oa{sv})", self.sr, pack(VDI_SPEC, {"name": "b", "format": "Qcow2"}))["vdi"]
        self.assertEqual(self.content(copy), self.content(vdi))

    def test_descriptors_of_the_wrong_kind(self):
        vdi = self.client.create(self.sr, name="a", size=M)
        victim = self.root / "victim"
        victim.write_text("unchanged")
        with open(victim, "rb") as read_only, self.refused("InvalidArgument"):
            self.client.begin_export(vdi, read_only.fileno())
        with open(victim, "ab") as write_only, self.refused("InvalidArgument"):
            self.client.begin_import(self.sr, write_only.fileno(), name="b", size=M)
        self.assertEqual(victim.read_text(), "unchanged")

    def test_more_than_there_is_room_for(self):
        file = self.file_sr()
        for sr in (self.sr, file):
            with self.refused("InvalidArgument"):
                self.client.wait(self.begin(sr, bytes(M - 1) + b"x", 2, name="a", size=M))
        with self.refused("InvalidArgument"):
            self.client.wait(self.begin(file, bytes(M), 1, name="a"))
        self.assertEqual((self.files(), self.client.disks(file)), (set(), {}))
