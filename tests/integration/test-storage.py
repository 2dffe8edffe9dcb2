# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: disks in directories and in single files, from CreateSR() to Destroy(), and whatever may come in between."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import struct
import threading
import time
import uuid

from harness import Bus, Process, TestCase, build_directory, run, wait_until
from storageclient import (DIAGNOSTICS, MANAGER, NAME, OBJECT_MANAGER, ROOT, SR, TASK, VDI, VDI_SPEC, Client, Refused, pack)

SOURCE = pathlib.Path(__file__).resolve().parents[2]
STORAGE = build_directory() / "services/storage/xcp-storage"
IO = build_directory() / "services/storage/xcp-storage-io"
DRIVER = build_directory() / "vhost/blk/vhost-toy-driver"
CHECK = build_directory() / "vhost/check/xcp-vhost-check"

K, M = 1 << 10, 1 << 20
PATTERN = bytes(range(256)) * 256  # 64 KiB


def id_of(path):
    return path.rpartition("/")[2].replace("_", "-")


def can_mount():
    return os.geteuid() == 0 and run("unshare", "--mount", "true", check=None).status == 0


class StorageTest(TestCase):
    """A bus, with the storage service on it."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.state = self.root / "state"
        self.directory = self.root / "sr"
        self.file = self.root / "sr.img"
        bus = Bus(self.root, "--domain-services-only")
        self.addCleanup(bus.kill)
        self.address = bus.address
        self.service = None
        self.client = None

    def start(self, *before):
        reader, writer = os.pipe()
        argv = [*before, STORAGE, "--bus-address", self.address, "--state-dir", self.state, "--ready-fd", "0"]
        self.service = Process(argv, stdin=writer)
        self.addCleanup(self.service.kill)
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            if ready.read(1) != b"\n":
                self.fail(str(self.service.wait()))
        if not self.client:
            self.client = Client(self.address)
            self.addCleanup(self.client.close)

    def stop(self):
        self.service.signal(signal.SIGTERM)
        return self.service.wait().check()

    def restart(self):
        self.stop()
        self.start()

    def directory_sr(self, name="d"):
        return self.client.create_sr(name, "directory", path=self.root / name)

    def file_sr(self, name="f", size="64M"):
        return self.client.create_sr(name, "file", path=self.root / f"{name}.img", size=size)

    def files(self, name="d"):
        return {path.name for path in (self.root / name).iterdir()} - {"xcp-sr"}

    @contextlib.contextmanager
    def refused(self, name):
        with self.assertRaises(Refused) as caught:
            yield caught
        self.assertEqual(caught.exception.name, name, caught.exception.message)

    def children(self):
        text = pathlib.Path(f"/proc/{self.service.pid}/task/{self.service.pid}/children").read_text()
        found = {}
        for pid in text.split():
            try:
                found[int(pid)] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def write(self, vdi, offset, data, reader="writer"):
        """Writes as a reader would, by the File that Attach() gives."""
        path = self.client.attach(vdi, reader)
        self.client.step(vdi, "Activate", reader)
        parameters = path["parameters"]
        if parameters["format"] == "qcow2":
            source = self.root / "data"
            source.write_bytes(data)
            run("qemu-io", "-f", "qcow2", "-c", f"write -s {source} {offset} {len(data)}", path["path"])
        else:
            with open(path["path"], "r+b") as file:
                file.seek(int(parameters.get("offset", 0)) + offset)
                file.write(data)
        self.client.step(vdi, "Deactivate", reader)
        self.client.step(vdi, "Detach", reader)

    def content(self, vdi):
        return self.client.content(vdi, self.root)


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
        self.assertIn(str(64 << 40), caught.exception.message)
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
            self.client.attach(vdi, kinds=("BlockDevice", "XenBlock"))
        self.assertIn("BlockDevice or XenBlock", caught.exception.message)
        self.assertEqual(self.client.attach(vdi, kinds=("XenBlock", "File"))["kind"], "File")

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


class Servers(StorageTest):
    """Data paths that are sockets."""

    def open(self, vdi, kind, reader="vm", mode="ReadWrite"):
        path = self.client.attach(vdi, reader, mode, kinds=(kind,))
        self.assertEqual(path["kind"], kind)
        self.assertNotIn("parameters", path)
        self.client.step(vdi, "Activate", reader)
        return path

    def server_of(self, program):
        """The process that serves, of this test's service."""
        children = pathlib.Path(f"/proc/{self.service.pid}/task/{self.service.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program:
                    return int(pid)
        return None

    def check(self, path, *clauses):
        run(CHECK, "--socket", path["path"], *clauses)

    def assert_passes(self, kind_of_sr, format_, server):
        vdi = self.client.create(kind_of_sr(), name="a", size=4 * M, format=format_)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B", "M-1", "R-5")
        self.assertIsNotNone(self.server_of(server))
        self.assertEqual(self.client.get(vdi, VDI, "DataPaths"), [("vm", "Activated", "VhostUser", "ReadWrite")])
        self.client.step(vdi, "Deactivate", "vm")
        self.assertFalse(os.path.exists(path["path"]))
        self.assertIsNone(self.server_of(server))
        self.client.step(vdi, "Activate", "vm")
        self.check(path, "R-1")
        self.client.step(vdi, "Detach", "vm")
        self.assertFalse(os.path.exists(path["path"]))
        self.client.vdi(vdi, "Destroy")

    def test_vhost_user_of_raw_and_qcow2_disks(self):
        self.start()
        self.assert_passes(self.directory_sr, "Raw", "xcp-vhost-blk")
        self.assert_passes(lambda: self.directory_sr("e"), "Qcow2", "qemu-storage-daemon")
        self.assert_passes(self.file_sr, "Raw", "xcp-vhost-blk")

    def test_nbd(self):
        self.start()
        sr = self.directory_sr()
        for format_ in ("Raw", "Qcow2"):
            vdi = self.client.create(sr, name="a", size=4 * M, format=format_)
            uri = self.open(vdi, "Nbd")["uri"]
            run("qemu-io", "-f", "raw", "-c", "write -P 7 64k 64k", "-c", "flush", uri)
            self.assertEqual(json.loads(run("qemu-img", "info", "--output=json", "-f", "raw", uri).stdout)["virtual-size"], 4 * M)
            self.client.step(vdi, "Deactivate", "vm")
            self.client.step(vdi, "Detach", "vm")
            uri = self.open(vdi, "Nbd", mode="ReadOnly")["uri"]
            self.assertNotIn("failed", run("qemu-io", "-r", "-f", "raw", "-c", "read -P 7 64k 64k", uri).stdout)
            self.assertNotEqual(run("qemu-io", "-f", "raw", "-c", "write 0 512", uri, check=None).status, 0)
            self.client.step(vdi, "Detach", "vm")

    def test_one_that_dies_is_started_again(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B-1")
        before = self.server_of("xcp-vhost-blk")
        os.kill(before, signal.SIGKILL)
        self.check(path, "B-1")  # it waits in the socket's queue until there is one again
        self.assertNotIn(self.server_of("xcp-vhost-blk"), (None, before))

    def test_they_outlive_the_service(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B-1")
        self.service.kill()
        self.start()
        self.client.wait_until(lambda: self.server_of("xcp-vhost-blk"), "the disk to be served again")
        self.assertEqual(self.client.attach(vdi, "vm", kinds=("VhostUser",)), path)
        self.check(path, "B-1")
        self.client.step(vdi, "Detach", "vm")

    def test_one_writes_or_several_read(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.open(vdi, "VhostUser", "writer")
        self.client.attach(vdi, "reader", "ReadOnly", kinds=("VhostUser",))
        with self.refused("Busy"):
            self.client.step(vdi, "Activate", "reader")
        self.client.step(vdi, "Detach", "writer")
        paths = [self.open(vdi, "VhostUser", reader, "ReadOnly") for reader in ("reader", "another")]
        self.assertNotEqual(paths[0]["path"], paths[1]["path"])
        for path in paths:
            self.check(path, "B-5")

    def arguments_of(self, program):
        arguments = []

        def found():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the last one has just ended: it has none any more
                arguments[:] = pathlib.Path(f"/proc/{self.server_of(program)}/cmdline").read_text().split("\0")
            return any(arguments)

        wait_until(found, f"{program} to be there")
        return arguments

    def set_limits(self, vdi, **limits):
        for name, value in limits.items():
            self.client.set(vdi, VDI, name, "t", value)
            self.assertEqual(self.client.get(vdi, VDI, name), value)

    def test_limits_hold_at_once_for_who_uses_a_disk(self):
        """At a byte a second nobody gets on, and whoever waits gets on when there is no limit."""
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.set_limits(vdi, RateLimit=1)
        driver = Process([DRIVER, path["path"], "60"])
        self.addCleanup(driver.kill)
        self.client.wait_until(lambda: self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm").get("writes"), "the first write")
        self.assertTrue(driver.running())
        self.set_limits(vdi, RateLimit=0)
        driver.wait(60).check()
        self.assertGreater(self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")["writes"], 1)

    def test_limits_that_cannot_be(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        for name, value in (("IopsLimit", 10**6), ("RateLimit", 10**12)):
            with self.refused("InvalidArgument"):
                self.client.set(vdi, VDI, name, "t", value + 1)
            self.set_limits(vdi, **{name: value})
        self.check(self.open(vdi, "VhostUser"), "B-1")

    def test_limits_outlive_servers_and_the_service(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.set_limits(vdi, IopsLimit=100000, RateLimit=10**9)
        path = self.open(vdi, "VhostUser")
        self.assertLess({"--iops=100000", "--bandwidth=1000000000"}, set(self.arguments_of("xcp-vhost-blk")))
        self.restart()
        self.client.wait_until(lambda: self.server_of("xcp-vhost-blk"), "the disk to be served again")
        self.assertLess({"--iops=100000", "--bandwidth=1000000000"}, set(self.arguments_of("xcp-vhost-blk")))
        self.check(path, "B-1")
        self.assertEqual((self.client.get(vdi, VDI, "IopsLimit"), self.client.get(vdi, VDI, "RateLimit")), (100000, 10**9))

    def test_limits_of_a_qcow2_disk_hold_from_its_activation_on(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        self.set_limits(vdi, IopsLimit=100000, RateLimit=10**9)
        for mode, clauses in (("ReadWrite", ("B-1", "B-8", "B-11")), ("ReadOnly", ("B-5",))):
            path = self.open(vdi, "VhostUser", mode=mode)
            self.assertIn("throttle-group,id=limits,limits.iops-total=100000,limits.bps-total=1000000000", self.arguments_of("qemu-storage-daemon"))
            self.check(path, *clauses)
            with self.refused("NotSupported"):
                self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")
            self.client.step(vdi, "Detach", "vm")

    def test_statistics(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)

        def statistics():
            return self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")

        with self.refused("DoesNotExist"):
            statistics()
        self.client.attach(vdi, "vm", kinds=("VhostUser",))
        with self.refused("BadState"):
            statistics()
        path = self.open(vdi, "VhostUser")
        self.assertEqual(set(statistics().values()), {0})
        self.check(path, "B-1", "B-2", "B-4")
        first = statistics()
        self.assertEqual((first["reads"], first["writes"], first["flushes"], first["errors"]), (5, 5, 1, 1))
        self.assertEqual((first["read_bytes"], first["read_bytes"] > 0), (first["written_bytes"], True))
        os.kill(self.server_of("xcp-vhost-blk"), signal.SIGKILL)
        self.check(path, "B-1", "B-2", "B-4")
        self.assertEqual(statistics(), {name: 2 * value for name, value in first.items()})
        self.client.step(vdi, "Deactivate", "vm")
        with self.refused("BadState"):
            statistics()

    def test_a_database_of_before_there_were_limits(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.stop()
        database = sqlite3.connect(self.state / "storage.db")
        for column in ("iops_limit", "rate_limit"):
            database.execute(f"ALTER TABLE vdi DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
        database.commit()
        database.close()
        self.start()
        self.assertEqual((self.client.get(vdi, VDI, "IopsLimit"), self.client.get(vdi, VDI, "RateLimit")), (0, 0))
        self.set_limits(vdi, IopsLimit=7)

    def test_a_disk_that_grows(self):
        self.start()
        for sr in self.directory_sr(), self.file_sr():
            vdi = self.client.create(sr, name="a", size=4 * M)
            path = self.open(vdi, "VhostUser")
            self.check(path, "B-5")
            self.client.vdi(vdi, "Resize", "(t)", 6 * M)
            wait_until(lambda p=path: self.capacity(p) == 6 * M, "the capacity to be the new one")
            self.check(path, "B-5")

    def capacity(self, path):
        """As a front-end is told."""
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.settimeout(60)
            front_end.connect(path["path"])
            front_end.sendall(struct.pack("=IIIQ", 16, 1, 8, 1 << 9))  # SET_PROTOCOL_FEATURES: CONFIG
            front_end.sendall(struct.pack("=IIIIIIQ", 24, 1, 20, 0, 8, 0, 0))  # GET_CONFIG
            reply = front_end.recv(32, socket.MSG_WAITALL)
        return struct.unpack("=Q", reply[24:])[0] * 512


def feed(fd, data, times):
    """Writes data so many times to a descriptor, and closes it."""
    try:
        for _ in range(times):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


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


class Trouble(StorageTest):
    def test_a_restart_in_the_middle_of_a_task(self):
        self.start()
        sr = self.directory_sr()
        vdi = self.client.create(sr, name="kept", size=M)
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, name="a", size=64 * M)
        os.write(writer, PATTERN)
        wait_until(lambda: any(name.endswith(".tmp") for name in self.files()), "the import to begin")
        self.service.kill()
        self.start()
        self.assertEqual(self.client.get(task, TASK, "State"), "Failed")
        self.assertEqual(self.client.get(task, TASK, "Error")[0], "org.xen.xcp.Error.Interrupted")
        self.client.call(sr, SR, "GetSpace")  # answered when all is recovered from
        self.assertEqual(self.files(), {f"{id_of(vdi)}.raw"})
        self.assertEqual(self.client.disks(sr), {"kept": vdi})
        os.close(reader)
        os.close(writer)

    def test_a_stop_with_a_task_that_hangs(self):
        self.start()
        sr = self.directory_sr()
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, name="a", size=64 * M)
        os.write(writer, PATTERN)
        wait_until(lambda: any(name.endswith(".tmp") for name in self.files()), "the import to begin")
        self.restart()
        self.assertEqual(self.client.get(task, TASK, "State"), "Cancelled")
        self.assertEqual(self.files(), set())
        os.close(reader)
        os.close(writer)

    def mounted(self, script):
        """Starts the service where a script has mounted something over self.directory, with no effect on anybody else."""
        if not can_mount():
            self.skipTest("mount namespaces cannot be made here")
        self.directory.mkdir(exist_ok=True)
        self.start("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', str(self.directory))

    def test_a_full_disk(self):
        self.mounted('mount -t tmpfs -o size=16m none "$0"')
        client = self.client
        sr = client.create_sr("small", "directory", path=self.directory)
        source = self.root / "source"
        source.write_bytes(random.Random(3).randbytes(M) * 32)
        vdi = client.create(sr, name="a", size=M)
        self.write_inside(vdi)
        space = client.call(sr, SR, "GetSpace")
        self.assertEqual(space["total"], 16 * M)
        for format in ("Raw", "Qcow2"):
            with open(source, "rb") as file, self.refused("NotEnoughSpace") as caught:
                client.import_vdi(sr, file.fileno(), name="b", format=format)
            self.assertGreaterEqual(caught.exception.details["needed"], 15 * M)
            self.assertLess(caught.exception.details["free"], 16 * M)
            self.assertGreater(caught.exception.details["free"], 8 * M)
        with open(source, "rb") as file:
            big = client.import_vdi(self.directory_sr("big"), file.fileno(), name="big")
        with self.refused("NotEnoughSpace"):
            client.vdi(big, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": "c"}))
        self.assertEqual(client.disks(sr), {"a": vdi})
        self.assertLess(abs(client.call(sr, SR, "GetSpace")["free"] - space["free"]), 64 * K)
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def write_inside(self, vdi):
        """Writes through the service itself: the mount is seen by nobody else."""
        path = self.client.attach(vdi)
        self.client.step(vdi, "Activate")
        with open(f"/proc/{self.service.pid}/root{path['path']}", "r+b") as file:
            file.write(PATTERN)
        self.client.step(vdi, "Detach")

    def test_a_read_only_storage_repository(self):
        self.start()
        sr = self.client.create_sr("ro", "directory", path=self.directory)
        vdi = self.client.create(sr, name="a", size=M)
        self.write(vdi, 0, PATTERN)
        self.stop()
        self.mounted('mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')
        client = self.client
        client.call(sr, SR, "GetSpace")
        self.assertTrue(client.get(sr, SR, "ReadOnly"))
        with self.refused("ReadOnly"):
            client.create(sr, name="b", size=M)
        for method, arguments in (("Destroy", ()), ("Resize", ("(t)", 2 * M)), ("Snapshot", ("(s)", "x")), ("Clone", ("(s)", "x"))):
            with self.refused("ReadOnly"):
                client.vdi(vdi, method, *arguments)
        with self.refused("ReadOnly"):
            client.attach(vdi)
        client.attach(vdi, mode="ReadOnly")
        client.step(vdi, "Activate")
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def test_a_storage_repository_that_is_said_to_be_read_only(self):
        self.start()
        sr = self.directory_sr()
        self.client.create(sr, name="a", size=M)
        self.client.sr(sr, "Detach")
        self.client.sr(sr, "Forget")
        sr = self.client.create_sr("again", "directory", introduce=True, path=self.root / "d", **{"read-only": "yes"})
        with self.refused("ReadOnly"):
            self.client.create(sr, name="b", size=M)

    def test_one_that_goes_and_comes_back(self):
        self.start()
        client = self.client
        directory, file = self.directory_sr(), self.file_sr()
        vdi = client.create(directory, name="a", size=M)
        client.create(file, name="a", size=M)
        self.stop()
        (self.root / "d").rename(self.root / "away")
        (self.root / "f.img").rename(self.root / "away.img")
        self.start()
        for sr in (directory, file):
            client.wait_until(lambda: client.get(sr, SR, "State") == "Unreachable", "it to be unreachable")
            self.assertNotEqual(client.get(sr, SR, "StateReason"), "")
            with self.refused("Unreachable"):
                client.create(sr, name="b", size=M)
        self.assertEqual(client.get(ROOT, DIAGNOSTICS, "Health"), "Degraded")
        with self.refused("Unreachable"):
            client.sr(directory, "Attach")
        (self.root / "away").rename(self.root / "d")
        (self.root / "away.img").rename(self.root / "f.img")
        for sr in (directory, file):
            with contextlib.suppress(Refused):  # the service may have noticed by itself
                client.sr(sr, "Attach")
            client.wait_until(lambda: client.get(sr, SR, "State") == "Attached", "it to be attached")
            client.create(sr, name="b", size=M)
        self.assertEqual(client.get(ROOT, DIAGNOSTICS, "Health"), "Good")
        (self.root / "d").rename(self.root / "away")
        with self.refused("Unreachable"):
            client.create(directory, name="c", size=M)
        self.assertEqual(client.get(directory, SR, "State"), "Unreachable")
        (self.root / "away").rename(self.root / "d")
        client.wait_until(lambda: client.get(directory, SR, "State") == "Attached", "the service to notice")
        self.assertEqual(self.content(vdi), bytes(M))

    def test_qemu_img_is_killed(self):
        self.start()
        sr = self.directory_sr()
        with open(self.root / "source", "w+b") as file:
            feed(os.dup(file.fileno()), random.Random(4).randbytes(M), 192)
            file.seek(0)
            vdi = self.client.import_vdi(sr, file.fileno(), name="a")
        files = self.files()
        task = self.client.call(vdi, VDI, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": "b", "format": "Qcow2"}))
        copying = wait_until(lambda: [pid for pid, name in self.children().items() if name == "qemu-img" and self.has_grown(files)],
                             "qemu-img to copy")
        os.kill(copying[0], signal.SIGKILL)
        with self.refused("BackendFailed") as caught:
            self.client.wait(task)
        self.assertEqual(caught.exception.details["backend"], "qemu-img")
        self.assertIn("killed by signal 9", caught.exception.message)
        self.assertEqual((self.files(), self.client.disks(sr)), (files, {"a": vdi}))

    def has_grown(self, before):
        return any((self.root / "d" / name).stat().st_size > M for name in self.files() - before if name.endswith(".tmp"))

    def test_disks_that_are_links(self):
        self.start()
        sr = self.directory_sr()
        vdi, image = (self.client.create(sr, name=format, size=M, format=format) for format in ("Raw", "Qcow2"))
        victim = self.root / "victim"
        victim.write_bytes(b"victim" * 1000)
        for path in (self.root / "d" / f"{id_of(vdi)}.raw", self.root / "d" / f"{id_of(image)}.qcow2"):
            path.unlink()
            path.symlink_to(victim)
        with self.refused("Corrupt"):
            self.client.vdi(vdi, "Resize", "(t)", 2 * M)
        with self.refused("Corrupt"):
            self.content(vdi)
        self.assertEqual(set(self.client.sr(sr, "Scan")["missing"]), {vdi, image})
        with self.refused("BadState"):
            self.client.vdi(image, "Snapshot", "(s)", "x")
        self.client.vdi(vdi, "Destroy")
        self.assertEqual(victim.read_bytes(), b"victim" * 1000)

    def test_a_table_that_is_damaged(self):
        self.start()
        sr = self.file_sr()
        vdi = self.client.create(sr, name="a", size=M)
        self.write(vdi, 0, PATTERN)
        self.stop()
        path = self.root / "f.img"
        good = path.read_bytes()
        with open(path, "r+b") as file:  # one copy of the page is enough
            file.seek(12 * K)
            file.write(b"x" * 4 * K)
        self.start()
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)
        self.stop()
        with open(path, "r+b") as file:  # both are not
            file.seek(8 * K)
            file.write(b"x" * 8 * K)
        self.start()
        self.client.wait_until(lambda: self.client.get(sr, SR, "State") == "Unreachable", "it to be unreachable")
        self.assertIn("damaged", self.client.get(sr, SR, "StateReason"))
        self.stop()
        path.write_bytes(good)
        self.start()
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def test_ten_thousand_calls(self):
        self.start()
        client, sr = self.client, self.directory_sr()
        spec = pack(VDI_SPEC, {"name": "a", "size": M})
        replies = client.call_all([(sr, SR, "CreateVDI", "(a{sv})", spec)] * 10_000)
        tasks = [reply for reply in replies if isinstance(reply, str)]
        refusals = {reply.name for reply in replies if not isinstance(reply, str)}
        self.assertEqual(refusals, {"LimitExceeded"})
        self.assertGreaterEqual(len(tasks), 1000)
        client.wait_until(lambda: all(task in client.ends for task in tasks), "the tasks to end")
        self.assertEqual({client.ends[task][0] for task in tasks}, {"Succeeded"})
        self.assertEqual(len(self.files()), len(tasks))
        self.assertEqual(len(client.call(sr, SR, "ListVDIs")), len(tasks))
        memory = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{self.service.pid}/status").read_text())[1])
        self.assertLess(memory, 256 * K)
        self.assertGreaterEqual(client.counters()["CreateVDI.done"], len(tasks))
        self.assertIn(f"{len(tasks)} disks", str(client.call(ROOT, DIAGNOSTICS, "GetDump")))


class Crashes(StorageTest):
    """The service is killed at some moment, again and again. After each time, everything is as it was, or as it should have become."""

    rounds = 10

    def some_operation(self, chance, srs, base):
        client = self.client
        disks = [path for sr in srs for name, path in client.disks(sr).items() if path not in base]
        sr = chance.choice(srs)
        name = f"n{chance.randrange(1 << 30)}"
        kind = chance.choice(("create", "create", "snapshot", "clone", "destroy", "destroy", "resize", "copy", "import"))
        target = chance.choice(disks + base)
        if kind == "create":
            format = chance.choice(("Raw", "Qcow2")) if sr == srs[0] else "Raw"
            client.begin_create(sr, name=name, size=chance.randrange(1, 5) * M, format=format)
        elif kind == "import":
            with open(self.root / "source", "rb") as file:
                client.begin_import(sr, file.fileno(), name=name)
        elif kind == "copy":
            client.call(target, VDI, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": name}))
        elif kind in ("snapshot", "clone"):
            client.call(target, VDI, kind.capitalize(), "(s)", name)
        elif kind == "resize" and target not in base:
            client.call(target, VDI, "Resize", "(t)", client.get(target, VDI, "Size") + M)
        elif kind == "destroy" and disks:
            client.call(chance.choice(disks), VDI, "Destroy")

    def crash(self, chance, srs, base):
        """Has the service killed while operations keep coming."""
        killer = threading.Timer(chance.uniform(0.02, 0.5), os.kill, (self.service.pid, signal.SIGKILL))
        killer.start()
        try:
            while True:
                with contextlib.suppress(Refused):
                    self.some_operation(chance, srs, base)
                if not self.service.running():
                    break
        finally:
            killer.join()
        self.service.wait()

    def check_directory(self, rows):
        expected = {f"{row['uuid']}.{row['format'].lower()}": row for row in rows}
        self.assertEqual(self.files(), set(expected))
        for name, row in expected.items():
            path = self.root / "d" / name
            if row["format"] == "Raw":
                self.assertEqual(path.stat().st_size, row["size"], name)
                continue
            info = json.loads(run("qemu-img", "info", "-f", "qcow2", "--output=json", path).stdout)
            self.assertEqual(info["virtual-size"], row["size"], name)
            self.assertEqual(info.get("backing-filename"), f"{row['parent']}.qcow2" if row["parent"] else None)
            run("qemu-img", "check", "-q", "-f", "qcow2", path)

    def check_file(self, rows):
        found = {}
        for line in run(IO, "file-scan", self.root, "f.img", "-").stdout.splitlines():
            if line.startswith("entry "):
                _, id, _, _, _, size, *_ = line.split()
                found[id] = int(size)
        self.assertEqual(found, {row["uuid"]: row["size"] for row in rows})

    def check(self, directory, file):
        database = sqlite3.connect(f"file:{self.state}/storage.db?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        with contextlib.closing(database):
            rows = database.execute("SELECT * FROM vdi").fetchall()
            self.assertEqual(database.execute("SELECT COUNT(*) FROM intent").fetchone()[0], 0)
        self.check_directory([row for row in rows if row["sr"] == id_of(directory)])
        self.check_file([row for row in rows if row["sr"] == id_of(file)])

    def test_killed_at_any_moment(self):
        seed = int(os.environ.get("XCP_TEST_SEED", random.randrange(1 << 30)))
        chance = random.Random(seed)
        print(f"XCP_TEST_SEED={seed}")
        (self.root / "source").write_bytes(random.Random(5).randbytes(M))
        self.start()
        directory, file = self.directory_sr(), self.file_sr(size="1G")
        base = [
            self.client.create(directory, name="raw", size=2 * M),
            self.client.create(directory, name="qcow2", size=2 * M, format="Qcow2"),
            self.client.create(file, name="file", size=2 * M),
        ]
        for vdi in base:
            self.write(vdi, M, PATTERN)
        expected = bytes(M) + PATTERN + bytes(M - 64 * K)
        for _ in range(self.rounds):
            self.crash(chance, [directory, file], base)
            self.start()
            for sr in (directory, file):
                self.client.call(sr, SR, "GetSpace")
            for vdi in base:
                self.assertEqual(self.content(vdi), expected)
            self.stop()
            self.check(directory, file)
            self.start()


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


class Creation(StorageTest):
    """CreateSR() and Destroy() of a storage repository, killed at some moment."""

    def test_killed_while_it_is_made_or_destroyed(self):
        chance = random.Random(6)
        self.start()
        for i in range(8):
            kinds = ("directory", {"path": self.root / "d"}), ("file", {"path": self.root / "f.img", "size": "32M"})
            driver, config = kinds[i % 2]
            killer = threading.Timer(chance.uniform(0, 0.1), os.kill, (self.service.pid, signal.SIGKILL))
            killer.start()
            with contextlib.suppress(Refused):
                while True:
                    sr = self.client.create_sr("x", driver, **config)
                    self.client.create(sr, name="a", size=M)
                    self.client.sr(sr, "Destroy")
            killer.join()
            self.service.wait()
            self.start()
            self.client.wait_until(self.is_settled, "what was begun to be ended")
            for sr, *_ in self.client.call(ROOT, MANAGER, "ListSRs"):
                self.client.call(sr, SR, "GetSpace")
                self.client.sr(sr, "Destroy")
            self.client.sr(self.client.create_sr("x", driver, **config), "Destroy")

    def is_settled(self):
        """No storage repository that is half made or half destroyed is left."""
        lines = self.client.call(ROOT, DIAGNOSTICS, "GetDump")
        return "0 operations, " in str(lines)


del StorageTest
