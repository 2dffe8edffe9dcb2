# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcp-xenopsd, the VM manager, with the noop backend: consoles, devices, memory on a disk, and other managers."""

import contextlib
import re
import select
import socket
import sqlite3

import xenopsdclient
from xenopsdcase import LONG, MIB, NAME, VDI, XenopsdTest
from xenopsdclient import MANAGER, NETWORK, ROOT, Refused


class Consoles(XenopsdTest):
    def read_until(self, console, text):
        data = b""
        console.settimeout(60)
        while text not in data:
            chunk = console.recv(4096)
            self.assertTrue(chunk, f"the console ended after {data!r}")
            data += chunk
        return data

    def test_typing(self):
        vm = self.running("box", {"boot-ms": "30"})
        console = vm.open_console()
        vm.wait_property("Ready", True)
        console.send(b"me\r")
        self.read_until(console, b"Welcome, me\r\n$ ")
        console.send(b"date\r")
        self.read_until(console, b"date\r\ndate: not found\r\n$ ")
        console.send(b"crash\r")
        vm.wait_change("Running", "Panicked", "GuestPanic")
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.assertEqual(console.recv(4096).replace(b"crash\r\nnoop: panic: as you wish\r\n", b""), b"")
        log = bytes(vm.call("GetConsoleLog", "(su)", "serial0", 1 << 20)[0])
        self.assertTrue(log.startswith(b"noop: booting box\r\nnoop: up\r\n\r\nbox login: "), log)
        self.assertTrue(log.endswith(b"as you wish\r\n"), log)
        self.assertEqual(bytes(vm.call("GetConsoleLog", "(su)", "serial0", 6)[0]), b"wish\r\n")

    def test_many_read_and_one_writes(self):
        vm = self.running()
        writer, readers = vm.open_console(), [vm.open_console(read_only=True) for _ in range(3)]
        message = self.refused("Busy", vm.open_console)
        self.assertIn(self.caller.unique, message)
        writer.send(b"x\r")
        for reader in readers:
            self.read_until(reader, b"Welcome, x")
        with self.assertRaises(BrokenPipeError):
            readers[0].send(b"poweroff\r")
        writer.close()
        again = self.caller.wait_until(lambda: self.try_open(vm), "the writer's place to be free")
        again.send(b"poweroff\r")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        self.refused("DoesNotExist", vm.open_console, name="vnc7")
        for reader in readers:
            self.read_until(reader, b"power down")
            self.assertEqual(reader.recv(1), b"")

    def try_open(self, vm):
        try:
            return vm.open_console()
        except Refused:
            return None

    def test_one_who_does_not_read_harms_nobody(self):
        vm = self.running()
        lazy, writer, reader = vm.open_console(read_only=True), vm.open_console(), vm.open_console(read_only=True)
        writer.send(b"me\r")
        self.read_until(reader, b"Welcome")
        sent = 0
        while sent < 2000:
            writer.send(b"z" * 200 + b"\r")
            self.read_until(reader, b"not found\r\n$ ")
            writer.recv(1 << 20)
            sent += 1
            if select.select([lazy], [], [], 0)[0] and sent > 1000:
                break
        self.assertEqual(vm.get("State"), "Running")
        log = bytes(vm.call("GetConsoleLog", "(su)", "serial0", 1 << 30)[0])
        self.assertGreaterEqual(len(log), 64 * 1024)
        self.assertLessEqual(len(log), 128 * 1024)


class Devices(XenopsdTest):
    def test_network_interfaces(self):
        vm = self.running()
        added = self.done(vm.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(
            xenopsdclient.NETWORK_SPEC, {"network": "br0", "mac": "00:16:3e:00:00:07"})))
        network = self.caller.object(added["device"], NETWORK)
        self.assertTrue(network.get("Plugged"))
        vm.wait_property("Addresses", [("10.0.0.7", "00:16:3e:00:00:07", "Agent")])
        network.set("Carrier", "b", False)
        vm.wait_property("Addresses", [])
        network.set("RateLimit", "t", 1000)
        self.done(network.begin("Move", "(s)", "br1"))
        self.assertEqual((network.get("Network"), network.get("RateLimit"), network.get("Carrier")), ("br1", 1000, False))
        self.failed(network.begin("Plug"), "BadState")
        self.done(network.begin("Unplug", "(b)", False))
        self.assertFalse(network.get("Plugged"))
        self.restart()
        self.assertFalse(network.get("Plugged"))
        self.done(network.begin("Plug"))
        self.done(network.begin("Remove"))
        self.assertNotIn(network.path, self.caller.managed())
        self.assertEqual(vm.call("GetSpec")[0].get("network_interfaces", []), [])
        self.refused("InvalidArgument", vm.call, "AddNetworkInterface", "(a{sv})",
                     xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, {"network": "a/b"}))

    def test_two_with_one_address(self):
        spec = {"network_interfaces": [{"network": "br0", "mac": "00:16:3e:00:00:07"}]}
        self.create("one", **spec)
        message = self.refused("AlreadyExists", self.create, "two", **spec)
        self.assertIn("00:16:3e:00:00:07", message)
        other = self.create("three")
        self.failed(other.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(
            xenopsdclient.NETWORK_SPEC, spec["network_interfaces"][0])), "AlreadyExists")
        self.assertEqual(other.call("GetSpec")[0].get("network_interfaces", []), [])

    def test_addresses_that_are_configured(self):
        one, two = "00:16:3e:00:00:07", "00:16:3e:00:00:08"
        vm = self.create(options={"boot-ms": LONG}, network_interfaces=[{"network": "br0", "mac": one, "addresses": ["192.0.2.7", "2001:db8::7"]},
                                                                        {"network": "br0", "mac": two, "addresses": ["192.0.2.8"]}])
        self.assertEqual(vm.get("Addresses"), [])
        self.done(vm.start())
        self.assertEqual(vm.get("Addresses"), [("192.0.2.7", one, "Static"), ("2001:db8::7", one, "Static"), ("192.0.2.8", two, "Static")])
        self.assertFalse(vm.get("Ready"))
        self.restart()
        self.assertEqual(len(vm.get("Addresses")), 3)
        self.done(vm.device("network", "net0").begin("Unplug", "(b)", False))
        vm.wait_property("Addresses", [("192.0.2.8", two, "Static")])
        self.done(vm.begin("Kill"))
        self.assertEqual(vm.get("Addresses"), [])
        self.refused("InvalidArgument", self.create, "two", network_interfaces=[{"network": "br0", "addresses": ["192.0.2"]}])

    def test_disks_that_are_files(self):
        file = self.root / "file"
        vm = self.create(disks=[{"path": str(file)}])
        self.failed(vm.start(), "DoesNotExist", str(file))
        self.assertEqual(vm.get("State"), "Halted")
        file.mkdir()
        self.failed(vm.start(), "InvalidArgument")
        file.rmdir()
        file.write_bytes(b"x" * 512)
        self.done(vm.start())
        self.assertTrue(vm.device("disk", "disk0").get("Plugged"))

    def test_disks_of_the_storage_service(self):
        storage = self.storage("a", "b", "busy", "c")
        vm = self.create(disks=[{"vdi": VDI + "a"}, {"vdi": VDI + "b", "mode": "ReadOnly"}, {"kind": "CdRom", "name": "cd"}])
        reader = "vm-" + vm.get("Uuid")
        self.done(vm.start())
        storage.wait_output(f"^Activate b {reader}\n")
        self.assertEqual(storage.stdout.replace("tasks 0\n", "").replace("tasks 1\n", ""),
                         f"ready\nAttach a {reader}\nActivate a {reader}\nAttach b {reader}\nActivate b {reader}\n")
        cd = vm.device("disk", "cd")
        self.done(cd.begin("Insert", "(o)", VDI + "c"))
        storage.wait_output(f"Activate c {reader}")
        self.assertEqual(cd.get("VDI"), VDI + "c")
        self.failed(cd.begin("Insert", "(o)", VDI + "c"), "BadState")
        self.done(cd.begin("Eject"))
        storage.wait_output(f"Detach c {reader}")
        self.assertEqual(cd.get("VDI"), "/")
        self.failed(vm.device("disk", "disk0").begin("Eject"), "NotSupported")
        self.failed(cd.begin("Insert", "(o)", VDI + "busy"), "Busy", "vm-other")
        self.failed(cd.begin("Insert", "(o)", VDI + "nothing"), "DoesNotExist")
        self.done(vm.device("disk", "disk1").begin("Refresh"))
        self.done(vm.device("disk", "disk1").begin("Unplug", "(b)", False))
        storage.wait_output(f"Detach b {reader}")
        self.done(vm.device("disk", "disk1").begin("Plug"))
        self.done(vm.stop(1000))
        storage.wait_output(f"Detach a {reader}")
        storage.wait_output("(?s)Detach b vm.*Detach b vm")
        storage.wait_output("tasks 0\n\\Z")

    def test_one_vdi_is_one_disk(self):
        """However it is to be given twice: to the storage service both would be the same reader."""
        storage = self.storage("a")
        vm = self.running(disks=[{"vdi": VDI + "a"}, {"name": "cd", "kind": "CdRom"}])
        twice = xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"vdi": VDI + "a"})
        self.assertIn("another disk", self.refused("InvalidArgument", vm.begin, "AddDisk", "(a{sv})", twice))
        self.failed(vm.device("disk", "cd").begin("Insert", "(o)", VDI + "a"), "InvalidArgument", "another disk")
        self.failed(vm.begin("Save", "(o)", VDI + "a"), "InvalidArgument", "another disk")
        self.assertEqual(vm.get("State"), "Running")
        self.done(vm.begin("Destroy"))
        storage.wait_output("^Detach a ")
        self.assertEqual(re.findall(r"^[A-Z]\w+", storage.stdout, re.MULTILINE), ["Attach", "Activate", "Detach"])

    def test_a_disk_that_cannot_be_attached(self):
        storage = self.storage("a", "busy")
        vm = self.create(disks=[{"vdi": VDI + "a"}, {"vdi": VDI + "busy"}])
        details = self.failed(vm.start(), "Busy")
        self.assertEqual(details["holder"], "vm-other")
        self.assertEqual(vm.get("State"), "Halted")
        storage.wait_output("Detach a")

    def test_cancelled_while_the_storage_service_is_at_it(self):
        storage = self.storage("a", "stuck")
        vm = self.create(disks=[{"vdi": VDI + "a"}, {"vdi": VDI + "stuck"}])
        task = vm.start()
        storage.wait_output("^stuck")
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        storage.wait_output("^cancelled")
        storage.wait_output("Detach a")

    def test_no_storage_service_and_one_that_dies(self):
        vm = self.create(disks=[{"vdi": VDI + "a"}])
        self.failed(vm.start(), "Unreachable", "org.xen.xcp.storage")
        storage = self.storage("stuck")
        stuck = self.create("stuck", disks=[{"vdi": VDI + "stuck"}])
        task = stuck.start()
        storage.wait_output("^stuck")
        storage.kill()
        self.failed(task, "Unreachable", "org.xen.xcp.storage")
        self.assertEqual(stuck.get("State"), "Halted")

    def test_what_cannot_be_detached_is_detached_later(self):
        storage = self.storage("a")
        vm = self.running(disks=[{"vdi": VDI + "a"}])
        storage.kill()
        self.done(vm.stop(0))
        self.assertEqual(vm.get("State"), "Halted")
        again = self.storage("a")
        again.wait_output("Detach a vm-" + vm.get("Uuid"))
        again.kill()
        self.storage("a")
        self.done(vm.start())
        self.manager.kill()
        (self.root / "state/noop" / vm.get_uuid()).unlink()  # the guest ends while nobody looks
        self.manager = self.start()
        self.caller.wait_until(lambda: vm.get("State") == "Halted", "the VM to be halted")


class Saving(XenopsdTest):
    def test_save_and_restore(self):
        storage = self.storage("a", "saved")
        vm = self.running(disks=[{"vdi": VDI + "a"}])
        started = vm.get("StartedUs")
        self.done(vm.begin("Save", "(o)", VDI + "saved"))
        self.assertEqual(vm.changes()[-1], ("Running", "Saved", "Requested"))
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])
        storage.wait_output("Deactivate saved")
        storage.wait_output("Detach a")
        self.assertNotIn("Detach saved", storage.stdout)
        self.failed(vm.start(), "BadPowerState")
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Saved", "Found"))
        self.done(vm.begin("Restore", "(b)", False))
        storage.wait_output("Detach saved")
        self.assertEqual((vm.get("State"), vm.get("StartedUs")), ("Running", started))

    def test_saves_that_fail(self):
        storage = self.storage("small", "busy", size=MIB)
        vm = self.running(options={"save": "fail"})
        details = self.failed(vm.begin("Save", "(o)", VDI + "small"), "NotEnoughSpace")
        self.assertEqual(details, {"needed": 272 * MIB, "free": MIB})
        storage.wait_output("Detach small")
        self.failed(vm.begin("Save", "(o)", VDI + "busy"), "Busy")
        self.refused("InvalidArgument", vm.begin, "Save", "(o)", "/elsewhere")
        with open(self.root / "disk", "wb") as f:
            f.truncate(300 * MIB)
        self.failed(vm.begin("Save", "(o)", VDI + "small"), "BackendFailed")
        self.assertEqual(vm.get("State"), "Running")

    def test_memory_that_is_damaged(self):
        self.storage("saved")
        vm = self.running()
        self.done(vm.begin("Save", "(o)", VDI + "saved"))
        with open(self.root / "disk", "r+b") as f:
            f.seek(100)
            f.write(b"?")
        self.failed(vm.begin("Restore", "(b)", False), "Corrupt", "sum")
        self.assertEqual(vm.get("State"), "Saved")
        self.done(vm.begin("Kill"))
        self.assertEqual(vm.get("State"), "Halted")
        self.done(vm.start())

    def test_a_guest_that_ends_before_it_is_looked_at(self):
        """It is restored all the same, and then comes to its end."""
        self.storage("saved")
        vm = self.create(options={"crash-after-ms": "1", "query": "100"})
        self.done(vm.start(paused=True))
        self.done(vm.begin("Save", "(o)", VDI + "saved"))
        self.caller.forget()
        self.done(vm.begin("Restore", "(b)", False))
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.assertEqual(vm.changes()[:2], [("Saved", "Running", "Requested"), ("Running", "Panicked", "GuestPanic")])
        self.caller.wait_until(lambda: not list(self.root.glob("*/noop/*")), "the guest to be cleared away")
        self.done(vm.start(paused=True))


class Migration(XenopsdTest):
    OTHER = "org.xen.xcp.xenopsd2"

    def setUp(self):
        super().setUp()
        self.other_manager = self.start(self.OTHER, "other")
        self.other = self.connect(self.OTHER)

    def migrate(self, vm, manager=OTHER, **options):
        return vm.begin("Migrate", "(sa{sv})", manager, xenopsdclient.pack({"copy_disks": "b"}, options))

    def test_to_another_manager(self):
        storage = self.storage("a")
        vm = self.running(options={"send": "200"}, disks=[{"vdi": VDI + "a"}], network_interfaces=[{"network": "br0"}])
        started, spec = vm.get("StartedUs"), vm.call("GetSpec")[0]
        self.done(self.migrate(vm))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))
        there = self.other.vm(vm.path)
        self.assertEqual((there.get("State"), there.get("StartedUs")), ("Running", started))
        self.assertEqual(there.call("GetSpec")[0], spec)
        storage.wait_output("^Detach a ")
        lines = re.findall(r"^(\w+) a (\S+)", storage.stdout, re.MULTILINE)
        usual = "vm-" + vm.get("Uuid")
        [reader] = {name for _, name in lines if name != usual}
        self.assertEqual(lines, [("Attach", usual), ("Activate", usual), ("Attach", reader), ("Deactivate", usual), ("Activate", reader),
                                 ("Detach", usual)])
        console = there.open_console()
        console.send(b"hello\r")
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])
        vm.set("Autostart", "b", True)
        self.restart()  # where it was it does not run as well
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))

    def test_failures_leave_it_here(self):
        vm = self.running()
        self.failed(self.migrate(vm, "org.xen.xcp.nobody"), "Unreachable")
        self.failed(self.migrate(vm, copy_disks=True), "NotSupported")
        self.refused("InvalidArgument", self.migrate, vm, NAME)
        self.refused("InvalidArgument", self.migrate, vm, "no name")
        # What its backend does not let go, is not talked of with another manager.
        self.failed(self.migrate(self.running("kept", {"check-send": "fail"}), "org.xen.xcp.nobody"), "BackendFailed")
        self.other.create("one")
        self.failed(self.migrate(vm), "AlreadyExists")
        self.assertEqual(vm.get("State"), "Running")
        for name, options in (("send", {"send": "fail"}), ("receive", {"receive": "fail"}), ("resumed", {"resume": "fail"})):
            vm = self.running(name, options)
            self.failed(self.migrate(vm), "BackendFailed")
            self.assertEqual(self.other.vm_paths(), [self.other.manager("LookupByName", "(s)", "one")[0]])
            if name != "resumed":  # that one cannot be resumed here either
                self.assertEqual(vm.get("State"), "Running")
        self.assertEqual(list((self.root / "other/noop").iterdir()), [])

    def test_cancel(self):
        for operation in ("send", "receive"):
            vm = self.running(operation, {operation: LONG})
            task = self.migrate(vm)
            self.caller.wait_until(lambda: "in Receive" in self.other.dump(), "the other manager to receive")
            task.cancel()
            self.failed(task, "Cancelled", state="Cancelled")
            self.assertEqual(vm.get("State"), "Running")
            self.caller.wait_until(lambda: "in Receive" not in self.other.dump(), "the other manager to forget it")
            self.assertEqual(self.other.vm_paths(), [])

    def test_the_other_manager_dies(self):
        vm = self.running(options={"receive": LONG})
        task = self.migrate(vm)
        self.caller.wait_until(lambda: vm.call("QueryState") and "in Receive" in self.other.dump(), "the other manager to receive")
        self.other_manager.kill()
        self.failed(task, "Unreachable")
        self.assertEqual(vm.get("State"), "Running")

    def test_killed_with_the_vm_on_its_way(self):
        """When the other manager may go on, this one is killed: the next cannot know where the VM runs, says so, and starts nothing."""
        vm = self.running(options={"resume": LONG}, autostart=True, on_crash="Restart")
        self.migrate(vm)
        self.caller.wait_until(lambda: self.other.vm_paths(), "the VM to be the other manager's")
        self.restart()
        here = vm.get("State"), vm.get("StateReason"), vm.get("StateDetail")
        self.assertEqual(here, ("Suspended", "Found", "it may run elsewhere: nobody knows"))
        record = self.root / "state/noop" / vm.get_uuid()
        self.manager.kill()
        record.write_text(record.read_text().replace(f"option resume {LONG}", "option resume 0"))
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual(vm.get("StateDetail"), "it may run elsewhere: nobody knows")
        self.done(vm.begin("Resume"))           # somebody has looked
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason"), vm.get("StateDetail")), ("Running", "Found", ""))

    def test_lost_with_the_vm_on_its_way(self):
        vm = self.running(options={"resume": LONG}, autostart=True, on_crash="Restart")
        self.migrate(vm)
        self.caller.wait_until(lambda: self.other.vm_paths(), "the VM to be the other manager's")
        self.manager.kill()
        (self.root / "state/noop" / vm.get_uuid()).unlink()
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))

    def test_a_stream_of_garbage(self):
        spec = {"name": "x", "uuid": "01234567-89ab-cdef-0123-456789abcdef"}
        for garbage in (b"", b"x" * 48, b"xcp-noop-stream 1 ffffffff 0000000000000000\n",
                        b"xcp-noop-stream 1 00000004 0000000000000000\nabcd",
                        b"xcp-noop-stream 1 00000004 0000000000000000\nab"):
            (task,), fds = self.caller.call_fds(ROOT, MANAGER, "Receive", "(a{sv})", xenopsdclient.pack(xenopsdclient.VM_SPEC, spec))
            task = self.caller.task(task)
            with socket.socket(fileno=fds[0]) as stream:
                stream.sendall(garbage)
                stream.shutdown(socket.SHUT_WR)
                self.failed(task, "Corrupt")
        self.assertEqual(self.caller.vm_paths(), [])
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])


class RealStorage(XenopsdTest):
    """The storage service of the tree, in place of the one that is made up."""

    SR = "org.xen.xcp.storage1.SR"
    STORAGE_VDI = "org.xen.xcp.storage1.VDI"

    def setUp(self):
        super().setUp()
        self.storage_caller = self.connect("org.xen.xcp.storage")
        self.start_storage()
        (self.root / "sr").mkdir()
        sr = self.result("/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager", "CreateSR",
                         {"name": "sr", "driver": "directory", "config": {"path": str(self.root / "sr")}})["sr"]
        self.vdis = {name: self.result(sr, self.SR, "CreateVDI", {"name": name, "size": size * MIB, "format": "Raw"})["vdi"]
                     for name, size in (("root", 16), ("saved", 272))}

    def start_storage(self):
        self.real = self.start_service("storage/xcp-storage", "org.xen.xcp.storage", "storage")

    def result(self, path, interface, method, spec):
        types = {"name": "s", "driver": "s", "config": "a{ss}", "size": "t", "format": "s"}
        task = self.storage_caller.call(path, interface, method, "(a{sv})", xenopsdclient.pack(types, spec))[0]
        return self.done(self.storage_caller.task(task))

    def readers(self, name):
        paths = self.storage_caller.get(self.vdis[name], self.STORAGE_VDI, "DataPaths")
        return {reader: (state, mode) for reader, state, kind, mode in paths}

    def test_the_life_of_a_disk(self):
        vm = self.create(disks=[{"vdi": self.vdis["root"]}])
        reader = "vm-" + vm.get("Uuid")
        self.done(vm.start())
        self.assertEqual(self.readers("root"), {reader: ("Activated", "ReadWrite")})
        other = self.create("two", disks=[{"vdi": self.vdis["root"]}])
        self.assertIn(reader, self.failed(other.start(), "Busy").values())
        self.assertEqual(self.readers("root"), {reader: ("Activated", "ReadWrite")})
        self.done(vm.begin("Save", "(o)", self.vdis["saved"]))
        self.assertEqual((self.readers("root"), self.readers("saved")), ({}, {reader: ("Attached", "ReadWrite")}))
        self.restart()
        self.done(vm.begin("Restore", "(b)", False))
        self.assertEqual((self.readers("root"), self.readers("saved")), ({reader: ("Activated", "ReadWrite")}, {}))
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.readers("root"), {})

    def test_killed_before_it_was_written_down_that_the_memory_is_restored(self):
        """The guest runs: what it was saved as is no state of it any more."""
        vm = self.create(disks=[{"vdi": self.vdis["root"]}])
        self.done(vm.start())
        self.manager.kill()
        with contextlib.closing(sqlite3.connect(self.root / "state/xenopsd.db")) as database, database:
            database.execute("UPDATE vm SET saved_vdi = ?", (self.vdis["saved"],))
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.done(vm.begin("Kill"))
        self.assertEqual(vm.call("QueryState")[0], "Halted")
        self.restart()
        self.assertEqual(vm.get("State"), "Halted")

    def test_killed_with_a_disk_in_use(self):
        vm = self.running(disks=[{"vdi": self.vdis["root"]}])
        self.real.kill()
        self.done(vm.begin("Kill"))
        self.start_storage()
        self.caller.wait_until(lambda: self.readers("root") == {}, "the disk to be detached")
        self.done(vm.start())

    def test_moved_to_another_manager(self):
        self.start("org.xen.xcp.xenopsd2", "other")
        vm = self.running(disks=[{"vdi": self.vdis["root"]}])
        self.done(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        [(reader, how)] = self.readers("root").items()
        self.assertNotEqual(reader, "vm-" + vm.get("Uuid"))
        self.assertEqual(how, ("Activated", "ReadWrite"))
