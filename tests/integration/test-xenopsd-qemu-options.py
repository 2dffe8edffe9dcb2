# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a QEMU guest has if it is asked for: UEFI firmware, a screen, limits of its disks, and addresses."""

import os
import pathlib
import struct
import time

import xenopsdclient
from qemucase import QemuTest
from xenopsdcase import MIB

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
BOOT_ORDER = "BootOrder".encode("utf-16-le")  # a variable's name (UEFI 2.10, 3.3)


class Uefi(QemuTest):
    """Guests whose firmware is UEFI: it says so on the serial console, and what it writes down belongs to the VM."""

    def create(self, name="one", options=None, **more):
        return super().create(name, options, firmware="Uefi", memory=128 * MIB, disks=[], **more)

    def variables(self, vm, state="state"):
        return self.root / f"{state}/qemu/{vm.get_uuid()}.variables"

    def test_variables_stay_with_the_vm(self):
        """They are there when it starts again, and go along where it goes: then they come with the guest's memory."""
        self.start("org.xen.xcp.xenopsd2", "other")
        other = self.connect("org.xen.xcp.xenopsd2")
        vm = self.create()
        self.done(vm.begin("Prepare"))
        console = self.console(vm)
        self.assertEqual(self.variables(vm).read_bytes(), TEMPLATE.read_bytes())
        self.assertNotIn(BOOT_ORDER, TEMPLATE.read_bytes())
        self.done(vm.start())
        console.hear(b"BdsDxe", deadline=120)  # the part that looks for something to boot
        self.caller.wait_until(lambda: BOOT_ORDER in self.variables(vm).read_bytes(), "the firmware to write down what can be booted", 60)
        self.restart()
        self.assertEqual(vm.get("State"), "Running")
        moving = vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {})
        self.caller.wait_until(lambda: moving.get("State") in ("Succeeded", "Failed"), "the end of the migration", 120)
        self.done(moving)
        there = other.vm(vm.path)
        other.wait_until(lambda: BOOT_ORDER in self.variables(vm, "other").read_bytes(), "the variables to be where the VM is", 60)
        self.done(there.begin("Kill"))
        written = self.variables(vm, "other").read_bytes()
        self.done(there.begin("Prepare"))
        self.assertEqual(self.variables(vm, "other").read_bytes(), written)
        self.done(there.begin("Destroy"))
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_variables_of_nobody(self):
        """What is of no VM, or was not finished, is gone when the manager has started."""
        vm = self.create()
        self.done(vm.begin("Prepare"))
        self.manager.kill()
        nobody = self.root / "state/qemu/5c7e1a34-6a66-4c0a-8d0b-0d5ff4a1e0b7.variables"
        unfinished = self.variables(vm).with_suffix(".variables.unfinished")
        for path in (nobody, unfinished):
            path.write_bytes(b"")
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual([path.exists() for path in (nobody, unfinished, self.variables(vm))], [False, False, True])
        self.assertEqual(vm.get("State"), "Prepared")
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])


class Displays(QemuTest):
    """Screens: connections that carry RFB (RFC 6143)."""

    def receive(self, viewer, size):
        data = b""
        while len(data) < size:
            part = viewer.recv(size - len(data))
            self.assertNotEqual(part, b"", f"the end after {data}")
            data += part
        return data

    def look(self, vm):
        """Opens the screen, and shakes hands as far as what it is and how large (7.1 to 7.3)."""
        viewer = vm.open_console(name="vnc0")
        self.addCleanup(viewer.close)
        viewer.settimeout(60)
        self.assertEqual(self.receive(viewer, 12), b"RFB 003.008\n")
        viewer.sendall(b"RFB 003.008\n")
        kinds = self.receive(viewer, self.receive(viewer, 1)[0])
        self.assertIn(b"\1", kinds)  # None
        viewer.sendall(b"\1")
        self.assertEqual(self.receive(viewer, 4), bytes(4))
        viewer.sendall(b"\0")  # to be the only one, which is not heeded
        width, height, _, size = struct.unpack(">HH16sI", self.receive(viewer, 24))
        self.assertGreater(min(width, height), 0)
        return viewer, self.receive(viewer, size)

    def test_vnc(self):
        for machine in ("q35", "pc"):
            with self.subTest(machine=machine):
                vm, console = self.booted(machine, options={"display": "vnc", "machine": machine})
                self.assertEqual(vm.get("Consoles"), [("serial0", "Serial"), ("vnc0", "Vnc")])
                first, name = self.look(vm)
                self.assertEqual(name, f"QEMU ({machine})".encode())
                self.refused("NotSupported", vm.open_console, name="vnc0", read_only=True)
                self.refused("NotSupported", vm.call, "GetConsoleLog", "(su)", "vnc0", 100)
                self.restart()
                second, name = self.look(vm)  # and the first is still there
                first.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1))  # 7.5.3: FramebufferUpdateRequest
                self.assertEqual(self.receive(first, 1), b"\0")  # 7.6.1: FramebufferUpdate
                self.done(vm.begin("Kill"))
                self.assertEqual(second.recv(1), b"")
                self.assertEqual(vm.get("Consoles"), [])
                self.refused("BadPowerState", vm.open_console, name="vnc0")
                self.assertEqual(self.leftovers(), [])

    def test_without_one(self):
        vm = self.running()
        self.assertEqual(vm.get("Consoles"), [("serial0", "Serial")])
        self.refused("DoesNotExist", vm.open_console, name="vnc0")
        self.refused("InvalidArgument", self.create, "two", {"display": "sdl"})
        self.done(vm.begin("Destroy"))


class Limits(QemuTest):
    """Disks that may do so much in a second."""

    def test_requests_wait(self):
        vm, console = self.booted(disks=[{**self.disk("slow"), "iops_limit": 4, "rate_limit": MIB}])
        begin = time.monotonic()
        for _ in range(8):
            console.say(b"w")
            console.hear(b"W")
        self.assertGreater(time.monotonic() - begin, 1)  # nearly two seconds, and no less on any machine
        self.start("org.xen.xcp.xenopsd2", "other")
        other = self.connect("org.xen.xcp.xenopsd2")
        self.done(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        there = other.vm(vm.path)
        console = self.console(there)
        console.say(b"w")
        console.hear(b"W")
        self.done(there.begin("Destroy"))
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_a_disk_that_is_plugged(self):
        """Its limits come and go with it: what is left of them would be in the way of the next."""
        vm, console = self.booted(options={"machine": "pc"})
        disk = {**self.disk("second"), "iops_limit": 100}
        del disk["boot_index"]
        self.done(vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"name": "second", **disk})))
        self.restart()
        console = self.console(vm)
        second = vm.device("disk", "second")
        unplugging = second.begin("Unplug", "(b)", False)
        self.caller.wait_until(lambda: unplugging.get("State") == "Running", "the unplugging to begin")
        self.let_go(console, unplugging)
        (self.root / "second.img").rename(self.root / "elsewhere")
        self.failed(second.begin("Plug"), "DoesNotExist")
        (self.root / "elsewhere").rename(self.root / "second.img")
        self.done(second.begin("Plug"))
        self.assertTrue(second.get("Plugged"))
        self.done(vm.begin("Destroy"))

    def test_what_cannot_be(self):
        disk = self.disk("one")
        vdi = {"vdi": "/org/xen/xcp/storage/vdi/0123", "iops_limit": 10}
        self.refused("InvalidArgument", self.create, disks=[{**disk, "iops_limit": 0}])
        self.refused("InvalidArgument", self.create, disks=[{**disk, "rate_limit": 1 << 60}])
        self.assertIn("vhost-user", self.refused("InvalidArgument", self.create, options={"data-path": "vhost-user"}, disks=[vdi]))


class Addresses(QemuTest):
    """That it was given, and of which it says nothing."""

    autostarted = False

    def test_a_lease(self):
        leases = self.root / "leases"
        self.addCleanup(os.environ.pop, "XCP_LEASES", None)
        os.environ["XCP_LEASES"] = str(leases)
        self.manager = self.start()
        self.caller = self.connect()
        mac = "00:16:3e:00:00:07"
        vm, _ = self.booted(network_interfaces=[{"network": "user", "mac": mac, "addresses": ["192.0.2.7"]}])
        static, lease = ("192.0.2.7", mac, "Static"), ("192.0.2.9", mac, "Lease")
        self.assertEqual((vm.get("Addresses"), vm.get("Ready")), ([static], False))
        leases.write_text(f"0 {mac} 192.0.2.9 web *\n")
        self.caller.wait_until(lambda: vm.get("Addresses") == [static, lease], lambda: f"the lease in {vm.get('Addresses')}", 60)
        self.assertTrue(vm.get("Ready"))
        leases.write_text(f"1 {mac} 192.0.2.9 web *\n")
        self.caller.wait_until(lambda: vm.get("Addresses") == [static], lambda: f"no lease in {vm.get('Addresses')}", 60)
        self.done(vm.begin("Destroy"))
