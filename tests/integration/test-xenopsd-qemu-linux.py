# SPDX-License-Identifier: LGPL-2.1-or-later
"""What takes a guest with a kernel of its own: addresses, a balloon, virtual CPUs that come. With Debian's kernel and agent."""

import socket

import xenopsdclient
from harness import build_directory, run
from harness.linux import COMMAND_LINE, linux_guest
from qemucase import QemuTest
from xenopsdcase import MIB

# What udhcpc has done with what it was given.
LEASE_SCRIPT = b"""#!/bin/sh
[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && ip route add default via $router
true
"""
# The prompt is made of two parts, so that no echo of a command is taken for it.
SCRIPT = """\
while printf 'rea''dy> '; read -r line; do eval "$line"; done
"""
PROMPT = b"ready> "
XCPCTL = build_directory() / "tools/xcpctl/xcpctl"
BOOT_DEADLINE = 300  # on a machine with nothing else to do it takes some five


class Linux(QemuTest):
    """One guest for all: it takes its time to boot."""

    deadline = 500

    def boot(self, name="linux", **more):
        more.setdefault("disks", [])
        kernel, initramfs = linux_guest(SCRIPT, {"etc/lease": LEASE_SCRIPT}, agent=True)
        vm = self.create(name, memory=192 * MIB, firmware="Kernel", kernel=str(kernel), initramfs=str(initramfs), command_line=COMMAND_LINE,
                         **more)
        self.done(vm.begin("Prepare"))
        console = self.console(vm)
        self.done(vm.start())
        console.hear(PROMPT, BOOT_DEADLINE)
        return vm, console

    def tell(self, console, command, answer=b"", deadline=120):
        console.say(command + b"\n")
        if answer:
            console.hear(answer, deadline)
        console.hear(PROMPT, deadline)

    def finished(self, task):
        """What takes the guest's kernel, on a machine that may be slow."""
        self.caller.wait_until(lambda: task.get("State") in ("Succeeded", "Failed"), f"the end of {task.get('Description')}", 120)
        self.done(task)

    def addresses(self, vm):
        return vm.get("Addresses")

    def wait_addresses(self, vm, expected):
        self.caller.wait_until(lambda: self.addresses(vm) == expected, lambda: f"{expected} in {self.addresses(vm)}", 120)

    def talk_to_ports(self, vm, console):
        """The host is connected to ports of the guest, and nobody else can be by way of it."""
        self.tell(console, b"nc -ll -p 22 -e cat & until netstat -ltn | grep :22; do sleep 1; done")
        with vm.open_port(22) as one, vm.open_port(22) as two:
            for connection in (one, two):
                connection.settimeout(120)
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(connection.getpeername())
            for connection, words in ((two, b"hello"), (one, b"there")):
                connection.sendall(words)
                self.assertEqual(connection.recv(5), words)
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(one.recv(1), b"")
        self.assertIn("does not take the connection", self.refused("Unreachable", vm.open_port, 23))
        said = run(XCPCTL, "--address", self.address, "vm", "connect", "linux", "22", input="by way of xcpctl\n")
        self.assertEqual(said.stdout, "by way of xcpctl\n")

    def test_a_guest(self):
        (self.root / "disk").write_bytes(bytes(MIB))
        vm, console = self.boot(memory_max=256 * MIB, vcpus=1, vcpus_max=2, disks=[{"path": str(self.root / "disk")}],
                                network_interfaces=[{"network": "user"}])
        mac = vm.device("network", "net0").get("Mac")
        self.assertEqual((vm.get("State"), vm.get("Ready"), self.addresses(vm)), ("Running", False, []))

        # An address of QEMU's own network.
        self.tell(console, b"ip link set eth0 up; udhcpc -i eth0 -t 30 -n -q -s /etc/lease", b"lease of 10.0.2.15 obtained")
        ask = b"nslookup -type=a localhost 10.0.2."  # of the host, and of QEMU: whether anybody answers does not matter
        self.tell(console, b"while sleep 1; do %s2; %s3; done >/dev/null 2>&1 &" % (ask, ask))
        self.wait_addresses(vm, [("10.0.2.15", mac, "UserNetwork")])
        self.assertTrue(vm.get("Ready"))

        self.talk_to_ports(vm, console)

        # What the agent says.
        self.tell(console, b"ip addr add 2001:db8::5/64 dev eth0; ip addr add 192.0.2.7/24 dev lo; mkdir -p /var/run")
        self.tell(console, b"qemu-ga -d -m virtio-serial -p $(ls -d /dev/vport*p1)")
        self.caller.wait_until(lambda: {item[0] for item in self.addresses(vm) if item[2] == "Agent"} >= {"10.0.2.15", "2001:db8::5"},
                               lambda: f"the agent's addresses in {self.addresses(vm)}", 120)
        self.assertNotIn("192.0.2.7", [item[0] for item in self.addresses(vm)])  # of no interface of ours
        self.assertEqual({item[1] for item in self.addresses(vm)}, {mac})

        # Another manager finds the same.
        self.restart()
        console = self.console(vm)
        self.caller.wait_until(lambda: ("2001:db8::5", mac, "Agent") in self.addresses(vm), lambda: f"the same in {self.addresses(vm)}", 120)

        # Memory.
        self.tell(console, b"free", b"Mem:")
        for memory in (128 * MIB, 256 * MIB):
            self.finished(vm.begin("SetMemory", "(t)", memory))
            self.assertEqual(vm.get("Memory"), memory)
        self.failed(vm.begin("SetMemory", "(t)", 257 * MIB), "LimitExceeded")

        # Virtual CPUs.
        self.finished(vm.begin("SetVcpus", "(u)", 2))
        self.tell(console, b"until [ -e /sys/devices/system/cpu/cpu1 ]; do sleep 1; done")
        self.tell(console, b"echo 1 >/sys/devices/system/cpu/cpu1/online; nproc", b"2\r\n")
        self.failed(vm.begin("SetVcpus", "(u)", 1), "NotSupported")
        self.failed(vm.begin("SetVcpus", "(u)", 3), "LimitExceeded")

        # Moved, with its memory and virtual CPUs as they are now.
        self.start("org.xen.xcp.xenopsd2", "other")
        other = self.connect("org.xen.xcp.xenopsd2")
        self.finished(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        self.assertEqual(other.vm(vm.path).call("QueryState")[0], "Running")
        other.call(vm.path, xenopsdclient.VM, "Destroy")
        other.wait_until(lambda: self.leftovers() == [], "both guests to be cleared away")

    def test_a_microvm(self):
        """Without PCI: its disk and its network are there, it does not stand still for want of a clock, and has a power button."""
        disk = self.root / "data"
        disk.write_bytes(b"read me".ljust(512, b".") + bytes(MIB - 512))
        vm, console = self.boot("micro", options={"machine": "microvm"}, disks=[{"path": str(disk)}], network_interfaces=[{"network": "user"}])
        self.tell(console, b"head -c 7 /dev/vda; echo", b"read me")
        self.tell(console, b"echo written | dd of=/dev/vda bs=512 seek=1 conv=sync; sync")
        self.assertEqual(disk.read_bytes()[512:520], b"written\n")
        self.tell(console, b"ip link set eth0 up; udhcpc -i eth0 -t 30 -n -q -s /etc/lease", b"lease of 10.0.2.15 obtained")
        self.finished(vm.stop(60000))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "Requested"))


del QemuTest
