# SPDX-License-Identifier: LGPL-2.1-or-later
"""The VM manager's guests on real Xen: what tests of every backend do not ask. For the lab, which has a kernel and an image for guests."""

import base64

import xencase
from harness import run
from xenopsdcase import MIB

KERNEL = "/lab/vmlinux"
IMAGE = "/lab/guest.img"
COMMAND_LINE = "console=hvc0 rdinit=/init panic=-1 mitigations=off cryptomgr.notests"
BOOT_SECONDS = 30  # times what makes up for an emulated processor


class Linux(xencase.XenBackend):
    """A PV guest of Linux."""

    def test_a_life(self):
        vm = self.make(kind="Pv", kernel=KERNEL, initramfs=IMAGE, command_line=COMMAND_LINE, memory=192 * MIB, on_crash="Preserve")
        self.done(vm.start())
        console = self.console(vm)
        console.hear(b"Linux version", BOOT_SECONDS)
        console.hear(b"\x1eready", BOOT_SECONDS)
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Running", "Found"))
        console = self.console(vm)
        console.say(b"start x " + base64.b64encode(b"echo c >/proc/sysrq-trigger") + b"\n")  # tests/lab/agent
        vm.wait_change("Running", "Panicked", "GuestPanic")
        self.done(vm.begin("Kill"))
        self.assertEqual(self.leftovers(), [])


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
        self.assertIn("p", xencase.domains()[self.domid(vm)][1])
        self.done(vm.begin("Resume"))
        self.tell(console, "poweroff")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"the domain to be cleared away: {self.leftovers()}")
