# SPDX-License-Identifier: LGPL-2.1-or-later
"""HVM guests on real Xen: a real kernel, a boot over the network, and guests that move. For the lab; each takes minutes."""

import array
import fcntl
import os
import pathlib
import sys
import termios

from harness import Process, run
from xencase import BOOT_SECONDS, BRIDGE, HOST, HVM, MAC, MEMORY, EmulatedGuest
from xenopsdcase import MIB, VDI

sys.path.insert(0, "/lab/tests/lab")
from archive import Archive  # noqa: E402

OTHER = "org.xen.xcp.xenopsd2"
KERNEL = "/lab/vmlinuz"
COMMAND_LINE = "console=ttyS0 rdinit=/init panic=-1 mitigations=off cryptomgr.notests apparmor=0 audit=0 init_on_alloc=0 " \
               "initcall_blacklist=tracer_init_tracefs quiet lab.word=shibboleth"
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 1; done
echo "this is Linux: $(grep -o shibboleth /proc/cmdline), $(head -c 9 /dev/xvda)"
while read -r line; do echo "<$line>"; done
"""
DHCPD = f"""interface {BRIDGE}
start {HOST}00
end {HOST}00
siaddr {HOST}
boot_file http://{HOST}/tiny
lease_file {{0}}/leases
pidfile {{0}}/pid
option subnet 255.255.255.0
"""


class Boots(EmulatedGuest):
    """What an HVM guest boots from."""

    def test_linux(self):
        """Debian's kernel as it is in /boot. It moves while it runs, and uses Xen's driver for its disk, which QEMU then lets go of."""
        run("cpio", "-i", "-d", "-F", "/lab/guest.img", "*/xen-blkfront.ko", cwd=self.root)
        initramfs = self.root / "initramfs"
        with initramfs.open("wb") as file:
            archive = Archive(file)
            archive.console()
            for name in ("proc", "dev"):
                archive.folder(name)
            archive.file("bin/busybox", pathlib.Path("/usr/bin/busybox").read_bytes(), 0o755)
            archive.file("init", INIT.encode(), 0o755)
            archive.file("xen-blkfront.ko", next(self.root.glob("**/xen-blkfront.ko")).read_bytes())
            archive.close()
        vm = self.create(backend="xen", kind="Hvm", firmware="Kernel", kernel=KERNEL, initramfs=str(initramfs), command_line=COMMAND_LINE,
                         memory=192 * MIB, disks=[{"name": "disk", "path": self.file("disk", b"in a file")}])
        self.done(vm.start())
        console = self.console(vm)
        console.hear(b"this is Linux: shibboleth, in a file", 2 * BOOT_SECONDS)
        console.say(b"hello\n")
        console.hear(b"<hello>")
        self.start(OTHER, "other")
        self.done(vm.begin("Migrate", "(sa{sv})", OTHER, {}))
        vm = self.connect(OTHER).vm(vm.path)
        console = self.console(vm)
        console.say(b"and there\n")
        console.hear(b"<and there>")
        self.done(vm.device("disk", "disk").begin("Unplug", "(b)", False))
        self.done(vm.begin("Kill"))
        self.all_gone()

    def test_the_network(self):
        """Which is asked first. What is found there is the boot sector of guests/tiny.S."""
        served = self.root / "served"
        served.mkdir()
        (served / "tiny").write_bytes(pathlib.Path(HVM).read_bytes())
        configuration = self.root / "dhcpd"
        configuration.write_text(DHCPD.format(self.root))
        (self.root / "leases").touch()
        for argv in (["httpd", "-f", "-p", f"{HOST}:80", "-h", served], ["udhcpd", "-f", configuration]):
            self.addCleanup(Process(argv).kill)
        disk = self.file("empty", b"")
        vm = self.create(backend="xen", kind="Hvm", firmware="Bios", memory=MEMORY, disks=[{"name": "disk", "path": disk, "boot_index": 1}],
                         network_interfaces=[{"name": "net", "network": BRIDGE, "mac": MAC, "boot_index": 0}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        self.done(vm.begin("Kill"))
        self.all_gone()


class Moves(EmulatedGuest):
    """Guests that go on elsewhere, or later."""

    def make(self, **more):
        disk = self.root / "boot"
        disk.write_bytes(pathlib.Path(HVM).read_bytes() + bytes(MIB - 512))
        vm = self.create(options={"display": "vnc"}, backend="xen", kind="Hvm", firmware="Bios", memory=MEMORY,
                         disks=[{"name": "boot", "path": str(disk)}], network_interfaces=[{"name": "net", "network": BRIDGE, "mac": MAC}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        return vm, console, disk

    def it_is(self, console, disk):
        """The guest answers, and writes to its disk."""
        disk.write_bytes(disk.read_bytes()[:512] + bytes(MIB - 512))
        console.say(b"w")
        console.hear(b"W")
        self.assertEqual(disk.read_bytes()[1022:1024], b"\x55\xaa")

    def test_moved_while_it_runs(self):
        vm, console, disk = self.make()
        self.it_is(console, disk)
        self.start(OTHER, "other")
        other = self.connect(OTHER)
        self.done(vm.begin("Migrate", "(sa{sv})", OTHER, {}))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))
        there = other.vm(vm.path)
        self.assertEqual(there.call("QueryState")[0], "Running")
        vif = f"vif{self.domid(there)}.0"
        self.wait_ports([vif, f"{vif}-emu"])
        self.it_is(self.console(there), disk)
        self.done(there.begin("Kill"))
        self.all_gone()

    def test_without_an_interface(self):
        """One that QEMU emulates goes, by force, as this guest has no driver of Xen's: QEMU still has it, and so it does where the guest is restored."""
        self.storage("saved")
        vm, console, disk = self.make()
        self.done(vm.device("network", "net").begin("Unplug", "(b)", True))
        self.wait_ports([])
        # Its disk QEMU would have all the same, whoever else had it by then.
        self.failed(vm.device("disk", "boot").begin("Unplug", "(b)", True), "NotSupported", "device model")
        self.it_is(console, disk)
        for _ in range(2):
            self.done(vm.begin("Save", "(o)", VDI + "saved"))
            self.done(vm.begin("Restore", "(b)", False))
            self.wait_ports([])
            self.assertFalse(vm.device("network", "net").get("Plugged"))
            self.it_is(self.console(vm), disk)
        self.done(vm.begin("Kill"))
        self.all_gone()

    def test_a_save_that_is_given_up(self):
        """The guest stands still while it is saved, and QEMU has stopped; both go on."""
        self.storage("full")
        vm, console, disk = self.make()
        with open(self.root / "disk.pipe", "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as pipe:
            save = vm.begin("Save", "(o)", VDI + "full")
            self.caller.wait_until(lambda: self.waiting(pipe) > 16384, "the guest to be written")
            save.cancel()
            self.failed(save, "Cancelled", state="Cancelled")
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.it_is(console, disk)
        self.done(vm.begin("Kill"))
        self.all_gone()

    @staticmethod
    def waiting(pipe):
        """How many bytes there are to be read."""
        n = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, n)
        return n[0]
