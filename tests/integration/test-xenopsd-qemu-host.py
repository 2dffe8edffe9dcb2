# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU guests and their host: a manager whose network has two bridges and nothing else, and whose guests have little room on the disk."""

import os
import pathlib
import unittest

import xenopsdclient
from qemucase import QemuTest
from xenopsdcase import MIB

ROOM = 128 << 10  # for some guests' facts, and not for a UEFI's variables
DEADLINE = 60

# Makes the host that it has been given namespaces for, and becomes the manager.
MAKE_HOST = """
import fcntl, os, socket, subprocess, sys
SIOCBRADDBR = 0x89a0
with socket.socket() as any_socket:
    for bridge in (b"br0", b"br1"):
        fcntl.ioctl(any_socket, SIOCBRADDBR, bridge.ljust(16, b"\\0"))
subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + sys.argv[1], "tmpfs", sys.argv[2]], check=True)
os.execv(sys.argv[3], sys.argv[3:])
"""


def has_taps():
    """Whether the kernel makes tap devices: whoever wants one opens this file first."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@unittest.skipUnless(has_taps(), "no tap devices can be made here: /dev/net/tun cannot be opened")
class Host(QemuTest):
    def around(self, argv):
        guests = self.root / "state/qemu"
        guests.mkdir(parents=True, exist_ok=True)
        own = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", "--net", "--mount", *own, "/usr/bin/python3", "-c", MAKE_HOST, str(ROOM), guests, *argv]

    def inside(self, path):
        """A file as the manager sees it."""
        return pathlib.Path(f"/proc/{self.manager.pid}/root{path}")

    def leftovers(self):
        return self.qemu_pids() + [path.name for path in self.inside(self.root / "state/qemu").glob("*-*")] + list(self.taps())

    def taps(self):
        """The tap devices of guests, and the bridge of each."""
        return {path.name: os.readlink(path / "master").rpartition("/")[2] for path in self.inside("/sys/class/net").glob("xcpt*")}

    def bridges(self):
        return sorted(self.taps().values())

    def add_network(self, vm, **spec):
        return vm.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, spec))

    def test_bridges(self):
        vm, console = self.booted(options={"machine": "pc"}, network_interfaces=[{"network": "br0"}], on_crash="Halt")
        self.assertEqual(self.bridges(), ["br0"])
        (first,) = self.taps()
        net0 = vm.device("network", "net0")
        self.done(net0.begin("Move", "(s)", "br1"))
        self.assertEqual(self.taps(), {first: "br1"})
        self.done(self.add_network(vm, name="second", network="br0", mtu=1400))
        self.assertEqual(self.bridges(), ["br0", "br1"])
        (second,) = set(self.taps()) - {first}
        self.assertEqual(self.inside(f"/sys/class/net/{second}/mtu").read_text(), "1400\n")
        self.failed(self.add_network(vm, name="third", network="nobridge"), "DoesNotExist", "nobridge")
        self.assertEqual(self.bridges(), ["br0", "br1"])
        self.assertIn("received_bytes", net0.call("GetStatistics")[0])
        unplugging = vm.device("network", "second").begin("Unplug", "(b)", False)
        self.caller.wait_until(lambda: unplugging.get("State") == "Running", "the unplugging to begin")
        self.let_go(console, unplugging)
        self.assertEqual(self.taps(), {first: "br1"})
        os.kill(vm.get("Pid"), 9)
        self.caller.wait_until(lambda: vm.get("State") == "Halted", "the VM to be halted", DEADLINE)
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left, in {self.leftovers()}", DEADLINE)
        self.done(vm.begin("Destroy"))

    def test_a_disk_that_is_full(self):
        """Nothing is begun that there is no room for, nothing is left of it, and what runs goes on."""
        uefi = self.create("uefi", firmware="Uefi", memory=128 * MIB, disks=[], network_interfaces=[{"network": "br0"}])
        self.failed(uefi.start(), "NotEnoughSpace")
        self.assertEqual(self.leftovers(), [])
        vm, console = self.booted()
        other = self.create("other", network_interfaces=[{"network": "br0"}])
        self.fill()
        before = self.leftovers()
        self.assertEqual(len(before), 2)  # a process and a directory
        self.failed(other.start(), "NotEnoughSpace")
        self.assertEqual((other.get("State"), self.leftovers()), ("Halted", before))
        self.done(vm.begin("Suspend"))
        self.done(vm.begin("Resume"))
        console.say(b"w")
        console.hear(b"W")
        self.done(vm.begin("Kill"))
        self.assertEqual(self.leftovers(), [])
        self.inside(self.root / "state/qemu/filler").unlink()
        self.done(other.start())
        self.done(other.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def fill(self):
        """Leaves no room for another byte."""
        with open(self.inside(self.root / "state/qemu/filler"), "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError as error:
                self.assertEqual(os.strerror(error.errno), "No space left on device")
