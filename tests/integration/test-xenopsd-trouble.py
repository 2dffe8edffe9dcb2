# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcp-xenopsd, the VM manager, with the noop backend, when things go wrong: guests and backends that misbehave, restarts, input that cannot be."""

import re
import signal
import time

import xenopsdclient
from harness import run
from xenopsdcase import LONG, MIB, NAME, VDI, XenopsdTest
from xenopsdclient import DISK, MANAGER, ROOT, VM


class Misbehaviour(XenopsdTest):
    def test_operations_that_fail_leave_things_as_they_were(self):
        for operation in ("prepare", "start"):
            vm = self.create(operation, {operation: "fail"})
            details = self.failed(vm.start(), "BackendFailed", "backend_options")
            self.assertEqual(details["backend"], "noop")
            self.assertEqual(vm.get("State"), "Halted")
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])
        vm = self.create("started", {"start": "fail"})
        self.done(vm.begin("Prepare"))
        self.failed(vm.start(), "BackendFailed")
        self.assertEqual(vm.get("State"), "Prepared")
        names = ("suspend", "reset", "reboot", "memory", "vcpus", "plug", "unplug", "statistics")
        vm = self.running("runs", dict.fromkeys(names, "fail"), network_interfaces=[{"network": "br0"}])
        for method, *arguments in (("Suspend",), ("Reset",), ("Reboot", "(u)", 10), ("SetMemory", "(t)", MIB), ("SetVcpus", "(u)", 1),
                                   ("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, {"network": "a"}))):
            self.failed(vm.begin(method, *arguments), "BackendFailed")
        self.refused("BackendFailed", vm.call, "GetStatistics")
        network = vm.device("network", "net0")
        self.failed(network.begin("Unplug", "(b)", False), "BackendFailed")
        self.done(network.begin("Unplug", "(b)", True))
        self.assertEqual(vm.get("State"), "Running")
        self.assertEqual(len(vm.call("GetSpec")[0]["network_interfaces"]), 1)

    def test_a_guest_that_does_not_heed(self):
        vm = self.running(options=dict.fromkeys(("memory", "vcpus", "unplug"), "unheeded"), memory=64 * MIB, memory_max=128 * MIB, vcpus_max=2,
                          network_interfaces=[{"network": "br0"}])
        details = self.failed(vm.begin("SetMemory", "(t)", 128 * MIB), "GuestNotResponding", f"come to {128 * MIB} bytes of memory (it came to {64 * MIB})")
        self.assertEqual((details["vm"], details["limit_ms"]), (vm.path, 60000))
        self.failed(vm.begin("SetVcpus", "(u)", 2), "GuestNotResponding")
        self.failed(vm.device("network", "net0").begin("Unplug", "(b)", False), "GuestNotResponding")
        self.assertEqual((vm.get("Memory"), vm.get("Vcpus")), (64 * MIB, 1))

    def test_resume_and_stop_that_fail(self):
        vm = self.running(options={"resume": "fail", "stop": "fail"})
        self.failed(vm.stop(1000), "BackendFailed")
        self.done(vm.begin("Suspend"))
        self.failed(vm.begin("Resume"), "BackendFailed")
        self.assertEqual(vm.get("State"), "Suspended")
        self.done(vm.stop(0))

    def test_destroy_that_fails_keeps_the_vm(self):
        vm = self.running(options={"destroy": "fail"})
        self.failed(vm.begin("Destroy"), "BackendFailed")
        self.assertEqual(vm.get("State"), "Running")
        self.failed(vm.begin("Kill"), "BackendFailed")
        self.failed(vm.stop(0), "BackendFailed")
        self.assertEqual(vm.get("State"), "Halted")

    def test_guests_and_shutdown(self):
        for shutdown, reason, least in (("clean", "Requested", 0), ("slow", "Requested", 0.2), ("ignore", "Killed", 0.3)):
            options = {"shutdown": shutdown} | ({"shutdown-ms": "200"} if shutdown == "slow" else {})
            vm = self.running(shutdown, options)
            before = time.monotonic()
            self.done(vm.stop(300 if shutdown == "ignore" else 60_000))
            self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", reason))
            self.assertGreaterEqual(time.monotonic() - before, least)
        vm = self.running("crash", {"shutdown": "crash"}, on_crash="Restart")
        self.done(vm.stop(50))
        self.assertEqual(vm.changes()[-2:], [("Running", "Panicked", "GuestPanic"), ("Panicked", "Halted", "Killed")])
        self.done(vm.start())  # what was to follow the crash does not come after the end

    def test_a_guest_that_ignores_reboot_is_reset(self):
        vm = self.running(options={"shutdown": "ignore"})
        started = vm.get("StartedUs")
        self.done(vm.begin("Reboot", "(u)", 50))
        self.assertGreater(vm.get("StartedUs"), started)

    def test_power_button(self):
        vm = self.running()
        vm.call("PowerButton")
        vm.wait_change("Running", "Halted", "GuestPowerOff")
        deaf = self.running("deaf", {"shutdown": "ignore"})
        deaf.call("PowerButton")
        self.assertEqual(deaf.call("QueryState")[0], "Running")

    def test_guests_that_end_by_themselves(self):
        for option, on_crash, changes in (
            ("poweroff-after-ms", "Halt", [("Running", "Halted", "GuestPowerOff")]),
            ("crash-after-ms", "Preserve", [("Running", "Panicked", "GuestPanic")]),
            ("crash-after-ms", "Halt", [("Running", "Panicked", "GuestPanic"), ("Panicked", "Halted", "GuestPanic")]),
            ("watchdog-after-ms", "Preserve", [("Running", "Panicked", "Watchdog")]),
            ("exit-after-ms", "Preserve", [("Running", "Failed", "BackendExited")]),
            ("exit-after-ms", "Halt", [("Running", "Failed", "BackendExited"), ("Failed", "Halted", "BackendExited")]),
            ("break-after-ms", "Preserve", [("Running", "Failed", "BackendFailed")]),
            ("disk-failure-after-ms", "Halt", [("Running", "IOError", "DiskFailed")]),
        ):
            with self.subTest(option=option, on_crash=on_crash):
                vm = self.create(f"{option}.{on_crash}", {option: "30"}, on_crash=on_crash)
                vm.start()
                vm.wait_change(*changes[-1])
                self.assertEqual(vm.changes()[2:], changes)
                if vm.get("State") != "Halted":
                    self.done(vm.begin("Kill"))
                self.done(vm.start())  # nothing is left that would be in its way

    def test_a_disk_failure_is_over_after_resume(self):
        vm = self.running(options={"disk-failure-after-ms": "10"})
        vm.wait_change("Running", "IOError", "DiskFailed")
        self.done(vm.begin("Resume"))
        self.assertEqual(vm.get("State"), "Running")
        self.assertEqual(vm.call("QueryState")[0], "Running")

    def test_reboots(self):
        halted = self.running("halted", {"reboot-after-ms": "20"}, on_reboot="Halt")
        halted.wait_change("Running", "Halted", "GuestReboot")
        kept = self.running("kept", {"reboot-after-ms": "20"}, on_reboot="Preserve")
        kept.wait_change("Running", "Suspended", "GuestReboot")
        again = self.running("again", {"reboot-after-ms": "20"})
        again.wait_change("Running", "Halted", "GuestReboot")  # 5 times, then no more
        starts = [change["StartedUs"] for change in again.properties_changed() if change.get("StartedUs")]
        self.assertEqual(len(starts), 6)
        self.assertIn("5 times within 10 minutes", again.get("StateDetail"))

    def test_crashes_with_restart(self):
        vm = self.running(options={"crash-after-ms": "20"}, on_crash="Restart")
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.assertEqual(vm.changes().count(("Panicked", "Running", "GuestPanic")), 5)
        self.assertIn("not restarted", vm.get("StateDetail"))
        # Another manager goes on counting: its own restarts do not prolong the loop.
        self.restart()
        self.done(vm.start())
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.assertEqual(vm.changes().count(("Panicked", "Running", "GuestPanic")), 0)
        self.assertIn("not restarted", vm.get("StateDetail"))

    def test_a_backend_that_does_not_answer(self):
        vm = self.running(options={"statistics": "stuck"})
        self.refused("TimedOut", vm.call, "GetStatistics")
        vm = self.running("mute", {"query": "fail"})
        self.refused("BackendFailed", vm.call, "QueryState")
        self.assertEqual(vm.get("State"), "Running")
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Failed", "BackendFailed"))
        self.done(vm.begin("Kill"))


class Restart(XenopsdTest):
    def test_killed_while_vms_run(self):
        vms = {state: self.running(state, {"boot-ms": "10"}, network_interfaces=[{"network": "br0"}]) for state in ("Running", "Suspended")}
        self.done(vms["Suspended"].begin("Suspend"))
        vms["Prepared"] = self.create("Prepared")
        self.done(vms["Prepared"].begin("Prepare"))
        vms["Halted"] = self.create("Halted")
        vms["Panicked"] = self.running("Panicked", {"crash-after-ms": "1"}, on_crash="Preserve")
        vms["Panicked"].wait_property("State", "Panicked")
        started = vms["Running"].get("StartedUs")
        self.restart()
        for state, vm in vms.items():
            self.assertEqual((vm.get("State"), vm.get("StateReason")), (state, "Created" if state == "Halted" else "Found"))
        self.assertEqual(vms["Running"].get("StartedUs"), started)
        self.assertEqual(len(vms["Running"].get("Addresses")), 1)
        self.assertTrue(vms["Running"].get("Ready"))
        console = vms["Running"].open_console()
        console.send(b"me\r")
        self.done(vms["Running"].stop(1000))
        self.done(vms["Suspended"].begin("Resume"))
        self.done(vms["Prepared"].start())
        self.done(vms["Panicked"].begin("Reset"))

    def test_a_task_is_interrupted_and_the_vm_is_what_it_is(self):
        starting = self.create("starting", {"start": LONG})
        stopping = self.running("stopping", {"shutdown": "ignore"})
        tasks = starting.start(), stopping.stop(600_000)
        starting.wait_property("State", "Prepared")
        self.restart()
        for task in tasks:
            self.assertEqual(task.get("State"), "Failed")
            self.assertEqual(task.get("Error")[0], "org.xen.xcp.Error.Interrupted")
        self.assertEqual((starting.get("State"), starting.get("StateReason")), ("Prepared", "Found"))
        self.assertEqual((stopping.get("State"), stopping.get("StateReason")), ("Running", "Found"))
        self.done(starting.begin("Kill"))

    def test_what_happened_meanwhile(self):
        options = {"gone": {}, "off": {"poweroff-after-ms": LONG}, "crashed": {"crash-after-ms": LONG}, "again": {"reboot-after-ms": LONG}}
        vms = {name: self.running(name, option, on_crash="Preserve") for name, option in options.items()}
        uuid = vms["gone"].get("Uuid")
        started = vms["again"].get("StartedUs")
        self.manager.kill()
        (self.root / "state/noop" / uuid).unlink()
        for file in (self.root / "state/noop").iterdir():  # so long is the manager away
            file.write_text(re.sub("^ran .*", f"ran {1500 * int(LONG)}", file.read_text(), flags=re.MULTILINE))
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual((vms["gone"].get("State"), vms["gone"].get("StateReason")), ("Failed", "BackendExited"))
        self.assertEqual((vms["off"].get("State"), vms["off"].get("StateReason")), ("Halted", "GuestPowerOff"))
        self.assertEqual((vms["crashed"].get("State"), vms["crashed"].get("StateReason")), ("Panicked", "GuestPanic"))
        self.caller.wait_until(lambda: vms["again"].get("StartedUs") > started, "the guest that rebooted to run again")

    def test_guests_of_another_boot_and_of_nobody(self):
        vm = self.running()
        guests = self.root / "state/noop"
        self.manager.kill()
        file = guests / vm.get_uuid()
        file.write_text(re.sub("^boot .*", "boot 00000000-0000-0000-0000-000000000000", file.read_text(), flags=re.MULTILINE))
        (guests / "stranger").write_text("x")
        self.manager = self.start()
        self.caller.wait_until(lambda: vm.get("State") == "Halted", "the VM to be halted, as OnCrash says")
        self.assertEqual(list(guests.iterdir()), [])
        self.done(vm.start())

    def test_autostart(self):
        names = ("third", "first", "second", "not")
        vms = {name: self.create(name, autostart=name != "not", autostart_order=i, autostart_delay_ms=1000)
               for i, name in zip((3, 1, 2, 0), names)}
        stopped = self.running("stopped", autostart=True)
        self.done(stopped.stop(0))
        self.restart()
        for name in names[:3]:
            vms[name].wait_property("State", "Running")
        order = sorted(names[:3], key=lambda name: vms[name].get("StartedUs"))
        self.assertEqual(order, ["first", "second", "third"])
        starts = [vms[name].get("StartedUs") for name in order]
        self.assertGreaterEqual(min(b - a for a, b in zip(starts, starts[1:])), 200_000)  # of the second that is between their beginnings
        self.assertEqual((vms["not"].get("State"), stopped.get("State")), ("Halted", "Halted"))

    def test_the_bus_ends(self):
        """The manager goes with it, and the next one finds what it left."""
        vm = self.running()
        self.bus.signal(signal.SIGTERM)
        self.bus.wait()
        self.manager.wait()
        self.start_bus()
        self.manager = self.start()
        self.caller = self.connect()
        vm = self.caller.vm(vm.path)
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Running", "Found"))

    def test_sigterm_leaves_guests_alone(self):
        vm = self.running(options={"suspend": LONG})
        vm.begin("Suspend")
        self.manager.signal(signal.SIGTERM)
        self.manager.wait().check(0)
        self.manager = self.start()
        self.assertEqual(vm.get("State"), "Running")

    def test_sigterm_in_the_middle_of_what_nobody_has_asked_for(self):
        vm = self.create(options={"prepare": LONG, "query": LONG}, autostart=True)
        self.create("two")
        self.restart()
        self.caller.wait_until(lambda: "in Start" in self.caller.dump(), "the VM to be started")
        self.manager.signal(signal.SIGTERM)
        self.manager.wait().check(0)
        self.manager = self.start()
        self.assertEqual(vm.get("State"), "Halted")

    def test_a_guest_that_cannot_be_looked_at(self):
        """It is one VM's trouble, and over when it can."""
        vms = [self.running(name) for name in ("one", "two")]
        record = self.root / "state/noop" / vms[0].get_uuid()
        aside = self.root / "aside"
        self.manager.kill()
        record.rename(aside)
        record.mkdir()
        self.manager = self.start()
        self.caller.forget()
        self.assertEqual([vm.get("State") for vm in vms], ["Failed", "Running"])
        self.assertEqual(vms[0].get("StateReason"), "BackendFailed")
        self.assertIn("look for its guest", vms[0].get("StateDetail"))
        self.failed(vms[0].begin("Kill"), "BackendFailed", "look for its guest")
        self.assertEqual(vms[0].get("State"), "Failed")
        record.rmdir()
        aside.rename(record)
        self.assertEqual(vms[0].call("QueryState"), ("Running", "Found"))
        vms[0].open_console().send(b"me\r")
        self.done(vms[0].stop(1000))


class BadInput(XenopsdTest):
    def test_specs(self):
        long = "x" * 10_000
        for spec, error, word in (
            ({"name": ""}, "InvalidArgument", "spec.name"),
            ({"name": "a/b"}, "InvalidArgument", "spec.name"),
            ({"name": ".."}, "InvalidArgument", "spec.name"),
            ({"name": long}, "InvalidArgument", "1 to 64"),
            ({"name": "ä"}, "InvalidArgument", "spec.name"),
            ({"uuid": "x"}, "InvalidArgument", "spec.uuid"),
            ({"uuid": "01234567-89ab-cdef-0123-456789abcdef "}, "InvalidArgument", "spec.uuid"),
            ({"description": long}, "InvalidArgument", "spec.description"),
            ({"backend": "vmware"}, "DoesNotExist", "vmware"),
            ({"backend": long}, "DoesNotExist", "backend"),
            ({"kind": "Pv"}, "InvalidArgument", "spec.kind"),
            ({"kind": "Sideways"}, "InvalidArgument", "spec.kind"),
            ({"memory": 0}, "InvalidArgument", "spec.memory"),
            ({"memory": 12345}, "InvalidArgument", "1048576"),
            ({"memory": 1 << 63}, "LimitExceeded", "spec.memory"),
            ({"memory": (1 << 64) - MIB}, "LimitExceeded", "spec.memory"),
            ({"memory": 2 * MIB, "memory_max": MIB}, "InvalidArgument", "spec.memory_max"),
            ({"vcpus": 0}, "InvalidArgument", "spec.vcpus"),
            ({"vcpus": 4294967295}, "LimitExceeded", "512"),
            ({"vcpus": 2, "vcpus_max": 1}, "InvalidArgument", "spec.vcpus_max"),
            ({"kernel": "/boot/vmlinuz"}, "InvalidArgument", "spec.kernel"),
            ({"firmware": "Kernel"}, "InvalidArgument", "kernel"),
            ({"firmware": "Kernel", "kernel": "vmlinuz"}, "InvalidArgument", "spec.kernel"),
            ({"disks": [{}]}, "InvalidArgument", "spec.disks[0]"),
            ({"disks": [{"path": "/a", "vdi": VDI + "a"}]}, "InvalidArgument", "spec.disks[0].path"),
            ({"disks": [{"path": "a"}]}, "InvalidArgument", "spec.disks[0].path"),
            ({"disks": [{"path": "/" + long}]}, "InvalidArgument", "4095"),
            ({"disks": [{"vdi": "/org/xen/xcp/xenopsd"}]}, "InvalidArgument", "spec.disks[0].vdi"),
            ({"disks": [{"path": "/a", "name": "a b"}]}, "InvalidArgument", "spec.disks[0].name"),
            ({"disks": [{"path": "/a", "name": "x" * 33}]}, "InvalidArgument", "spec.disks[0].name"),
            ({"disks": [{"path": "/a", "name": "n"}, {"path": "/b", "name": "n"}]}, "AlreadyExists", "disk 'n'"),
            ({"disks": [{"vdi": VDI + "a"}, {"path": "/b"}, {"vdi": VDI + "a", "name": "n"}]}, "InvalidArgument", "another disk"),
            ({"disks": [{"kind": "CdRom"}] * 65}, "LimitExceeded", "65 is more than 64"),
            ({"network_interfaces": [{"network": ""}]}, "InvalidArgument", "spec.network_interfaces[0].network"),
            ({"network_interfaces": [{}]}, "InvalidArgument", "network"),
            ({"network_interfaces": [{"network": "a", "mac": "00:16:3e:00:00"}]}, "InvalidArgument", "mac"),
            ({"network_interfaces": [{"network": "a", "mac": "01:16:3e:00:00:00"}]}, "InvalidArgument", "group"),
            ({"network_interfaces": [{"network": "a", "mac": "00:00:00:00:00:00"}]}, "InvalidArgument", "group"),
            ({"network_interfaces": [{"network": ".."}]}, "InvalidArgument", "spec.network_interfaces[0].network"),
            ({"network_interfaces": [{"network": "-x"}]}, "InvalidArgument", "no dash first"),
            ({"disks": [{"path": "/a", "boot_index": 7}, {"path": "/b", "boot_index": 7}]}, "InvalidArgument", "spec.disks[1].boot_index"),
            ({"disks": [{"path": "/a", "boot_index": 7}], "network_interfaces": [{"network": "a", "boot_index": 7}]}, "InvalidArgument", "another device"),
            ({"disks": [{"path": "/a", "boot_index": 1 << 31}]}, "LimitExceeded", "spec.disks[0].boot_index"),
            ({"network_interfaces": [{"network": "a", "mtu": 67}]}, "InvalidArgument", "68 to 65535"),
            ({"network_interfaces": [{"network": "a"}] * 17}, "LimitExceeded", "17 is more than 16"),
            ({"labels": {str(i): "" for i in range(65)}}, "LimitExceeded", "65 is more than 64"),
            ({"labels": {"a": long}}, "InvalidArgument", "4096"),
            ({"labels": {"": "x"}}, "InvalidArgument", "spec.labels"),
            ({"backend_options": {"warp": "9"}}, "InvalidArgument", "spec.backend_options.warp"),
            ({"backend_options": {"boot-ms": "-1"}}, "InvalidArgument", "boot-ms"),
            ({"backend_options": {"boot-ms": "99999999999999999999"}}, "InvalidArgument", "boot-ms"),
            ({"backend_options": {"start": "perhaps"}}, "InvalidArgument", "stuck"),
            ({"backend_options": {"shutdown": "no"}}, "InvalidArgument", "slow"),
            ({"autostart_delay_ms": 4000000000}, "LimitExceeded", "3600000"),
        ):
            with self.subTest(spec=str(spec)[:60]):
                message = self.refused(error, self.caller.manager, "Create", "(a{sv})",
                                       xenopsdclient.pack(xenopsdclient.VM_SPEC, {"name": "bad", **spec}))
                self.assertIn(word, message)
                self.assertLess(len(message), 600)
        self.assertEqual(self.caller.vm_paths(), [])

    def test_a_name_or_uuid_that_is_taken(self):
        self.create("good")
        self.refused("AlreadyExists", self.create, "good")
        self.refused("AlreadyExists", self.create, "other", uuid=self.caller.vm(self.caller.vm_paths()[0]).get("Uuid"))

    def test_calls(self):
        vm = self.create()
        for arguments, error in (
            (("call", NAME, ROOT, MANAGER, "Create", "s", "x"), "Invalid arguments"),
            (("call", NAME, ROOT, MANAGER, "Create", "a{sv}", "1", "warp", "s", "x"), "warp"),
            (("call", NAME, ROOT, MANAGER, "Create", "a{sv}", "1", "name", "u", "7"), "name"),
            (("call", NAME, vm.path + "0", VM, "Start", "b", "false"), "Unknown object"),
            (("call", NAME, vm.path + "/disk/disk0", DISK, "Plug"), "Unknown object"),
            (("call", NAME, vm.path, VM, "Fly"), "Unknown method"),
            (("set-property", NAME, vm.path, VM, "State", "s", "Running"), "not writable"),
            (("set-property", NAME, vm.path, VM, "OnCrash", "s", "Cry"), "Cry"),
        ):
            self.assertIn(error, run("busctl", f"--address={self.address}", *arguments, check=1).stderr)
        self.refused("DoesNotExist", self.caller.manager, "LookupByName", "(s)", "x" * 10_000)
        self.refused("DoesNotExist", self.caller.manager, "LookupByUuid", "(s)", "x" * 10_000)

    def test_a_state_directory_that_is_full_or_gone(self):
        vm = self.create()
        (self.root / "state/noop").rmdir()
        self.failed(vm.start(), "BackendFailed", "file")
        self.assertEqual(vm.get("State"), "Halted")
        (self.root / "state/noop").mkdir()
        self.done(vm.start())
