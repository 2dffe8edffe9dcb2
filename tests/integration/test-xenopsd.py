# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcp-xenopsd, the VM manager, with the noop backend: the life of VMs. test-xenopsd-devices.py has what they are connected with."""

import os
import time

import xenopsdclient
from harness import Process, build_directory, run
from xenopsdcase import LONG, MIB, NAME, SOURCE, VDI, XENOPSD, XenopsdTest
from xenopsdclient import DISK, MANAGER, NETWORK, ROOT, TASK, VM, Refused

DIAGNOSTICS = "org.xen.xcp.Diagnostics1"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
NOBODY = 65534


class Contract(XenopsdTest):
    def test_introspection_is_the_xml(self):
        vm = self.running(options={"stop": LONG}, disks=[{"kind": "CdRom"}], network_interfaces=[{"network": "br0"}])
        task = vm.stop(1000)
        documents = list((SOURCE / "idl").glob("*.xml"))
        for path, interfaces in {
            ROOT: (DIAGNOSTICS, MANAGER, OBJECT_MANAGER),
            vm.path: (VM,),
            vm.path + "/disk/disk0": (DISK,),
            vm.path + "/network/net0": (NETWORK,),
            task.path: (TASK,),
        }.items():
            xml = run("busctl", f"--address={self.address}", "--xml-interface", "introspect", NAME, path).stdout
            for interface in interfaces:
                self.assertIn(f'"{interface}"', xml)
            run(SOURCE / "idl/xcp-idl-compare", *documents, input=xml)
        task.cancel()
        for prefix in ("/", ROOT + "/vm", vm.path + "/disk", vm.path + "/network"):
            self.assertIn("<node", run("busctl", f"--address={self.address}", "--xml-interface", "introspect", NAME, prefix).stdout)

    def test_what_a_vm_says_of_itself(self):
        spec = {"description": "a web server", "memory": 64 * MIB, "vcpus": 2, "labels": {"owner": "me"}, "on_crash": "Restart",
                "network_interfaces": [{"network": "user", "name": "front-1", "mac": "00:16:3E:00:00:01"}], "disks": [{"kind": "CdRom"}]}
        vm = self.create("web", {"boot-ms": "10"}, **spec)
        uuid = vm.get("Uuid")
        self.assertEqual(vm.path, f"{ROOT}/vm/{uuid.replace('-', '_')}")
        for name, value in {"Name": "web", "Description": "a web server", "Labels": {"owner": "me"}, "Backend": "noop", "Memory": 64 * MIB,
                            "State": "Halted", "StateReason": "Created", "StateDetail": "", "Vcpus": 2, "OnCrash": "Restart",
                            "OnReboot": "Restart", "Ready": False, "Pid": 0, "Domains": [], "Consoles": [], "StartedUs": 0}.items():
            self.assertEqual(vm.get(name), value, name)
        self.assertEqual(self.caller.manager("ListVms")[0], [(vm.path, uuid, "web", "Halted", "noop")])
        self.assertEqual(self.caller.manager("LookupByName", "(s)", "web")[0], vm.path)
        self.assertEqual(self.caller.manager("LookupByUuid", "(s)", uuid.upper())[0], vm.path)
        given = vm.call("GetSpec")[0]
        self.assertEqual((given["uuid"], given["memory"], given["backend_options"]), (uuid, 64 * MIB, {"boot-ms": "10"}))
        self.assertEqual(given["network_interfaces"][0]["mac"], "00:16:3e:00:00:01")
        self.assertEqual(given["disks"], [{"name": "disk0", "kind": "CdRom", "mode": "ReadOnly"}])
        network = vm.device("network", "front-1")
        self.assertTrue(network.path.endswith("/network/front_1"))
        self.assertEqual((network.get("Name"), network.get("Network"), network.get("Plugged")), ("front-1", "user", False))
        del given["uuid"], given["name"]
        self.done(vm.begin("Destroy"))
        self.assertEqual(set(self.caller.managed()), {vm.tasks[-1].path})
        again = self.caller.manager("Create", "(a{sv})", xenopsdclient.pack(xenopsdclient.VM_SPEC, {"name": "again", **given}))[0]
        self.assertNotEqual(again, vm.path)

    def test_the_manager(self):
        noop = self.caller.manager("ListBackends")[0][0]
        self.assertEqual((noop["name"], noop["available"]), ("noop", True))
        self.assertIn("migrate", noop["features"])
        self.assertIn("boot-ms", noop["options"])
        document = (SOURCE / "docs/xenopsd.md").read_text()
        for option in noop["options"]:
            self.assertIn(f"`{option}`", document)
        info = self.caller.manager("GetHostInfo")[0]
        self.assertGreater(info["memory"], info["memory_free"])
        self.assertEqual(info["cpus"], os.sysconf("SC_NPROCESSORS_ONLN"))
        self.assertEqual(self.caller.get(ROOT, MANAGER, "DefaultBackend"), "noop")
        self.refused("DoesNotExist", self.caller.set, ROOT, MANAGER, "DefaultBackend", "s", "none")
        self.refused("DoesNotExist", self.caller.manager, "LookupByDomain", "(u)", 7)

    def test_diagnostics(self):
        vm = self.running()
        self.failed(vm.start(), "BadPowerState")
        counters = self.caller.call(ROOT, DIAGNOSTICS, "GetCounters")[0]
        self.assertEqual((counters["done.Start"], counters["failed.Start"]), (1, 1))
        dump = dict(self.caller.call(ROOT, DIAGNOSTICS, "GetDump")[0])
        self.assertIn(f"{vm.get('Uuid')} one noop: Running, Requested", "".join(dump.values()))
        self.assertEqual(self.caller.get(ROOT, DIAGNOSTICS, "Health"), "Good")


class Life(XenopsdTest):
    def test_all_of_it_with_its_signals(self):
        vm = self.create(network_interfaces=[{"network": "br0", "mac": "00:16:3e:01:02:03"}])
        for method, arguments in (("Prepare", ()), ("Start", ("(b)", False)), ("Suspend", ()), ("Resume", ()), ("Reboot", ("(u)", 1000)),
                                  ("Reset", ()), ("Stop", ("(u)", 1000)), ("Start", ("(b)", True)), ("Kill", ())):
            self.done(vm.begin(method, *arguments))
        self.assertEqual(vm.changes(), [
            ("Halted", "Prepared", "Requested"), ("Prepared", "Running", "Requested"), ("Running", "Suspended", "Requested"),
            ("Suspended", "Running", "Requested"), ("Running", "Halted", "Requested"), ("Halted", "Prepared", "Requested"),
            ("Prepared", "Suspended", "Requested"), ("Suspended", "Halted", "Killed")])
        states = [change["State"] for change in vm.properties_changed() if "State" in change]
        self.assertEqual(states, [new for _, new, _ in vm.changes()])
        self.assertEqual(vm.get("StateReason"), "Killed")

    def test_facts_of_a_guest(self):
        vm = self.create(options={"boot-ms": "50", "address-after-ms": "120"}, vcpus=2, disks=[{"path": str(XENOPSD), "mode": "ReadOnly"}],
                         network_interfaces=[{"network": "br0", "mac": "00:16:3e:01:02:03"}])
        before = time.time()
        self.done(vm.start())
        self.assertTrue(before - 1 <= vm.get("StartedUs") / 1e6 <= time.time() + 1)
        self.assertEqual(vm.get("Consoles"), [("serial0", "Serial")])
        vm.wait_property("Ready", True)
        vm.wait_property("Addresses", [("10.1.2.3", "00:16:3e:01:02:03", "Agent")])
        self.caller.wait_until(lambda: any("Addresses" in change for change in vm.properties_changed()), "to be told so")
        told = [name for change in vm.properties_changed() for name in ("State", "Ready", "Addresses")
                if change.get(name) in ("Running", True, vm.get("Addresses"))]
        self.assertEqual(told, ["State", "Ready", "Addresses"])
        statistics = vm.call("GetStatistics")[0]
        self.assertGreater(statistics["uptime_us"], 100_000)
        self.assertEqual((statistics["memory"], statistics["memory_used"]), (256 * MIB, 64 * MIB))
        self.assertGreater(vm.device("disk", "disk0").call("GetStatistics")[0]["read_bytes"], 0)
        self.assertGreater(vm.device("network", "net0").call("GetStatistics")[0]["sent_bytes"], 0)
        self.done(vm.stop(1000))
        self.assertEqual((vm.get("Ready"), vm.get("Addresses"), vm.get("StartedUs")), (False, [], 0))
        self.assertEqual(vm.call("GetStatistics")[0], {"uptime_us": 0})

    def test_what_does_not_fit_the_state_is_refused_with_both(self):
        vm = self.create()
        for method, arguments, expected in (("Suspend", (), "Running"), ("Stop", ("(u)", 0), "Prepared, Running, Suspended"),
                                            ("Kill", (), "Prepared, Running, Suspended, Saved, Panicked, IOError, Failed"),
                                            ("Resume", (), "Suspended, IOError"), ("Restore", ("(b)", False), "Saved"),
                                            ("Save", ("(o)", VDI + "a"), "Running, Suspended")):
            details = self.failed(vm.begin(method, *arguments), "BadPowerState")
            self.assertEqual(details, {"vm": vm.path, "expected": expected, "found": "Halted"})
        self.refused("BadPowerState", vm.call, "PowerButton")
        self.refused("BadPowerState", vm.open_console)
        self.assertEqual(vm.changes(), [])
        self.done(vm.start())
        self.failed(vm.begin("Prepare"), "BadPowerState")

    def test_destroy_of_a_vm_that_runs(self):
        vm = self.running(network_interfaces=[{"network": "br0"}], options={"destroy": "500"})
        [going, waiting] = self.caller.call_all([(vm.path, VM, "Destroy", None), (vm.path, VM, "Suspend", None)])
        self.done(self.caller.task(going[0]))
        self.failed(self.caller.task(waiting[0]), "DoesNotExist")
        self.assertEqual([path for path in self.caller.managed() if "/vm/" in path], [])
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])
        with self.assertRaises(Refused):
            vm.get("State")

    def test_properties_that_can_be_written(self):
        vm, other = self.create(), self.create("two")
        for name, kind, value in (("Name", "s", "three"), ("Description", "s", "x" * 4096), ("Labels", "a{ss}", {"a": "b"}),
                                  ("OnCrash", "s", "Preserve"), ("OnReboot", "s", "Halt"), ("Autostart", "b", True),
                                  ("AutostartOrder", "u", 7), ("AutostartDelayMs", "u", 2000)):
            vm.set(name, kind, value)
            vm.wait_property(name, value)
        self.refused("AlreadyExists", other.set, "Name", "s", "three")
        self.refused("InvalidArgument", other.set, "Name", "s", "a/b")
        self.refused("InvalidArgument", other.set, "Description", "s", "x" * 4097)
        self.refused("LimitExceeded", other.set, "Labels", "a{ss}", {str(i): "" for i in range(65)})
        self.refused("LimitExceeded", other.set, "AutostartDelayMs", "u", 3600001)
        self.restart()
        self.assertEqual((vm.get("Name"), vm.get("Labels"), vm.get("OnReboot"), vm.get("Autostart")), ("three", {"a": "b"}, "Halt", True))
        self.assertEqual((vm.get("AutostartOrder"), vm.get("AutostartDelayMs")), (7, 2000))

    def test_memory_and_vcpus(self):
        vm = self.create(memory=64 * MIB, memory_max=128 * MIB, vcpus_max=4)
        self.done(vm.begin("SetMemory", "(t)", 32 * MIB))
        self.done(vm.start())
        self.done(vm.begin("SetMemory", "(t)", 128 * MIB))
        self.done(vm.begin("SetVcpus", "(u)", 3))
        self.assertEqual((vm.get("Memory"), vm.get("Vcpus"), vm.call("GetStatistics")[0]["memory"]), (128 * MIB, 3, 128 * MIB))
        details = self.failed(vm.begin("SetMemory", "(t)", 129 * MIB), "LimitExceeded")
        self.assertEqual((details["value"], details["limit"]), (129 * MIB, 128 * MIB))
        self.failed(vm.begin("SetVcpus", "(u)", 5), "LimitExceeded")
        self.refused("InvalidArgument", vm.call, "SetMemory", "(t)", 1)
        self.refused("LimitExceeded", vm.call, "SetMemory", "(t)", 1 << 63)
        self.refused("InvalidArgument", vm.call, "SetVcpus", "(u)", 0)
        self.assertEqual(vm.get("Memory"), 128 * MIB)


class Queue(XenopsdTest):
    def test_tasks_are_done_in_their_order(self):
        vm = self.create(options={"start": "3000"})  # while it is asked what becomes of the others
        tasks = [vm.start(), vm.begin("Suspend"), vm.begin("Resume"), vm.stop(1000)]
        self.assertEqual([task.get("State") for task in tasks], ["Running", "Waiting", "Waiting", "Waiting"])
        for task in tasks:
            self.done(task)
        finished = [path for path, interface, member, _ in self.caller.signals if member == "Finished"]
        self.assertEqual(finished, [task.path for task in tasks])

    def test_kill_does_not_wait(self):
        vm = self.create(options={"suspend": "stuck"})
        tasks = [vm.start(), vm.begin("Suspend"), vm.begin("Resume")]
        self.done(tasks[0])
        kill = vm.begin("Kill")
        self.done(kill)
        self.failed(tasks[1], "Cancelled")
        self.failed(tasks[2], "BadPowerState")
        self.assertEqual(vm.changes()[-1], ("Running", "Halted", "Killed"))
        self.assertFalse(kill.get("Cancellable"))

    def test_kill_of_a_start_leaves_it_halted(self):
        vm = self.create(options={"start": "stuck"})
        start = vm.start()
        vm.wait_property("State", "Prepared")
        self.done(vm.begin("Kill"))
        self.failed(start, "Cancelled")
        self.assertEqual(vm.get("State"), "Halted")
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])

    def test_cancel_in_the_middle_of_start(self):
        for operation in ("prepare", "start"):
            vm = self.create(operation, options={operation: LONG})
            task = vm.start()
            if operation == "start":
                vm.wait_property("State", "Prepared")
            self.assertEqual(task.get("CancelWithinMs"), 30000)
            task.cancel()
            self.failed(task, "Cancelled", state="Cancelled")
            self.assertEqual(vm.get("State"), "Halted")
        self.assertEqual(list((self.root / "state/noop").iterdir()), [])

    def test_cancel_of_one_that_waits_and_of_stop(self):
        vm = self.running(options={"shutdown": "ignore"})
        stop, suspend, resume = vm.stop(600_000), vm.begin("Suspend"), vm.begin("Resume")
        suspend.cancel()
        self.failed(suspend, "Cancelled", state="Cancelled")
        stop.cancel()
        self.failed(stop, "Cancelled", state="Cancelled")
        self.failed(resume, "BadPowerState")
        self.assertEqual(vm.get("State"), "Running")

    def test_progress_is_told(self):
        vm = self.create(options={"start": "1500"})
        task = vm.start()
        self.done(task)
        told = [change["Progress"] for change in self.caller.properties_changed(task.path) if "Progress" in change]
        self.assertEqual(told, sorted(told))
        self.assertGreaterEqual(len(told), 2)
        self.assertEqual(told[-1], 1)

    def test_the_queue_is_bounded_and_still_takes_a_kill(self):
        vm = self.create(options={"start": "stuck"})
        start = vm.start()
        tasks = [vm.begin("Suspend") for _ in range(64)]
        message = self.refused("LimitExceeded", vm.begin, "Suspend")
        self.assertIn("65 is more than 64", message)
        self.done(vm.begin("Kill"))
        self.failed(start, "Cancelled")
        for task in tasks:
            self.failed(task, "BadPowerState")

    def test_a_caller_that_leaves_is_collected_and_its_work_goes_on(self):
        other = self.connect()
        vm = self.create(options={"start": "300"})
        other.vm(vm.path).start()
        other.close()
        vm.wait_property("State", "Running")
        self.caller.wait_until(lambda: not [path for path in self.caller.managed() if "/task/" in path], "the task to go")


class Policy(XenopsdTest):
    autostarted = False

    def start_bus(self):
        """Our own, with its policy and activation files, in place of a session's."""
        self.root.chmod(0o755)
        directory = self.root / "dom0"
        directory.mkdir()
        self.addCleanup(Process.ready([build_directory() / "bus/xcp-bus-run", "--domain-dir", directory]).kill)
        return f"unix:path={directory}/bus"

    def test_the_first_call_starts_it(self):
        self.caller = self.connect()
        vm = self.running()
        self.assertEqual(vm.get("State"), "Running")
        self.assertTrue((self.root / "dom0/state/xenopsd/xenopsd.db").exists())

    def test_others_than_the_owner_are_refused(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        self.start()
        busctl = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "busctl", f"--address={self.address}"]
        for call in (("call", NAME, ROOT, MANAGER, "ListVms"), ("get-property", NAME, ROOT, MANAGER, "DefaultBackend"),
                     ("call", NAME, ROOT, MANAGER, "Create", "a{sv}", "1", "name", "s", "x")):
            self.assertRegex(run(*busctl, *call, check=1).stderr, "(?i)denied|policy|rejected")
        self.assertEqual(self.connect().vm_paths(), [])


class Many(XenopsdTest):
    N = 1000
    deadline = 600

    def test_a_thousand(self):
        specs = [xenopsdclient.pack(xenopsdclient.VM_SPEC, {"name": f"vm{i}", "network_interfaces": [{"network": "br0"}]})
                 for i in range(self.N)]
        self.caller.record = False
        paths = [reply[0] for reply in self.caller.call_all([(ROOT, MANAGER, "Create", "(a{sv})", spec) for spec in specs])]
        self.assertEqual(len(set(paths)), self.N)
        tasks = [reply[0] for reply in self.caller.call_all([(path, VM, "Start", "(b)", False) for path in paths])]
        self.assertEqual(len(set(tasks)), self.N)
        self.caller.wait_until(lambda: {state for *_, state, _ in self.caller.manager("ListVms")[0]} == {"Running"},
                               "all VMs to run", deadline=240)
        descriptors = len(os.listdir(f"/proc/{self.manager.pid}/fd"))
        self.assertLess(descriptors, 2 * self.N + 100)
        managed = self.caller.managed()
        self.assertEqual(len([path for path in managed if "/network/" in path]), self.N)
        self.assertEqual({values[TASK]["State"] for path, values in managed.items() if TASK in values}, {"Succeeded"})
        self.restart()
        self.assertEqual({state for *_, state, _ in self.caller.manager("ListVms")[0]}, {"Running"})
        self.caller.call_all([(path, VM, "Kill", None) for path in paths[:24]])
        self.caller.wait_until(lambda: len(os.listdir(self.root / "state/noop")) == self.N - 24, "their guests to go", deadline=240)
