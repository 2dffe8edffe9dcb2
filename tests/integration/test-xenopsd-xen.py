# SPDX-License-Identifier: LGPL-2.1-or-later
"""The VM manager's guests on real Xen: what tests of every backend do not ask. For the lab, which has a kernel and an image for guests."""

import os
import pathlib
import re
import struct

import storageclient
import xencase
import xenopsdclient
from harness import run
from xencase import BOOT_SECONDS, BRIDGE, GUEST, HOST, HVM, MAC
from xenopsdcase import MIB, VDI

OTHER = "org.xen.xcp.xenopsd2"
KERNEL = "/lab/vmlinux"
IMAGE = "/lab/guest.img"
LINUX = "/usr/local/bin/tiny-linux"
COMMAND_LINE = "console=hvc0 rdinit=/init panic=-1 mitigations=off cryptomgr.notests apparmor=0 audit=0 init_on_alloc=0 " \
               "initcall_blacklist=tracer_init_tracefs"  # as tests/lab/recipe.py has it: seconds of a boot


def bootable_disc(sector):
    """A disc that begins at this boot sector (El Torito, without emulation)."""
    catalog = bytearray(b"\1\0\0\0" + bytes(24) + b"\0\0\x55\xaa" + b"\x88" + bytes(5) + struct.pack("<HI", 1, 20))
    struct.pack_into("<H", catalog, 28, -sum(struct.unpack("<16H", catalog[:32])) & 0xffff)
    sectors = {16: b"\1CD001\1", 17: b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", 19), 18: b"\xffCD001\1",
               19: bytes(catalog), 20: sector}
    return b"".join(sectors.get(i, b"").ljust(2048, b"\0") for i in range(64))


class Linux(xencase.Guest):
    """A PV guest of Linux, with disks and network interfaces."""

    def start_storage(self):
        """The storage service, with a disk in a file of its own, one that is qcow2, and one that is a part of a file."""
        self.start_service("storage/xcp-storage", storageclient.NAME, "storage")
        client = storageclient.Client(self.address)
        self.addCleanup(client.close)
        srs = [client.create_sr("d", "directory", path=self.root / "d"), client.create_sr("f", "file", path=self.root / "f.img", size="8M")]
        image = client.create(srs[0], name="image", size=MIB, format="Qcow2")
        return client.create(srs[0], name="whole", size=MIB), image, client.create(srs[1], name="part", size=MIB), client

    def test_a_life(self):
        whole, image, part, storage = self.start_storage()
        self.network()
        vm = self.make(kind="Pv", kernel=KERNEL, initramfs=IMAGE, command_line=COMMAND_LINE, memory=160 * MIB, vcpus=2, on_crash="Preserve",
                       disks=[{"name": "file", "path": self.file("file", b"in a file")}, {"name": "whole", "vdi": whole},
                              {"name": "image", "vdi": image}],
                       network_interfaces=[{"name": "net", "network": BRIDGE}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        self.failed(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.nobody", {}), "NotSupported", "disk 'image'", "qcow2", "Save()")
        self.assertEqual(vm.get("State"), "Running")
        self.disks_and_network(vm, console)
        self.set_vcpus(vm, 1, "online", "offline")
        self.ask_agent(console, "until grep -qx 0 /sys/devices/system/cpu/online; do sleep 1; done")
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason"), vm.get("Vcpus")), ("Running", "Found", 1))
        console = self.console(vm)
        run("xl", "vcpu-set", "--ignore-host", str(self.domid(vm)), "2")
        self.caller.wait_until(lambda: vm.get("Vcpus") == 2, "the VM to have what xl has told the guest")
        run("xl", "vcpu-set", str(self.domid(vm)), "1")
        self.caller.wait_until(lambda: vm.get("Vcpus") == 1, "the VM to have what xl has told the guest")
        self.set_vcpus(vm, 2, "online", "online")
        # Linux says that the CPU is there, and leaves it to udev to use it.
        self.ask_agent(console, "until echo 1 >/sys/devices/system/cpu/cpu1/online; do sleep 1; done; grep -x 0-1 /sys/devices/system/cpu/online")
        self.hotplug(vm, console, part)
        self.tell_agent(console, "echo c >/proc/sysrq-trigger")
        vm.wait_change("Running", "Panicked", "GuestPanic")
        self.done(vm.begin("Kill"))
        self.assertEqual([storage.get(vdi, storageclient.VDI, "DataPaths") for vdi in (whole, image)], [[], []])
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left: {self.leftovers()}")
        self.assertEqual(self.written(self.place(whole, "raw")), b"by the guest")
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.place(image, "qcow2"), self.root / "converted")
        self.assertEqual(self.written(self.root / "converted"), b"into an image")

    def place(self, vdi, suffix):
        return self.root / "d" / f"{vdi.rpartition('/')[2].replace('_', '-')}.{suffix}"

    def written(self, path):
        return path.read_bytes().split(b"\0")[0]

    def disks_and_network(self, vm, console):
        said = self.ask_agent(console, f"""modprobe xen-blkfront; modprobe xen-netfront
            head -c 9 /dev/xvda; echo
            echo -n by the guest | dd of=/dev/xvdb conv=fsync 2>/dev/null; head -c 12 /dev/xvdb; echo
            echo -n into an image | dd of=/dev/xvdc conv=fsync 2>/dev/null; head -c 13 /dev/xvdc; echo
            ip addr add {GUEST}/24 dev eth0; ip link set eth0 up; ping -c 1 -w 30 {HOST} | grep -c ' from {HOST}'""")
        self.assertEqual(said.splitlines(), ["in a file", "by the guest", "into an image", "1"])
        self.wait_address(vm, "Neighbour")
        self.assertTrue(vm.get("Ready"))
        self.ask_agent(console, f"xenstore-write attr/vif/0/ipv4/0 {GUEST}")
        self.wait_address(vm, "Xenstore")

    def wait_address(self, vm, source):
        self.caller.wait_until(lambda: [(address[0], address[2]) for address in vm.get("Addresses")] == [(GUEST, source)],
                               lambda: f"the address, by {source}, in {vm.get('Addresses')}")

    def set_vcpus(self, vm, n, *told):
        """With what the guest is told. Its kernel sees to that when it gets to it."""
        self.done(vm.begin("SetVcpus", "(u)", n))
        self.assertEqual(vm.get("Vcpus"), n)
        nodes = (f"/local/domain/{self.domid(vm)}/cpu/{i}/availability" for i in range(len(told)))
        self.assertEqual(run("xenstore-read", *nodes).stdout.split(), list(told))

    def hotplug(self, vm, console, part):
        """Another disk and another network interface come, and go."""
        self.done(vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"name": "part", "vdi": part})))
        self.done(vm.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, {"name": "more", "network": BRIDGE})))
        said = self.ask_agent(console, "until [ -b /dev/xvdd ] && [ -e /sys/class/net/eth1 ]; do sleep 0.1; done; cat /sys/block/xvdd/size; "
                                       "echo -n on a part | dd of=/dev/xvdd conv=fsync 2>/dev/null; head -c 9 /dev/xvdd; echo")
        self.assertEqual(said.splitlines(), ["2048", "on a part"])
        self.done(vm.device("disk", "part").begin("Unplug", "(b)", False))
        self.done(vm.device("network", "more").begin("Unplug", "(b)", False))
        self.ask_agent(console, "until [ ! -b /dev/xvdd ] && [ ! -e /sys/class/net/eth1 ]; do sleep 0.1; done; echo gone")

    def test_moved_while_it_runs(self):
        """To another manager, where it is the same guest, with its disk and its network. PVH: Debian's Xen has no log of what PV guests write."""
        self.network()
        vm = self.make(kind="Pvh", kernel=KERNEL, initramfs=IMAGE, command_line=COMMAND_LINE, memory=160 * MIB,
                       disks=[{"name": "file", "path": self.file("file", b"in a file")}], network_interfaces=[{"name": "net", "network": BRIDGE}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        look = f"cat /proc/sys/kernel/random/boot_id; head -c 9 /dev/xvda; echo; ping -c 1 -w 30 {HOST} | grep -c ' from {HOST}'"
        here = self.ask_agent(console, f"modprobe xen-blkfront; modprobe xen-netfront; ip addr add {GUEST}/24 dev eth0; ip link set eth0 up; {look}")
        self.assertEqual(here.splitlines()[1:], ["in a file", "1"])
        self.start(OTHER, "other")
        other = self.connect(OTHER)
        self.done(vm.begin("Migrate", "(sa{sv})", OTHER, {}))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))
        vm = other.vm(vm.path)
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.assertEqual(self.ask_agent(self.console(vm), f"echo 3 >/proc/sys/vm/drop_caches; {look}"), here)
        self.done(vm.begin("Kill"))
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left: {self.leftovers()}")


class Tiny(xencase.XenBackend):
    """Guests that are slow to do what is wanted of them."""

    def test_a_save_that_is_given_up_before_the_guest_has_suspended(self):
        self.storage("full")
        vm = self.make()
        self.done(vm.start())
        console = self.console(vm)
        node = f"/local/domain/{self.domid(vm)}/control/shutdown"
        with open(self.root / "disk.pipe", "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)):
            self.told(console, b"d")
            save = vm.begin("Save", "(o)", VDI + "full")
            self.caller.wait_until(lambda: run("xenstore-read", node).stdout.strip() == "suspend", "the guest to be asked to suspend")
            self.given_up(save, vm)
            self.assertEqual(run("xenstore-read", node).stdout.strip(), "")
            self.told(console, b"l")
            save = vm.begin("Save", "(o)", VDI + "full")
            console.hear(b"n")  # it has taken notice
            self.given_up(save, vm)
        self.told(console, b"s")
        self.told(console, b"a")  # it has gone on
        self.assertEqual(vm.call("QueryState")[0], "Running")
        # Without a save of the manager's, it is somebody else's.
        self.told(console, b"s")
        vm.wait_change("Running", "Suspended", "Found")
        self.done(vm.begin("Resume"))
        self.told(console, b"a")
        self.done(vm.begin("Kill"))
        self.assertEqual(self.leftovers(), [])

    def told(self, console, key):
        console.say(key)
        console.hear(key)

    def given_up(self, save, vm):
        save.cancel()
        self.failed(save, "Cancelled", state="Cancelled")
        self.assertEqual(vm.call("QueryState")[0], "Running")


class Hvm(xencase.EmulatedGuest):
    """A guest that a BIOS boots from a disk: the boot sector of guests/tiny.S."""

    def test_a_life(self):
        disk = self.root / "boot"
        disk.write_bytes(pathlib.Path(HVM).read_bytes() + bytes(MIB - 512))
        vm = self.create(backend="xen", kind="Hvm", firmware="Bios", memory=xencase.MEMORY, disks=[{"name": "boot", "path": str(disk), "boot_index": 0}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        self.assertEqual((vm.call("QueryState")[0], vm.get("StateReason")), ("Running", "Requested"))
        console.say(b"w")
        console.hear(b"W")
        self.assertEqual(disk.read_bytes()[1022:1024], b"\x55\xaa")
        self.done(vm.begin("Suspend"))
        self.done(vm.begin("Resume"))
        console.say(b"r")
        self.caller.wait_until(lambda: self.said(vm, self.banner, 2), "the guest to boot once more", BOOT_SECONDS)
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Running", "Found"))
        self.done(vm.stop(60000))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "Requested"))
        self.all_gone()
        self.assertNotIn("Cannot open the console", self.manager.stderr)


class Emulation(xencase.EmulatedGuest):
    """What of HVM guests takes longer."""

    def start_storage(self):
        self.start_service("storage/xcp-storage", storageclient.NAME, "storage")
        client = storageclient.Client(self.address)
        self.addCleanup(client.close)
        return client, client.create_sr("d", "directory", path=self.root / "d")

    def fill(self, vdi, content):
        path = self.root / "d" / f"{vdi.rpartition('/')[2].replace('_', '-')}.raw"
        with path.open("r+b") as file:
            file.write(content)

    def test_a_kernel(self):
        """Which gets a command line and an initramfs, and has a network interface. The serial line is the guest's, also while it uses the BIOS."""
        initramfs = self.root / "initramfs"
        initramfs.write_bytes(b"first line of it\nsecond")  # short, as the guest's processor reads each byte of it from QEMU
        vm = self.create(backend="xen", kind="Hvm", firmware="Kernel", kernel=LINUX, initramfs=str(initramfs),
                         command_line="quiet one=two", memory=xencase.MEMORY, network_interfaces=[{"name": "net", "network": BRIDGE, "mac": MAC}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        self.it_is(console)
        self.on_the_network(vm)
        self.plugged(vm)
        self.done(vm.begin("Kill"))
        self.all_gone()

    def test_memory_is_kept(self):
        """By snapshots, and by saving. The guest is told what it has: its memory, and the serial line of another QEMU."""
        storage, sr = self.start_storage()
        saved = storage.create(sr, name="saved", size=128 * MIB)
        root = storage.create(sr, name="root", size=MIB)
        initramfs = self.root / "initramfs"
        initramfs.write_bytes(b"first line of it\nsecond")
        vm = self.create(options={"display": "vnc"}, backend="xen", kind="Hvm", firmware="Kernel", kernel=LINUX, initramfs=str(initramfs),
                         command_line="quiet one=two", memory=xencase.MEMORY, disks=[{"name": "root", "vdi": root}])
        self.done(vm.start())
        console = self.console(vm)
        self.begun(console)
        self.done(vm.begin("Snapshot", "(sa{sv})", "now", {}))
        self.assertEqual(vm.get("State"), "Running")
        self.it_is(self.console(vm))
        self.done(vm.begin("Save", "(o)", saved))
        self.assertEqual(vm.get("State"), "Saved")
        self.restart()
        self.done(vm.begin("Restore", "(b)", False))
        self.it_is(self.console(vm))
        self.done(vm.begin("Kill"))
        self.done(vm.begin("DeleteSnapshot", "(s)", "now"))
        self.all_gone()

    def it_is(self, console):
        for key, line in ((b"c", b"quiet one=two\r\n"), (b"n", b"first line of it\r\n")):
            console.say(key)
            console.hear(line)

    def plugged(self, vm):
        """An interface comes, which is for Xen's drivers only. This guest has none, so it goes by force."""
        self.done(vm.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, {"name": "more", "network": BRIDGE})))
        self.wait_ports([f"vif{self.domid(vm)}.0", f"vif{self.domid(vm)}.0-emu", f"vif{self.domid(vm)}.1"])
        self.done(vm.device("network", "more").begin("Unplug", "(b)", True))
        self.wait_ports([f"vif{self.domid(vm)}.0", f"vif{self.domid(vm)}.0-emu"])
        self.done(vm.device("network", "more").begin("Remove"))

    def on_the_network(self, vm):
        """It has an interface that QEMU emulates, and one for Xen's drivers. The host knows its address by its neighbours."""
        vif = f"vif{self.domid(vm)}.0"
        self.wait_ports([vif, f"{vif}-emu"])
        run("arp", "-i", BRIDGE, "-s", GUEST, MAC, "temp")
        self.caller.wait_until(lambda: [tuple(address)[:3] for address in vm.get("Addresses")] == [(GUEST, MAC, "Neighbour")],
                               lambda: f"the address in {vm.get('Addresses')}")

    def test_a_disc(self):
        """It boots from the disc, and from the disk when there is none in the drive. It has a screen, too."""
        storage, sr = self.start_storage()
        tiny = pathlib.Path(HVM).read_bytes()
        disc, disk = (storage.create(sr, name=name, size=MIB) for name in ("disc", "disk"))
        self.fill(disc, bootable_disc(tiny.replace(self.banner, b"disc\r\n")))
        self.fill(disk, tiny)
        vm = self.create(options={"display": "vnc"}, backend="xen", kind="Hvm", firmware="Bios", memory=xencase.MEMORY,
                         disks=[{"name": "disk", "vdi": disk, "boot_index": 1}, {"name": "cd", "kind": "CdRom", "vdi": disc, "boot_index": 0}])
        self.done(vm.start())
        console = self.console(vm)
        console.hear(b"disc\r\n", BOOT_SECONDS)
        self.shown(vm)
        cd = vm.device("disk", "cd")
        self.done(cd.begin("Eject"))
        self.assertEqual(storage.get(disc, storageclient.VDI, "DataPaths"), [])
        self.done(cd.begin("Insert", "(o)", disc))
        self.done(cd.begin("Eject"))
        console.say(b"r")
        self.caller.wait_until(lambda: self.said(vm, self.banner), "the guest to boot from the disk", BOOT_SECONDS)
        self.failed(cd.begin("Insert", "(o)", disc), "NotSupported", "empty when the guest began")  # it would be QEMU's end
        self.shown(vm)
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.done(vm.begin("Kill"))
        self.all_gone()

    def shown(self, vm):
        self.assertEqual(vm.get("Consoles"), [("serial0", "Serial"), ("vnc0", "Vnc")])
        with vm.open_console(name="vnc0") as screen:
            screen.setblocking(True)
            screen.settimeout(BOOT_SECONDS)
            self.assertEqual(screen.recv(12), b"RFB 003.008\n")  # RFC 6143, 7.1.1

    def test_what_would_not_begin(self):
        """A kernel that no BIOS boots, and firmware that is not for Xen."""
        for spec, *words in (({"firmware": "Kernel", "kernel": xencase.TINY}, "bzImage"), ({"firmware": "Uefi"}, "OvmfXen", "XCP_XEN_OVMF")):
            vm = self.create(spec["firmware"], backend="xen", kind="Hvm", memory=xencase.MEMORY, **spec)
            self.failed(vm.start(), "InvalidArgument", *words)
            self.assertEqual(vm.get("State"), "Halted")


class Xl(xencase.XenBackend):
    """Domains that xl has made."""

    def test_a_domain_is_adopted(self):
        path = self.root / "guest.cfg"
        path.write_text(f'name = "made-by-xl"\ntype = "pvh"\nmemory = 32\nkernel = "{xencase.TINY}"\nvnc = 1\n')
        run("xl", "create", "-q", "-e", str(path))  # -e: xl itself does not see to what becomes of it
        result = run("/usr/local/bin/xcp-xl-import", "--adopt", "--bus-address", self.address, str(path))
        self.assertRegex(result.stderr, "vnc")
        vm = self.caller.vm(result.stdout.strip())
        vm.wait_property("State", "Running")
        self.assertEqual(vm.get("StateReason"), "Found")
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Running", "Found"))
        console = self.console(vm)
        self.tell(console, "echo")
        console.hear(b"a")
        self.done(vm.begin("Suspend"))
        self.assertTrue(xencase.domains()[self.domid(vm)] & xencase.PAUSED)
        self.done(vm.begin("Resume"))
        self.tell(console, "poweroff")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"the domain to be cleared away: {self.leftovers()}")
