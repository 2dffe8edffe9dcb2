# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests of QEMU that are moved with a qcow2 disk over vhost-user: while it is written to, and with everybody who takes part killed on the way."""

import contextlib
import os
import pathlib
import signal

import storageclient
import xenopsdclient
from harness import run
from qemucase import TINY_SIZE, Console, QemuTest

OTHER = "org.xen.xcp.xenopsd2"
SERVERS = ("xcp-vhost-relay", "qemu-storage-daemon")


def below(pid):
    """What a process has started, and what that has."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from below(child)


class Moves(QemuTest):
    def setUp(self):
        super().setUp()
        self.start_storage()
        self.sr = self.client.create_sr("local", "directory", path=self.root / "sr")
        self.other_manager = self.start(OTHER, "other")
        self.other = self.connect(OTHER)
        with open(self.image, "rb") as file:
            self.vdi = self.client.import_vdi(self.sr, file.fileno(), name="boot", size=TINY_SIZE, format="Qcow2")

    def start_storage(self):
        self.service = self.start_service("storage/xcp-storage", "org.xen.xcp.storage", "storage")
        self.client = storageclient.Client(self.address)
        self.addCleanup(self.client.close)

    def servers(self):
        """What serves disks: processes, by their programs."""
        pids = {program: [] for program in SERVERS}
        for pid in below(self.service.pid):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                pids.get(os.path.basename(os.readlink(f"/proc/{pid}/exe")), []).append(pid)
        return pids

    def states(self):
        return sorted(state for _, state, _, _ in self.client.get(self.vdi, storageclient.VDI, "DataPaths"))

    def boot(self):
        return self.booted(options={"data-path": "vhost-user"}, disks=[{"vdi": self.vdi, "boot_index": 0}])

    def write(self, console):
        console.say(b"w")
        console.hear(b"W", 120)

    def assert_nothing_left(self):
        """Processes, sockets, data paths; and the image is whole, and has what the guest wrote."""
        self.caller.wait_until(lambda: self.states() == [], lambda: f"no data path in {self.states()}", 120)
        self.caller.wait_until(lambda: not any(self.servers().values()), lambda: f"nobody in {self.servers()}")
        self.assertEqual(os.listdir(self.root / "storage/paths"), [])
        self.assertEqual(self.leftovers(), [])
        run("qemu-img", "check", "-f", "qcow2", *(self.root / "sr").glob("*.qcow2"))
        content = self.client.content(self.vdi, self.root)
        self.assertEqual(content[512:640], content[:128])  # what it was booted from

    def test_while_it_writes(self):
        """What its disk's server has taken is done before it goes, and it hears of that where it is then."""
        vm, console = self.boot()
        self.write(console)
        self.client.set(self.vdi, storageclient.VDI, "RateLimit", "t", 128)
        for _ in range(2):
            console.say(b"w")           # of which the second takes some seconds
        console.hear(b"W")
        self.done(vm.begin("Migrate", "(sa{sv})", OTHER, {}))
        there = self.other.vm(vm.path)
        self.assertEqual(self.states(), ["Activated"])
        console = Console(self.other, there)
        self.addCleanup(console.close)
        console.say(b"z")
        console.hear(b"z")              # it has got on
        self.client.set(self.vdi, storageclient.VDI, "RateLimit", "t", 0)
        self.write(console)
        self.client.vdi(self.vdi, "Resize", "(t)", 2 * TINY_SIZE)  # by the daemon that took the disk over, and QEMU hears of it
        self.assertEqual(self.client.get(self.vdi, storageclient.VDI, "Size"), 2 * TINY_SIZE)
        self.write(console)
        self.done(there.begin("Reset"))
        console.hear(b"tiny\r\n")
        self.done(there.begin("Kill"))
        self.assert_nothing_left()

    def settled(self):
        """When nothing is left of the last time: the servers of the only one who has the disk."""
        def is_settled():
            return self.states() == ["Activated"] and len(self.qemu_pids()) == 1 and all(len(pids) == 1 for pids in self.servers().values())

        self.caller.wait_until(is_settled, lambda: f"one of each in {self.states()}, {self.qemu_pids()}, {self.servers()}", 120)
        return self.servers()

    def begin_to_move(self, vm):
        """It never arrives: its memory goes too slowly. The other manager may not be done yet with the last time."""
        def is_there():
            return self.states() == ["Activated", "Attached"] and len(self.qemu_pids()) == 2

        def begun():
            moving = vm.begin("Migrate", "(sa{sv})", OTHER, xenopsdclient.pack({"bandwidth": "t"}, {"bandwidth": 1000}))
            self.caller.wait_until(lambda: is_there() or moving.get("State") == "Failed", "the other side to be there", 120)
            if moving.get("State") != "Failed":
                return moving
            self.failed(moving, "AlreadyExists")
            return None

        self.settled()
        return self.caller.wait_until(begun, "the guest to be on its way", 120)

    def qemu_of(self, state):
        pid, = (pid for pid in self.qemu_pids() if os.readlink(f"/proc/{pid}/cwd").startswith(f"{self.root}/{state}/"))
        return pid

    def cancelled(self, moving):
        moving.cancel()
        self.assertEqual(moving.wait()[0], "Cancelled")

    def test_it_stays_when_the_other_side_goes(self):
        """And when it is cancelled, or who serves the disk at either side dies and is started again: it runs, and writes."""
        vm, console = self.boot()
        self.cancelled(self.begin_to_move(vm))
        self.write(console)
        moving = self.begin_to_move(vm)
        os.kill(self.qemu_of("other"), signal.SIGKILL)
        self.assertEqual(moving.wait()[0], "Failed")
        self.write(console)
        for program in SERVERS:
            here, = self.settled()[program]
            moving = self.begin_to_move(vm)
            there = self.caller.wait_until(lambda p=program, h=here: next((pid for pid in self.servers()[p] if pid != h), None), f"another {program}")
            os.kill(there, signal.SIGKILL)
            self.cancelled(moving)
            self.write(console)
            moving = self.begin_to_move(vm)
            os.kill(here, signal.SIGKILL)
            self.write(console)
            self.cancelled(moving)
        moving = self.begin_to_move(vm)
        self.other_manager.kill()
        self.assertEqual(moving.wait()[0], "Failed")
        self.other_manager = self.start(OTHER, "other")
        self.write(console)
        self.assertEqual(vm.get("State"), "Running")
        self.done(vm.begin("Kill"))
        self.assert_nothing_left()

    def test_who_is_killed_is_found_again(self):
        vm, console = self.boot()
        moving = self.begin_to_move(vm)
        self.service.kill()
        self.start_storage()
        self.write(console)
        self.cancelled(moving)
        self.begin_to_move(vm)
        self.restart()
        self.caller.wait_until(lambda: vm.get("State") == "Running", lambda: f"Running in {vm.get('State')}")
        console = self.console(vm)
        self.write(console)
        moving = self.begin_to_move(vm)
        os.kill(self.qemu_of("state"), signal.SIGKILL)
        self.assertEqual(moving.wait()[0], "Failed")
        self.done(vm.begin("Destroy"))
        self.assert_nothing_left()


del QemuTest
