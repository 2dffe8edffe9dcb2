# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcp-xenopsd, the VM manager, with a hundred VMs that are started at once, not all of which can be: what is left of them is counted."""

import collections
import os

import xenopsdclient
from qemucase import OPTIONS, QemuTest
from xenopsdcase import MIB, VDI, XenopsdTest
from xenopsdclient import MANAGER, ROOT, VM

DEADLINE = 240
N = 100
# Of ten VMs: the disk of one is somebody else's, the backend cannot start one, and one never gets started or has a disk that is not there.
BUSY, FAIL, STUCK = 2, 3, 7
GONE = STUCK


class Many:
    """What is done with all VMs at once, and what becomes of it."""

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.manager.pid}/fd"))

    def count_attached(self):
        last = {words[1]: words[0] for line in self.store.stdout.splitlines() if len(words := line.split()) == 3}  # what was done, disk, reader
        return sum(word != "Detach" for word in last.values())  # of a disk that could not be attached as well

    def states(self):
        return collections.Counter(state for *_, state, _ in self.caller.manager("ListVms")[0])

    def create_all(self):
        return [reply[0] for reply in self.caller.call_all([self.make(i) for i in range(N)], DEADLINE)]

    def begin_all(self, vms, method, *arguments):
        return [reply[0] for reply in self.caller.call_all([(vm, VM, method, *arguments) for vm in vms], DEADLINE)]

    def ends(self, tasks):
        """How those tasks ended that have: the state, and the name of the error."""
        tasks = set(tasks)
        return [(arguments[0], arguments[2][0].removeprefix("org.xen.xcp.Error."))
                for path, _, member, arguments in self.caller.signals if member == "Finished" and path in tasks]

    def wait_ends(self, tasks, n=None):
        """Waits for the ends of n tasks. Returns how many ended how."""
        self.caller.wait_until(lambda: len(self.ends(tasks)) >= (n or len(tasks)), lambda: f"ends of tasks, in {self.ends(tasks)}", DEADLINE)
        return collections.Counter(self.ends(tasks))

    def wait_count(self, count, expected, what):
        self.caller.wait_until(lambda: count() == expected, lambda: f"{expected} {what}; there are {count()}", DEADLINE)


class AtOnce(Many, XenopsdTest):
    def setUp(self):
        super().setUp()
        self.disks = [f"busy{i}" if i % 10 == BUSY else f"disk{i}" for i in range(N)]
        self.store = self.storage("first", *self.disks)
        self.done(self.running("first", disks=[{"vdi": VDI + "first"}]).begin("Destroy"))  # with it comes what there is only once
        self.n_descriptors = self.count_descriptors()

    def count_guests(self):
        return len(os.listdir(self.root / "state/noop"))

    def make(self, i):
        options = {FAIL: {"start": "fail"}, STUCK: {"start": "stuck"}}.get(i % 10, {})
        spec = {"name": f"vm{i}", "disks": [{"vdi": VDI + self.disks[i]}], "network_interfaces": [{"network": "br0"}], "backend_options": options}
        return ROOT, MANAGER, "Create", "(a{sv})", xenopsdclient.pack(xenopsdclient.VM_SPEC, spec)

    def test_a_hundred_that_are_started_at_once_leave_nothing(self):
        vms = self.create_all()
        tenth = N // 10
        starts = self.begin_all(vms, "Start", "(b)", False)
        self.wait_ends(starts, N - tenth)
        stuck = [vm for i, vm in enumerate(vms) if i % 10 == STUCK]
        kills = self.begin_all(stuck, "Kill", None)
        self.assertEqual(self.wait_ends(starts), {("Succeeded", ""): N - 3 * tenth, ("Failed", "Busy"): tenth,
                                                  ("Failed", "BackendFailed"): tenth, ("Failed", "Cancelled"): tenth})
        self.wait_ends(kills)
        self.assertEqual(self.states(), {"Running": N - 3 * tenth, "Halted": 3 * tenth})
        for count, what in ((self.count_guests, "guests"), (self.count_attached, "attached disks")):
            self.wait_count(count, N - 3 * tenth, what)

        self.assertEqual(self.wait_ends(self.begin_all(vms, "Destroy", None)), {("Succeeded", ""): N})
        self.assertEqual(self.caller.vm_paths(), [])
        self.assertEqual([path for path in self.caller.managed() if "/vm/" in path], [])
        for count, what in ((self.count_guests, "guests"), (self.count_attached, "attached disks")):
            self.wait_count(count, 0, what)
        self.wait_count(self.count_descriptors, self.n_descriptors, "descriptors")


class QemuAtOnce(Many, QemuTest):
    """Guests that are processes, each of which takes a tenth of a second of a processor until it is there. They stand still then."""

    deadline = 600

    def setUp(self):
        super().setUp()
        self.disks = [f"busy{i}" if i % 10 == BUSY else f"disk{i}" for i in range(N)]
        self.store = self.storage(*self.disks)
        (self.root / "no-kernel").touch()  # of which QEMU can load nothing

    def make(self, i):
        kernel = {"firmware": "Kernel", "kernel": str(self.root / "no-kernel")} if i % 10 == FAIL else {}
        disks = [{"vdi": VDI + self.disks[i], "mode": "ReadOnly"}] + ([{"path": str(self.root / "nowhere")}] if i % 10 == GONE else [])
        spec = {"name": f"vm{i}", "backend": "qemu", "memory": 32 * MIB, "backend_options": OPTIONS, "disks": disks,
                "network_interfaces": [{"network": "user"}], **kernel}
        return ROOT, MANAGER, "Create", "(a{sv})", xenopsdclient.pack(xenopsdclient.VM_SPEC, spec)

    def check(self):
        """That there is of each VM all or nothing. Returns how many are in which state."""
        states = self.states()
        n = states["Suspended"] + states["Prepared"]  # Start() goes through that
        self.assertEqual(states["Halted"], N - n)
        self.assertEqual(len(self.leftovers()), 2 * n)  # a process and a directory
        self.wait_count(self.count_attached, n, "attached disks")
        return states

    def test_a_hundred_by_a_manager_that_is_killed_meanwhile(self):
        n_descriptors = self.count_descriptors()
        vms = self.create_all()
        self.wait_ends(self.begin_all(vms, "Start", "(b)", True), N // 4)
        self.restart()
        n_before = self.check()["Suspended"]
        tenth = N // 10
        ends = self.wait_ends(self.begin_all(vms, "Start", "(b)", True))
        self.assertEqual(ends, {("Succeeded", ""): N - 3 * tenth - n_before, ("Failed", "BadPowerState"): n_before,
                                ("Failed", "Busy"): tenth, ("Failed", "BackendFailed"): tenth, ("Failed", "DoesNotExist"): tenth})
        self.assertEqual(self.check()["Suspended"], N - 3 * tenth)
        processes = sorted(self.qemu_pids())
        self.restart()
        self.assertEqual(self.check()["Suspended"], N - 3 * tenth)
        self.assertEqual(sorted(self.qemu_pids()), processes)
        self.assertEqual(self.wait_ends(self.begin_all(vms, "Destroy", None)), {("Succeeded", ""): N})
        self.assertEqual((self.caller.vm_paths(), self.leftovers()), ([], []))
        self.wait_count(self.count_attached, 0, "attached disks")
        self.wait_count(self.count_descriptors, n_descriptors, "descriptors")


del QemuTest
