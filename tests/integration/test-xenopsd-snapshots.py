# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of VMs: what a VM was, with disks of the storage service, and memory. Whatever fails, and whoever is killed, nothing is left."""

import random
import time

import storageclient
import xenopsdclient
from gi.repository import GLib
from harness import run
from qemucase import TINY_SIZE, QemuTest
from xenopsdcase import MIB, XenopsdTest
from xenopsdclient import pack

SECTOR = 512
SAVED_SIZE = 300 * MIB  # what a guest's memory fits into


class Snapshots:
    """With the storage service of the tree."""

    deadline = 300  # what cannot be destroyed at once is tried every 30 s

    def setUp(self):
        super().setUp()
        self.start_storage()
        self.client = storageclient.Client(self.address)
        self.addCleanup(self.client.close)
        self.sr = self.client.create_sr("local", "directory", path=self.root / "sr")

    def start_storage(self):
        self.real = self.start_service("storage/xcp-storage", "org.xen.xcp.storage", "storage")

    def snapshot(self, vm, name, **options):
        return vm.begin("Snapshot", "(sa{sv})", name, options)

    def names(self, vm):
        return [(name, with_memory) for name, _, with_memory in vm.get("Snapshots")]

    def disks(self):
        return sorted(self.client.disks(self.sr))

    def files(self):
        """The images of disks that there are, hidden ones too."""
        return sorted(path.name for path in (self.root / "sr").iterdir() if path.suffix in (".raw", ".qcow2"))

    def vdi_of(self, vm, disk="root"):
        return vm.device("disk", disk).get("VDI")

    def content(self, vm, disk="root"):
        return self.client.content(self.vdi_of(vm, disk), self.root)

    def wait_disks(self, *names):
        """Of what could not be destroyed at once, the manager gets rid after a while."""
        self.caller.wait_until(lambda: self.disks() == sorted(names), lambda: f"the disks {names}, in {self.disks()}", 180)


class OfNoop(Snapshots, XenopsdTest):
    def vm(self, name="one", format="Qcow2", **spec):
        root = self.client.create(self.sr, name=f"{name}-root", size=MIB, format=format)
        return self.create(name, backend="noop", disks=[{"name": "root", "vdi": root}], **spec)

    def write(self, vm, byte, disk="root"):
        """What a guest would write."""
        vdi = self.vdi_of(vm, disk)
        path = self.client.attach(vdi, "writer")
        self.client.step(vdi, "Activate", "writer")
        run("qemu-io", "-f", path["parameters"]["format"], "-c", f"write -P {byte} 0 {SECTOR}", path["path"])
        self.client.step(vdi, "Deactivate", "writer")
        self.client.step(vdi, "Detach", "writer")

    def first(self, vm):
        return self.content(vm)[0]

    def test_disks_of_a_vm_that_is_halted(self):
        for format in ("Qcow2", "Raw"):
            with self.subTest(format=format):
                vm = self.vm(format, format)
                before = self.files()
                self.write(vm, 1)
                self.done(self.snapshot(vm, "first"))
                self.write(vm, 2)
                self.done(self.snapshot(vm, "second"))
                self.write(vm, 3)
                self.assertEqual(self.names(vm), [("first", False), ("second", False)])
                for name, byte in (("first", 1), ("second", 2), ("first", 1)):
                    self.done(vm.begin("Revert", "(s)", name))
                    self.assertEqual((vm.get("State"), self.first(vm)), ("Halted", byte))
                    self.write(vm, 9)
                self.assertIn(f"{format}-root", self.disks())
                self.done(vm.start())
                self.done(vm.begin("Kill"))
                for name in ("first", "second"):
                    self.done(vm.begin("DeleteSnapshot", "(s)", name))
                self.assertEqual(self.names(vm), [])
                self.assertEqual(self.client.disks(self.sr), {f"{format}-root": self.vdi_of(vm)})
                self.assertEqual(self.first(vm), 9)
                if format == "Raw":  # a qcow2 disk stays on top of what it was
                    self.assertEqual(len(self.files()), len(before))
                vdi = self.vdi_of(vm)
                self.done(vm.begin("Destroy"))
                self.client.vdi(vdi, "Destroy")
                self.assertEqual(self.files(), [])

    def test_a_vm_that_runs(self):
        vm = self.vm()
        self.done(vm.start())
        for paused in (False, True):
            state = "Suspended" if paused else "Running"
            if paused:
                self.done(vm.begin("Suspend"))
            self.caller.forget()
            self.done(self.snapshot(vm, state))
            self.assertEqual(vm.call("QueryState")[0], state)
            self.assertEqual(vm.changes(), [])
        self.assertEqual(self.names(vm), [("Running", True), ("Suspended", True)])
        self.restart()
        self.assertEqual(self.names(vm), [("Running", True), ("Suspended", True)])
        self.failed(vm.begin("Revert", "(s)", "Running"), "BadPowerState", "Halted, Saved")
        self.done(vm.begin("Kill"))
        self.done(vm.begin("Revert", "(s)", "Running"))
        self.assertEqual(vm.get("State"), "Saved")
        self.failed(vm.begin("DeleteSnapshot", "(s)", "Running"), "Busy")
        self.done(vm.begin("Revert", "(s)", "Suspended"))
        for name in ("Suspended", "Running", "Running"):
            self.done(vm.begin("Revert", "(s)", name))
            self.done(vm.begin("Restore", "(b)", False))
            self.assertEqual(vm.call("QueryState")[0], "Running")
            self.done(vm.begin("Kill"))
        for name in ("Suspended", "Running"):
            self.done(vm.begin("DeleteSnapshot", "(s)", name))
        self.assertEqual(self.disks(), ["one-root"])

    def test_the_configuration_is_what_it_was(self):
        vm = self.vm(memory=64 * MIB, vcpus=2, labels={"owner": "ann"}, network_interfaces=[{"name": "net0", "network": "br0"}])
        spec = vm.call("GetSpec")[0]
        self.done(self.snapshot(vm, "before"))
        self.done(vm.begin("SetMemory", "(t)", 128 * MIB))
        self.done(vm.device("network", "net0").begin("Remove"))
        more = self.client.create(self.sr, name="more", size=MIB)
        self.done(vm.begin("AddDisk", "(a{sv})", pack(xenopsdclient.DISK_SPEC, {"name": "more", "vdi": more})))
        vm.set("Name", "s", "other")
        self.done(vm.begin("Revert", "(s)", "before"))
        now = vm.call("GetSpec")[0]
        self.assertEqual((now["memory"], now["name"], now["labels"]), (64 * MIB, "other", {"owner": "ann"}))
        self.assertEqual(now["network_interfaces"], spec["network_interfaces"])
        self.assertEqual([disk["name"] for disk in now["disks"]], ["root"])
        self.assertEqual(self.vdi_of(vm), now["disks"][0]["vdi"])
        self.assertEqual([path for path in self.caller.managed() if "/disk/" in path], [vm.device("disk", "root").path])
        self.assertIn("more", self.disks())  # nobody has said that it may go

    def test_what_cannot_be(self):
        vm = self.vm()
        self.done(self.snapshot(vm, "one"))
        self.failed(self.snapshot(vm, "one"), "AlreadyExists")
        self.refused("InvalidArgument", self.snapshot, vm, "a/b")
        for method in ("Revert", "DeleteSnapshot"):
            self.failed(vm.begin(method, "(s)", "two"), "DoesNotExist", "two")
        file = self.root / "file"
        file.write_bytes(bytes(MIB))
        other = self.create("other", backend="noop", disks=[{"path": str(file)}])
        self.failed(self.snapshot(other, "one"), "NotSupported", "storage service")
        bare = self.running("bare", backend="noop", memory=16 * MIB)
        self.failed(self.snapshot(bare, "one"), "InvalidArgument", "options.sr")
        self.done(self.snapshot(bare, "one", sr=GLib.Variant("o", self.sr)))
        self.done(bare.begin("Destroy"))
        gone = self.running("gone", backend="noop", memory=16 * MIB)
        self.failed(self.snapshot(gone, "one", sr=GLib.Variant("o", self.sr[:-4] + "dead")), "DoesNotExist")
        self.assertEqual(gone.call("QueryState")[0], "Running")
        self.done(vm.begin("Prepare"))
        self.failed(self.snapshot(vm, "two"), "BadPowerState")
        self.done(vm.begin("Kill"))
        self.done(vm.begin("Destroy"))
        self.wait_disks("one-root")

    def fill(self, sr):
        """Disks until there is no space for another. Returns one of them."""
        for i in range(8):
            try:
                filler = self.client.create(sr, name=f"filler{i}", size=MIB)
            except storageclient.Refused as error:
                self.assertEqual(error.name, "NotEnoughSpace")
                break
        return filler

    def test_that_fails_with_the_memory_written(self):
        """The second disk's snapshot cannot be made, when the VM has been saved: it goes on."""
        vm = self.vm()
        elsewhere = self.client.create_sr("small", "file", path=self.root / "file", size="4M")
        second = self.client.create(elsewhere, name="second", size=MIB)
        self.done(vm.begin("AddDisk", "(a{sv})", pack(xenopsdclient.DISK_SPEC, {"name": "second", "vdi": second})))
        filler = self.fill(elsewhere)
        self.done(vm.start())
        details = self.failed(self.snapshot(vm, "one"), "NotEnoughSpace")
        self.assertIn("needed", details)
        self.assertEqual((vm.call("QueryState")[0], self.names(vm)), ("Running", []))
        self.wait_disks("one-root")
        self.client.vdi(filler, "Destroy")
        self.done(self.snapshot(vm, "one"))
        self.done(vm.begin("Destroy"))
        self.wait_disks("one-root")
        self.caller.wait_until(lambda: not any(name.startswith("snapshot") for name in self.client.disks(elsewhere)), "the snapshot elsewhere to be destroyed", 180)

    def test_without_the_storage_service(self):
        vm = self.vm()
        self.done(self.snapshot(vm, "one"))
        self.real.kill()
        self.done(vm.begin("DeleteSnapshot", "(s)", "one"))
        self.assertEqual(self.names(vm), [])
        self.failed(self.snapshot(vm, "two"), "Unreachable")
        self.start_storage()
        self.wait_disks("one-root")

    def test_the_manager_is_killed_at_any_moment(self):
        """Whenever it is, the VM goes on as it was, and there is the snapshot, all of it, or nothing of it."""
        chance = random.Random(6)
        vm = self.vm(memory=16 * MIB)
        self.done(vm.start())
        for i in range(12):
            self.snapshot(vm, f"s{i}")
            time.sleep(chance.uniform(0, 0.12))  # not to wait: it is the moment
            self.restart()
            self.caller.wait_until(lambda: vm.call("QueryState")[0] == "Running", lambda: f"the VM to go on, which is {vm.get('State')}", 60)
        kept = [name for name, _ in self.names(vm)]
        self.caller.wait_until(lambda: len(self.disks()) == 1 + 2 * len(kept), lambda: f"what {kept} have, in {self.disks()}", 180)
        self.done(vm.begin("Kill"))
        for name, _ in self.names(vm):
            self.done(vm.begin("Revert", "(s)", name))
            self.done(vm.begin("Restore", "(b)", False))
            self.done(vm.begin("Kill"))
        self.done(vm.begin("Destroy"))
        self.wait_disks("one-root")


class OfQemu(Snapshots, QemuTest):
    """The guest counts how often its power button was pressed, in memory, and writes to its disk."""

    def boot_disk(self, name="boot"):
        with open(self.image, "rb") as file:
            return self.client.import_vdi(self.sr, file.fileno(), name=name, size=TINY_SIZE, format="Qcow2")

    def press(self, vm, console, n):
        vm.call("PowerButton")

        self.caller.wait_until(lambda: self.asked(console) == n, f"the guest to have seen its power button {n} times", 60)

    def asked(self, console):
        console.heard = b""
        console.say(b"x")
        self.caller.wait_until(lambda: console.read() or console.heard, "the guest to answer", 60)
        return int(console.heard[:1])

    def life(self, option):
        vdi = self.boot_disk(option)
        vm, console = self.booted(option, options={"data-path": option}, disks=[{"name": "root", "vdi": vdi, "boot_index": 0}])
        console.say(b"i")
        console.hear(b"i")
        self.press(vm, console, 1)
        blank = bytes(SECTOR)
        self.done(self.snapshot(vm, "before"))
        console = self.console(vm)
        self.press(vm, console, 2)
        console.say(b"w")
        console.hear(b"W")
        self.assertEqual(self.asked(console), 2)
        self.done(vm.begin("Kill"))
        self.assertNotEqual(self.content(vm)[SECTOR : 2 * SECTOR], blank)
        self.done(vm.begin("Revert", "(s)", "before"))
        self.assertEqual((vm.get("State"), self.content(vm)[SECTOR : 2 * SECTOR]), ("Saved", blank))
        self.done(vm.begin("Restore", "(b)", True))
        console = self.console(vm)
        self.done(vm.begin("Resume"))
        self.assertEqual(self.asked(console), 1)
        console.say(b"w")
        console.hear(b"W")
        self.done(vm.begin("Destroy"))
        self.wait_disks(option)
        self.client.vdi(self.client.disks(self.sr)[option], "Destroy")
        self.assertEqual((self.leftovers(), self.files()), ([], []))

    def test_a_file(self):
        self.life("file")

    def test_a_vhost_user_socket(self):
        self.life("vhost-user")

    def test_the_manager_is_killed_in_the_middle(self):
        vm, console = self.booted(disks=[{"name": "root", "vdi": self.boot_disk(), "boot_index": 0}])
        for i in range(8):
            self.snapshot(vm, f"s{i}")
            time.sleep(0.05 * i)  # not to wait: it is the moment
            self.restart()
            self.caller.wait_until(lambda: vm.call("QueryState")[0] == "Running", lambda: f"the VM to go on, which is {vm.get('State')}", 60)
            console = self.console(vm)
            console.say(b"a")
            console.hear(b"a")
        self.done(vm.begin("Destroy"))
        self.wait_disks("boot")
        self.assertEqual(self.leftovers(), [])

    def test_the_manager_is_killed_while_it_saves(self):
        """However far it came: the guest is there, or it is Saved."""
        vm, console = self.booted(disks=[{"name": "root", "vdi": self.boot_disk(), "boot_index": 0}])
        memory = self.client.create(self.sr, name="memory", size=SAVED_SIZE, format="Raw")
        for i in range(24):
            vm.begin("Save", "(o)", memory)
            time.sleep(0.006 * i)  # not to wait: it is the moment
            self.restart()
            state = vm.get("State")
            if state == "Saved":
                self.done(vm.begin("Restore", "(b)", False))
            elif state == "Suspended":
                self.done(vm.begin("Resume"))
            self.assertEqual(vm.call("QueryState")[0], "Running", f"after it was found {state}")
            console = self.console(vm)
            console.say(b"a")
            console.hear(b"a")
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])


del XenopsdTest, QemuTest, Snapshots
