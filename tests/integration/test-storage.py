# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: disks in directories and in single files, from CreateSR() to Destroy(), and who may use them."""

import json
import os
import pathlib
import signal
import uuid

from harness import Process, TestCase, build_directory, run
from storagecase import K, M, PATTERN, StorageTest, can_loop, id_of
from storageclient import DIAGNOSTICS, MANAGER, NAME, OBJECT_MANAGER, ROOT, SR, TASK, VDI, VDI_SPEC, Refused, pack

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Contract(StorageTest):
    def test_introspection_is_the_xml(self):
        self.start()
        sr = self.directory_sr()
        vdi = self.client.create(sr, name="a", size=M)
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, name="b", size=M)
        expected = {ROOT: (MANAGER, DIAGNOSTICS, OBJECT_MANAGER), sr: (SR,), vdi: (VDI,), task: (TASK,)}
        for path, interfaces in expected.items():
            xml = run("busctl", f"--address={self.address}", "--xml-interface", "introspect", NAME, path).stdout
            for interface in interfaces:
                self.assertIn(f'"{interface}"', xml)
            run(SOURCE / "idl/xcp-idl-compare", *SOURCE.glob("idl/*.xml"), input=xml)
        os.close(reader)
        os.close(writer)

    def test_drivers_and_lookups(self):
        self.start()
        drivers = {name: options for name, _, _, options in self.client.call(ROOT, MANAGER, "ListDrivers")}
        self.assertEqual(set(drivers), {"directory", "file"})
        self.assertIn("size", drivers["file"])
        sr = self.directory_sr()
        vdi = self.client.create(sr, name="a", size=M, description="words", labels={"k": "v"})
        self.assertEqual(sr, f"{ROOT}/sr/{id_of(sr).replace('-', '_')}")
        self.assertEqual(self.client.call(ROOT, MANAGER, "LookupSR", "(s)", id_of(sr)), sr)
        self.assertEqual(self.client.call(ROOT, MANAGER, "LookupSRByName", "(s)", "d"), sr)
        self.assertEqual(self.client.call(ROOT, MANAGER, "LookupVDI", "(s)", id_of(vdi)), vdi)
        self.assertEqual(self.client.call(ROOT, MANAGER, "ListSRs"), [(sr, id_of(sr), "d", "directory", "Attached")])
        properties = self.client.managed()[vdi][VDI]
        self.assertEqual(properties["Labels"], {"k": "v"})
        self.assertEqual((properties["Size"], properties["SR"], properties["Format"], properties["SnapshotOf"]), (M, sr, "Raw", "/"))

    def test_properties_are_kept_and_announced(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=M)
        changes = (("Name", "s", "new"), ("Description", "s", "text"), ("Labels", "a{ss}", {"a": "b"}), ("ReadOnly", "b", True))
        for name, kind, value in changes:
            self.client.set(vdi, VDI, name, kind, value)
        self.client.wait_until(lambda: (vdi, {"ReadOnly": True}) in self.client.changed, "the changes")
        self.restart()
        for name, _, value in changes:
            self.assertEqual(self.client.get(vdi, VDI, name), value)

    def test_bad_input(self):
        self.start()
        sr, client = self.directory_sr(), self.client
        vdi = client.create(sr, name="a", size=M)
        for error, spec in (
            ("InvalidArgument", {"name": "", "size": M}),
            ("InvalidArgument", {"name": "x" * 10_000, "size": M}),
            ("InvalidArgument", {"name": "a\nb", "size": M}),
            ("InvalidArgument", {"name": "a", "size": 0}),
            ("InvalidArgument", {"name": "a"}),
            ("LimitExceeded", {"name": "a", "size": (1 << 64) - 1}),
            ("LimitExceeded", {"name": "a", "size": (64 << 40) + 1}),
            ("InvalidArgument", {"name": "a", "size": M, "uuid": "../../etc/passwd"}),
            ("InvalidArgument", {"name": "a", "size": M, "uuid": id_of(vdi).upper()}),
            ("AlreadyExists", {"name": "a", "size": M, "uuid": id_of(vdi)}),
            ("InvalidArgument", {"name": "a", "size": M, "description": "x" * 4097}),
            ("LimitExceeded", {"name": "a", "size": M, "labels": {str(i): "" for i in range(65)}}),
            ("org.freedesktop.DBus.Error.InvalidArgs", {"name": "a", "size": M, "format": "Vmdk"}),
        ):
            with self.subTest(spec=str(spec)[:80]), self.assertRaises(Refused) as caught:
                client.begin_create(sr, **spec)
            self.assertIn(caught.exception.name, (error, "InvalidArgument") if "format" in spec else (error,))
        with self.refused("LimitExceeded") as caught:
            client.begin_create(sr, name="a", size=(1 << 64) - 1)
        self.assertIn("size: 15.99 EiB is more than 64 TiB", caught.exception.message)
        for size, error in ((0, "InvalidArgument"), (M - 512, "InvalidArgument"), ((1 << 64) - 1, "LimitExceeded")):
            with self.refused(error):
                client.call(vdi, VDI, "Resize", "(t)", size)
        for reader in ("", "r" * 129):
            with self.refused("InvalidArgument"):
                client.call(vdi, VDI, "Activate", "(s)", reader)
        for path, method, signature, arguments in (
            (f"{ROOT}/vdi/nothing", "Destroy", None, ()),
            (f"{ROOT}/vdi/{str(uuid.uuid4()).replace('-', '_')}", "Destroy", None, ()),
            (vdi, "Destroy", "(s)", ("x",)),
            (vdi, "Resize", "(s)", ("x",)),
            (vdi, "Nothing", None, ()),
        ):
            with self.assertRaises(Refused):
                client.call(path, VDI, method, signature, *arguments)
        with self.refused("DoesNotExist"):
            client.call(ROOT, MANAGER, "LookupVDI", "(s)", "x" * 10_000)
        with self.refused("DoesNotExist"):
            client.call(vdi, VDI, "Copy", "(oa{sv})", f"{ROOT}/sr/nothing", pack(VDI_SPEC, {"name": "a"}))
        self.assertEqual(client.disks(sr), {"a": vdi})
        self.assertEqual(client.get(ROOT, DIAGNOSTICS, "Health"), "Good")

    def test_places_that_are_refused(self):
        self.start()
        occupied = self.root / "occupied"
        occupied.mkdir()
        (occupied / "letter").write_text("keep me")
        (self.root / "full.img").write_bytes(b"keep me" + bytes(4 * M))
        for error, driver, config in (
            ("InvalidArgument", "directory", {}),
            ("InvalidArgument", "directory", {"path": "relative"}),
            ("InvalidArgument", "directory", {"path": f"{self.root}/a/../../etc"}),
            ("InvalidArgument", "directory", {"path": f"{self.root}/../x"}),
            ("InvalidArgument", "directory", {"path": "/" + "x" * 10_000}),
            ("InvalidArgument", "directory", {"path": f"{self.root}/x", "colour": "red"}),
            ("InvalidArgument", "file", {"path": f"{self.root}/x", "size": "many"}),
            ("InvalidArgument", "file", {"path": f"{self.root}/x", "size": "99999999999T"}),
            ("DoesNotExist", "tape", {"path": f"{self.root}/x"}),
            ("DoesNotExist", "directory", {"path": f"{self.root}/nowhere/at/all"}),
            ("DoesNotExist", "file", {"path": f"{self.root}/nothing.img"}),
            ("AlreadyExists", "directory", {"path": occupied}),
            ("AlreadyExists", "file", {"path": f"{self.root}/full.img"}),
            ("NotEnoughSpace", "file", {"path": f"{self.root}/small.img", "size": "1M"}),
        ):
            with self.subTest(config=str(config)[:80]), self.refused(error):
                self.client.create_sr("x", driver, **config)
        self.assertEqual((occupied / "letter").read_text(), "keep me")
        self.assertEqual((self.root / "full.img").stat().st_size, 4 * M + 7)
        self.directory_sr("one")
        with self.refused("AlreadyExists"):
            self.client.create_sr("one", "directory", path=self.root / "two")
        with self.refused("AlreadyExists"):
            self.client.create_sr("other", "directory", path=self.root / "one")
        self.assertEqual(len(self.client.call(ROOT, MANAGER, "ListSRs")), 1)


class Life(StorageTest):
    def life(self, sr, other, **spec):
        """From Create to Destroy, with what a reader sees of it."""
        client = self.client
        vdi = client.create(sr, name="disk", size=10 * M - 100, **spec)
        self.assertEqual(client.get(vdi, VDI, "Size"), 10 * M)
        self.assertEqual(self.content(vdi), bytes(10 * M))
        self.write(vdi, 3 * M, PATTERN)
        first = self.content(vdi)
        self.assertEqual(first[3 * M : 3 * M + 64 * K], PATTERN)

        snapshot = client.vdi(vdi, "Snapshot", "(s)", "before")["vdi"]
        clone = client.vdi(vdi, "Clone", "(s)", "clone")["vdi"]
        self.write(vdi, 3 * M, PATTERN[::-1])
        self.write(clone, 4 * M, PATTERN)
        on_snapshot = client.vdi(snapshot, "Clone", "(s)", "from snapshot")["vdi"]
        self.assertEqual(self.content(snapshot), first)
        self.assertEqual(self.content(on_snapshot), first)
        self.assertEqual(self.content(clone)[3 * M : 5 * M], first[3 * M : 4 * M] + PATTERN + bytes(M - 64 * K))
        self.assertEqual(self.content(vdi)[3 * M : 3 * M + 64 * K], PATTERN[::-1])
        self.assertEqual(client.get(snapshot, VDI, "SnapshotOf"), vdi)
        self.assertTrue(client.get(snapshot, VDI, "ReadOnly"))
        with self.refused("ReadOnly"):
            client.set(snapshot, VDI, "ReadOnly", "b", False)
        with self.refused("ReadOnly"):
            client.attach(snapshot)

        copy = client.vdi(clone, "Copy", "(oa{sv})", other, pack(VDI_SPEC, {"name": "copy", "size": 12 * M}))["vdi"]
        self.assertEqual(self.content(copy), self.content(clone) + bytes(2 * M))
        self.assertEqual(client.get(copy, VDI, "SR"), other)

        self.restart()
        self.assertEqual(self.content(vdi)[3 * M : 3 * M + 64 * K], PATTERN[::-1])
        usage = client.call(vdi, VDI, "GetUsage")
        self.assertGreaterEqual(usage["allocated"], 64 * K)
        client.vdi(snapshot, "Destroy")
        client.vdi(vdi, "Destroy")
        self.assertEqual(self.content(on_snapshot), first)
        self.assertEqual(set(client.disks(sr)), {"clone", "from snapshot"})
        for disk in (clone, on_snapshot, copy):
            client.vdi(disk, "Destroy")
        self.assertEqual((client.disks(sr), client.disks(other)), ({}, {}))
        for place in (sr, other):
            self.assertEqual(client.call(place, SR, "GetSpace")["promised"], 0)

    def test_raw_in_a_directory(self):
        self.start()
        self.life(self.directory_sr(), self.file_sr(), format="Raw")
        self.assertEqual(self.files(), set())

    def test_qcow2_in_a_directory(self):
        self.start()
        self.life(self.directory_sr(), self.directory_sr("other"), format="Qcow2")
        self.assertEqual(self.files(), set())

    def test_raw_in_a_file(self):
        self.start()
        self.life(self.file_sr(size="100M"), self.directory_sr())

    def test_resize(self):
        self.start()
        directory, file = self.directory_sr(), self.file_sr()
        for sr, format in ((directory, "Raw"), (directory, "Qcow2"), (file, "Raw")):
            with self.subTest(format=format):
                vdi = self.client.create(sr, name="a", size=M, format=format)
                self.write(vdi, 0, PATTERN)
                self.assertEqual(self.client.vdi(vdi, "Resize", "(t)", 4 * M - 1), {"size": 4 * M})
                self.assertEqual(self.content(vdi), PATTERN + bytes(4 * M - 64 * K))
                self.assertEqual(self.client.vdi(vdi, "Resize", "(t)", 4 * M), {"size": 4 * M})
        self.client.create(file, name="behind", size=M)
        with self.refused("NotEnoughSpace") as caught:
            self.client.vdi(self.client.disks(file)["a"], "Resize", "(t)", 5 * M)
        self.assertEqual(caught.exception.details["needed"], M)

    def test_many_snapshots_of_one_disk(self):
        """A chain of images does not become longer and longer."""
        self.start()
        sr = self.directory_sr()
        vdi = self.client.create(sr, name="a", size=M, format="Qcow2")
        for i in range(36):
            snapshot = self.client.vdi(vdi, "Snapshot", "(s)", f"s{i}")["vdi"]
        self.write(vdi, 0, PATTERN)
        self.assertEqual(self.content(snapshot), bytes(M))
        chain = json.loads(run("qemu-img", "info", "--backing-chain", "--output=json", f"{self.root}/d/{id_of(vdi)}.qcow2").stdout)
        self.assertEqual(len(chain), 32)
        for path in self.client.disks(sr).values():
            self.client.vdi(path, "Destroy")
        self.assertEqual(self.files(), set())

    def test_detach_forget_and_introduce(self):
        self.start()
        client = self.client
        for sr, driver, config in (
            (self.directory_sr(), "directory", {"path": self.root / "d"}),
            (self.file_sr(), "file", {"path": self.root / "f.img"}),
        ):
            vdi = client.create(sr, name="kept", size=2 * M)
            client.set(vdi, VDI, "Name", "s", "renamed")
            self.write(vdi, M, PATTERN)
            before = self.content(vdi)
            snapshot = client.vdi(vdi, "Snapshot", "(s)", "snapshot")["vdi"]
            client.attach(vdi)
            with self.refused("Busy"):
                client.sr(sr, "Detach")
            client.step(vdi, "Detach")
            with self.refused("BadState"):
                client.sr(sr, "Forget")
            client.sr(sr, "Detach")
            with self.refused("BadState"):
                client.sr(sr, "Scan")
            with self.refused("BadState"):
                client.attach(vdi)
            client.sr(sr, "Attach")
            with self.refused("BadState"):
                client.sr(sr, "Attach")
            client.sr(sr, "Detach")
            client.sr(sr, "Forget")
            self.assertNotIn(vdi, client.managed())
            self.assertEqual(client.create_sr("again", driver, introduce=True, **config), sr)
            self.assertEqual(self.content(vdi), before)
            self.assertEqual(self.content(snapshot), before)
            if driver == "file":  # its table knows more than names of files
                self.assertEqual(client.get(vdi, VDI, "Name"), "renamed")
                self.assertEqual(client.get(snapshot, VDI, "SnapshotOf"), vdi)
            with self.refused("AlreadyExists"):
                client.create_sr("twice", driver, introduce=True, **config)
            client.sr(sr, "Destroy")
            self.assertNotIn(sr, client.managed())
            client.sr(client.create_sr("new", driver, **config), "Destroy")

    def test_scan(self):
        self.start()
        client, sr = self.client, self.directory_sr()
        paths = {name: client.create(sr, name=name, size=M) for name in ("same", "gone", "grown")}
        added, overlay, foreign, stray = (str(uuid.uuid4()) for _ in range(4))
        directory = self.root / "d"
        (directory / f"{id_of(paths['gone'])}.raw").rename(directory / "elsewhere")
        os.truncate(directory / f"{id_of(paths['grown'])}.raw", 2 * M)
        run("qemu-img", "create", "-q", "-f", "qcow2", directory / f"{added}.qcow2", "3M")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{added}.qcow2", "-F", "qcow2", directory / f"{overlay}.qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "-u", directory / f"{foreign}.qcow2", "3M")
        (directory / f"{stray}.raw").symlink_to("/etc/passwd")
        (directory / "notes.txt").write_text("not ours")
        result = client.sr(sr, "Scan")
        self.assertEqual({id_of(path) for path in result["added"]}, {added, overlay})
        self.assertEqual((result["changed"], result["missing"]), ([paths["grown"]], [paths["gone"]]))
        self.assertEqual(client.get(paths["grown"], VDI, "Size"), 2 * M)
        self.assertTrue(client.get(paths["gone"], VDI, "Missing"))
        with self.refused("BadState"):
            client.attach(paths["gone"])
        parent = client.disks(sr)[added]
        self.assertTrue(client.get(parent, VDI, "ReadOnly"))
        self.assertEqual(self.content(client.disks(sr)[overlay]), bytes(3 * M))
        self.assertEqual(client.sr(sr, "Scan"), {})
        (directory / "elsewhere").rename(directory / f"{id_of(paths['gone'])}.raw")
        self.assertEqual(client.sr(sr, "Scan")["changed"], [paths["gone"]])
        client.attach(paths["gone"])
        self.assertEqual((directory / "notes.txt").read_text(), "not ours")


class DataPaths(StorageTest):
    def test_they_outlive_the_service(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=M)
        path = self.client.attach(vdi, "vm1")
        self.client.step(vdi, "Activate", "vm1")
        self.client.attach(vdi, "vm2", "ReadOnly")
        expected = [("vm1", "Activated", "File", "ReadWrite"), ("vm2", "Attached", "File", "ReadOnly")]
        self.assertEqual(self.client.get(vdi, VDI, "DataPaths"), expected)
        self.service.kill()
        self.start()
        self.assertEqual(self.client.get(vdi, VDI, "DataPaths"), expected)
        self.assertEqual(self.client.attach(vdi, "vm1"), path)
        self.client.step(vdi, "Activate", "vm1")
        with self.refused("Busy"):
            self.client.vdi(vdi, "Destroy")
        for reader in ("vm1", "vm2", "vm2"):
            self.client.step(vdi, "Detach", reader)
        self.client.vdi(vdi, "Destroy")

    def test_an_image_for_xen(self):
        """One for QEMU's back-end. A raw disk gets a loop device, which not every machine has: tests/integration/test-xenopsd-xen.py."""
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=M, format="Qcow2")
        path = self.client.attach(vdi, "vm", kinds=("XenBlock", "File"))
        self.assertEqual((path["kind"], path["parameters"]), ("XenBlock", {"type": "qdisk", "format": "qcow2"}))
        self.assertEqual(path["path"], str(self.root / "d" / f"{vdi.rpartition('/')[2].replace('_', '-')}.qcow2"))
        for step in ("Activate", "Deactivate", "Detach"):
            self.client.step(vdi, step, "vm")
        self.assertEqual(self.client.get(vdi, VDI, "DataPaths"), [])

    def test_loop_devices_grow(self):
        """A raw disk's, for the kernel's back-end, before a file of its own and before a part of one; it is the same that Detach takes away."""
        if not can_loop(self.root):
            return
        self.start()
        for sr in self.directory_sr(), self.file_sr():
            vdi = self.client.create(sr, name="a", size=M)
            self.addCleanup(self.client.step, vdi, "Detach", "vm")
            link = pathlib.Path(self.client.attach(vdi, "vm", kinds=("XenBlock",))["path"])
            device = link.readlink()
            self.client.step(vdi, "Activate", "vm")
            self.client.vdi(vdi, "Resize", "(t)", 2 * M)
            with device.open("rb") as file:
                self.assertEqual(file.seek(0, os.SEEK_END), 2 * M)
            self.client.attach(vdi, "vm", kinds=("XenBlock",))
            self.assertEqual(link.readlink(), device)
            self.client.step(vdi, "Detach", "vm")
            self.assertFalse(link.is_symlink())
            backing = pathlib.Path("/sys/block", device.name, "loop/backing_file")
            self.assertFalse(backing.exists() and str(self.root) in backing.read_text())

    def test_two_writers(self):
        self.start()
        sr = self.directory_sr()
        vdi, shared = self.client.create(sr, name="a", size=M), self.client.create(sr, name="b", size=M, sharable=True)
        for disk in (vdi, shared):
            self.client.attach(disk, "one")
            self.client.attach(disk, "two")
            self.client.step(disk, "Activate", "one")
        with self.refused("Busy") as caught:
            self.client.step(vdi, "Activate", "two")
        self.assertEqual(caught.exception.details["holder"], "one")
        self.client.step(shared, "Activate", "two")
        for method, arguments in (("Snapshot", ("(s)", "x")), ("Clone", ("(s)", "x"))):
            with self.refused("Busy"):
                self.client.vdi(vdi, method, *arguments)
        with open("/dev/null", "wb") as sink, self.refused("Busy"):
            self.client.begin_export(vdi, sink.fileno())
        with self.refused("Busy"):
            self.client.attach(vdi, "one", "ReadOnly")
        self.client.step(vdi, "Deactivate", "one")
        self.client.step(vdi, "Activate", "two")

    def test_kinds_that_come_later_are_named(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=M)
        with self.refused("NotSupported") as caught:
            self.client.attach(vdi, kinds=("BlockDevice",))
        self.assertIn("of kind BlockDevice", caught.exception.message)
        self.assertEqual(self.client.attach(vdi, kinds=("BlockDevice", "File"))["kind"], "File")

    def test_activation_waits_for_what_reads_the_disk(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=M)
        self.client.attach(vdi)
        reader, writer = os.pipe()
        export = self.client.begin_export(vdi, writer)
        os.close(writer)
        activate = self.client.call(vdi, VDI, "Activate", "(s)", "r")
        self.client.wait_until(lambda: self.client.get(export, TASK, "State") == "Running", "the export to run")
        self.assertEqual(self.client.get(activate, TASK, "State"), "Waiting")
        os.close(reader)  # nobody reads it any more
        with self.refused("BackendFailed"):
            self.client.wait(export)
        self.client.wait(activate)


class Activation(TestCase):
    def test_the_first_call_starts_it(self):
        directory = pathlib.Path(self.temporary_directory()) / "dom0"
        bus = Process([build_directory() / "bus/xcp-bus-run", "--domain-dir", directory, "--ready-fd", "1"])
        self.addCleanup(bus.kill)
        bus.wait_output(r"\n")
        drivers = run("busctl", f"--address=unix:path={directory}/bus", "call", NAME, ROOT, MANAGER, "ListDrivers").stdout
        self.assertIn('"directory"', drivers)
        self.assertTrue((directory / "state/storage/storage.db").is_file())
        bus.signal(signal.SIGTERM)
        bus.wait().check()
