# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every backend of the VM manager has to do, asked of each of them: docs/writing-a-backend.md."""

import array
import fcntl
import os
import signal
import socket
import termios

import xencase
from qemucase import Console, QemuTest
from xenopsdcase import LONG, MIB, VDI, XenopsdTest
from xenopsdclient import MANAGER, ROOT, VM_SPEC, pack

OTHER = "org.xen.xcp.xenopsd2"


class NoopBackend(XenopsdTest):
    """Guests that are told what to do on their consoles, by names of commands."""

    def make(self, name="one", **spec):
        return self.create(name, backend="noop", **spec)

    def console(self, vm):
        console = Console(self.caller, vm)
        self.addCleanup(console.close)
        return console

    banner = b"login: "
    echoed = b"echo: not found"

    def begun(self, console):
        """Waits until the guest can be told something."""
        console.hear(self.banner)
        console.say(b"root\n")
        console.hear(b"$ ")

    def tell(self, console, what):
        console.say(b"root\n" + what.encode() + b"\n")  # it asks for a name again if another manager is there

    losable = {"exit-after-ms": "5000"}

    def lose(self, vm):
        pass

    def lost(self, vm):
        vm.wait_change("Running", "Failed", "BackendExited")

    def tell_while_away(self, vm, console, what):
        """The manager ends; the guest does something; the manager is there again. The guests of noop need nobody to tell them."""
        self.manager.kill()
        path = self.root / "state/noop" / vm.get_uuid()
        path.write_text(path.read_text().replace("boot-ms 0", f"{what}-after-ms 1"))
        self.manager = self.start()
        self.caller.forget()

    @staticmethod
    def vital(header):
        """Where a saved guest has bytes that count."""
        return 50

    def stubborn(self):
        return self.make(options={"shutdown": "ignore"})

    def make_stubborn(self, console):
        pass

    def leftovers(self):
        return [path.name for path in self.root.glob("*/noop/*")]


class QemuBackend(QemuTest):
    def make(self, name="one", options=None, **spec):
        return self.create(name, options=options, **spec)

    banner = b"tiny\r\n"
    echoed = b"a"

    def begun(self, console):
        console.hear(self.banner)

    def tell(self, console, what):
        console.say({"echo": b"a", "poweroff": b"o", "reboot": b"r", "crash": b"p"}[what])

    losable = None

    def lose(self, vm):
        os.kill(vm.get("Pid"), signal.SIGKILL)

    def lost(self, vm):
        vm.wait_change("Running", "Failed", "BackendExited")

    def tell_while_away(self, vm, console, what):
        self.manager.kill()
        with socket.socket(socket.AF_UNIX) as serial:
            serial.connect(str(self.root / "state/qemu" / vm.get_uuid() / "serial0"))
            serial.send({"poweroff": b"o", "reboot": b"r", "crash": b"p"}[what])
            log = self.root / "state/qemu" / vm.get_uuid() / "log"
            self.caller.wait_until(lambda: not log.read_text().endswith("(running)\n"), "the guest to have done it")
        self.manager = self.start()
        self.caller.forget()

    @staticmethod
    def vital(header):
        """Behind what the backend itself writes, QEMU's part begins."""
        return len(header) + int(header.split()[2], 16)

    def stubborn(self):
        return self.make()

    def make_stubborn(self, console):
        console.say(b"i")
        console.hear(b"i")


class Conformance:
    """The cases. A backend is the class beside this one."""

    def up(self, vm):
        """Starts a VM, and has its guest ready to be told something."""
        self.done(vm.begin("Prepare"))
        console = self.console(vm)
        self.done(vm.start())
        self.begun(console)
        return console

    def ended(self):
        self.assertEqual(self.leftovers(), [])

    def test_a_life(self):
        vm = self.make()
        self.done(vm.begin("Prepare"))
        self.assertEqual(vm.call("QueryState")[0], "Prepared")
        console = self.console(vm)
        self.done(vm.start())
        self.begun(console)
        self.assertEqual((vm.call("QueryState")[0], vm.get("StateReason")), ("Running", "Requested"))
        self.assertGreater(vm.get("StartedUs"), 0)
        self.done(vm.begin("Suspend"))
        self.assertEqual(vm.call("QueryState")[0], "Suspended")
        self.done(vm.begin("Resume"))
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.tell(console, "echo")
        console.hear(self.echoed)
        self.done(vm.stop(20000))
        self.assertEqual((vm.get("State"), vm.get("StateReason"), vm.get("Pid")), ("Halted", "Requested", 0))
        self.assertEqual([change[:2] for change in vm.changes()], [("Halted", "Prepared"), ("Prepared", "Running"), ("Running", "Suspended"),
                                                                  ("Suspended", "Running"), ("Running", "Halted")])
        self.ended()
        self.done(vm.start())
        self.done(vm.begin("Destroy"))
        self.ended()

    def test_start_paused(self):
        vm = self.make()
        self.done(vm.start(paused=True))
        self.assertEqual(vm.call("QueryState")[0], "Suspended")
        console = self.console(vm)
        self.done(vm.begin("Resume"))
        self.begun(console)
        self.done(vm.begin("Kill"))
        self.ended()
        self.done(vm.start(paused=True))
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Suspended", "Found"))
        self.done(vm.begin("Resume"))
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.done(vm.begin("Kill"))
        self.ended()

    def test_prepare_and_stop(self):
        vm = self.make()
        self.done(vm.begin("Prepare"))
        self.done(vm.stop(60000))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "Requested"))
        self.ended()

    def test_the_guest_switches_itself_off(self):
        vm = self.make()
        self.tell(self.up(vm), "poweroff")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        self.caller.wait_until(lambda: self.leftovers() == [], "the guest to be cleared away")

    def test_the_guest_reboots(self):
        vm = self.make()
        console = self.up(vm)
        self.tell(console, "reboot")
        self.caller.wait_until(lambda: vm.get("StateReason") == "GuestReboot" and vm.get("State") == "Running", "the reboot")
        self.begun_again(vm)
        self.done(vm.begin("Kill"))

    def begun_again(self, vm):
        """What a guest says that boots is in the log once more."""
        self.caller.wait_until(lambda: bytes(vm.call("GetConsoleLog", "(su)", "serial0", 65536)[0]).count(self.banner) >= 2,
                               "the guest to boot once more")

    def test_a_reboot_that_halts(self):
        vm = self.make(on_reboot="Halt")
        self.tell(self.up(vm), "reboot")
        vm.wait_change("Running", "Halted", "GuestReboot")
        self.caller.wait_until(lambda: self.leftovers() == [], "the guest to be cleared away")

    def test_a_reboot_that_is_preserved(self):
        vm = self.make(on_reboot="Preserve")
        console = self.up(vm)
        self.tell(console, "reboot")
        vm.wait_change("Running", "Suspended", "GuestReboot")
        self.done(vm.begin("Resume"))
        self.begun(console)
        self.done(vm.begin("Kill"))
        self.ended()

    def test_a_crash(self):
        vm = self.make(on_crash="Preserve")
        console = self.up(vm)
        self.tell(console, "crash")
        vm.wait_change("Running", "Panicked", "GuestPanic")
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Panicked", "Found"))
        console = self.console(vm)
        self.done(vm.begin("Reset"))
        self.begun(console)
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.done(vm.begin("Kill"))
        self.ended()

    def test_a_crash_that_halts(self):
        vm = self.make()
        self.tell(self.up(vm), "crash")
        vm.wait_change("Running", "Panicked", "GuestPanic")
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.caller.wait_until(lambda: self.leftovers() == [], "the guest to be cleared away")

    def test_a_backend_that_is_lost(self):
        vm = self.make(on_crash="Preserve", options=self.losable)
        self.up(vm)
        self.lose(vm)
        self.lost(vm)
        self.assertEqual(vm.get("Pid"), 0)
        self.restart()
        self.assertEqual(vm.get("State"), "Failed")
        self.done(vm.begin("Kill"))
        self.ended()

    def test_a_backend_that_is_lost_and_restarted(self):
        vm = self.make(on_crash="Restart", options=self.losable)
        self.up(vm)
        self.lose(vm)
        self.lost(vm)
        vm.wait_change("Failed", "Running", "BackendExited")
        self.begun_again(vm)
        self.done(vm.begin("Kill"))
        self.ended()

    def test_reset_and_reboot(self):
        vm = self.make()
        console = self.up(vm)
        self.done(vm.begin("Reset"))
        self.begun(console)
        self.done(vm.begin("Reboot", "(u)", 20000))
        self.begun(console)
        self.assertEqual((vm.call("QueryState")[0], vm.get("StateReason")), ("Running", "Requested"))
        self.done(vm.begin("Kill"))
        self.assertEqual([change[2] for change in vm.changes()], ["Requested", "Requested", "Killed"])

    def test_a_guest_that_does_not_listen(self):
        vm = self.stubborn()
        console = self.up(vm)
        self.make_stubborn(console)
        stop = vm.stop(600000)
        self.caller.wait_until(lambda: stop.get("State") == "Running", "the stop to begin")
        stop.cancel()
        self.assertEqual(stop.wait()[0], "Cancelled")
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.done(vm.stop(200))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "Killed"))
        self.ended()

    def test_found_as_they_were(self):
        vms = {state: self.make(state.lower()) for state in ("Halted", "Prepared", "Running", "Suspended")}
        self.done(vms["Prepared"].begin("Prepare"))
        for state in ("Running", "Suspended"):
            self.up(vms[state])
        self.done(vms["Suspended"].begin("Suspend"))
        pids = {state: vm.get("Pid") for state, vm in vms.items()}
        for _ in range(2):
            self.restart()
            for state, vm in vms.items():
                self.assertEqual((vm.get("State"), vm.get("Pid")), (state, pids[state]))
        console = self.console(vms["Running"])
        self.tell(console, "poweroff")
        vms["Running"].wait_change("Running", "Halted", "GuestPowerOff")
        self.done(vms["Prepared"].start())
        self.done(vms["Suspended"].begin("Resume"))
        for vm in vms.values():
            self.done(vm.begin("Destroy"))
        self.ended()

    def test_what_happened_meanwhile(self):
        for what, state, reason in (("poweroff", "Halted", "GuestPowerOff"), ("reboot", "Running", "GuestReboot"),
                                    ("crash", "Halted", "GuestPanic")):
            with self.subTest(what=what):
                vm = self.make(what, options=self.meanwhile)
                console = self.up(vm)
                self.tell_while_away(vm, console, what)
                self.caller.wait_until(lambda: (vm.get("State"), vm.get("StateReason")) == (state, reason),
                                       lambda: f"{state}, {reason} in {vm.get('State')}, {vm.get('StateReason')}, {vm.changes()}")
                self.done(vm.begin("Destroy"))
        self.ended()

    meanwhile = None

    def test_a_vm_that_is_not_the_managers_any_more(self):
        vm = self.make()
        self.done(vm.start())
        self.manager.kill()
        for path in (self.root / "state").glob("xenopsd.db*"):
            path.unlink()
        self.manager = self.start()
        self.assertEqual(self.caller.vm_paths(), [])
        self.ended()

    def test_killed_at_any_step(self):
        """The manager ends in the middle of what it does; the VM is something, and can be started and destroyed."""
        for step, method in enumerate(("Prepare", "Start", "Suspend", "Resume", "Reset", "Stop", "Destroy")):
            with self.subTest(method=method):
                vm = self.make(f"vm{step}")
                if method not in ("Prepare", "Start"):
                    self.done(vm.start())
                if method == "Resume":
                    self.done(vm.begin("Suspend"))
                arguments = {"Start": ("(b)", False), "Stop": ("(u)", 20000)}.get(method, ())
                vm.begin(method, *arguments)
                self.restart()
                if vm.path in self.caller.vm_paths():
                    self.assertIn(vm.get("State"), ("Halted", "Prepared", "Running", "Suspended"))
                    self.assertEqual(vm.call("QueryState")[0], vm.get("State"))
                    self.done(vm.begin("Destroy"))
                self.ended()

    def test_illegal_operations(self):
        vm = self.make()
        self.refused("BadPowerState", vm.call, "PowerButton")
        for method, arguments in {"Suspend": (), "Resume": (), "Reset": (), "Kill": (), "Reboot": ("(u)", 0)}.items():
            self.failed(vm.begin(method, *arguments), "BadPowerState", "Halted")
        self.done(vm.begin("Prepare"))
        self.failed(vm.begin("Suspend"), "BadPowerState", "Running", "Prepared")
        self.done(vm.begin("Destroy"))

    def test_the_power_button(self):
        vm = self.make()
        self.up(vm)
        vm.call("PowerButton")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        self.caller.wait_until(lambda: self.leftovers() == [], "the guest to be cleared away")

    def test_save_and_restore(self):
        self.storage("saved", size=400 * MIB)
        vm = self.make()
        console = self.up(vm)
        self.done(vm.begin("Save", "(o)", VDI + "saved"))
        self.assertEqual(vm.get("State"), "Saved")
        self.ended()
        self.restart()
        self.assertEqual(vm.get("State"), "Saved")
        self.done(vm.begin("Restore", "(b)", True))
        self.assertEqual(vm.call("QueryState")[0], "Suspended")
        console = self.console(vm)
        self.done(vm.begin("Resume"))
        self.tell(console, "poweroff")
        vm.wait_change("Running", "Halted", "GuestPowerOff")

    def test_a_saved_guest_that_is_damaged(self):
        self.storage("saved", size=400 * MIB)
        vm = self.make()
        self.up(vm)
        self.done(vm.begin("Save", "(o)", VDI + "saved"))
        with open(self.root / "disk", "r+b") as disk:
            disk.seek(self.vital(disk.read(27)))
            disk.write(b"garbage" * 100)
        self.failed(vm.begin("Restore", "(b)", False), "Corrupt")
        self.assertEqual(vm.get("State"), "Saved")
        self.ended()
        self.done(vm.begin("Kill"))

    def test_a_save_that_is_cancelled(self):
        self.storage("full")
        with open(os.open(self.root / "disk.pipe", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
            vm = self.make(options=self.slow_to_save)
            console = self.up(vm)
            save = vm.begin("Save", "(o)", VDI + "full")
            self.caller.wait_until(lambda: self.has_begun_to_save(save, pipe), "the save to begin")
            save.cancel()
            # Nobody has to read for that, but QEMU writes what it has begun to write.
            self.caller.wait_until(lambda: [pipe.read(65536), save.end()][1], "the save to be given up")
        self.failed(save, "Cancelled", state="Cancelled")
        self.assertEqual(vm.call("QueryState")[0], "Running")
        self.tell(console, "echo")
        console.hear(self.echoed)
        self.done(vm.begin("Kill"))
        self.ended()

    slow_to_save = None

    @staticmethod
    def has_begun_to_save(save, pipe):
        """There is more to read than what a backend writes before its guest."""
        n = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, n)
        return n[0] > 16384

    def test_migrate(self):
        self.start(OTHER, "other")
        other = self.connect(OTHER)
        vm = self.make()
        self.up(vm)
        self.done(vm.begin("Migrate", "(sa{sv})", OTHER, {}))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "MigratedAway"))
        there = other.vm(vm.path)
        self.assertEqual(there.call("QueryState")[0], "Running")
        console = Console(other, there)
        self.addCleanup(console.close)
        self.tell(console, "poweroff")
        there.wait_change("Running", "Halted", "GuestPowerOff")
        other.wait_until(lambda: self.leftovers() == [], "both guests to be cleared away")

    def test_a_guest_that_does_not_come(self):
        """Nobody writes to the socket, and nobody closes it: that is waited for until it is given up, and nothing is left."""
        vm = self.make()
        spec = vm.call("GetSpec")[0]
        self.done(vm.begin("Destroy"))
        (task,), fds = self.caller.call_fds(ROOT, MANAGER, "Receive", "(a{sv})", pack(VM_SPEC, spec))
        task = self.caller.task(task)
        with socket.socket(fileno=fds[0]):
            self.caller.wait_until(lambda: task.get("State") == "Running", "the manager to receive")
            task.cancel()
            self.failed(task, "Cancelled", state="Cancelled")
        self.assertEqual(self.caller.vm_paths(), [])
        self.ended()

    def test_statistics(self):
        vm = self.make()
        self.up(vm)
        statistics = vm.call("GetStatistics")[0]
        self.assertGreater(statistics["uptime_us"], 0)
        self.assertGreater(statistics["memory"], 0)
        self.done(vm.begin("Destroy"))

    def test_many_at_once(self):
        vms = [self.make(f"vm{i}") for i in range(self.many)]
        tasks = [vm.start() for vm in vms]
        for task in tasks:
            self.done(task)
        self.assertEqual({vm.get("State") for vm in vms}, {"Running"})
        for task in [vm.begin("Destroy") for vm in vms]:
            self.done(task)
        self.ended()


class Noop(Conformance, NoopBackend):
    many = 100
    meanwhile = {"boot-ms": "0"}
    slow_to_save = {"save": LONG}

    @staticmethod
    def has_begun_to_save(save, pipe):
        return save.get("State") == "Running"


class Qemu(Conformance, QemuBackend):
    many = 8


if xencase.is_there():  # in the lab: tests/domains/xenopsd-conformance.toml

    class Xen(Conformance, xencase.XenBackend):
        many = 4


del XenopsdTest, QemuTest, NoopBackend, QemuBackend, Conformance
