# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is QEMU's own in the VM manager's QEMU backend; test-backends.py has what it has in common with the others."""

import json
import os
import shutil
import signal

import storageclient
import xenopsdclient
from harness import run
from qemucase import STATUS, TINY_SIZE, Console, FakeQemuTest, QemuTest
from xenopsdcase import MIB, VDI


class Machines(QemuTest):
    def test_pc(self):
        vm, console = self.booted(options={"machine": "pc"})
        self.done(vm.begin("Reset"))
        console.hear(b"tiny\r\n")
        self.done(vm.stop(20000))
        self.assertEqual(vm.get("StateReason"), "Requested")

    def test_watchdog(self):
        vm, console = self.booted(options={"watchdog": "ib700"}, on_crash="Preserve")
        console.say(b"d")
        vm.wait_change("Running", "Panicked", "Watchdog")
        self.done(vm.begin("Reset"))
        console.hear(b"tiny\r\n")
        self.done(vm.begin("Kill"))

    def test_a_disk_that_fails(self):
        """A limit of QEMU's on the sizes of files makes writing fail; the guest goes on when it is lifted."""
        vm, console = self.booted()
        pid = vm.get("Pid")
        run("prlimit", f"--pid={pid}", "--fsize=0:")
        console.say(b"w")
        vm.wait_change("Running", "IOError", "DiskFailed")
        self.assertIn("disk0 could not be written", vm.get("StateDetail"))
        self.restart()
        self.assertEqual((vm.get("State"), vm.get("Pid")), ("IOError", pid))
        run("prlimit", f"--pid={pid}", "--fsize=unlimited:")
        console = self.console(vm)
        self.done(vm.begin("Resume"))
        console.hear(b"W")
        statistics = vm.device("disk", "disk0").call("GetStatistics")[0]
        self.assertGreater(statistics["written_bytes"], 0)
        self.done(vm.begin("Destroy"))

    def test_devices_come_and_go(self):
        vm, console = self.booted(options={"machine": "pc"})
        disk = self.disk("second")
        del disk["boot_index"]
        self.done(vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"name": "second", **disk})))
        self.done(vm.begin("AddNetworkInterface", "(a{sv})", xenopsdclient.pack(xenopsdclient.NETWORK_SPEC, {"network": "user"})))
        second, net = vm.device("disk", "second"), vm.device("network", "net0")
        self.assertEqual((second.get("Plugged"), net.get("Plugged")), (True, True))
        for device in (second, net):
            unplugging = device.begin("Unplug", "(b)", False)
            self.caller.wait_until(lambda: unplugging.get("State") == "Running", "the unplugging to begin")
            self.let_go(console, unplugging)
            self.assertFalse(device.get("Plugged"))
        self.restart()
        self.assertFalse(second.get("Plugged"))
        self.done(second.begin("Plug"))
        self.assertTrue(second.get("Plugged"))
        self.done(vm.begin("Destroy"))

    def test_a_guest_that_is_moved_with_what_was_plugged(self):
        """Devices are where they were: what came later, and what is gone."""
        self.start("org.xen.xcp.xenopsd2", "other")
        other = self.connect("org.xen.xcp.xenopsd2")
        vm, console = self.booted(network_interfaces=[{"network": "user", "carrier": False}])
        extra = self.disk("extra")
        del extra["boot_index"]
        self.done(vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"name": "a-first", **extra})))
        self.done(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        there = other.vm(vm.path)
        self.assertEqual(there.call("QueryState")[0], "Running")
        self.assertTrue(other.get(f"{vm.path}/disk/a_first", xenopsdclient.DISK, "Plugged"))
        other.call(vm.path, xenopsdclient.VM, "Destroy")
        other.wait_until(lambda: self.leftovers() == [], "both guests to be cleared away")

    def test_a_disc_in_a_drive(self):
        iso = self.root / "disc"
        iso.write_bytes(bytes(MIB))
        vm, console = self.booted(disks=[self.disk("boot"), {"name": "cd", "kind": "CdRom", "path": str(iso)}])
        self.done(vm.device("disk", "cd").begin("Eject"))
        self.done(vm.begin("Destroy"))

    def test_it_does_not_fall_for_another_process(self):
        """A process that has the number of a QEMU that is gone is left alone."""
        vm = self.create()
        self.done(vm.start())
        self.manager.kill()
        os.kill(self.qemu_pids()[0], signal.SIGKILL)
        self.caller.wait_until(lambda: self.qemu_pids() == [], "the end of QEMU")
        facts = self.root / "state/qemu" / vm.get_uuid() / "guest"
        text = json.loads(facts.read_text())
        text["pid"] = os.getpid()
        facts.write_text(json.dumps(text))
        self.manager = self.start()
        self.caller.forget()
        self.caller.wait_until(lambda: vm.get("State") == "Halted", "the VM to be halted")
        self.assertEqual(vm.get("StateReason"), "BackendExited")
        self.assertEqual(self.leftovers(), [])

    def test_what_cannot_be(self):
        self.refused("InvalidArgument", self.create, "a", {"machine": "vax"})
        self.refused("InvalidArgument", self.create, "a", {"cpu": "max,-drive"[3:]})
        self.refused("InvalidArgument", self.create, "a", {"speed": "11"})
        self.refused("InvalidArgument", self.create, "a", kind="Pv")
        self.refused("InvalidArgument", self.create, "a", {"machine": "microvm"})
        vm = self.create("gone", disks=[{"path": str(self.root / "nowhere")}])
        self.failed(vm.start(), "DoesNotExist", "nowhere")
        vm = self.create("bridge", network_interfaces=[{"network": "nobridge"}])
        self.failed(vm.start(), "DoesNotExist", "nobridge")
        vm = self.create("kernel", firmware="Kernel", kernel=str(self.root / "no-kernel"), disks=[])
        self.failed(vm.start(), "DoesNotExist", "no-kernel")
        os.mkfifo(self.root / "fifo")
        vm2 = self.create("fifo", firmware="Kernel", kernel=str(self.root / "fifo"), disks=[])
        self.failed(vm2.start(), "InvalidArgument", "has to be a file")
        self.assertEqual([vm.get("State"), self.leftovers()], ["Halted", []])

    def test_a_disk_that_is_in_use(self):
        one = self.create("one")
        self.done(one.start())
        two = self.create("two", disks=[{"path": str(self.root / "one.img")}])
        self.failed(two.start(), "BackendFailed", "another process")
        self.assertEqual(two.get("State"), "Halted")
        self.done(one.begin("Destroy"))
        self.done(two.start())
        self.done(two.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_names_that_look_like_something_else(self):
        """Files with commas, quotes and equal signs are files."""
        name = self.root / 'a,file="b" c,,d'
        shutil.copy(self.image, name)
        vm, console = self.booted(disks=[{"path": str(name), "boot_index": 0}])
        self.done(vm.begin("Destroy"))


class DataPaths(QemuTest):
    """Disks of the storage service, by all ways to them: the guest boots from one, and writes to it."""

    def setUp(self):
        super().setUp()
        self.start_service("storage/xcp-storage", "org.xen.xcp.storage", "storage")
        self.client = storageclient.Client(self.address)
        self.addCleanup(self.client.close)
        self.sr = self.client.create_sr("local", "directory", path=self.root / "sr")

    def vdi(self, name="boot"):
        with open(self.image, "rb") as file:
            return self.client.import_vdi(self.sr, file.fileno(), name=name, size=TINY_SIZE)

    def of(self, vdi, kind):
        """How and by whom a disk is read and written."""
        return [(way, state) for _, state, way, _ in self.client.get(vdi, storageclient.VDI, "DataPaths")] == [(kind, "Activated")]

    def life(self, kind, option):
        vdi = self.vdi()
        vm, console = self.booted(options={"data-path": option}, disks=[{"name": "boot", "vdi": vdi, "boot_index": 0}])
        self.assertTrue(self.of(vdi, kind), kind)
        self.restart()
        console = self.console(vm)
        console.say(b"w")
        console.hear(b"W")
        self.done(vm.begin("Reset"))
        console.hear(b"tiny\r\n")
        self.done(vm.stop(20000))
        self.assertEqual((vm.get("State"), vm.get("StateReason")), ("Halted", "Requested"))
        self.assertEqual(self.client.get(vdi, storageclient.VDI, "DataPaths"), [])
        content = self.client.content(vdi, self.root)
        self.assertEqual(content[512:640], content[:128])  # what the guest wrote there is what it was booted from
        self.assertEqual(self.leftovers(), [])

    def test_files(self):
        self.life("File", "file")

    def test_nbd(self):
        self.life("Nbd", "nbd")

    def test_vhost_user(self):
        self.life("VhostUser", "vhost-user")

    def test_plugged_and_unplugged(self):
        for option, kind in (("vhost-user", "VhostUser"), ("nbd", "Nbd")):
            with self.subTest(option=option):
                vm, console = self.booted(option, options={"data-path": option, "machine": "pc"})
                vdi = self.vdi(f"more-{option}")
                self.done(vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, {"name": "more", "vdi": vdi})))
                self.assertTrue(self.of(vdi, kind), kind)
                disk = vm.device("disk", "more")
                unplugging = disk.begin("Unplug", "(b)", False)
                self.caller.wait_until(lambda task=unplugging: task.get("State") == "Running", "the unplugging to begin")
                self.let_go(console, unplugging)
                self.assertEqual(self.client.get(vdi, storageclient.VDI, "DataPaths"), [])
                self.done(disk.begin("Plug"))
                self.assertTrue(self.of(vdi, kind), kind)
                self.done(vm.begin("Destroy"))

    def test_a_guest_that_is_saved(self):
        for option in ("vhost-user", "nbd"):
            with self.subTest(option=option):
                vdi = self.vdi(f"disk-{option}")
                saved = self.client.create(self.sr, name=f"saved-{option}", size=64 * MIB, format="Raw")
                vm, console = self.booted(option, options={"data-path": option}, disks=[{"vdi": vdi, "boot_index": 0}])
                self.done(vm.begin("Save", "(o)", saved))
                self.done(vm.begin("Restore", "(b)", True))
                console = self.console(vm)
                self.done(vm.begin("Resume"))
                console.say(b"w")
                console.hear(b"W")
                self.done(vm.begin("Destroy"))
                self.assertEqual(self.leftovers(), [])

    def test_a_guest_that_is_moved(self):
        """A disk that has a server where it comes from is a file where it goes; a socket is served at both ends, of which one stands by."""
        self.start("org.xen.xcp.xenopsd2", "other")
        other = self.connect("org.xen.xcp.xenopsd2")
        vdi = self.vdi("nbd")
        vm, console = self.booted("nbd", options={"data-path": "nbd"}, disks=[{"vdi": vdi, "boot_index": 0}])
        self.done(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        self.assertTrue(self.of(vdi, "File"))
        other.call(vm.path, xenopsdclient.VM, "Destroy")
        vdi = self.vdi("socket")
        vm, console = self.booted("socket", options={"data-path": "vhost-user"}, disks=[{"vdi": vdi, "boot_index": 0}])
        console.say(b"w")
        console.hear(b"W")
        self.done(vm.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd2", {}))
        self.assertTrue(self.of(vdi, "VhostUser"))
        there = other.vm(vm.path)
        console = Console(other, there)
        self.addCleanup(console.close)
        console.say(b"w")
        console.hear(b"W")
        self.done(there.begin("Reset"))
        console.hear(b"tiny\r\n")
        self.done(vm.begin("Destroy"))  # what has been left behind, and would be in the way
        self.done(there.begin("Migrate", "(sa{sv})", "org.xen.xcp.xenopsd", {}))
        console = self.console(vm)
        console.say(b"w")
        console.hear(b"W")
        self.done(vm.begin("Kill"))
        self.assertEqual(self.client.get(vdi, storageclient.VDI, "DataPaths"), [])
        content = self.client.content(vdi, self.root)
        self.assertEqual(content[512:640], content[:128])
        self.assertEqual(self.leftovers(), [])


class Fakes(FakeQemuTest):
    """With a QEMU that says what it likes."""

    def test_it_ends_at_once(self):
        self.begin({"exit": 3})
        vm = self.create()
        self.failed(vm.start(), "BackendFailed", "ended with status 3", "no such machine today")
        self.assertEqual((vm.get("State"), self.leftovers()), ("Halted", []))

    def test_it_talks_nonsense_when_it_is_prepared(self):
        self.begin()
        vm = self.create()
        for script in ({"greeting": "hello"}, {"greeting": '{"event": "STOP"}'}, {"greeting": "[" * 100}, {"greeting": "x" * 2000000},
                       {"answers": {"query-status": "nonsense"}}, {"answers": {"query-status": '{"return": {}, "id": 99}'}},
                       {"answers": {"query-status": "hang up"}}, {"answers": {"query-status": "exit 1"}}):
            with self.subTest(script=str(script)[:100]):
                self.script(script)
                self.failed(vm.start(), "BackendFailed")
                self.assertEqual((vm.get("State"), self.leftovers()), ("Halted", []))

    def test_it_talks_nonsense_when_it_runs(self):
        self.begin()
        for number, answer in enumerate(("nonsense", '{"QMP": {}}', '{"return": 1, "id": 7777}', "hang up")):
            with self.subTest(answer=answer):
                self.script({"answers": {**self.prepared, "stop": answer}})
                vm = self.create(f"vm{number}")
                self.done(vm.begin("Prepare"))
                self.done(vm.start(paused=True))
                self.done(vm.begin("Resume"))
                self.caller.wait_until(lambda: vm.get("State") in ("Suspended", "Running"), "it to be something")
                self.done(vm.begin("Destroy"))
                self.assertEqual(self.leftovers(), [])

    def test_it_talks_nonsense_of_a_port(self):
        """It forwards none, or says so and does not, or is gone; and one that was forwarded long ago is not for long."""
        self.begin({"answers": self.prepared})
        vm = self.create(on_crash="Preserve", network_interfaces=[{"network": "user"}])
        self.done(vm.begin("Prepare"))
        self.refused("BadPowerState", vm.open_port, 22)
        running = {"query-status": STATUS % "running"}
        self.script({"answers": running})
        self.done(vm.start())
        self.refused("InvalidArgument", vm.open_port, 0)
        says = '{"return": "%s", "id": %%ID%%}'
        for answer, error, words in ((says % "Could not set up host forwarding rule\\r\\nmore", "BackendFailed", "Could not set up host forwarding rule$"),
                                     ('{"error": {"class": "GenericError", "desc": "not today"}, "id": %ID%}', "BackendFailed", "not today"),
                                     (says % "", "Unreachable", "does not take the connection")):
            with self.subTest(answer=answer):
                self.script({"answers": {**running, "hostfwd_add": answer}})
                self.assertRegex(self.refused(error, vm.open_port, 22), words)
        self.assertEqual(vm.get("State"), "Running")
        old = says % "Hub -1 (netdev-net0):\\r\\n TCP[HOST_FORWARD] 13 127.0.0.1 4000 10.0.2.15 22 0 0\\r\\n"
        self.script({"answers": {**running, "info": old, "hostfwd_remove": "exit 5"}})
        self.caller.wait_until(lambda: vm.get("State") == "Failed", "a port of old not to be forwarded any more", 60)
        self.done(vm.begin("Destroy"))

    def test_it_talks_nonsense_of_a_migration(self):
        """What is told of one is not what it should be, until it is; then it was cancelled after all."""
        status = '{"event": "MIGRATION", "data": {"status": %s}}'
        told = "\n".join(status % what for what in ("null", "7", "{}", '"what"')) + '\n{"event": "MIGRATION", "data": {}}\n{"event": "MIGRATION"}'
        self.begin({"answers": {**self.prepared, "migrate": f'{{"return": {{}}, "id": %ID%}}\n{told}\n' + status % '"failed"',
                                "query-migrate": '{"return": {"error-desc": null}, "id": %ID%}'}})
        self.storage("saved")
        vm = self.create()
        self.done(vm.start())
        self.failed(vm.begin("Save", "(o)", VDI + "saved"), "BackendFailed", "the migration failed")
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_it_does_not_stop_talking(self):
        """What it says again and again is heard once, and the manager has time for others."""
        self.begin()
        events = '{"event": "GUEST_PANICKED", "data": {}}\n' * 1500
        for action, state in (("Preserve", "Panicked"), ("Halt", "Halted")):
            with self.subTest(action=action):
                self.script({"answers": self.prepared})
                vm = self.create(action, on_crash=action)
                self.done(vm.begin("Prepare"))
                self.script({"answers": {"query-status": STATUS % "guest-panicked", "cont": f'{{"return": {{}}, "id": %ID%}}\n{events}'}})
                self.done(vm.start())
                vm.wait_property("State", state)
                self.assertEqual(vm.get("StateReason"), "GuestPanic")
                self.done(vm.begin("Destroy"))
                self.assertEqual(self.leftovers(), [])
                self.manager.wait_output(f"VM {action} is Panicked", stream="stderr")
                self.assertEqual(self.manager.stderr.count(f"VM {action} is Panicked"), 1)

    def test_what_it_says_is_another_each_time(self):
        """Whoever waits for the last of it waits for ever."""
        self.begin({"answers": self.prepared})
        vm = self.create(on_crash="Preserve", disks=[])
        self.done(vm.begin("Prepare"))
        events = '{"event": "GUEST_PANICKED", "data": {}}\n{"event": "BLOCK_IO_ERROR", "data": {"action": "stop"}}\n'
        self.script({"answers": {"query-status": STATUS % "running", "query-chardev": events + '{"return": [], "id": %ID%}'}})
        self.done(vm.start())
        self.assertEqual(vm.get("State"), "IOError")
        self.done(vm.begin("Kill"))
        self.assertEqual(self.leftovers(), [])

    def test_what_it_says_fills_no_disk(self):
        self.begin()
        self.script({"answers": self.prepared, "noise": {"cont": 20000}})
        vm = self.create(on_crash="Preserve")
        self.done(vm.start())
        [log] = self.root.glob("state/qemu/*-*/log")
        self.caller.wait_until(lambda: log.stat().st_blocks * 512 < 2 * MIB, lambda: f"the log to be shorter than {log.stat().st_blocks * 512}")
        [pid] = self.qemu_pids()
        os.kill(pid, signal.SIGKILL)
        vm.wait_property("State", "Failed")
        self.assertRegex(vm.get("StateDetail"), "killed by signal 9 .*: a guest did what it should not")
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_nonsense_is_the_end(self):
        self.begin({"answers": {**self.prepared, "cont": '{"return": {}, "id": %ID%}\nnonsense'}})
        vm = self.create(on_crash="Preserve")
        vm.start()
        self.caller.wait_until(lambda: vm.get("State") == "Failed", lambda: f"Failed in {vm.get('State')}")
        self.assertEqual((vm.get("StateReason"), vm.get("StateDetail")), ("BackendFailed", "its monitor says what is no QMP"))
        self.done(vm.begin("Kill"))
        self.assertEqual(self.leftovers(), [])

    def test_it_never_answers(self):
        self.begin({"answers": {"query-status": None}})
        vm = self.create()
        task = vm.start()
        self.caller.wait_until(lambda: self.qemu_pids(), "QEMU to be there")
        task.cancel()
        self.assertEqual(task.wait()[0], "Cancelled")
        self.assertEqual((vm.get("State"), self.leftovers()), ("Halted", []))

    def test_more_than_may_begin_at_once(self):
        """They wait, and are seen to; one that waits is cancelled or killed at once, and the next is let in when one has ended."""
        self.begin({"answers": {"query-status": None}})
        n = max(4, 2 * os.sysconf("SC_NPROCESSORS_ONLN"))  # services/xenopsd/job/admission.h
        vms = [self.create(f"vm{i}", disks=[]) for i in range(n + 4)]
        tasks = [vm.start() for vm in vms]
        self.caller.wait_until(lambda: len(self.qemu_pids()) == n, lambda: f"{n} processes, in {self.qemu_pids()}")
        self.assertEqual([task.get("State") for task in tasks], ["Running"] * n + ["Waiting"] * 4)
        self.assertEqual(self.caller.counters()["starts.waiting"], 4)
        tasks[n].cancel()
        self.assertEqual(tasks[n].wait()[0], "Cancelled")
        vms[n + 1].begin("Kill")
        self.failed(tasks[n + 1], "Cancelled")
        self.assertEqual([vms[n].get("State"), vms[n + 1].get("State"), tasks[n + 2].get("State")], ["Halted", "Halted", "Waiting"])
        tasks[0].cancel()
        self.assertEqual(tasks[0].wait()[0], "Cancelled")
        self.caller.wait_until(lambda: tasks[n + 2].get("State") == "Running", "the next to be let in")
        self.assertEqual([tasks[n + 3].get("State"), self.caller.counters()["starts.waiting"]], ["Waiting", 1])
        self.restart()
        self.assertEqual({vm.get("State") for vm in vms}, {"Halted"})
        self.assertEqual(self.leftovers(), [])

    def test_a_manager_that_is_killed_while_it_waits(self):
        self.begin({"answers": {"query-status": None}})
        vm = self.create()
        task = vm.start()
        self.caller.wait_until(lambda: self.qemu_pids(), "QEMU to be there")
        self.restart()
        self.assertEqual((vm.get("State"), self.leftovers()), ("Halted", []))

    def test_the_accelerator(self):
        """A KVM that works, one that fails and one that hangs: each is looked for once."""
        for kvm, expected in (("works", "kvm"), ("fails", "tcg"), ("hangs", "tcg")):
            with self.subTest(kvm=kvm):
                self.begin({"kvm": kvm, "answers": self.prepared})
                vm = self.create(kvm, {"accelerator": "auto"})
                task = vm.begin("Prepare")
                if expected == "tcg":
                    self.done(task)
                else:                   # with accel=kvm, the fake ends as the probe does
                    self.failed(task, "BackendFailed", "status 33")
                self.assertIn(expected, (self.root / "state/qemu/accelerator").read_text())
                self.done(vm.begin("Destroy"))
                self.manager.kill()
                (self.root / "state/qemu/accelerator").unlink()

    @staticmethod
    def vcpus(n, n_stay=1):
        """What query-hotpluggable-cpus says of 4, of which there are n; some were there from the start."""
        cpus = [{"type": "max-x86_64-cpu", "props": {"socket-id": 0, "core-id": i, "thread-id": 0}} for i in range(4)]
        for i, cpu in enumerate(cpus[:n]):
            cpu["qom-path"] = "/machine/unattached/device[0]" if i < n_stay else f"/machine/peripheral/cpu-{512 * i}"
        return '{"return": %s, "id": %%ID%%}' % json.dumps(cpus)

    def unplugging(self, *counts, kvm="true", n_stay=1, said=()):
        """The script of a guest that says things when it is to let go of its virtual CPUs, from the last one on."""
        events = ['\n{"event": "%s", "data": %s, "timestamp": {"seconds": 1, "microseconds": 0}}' % (name, data) for name, data in said]
        self.script({"answers": {"query-status": STATUS % "running", "query-kvm": '{"return": {"enabled": %s, "present": true}, "id": %%ID%%}' % kvm,
                                 "query-hotpluggable-cpus": [self.vcpus(n, n_stay) for n in counts],
                                 "device_del": ['{"return": {}, "id": %ID%}' + event for event in events] or '{"return": {}, "id": %ID%}'}})

    def test_virtual_cpus_that_a_guest_lets_go_of_or_not(self):
        self.begin({"answers": self.prepared})
        vm = self.create(vcpus=1, vcpus_max=4)
        self.done(vm.start())
        self.unplugging(1, 1, 2, 3)
        self.restart()                  # which counts them
        self.done(vm.begin("SetVcpus", "(u)", 3))
        self.unplugging(3, kvm="false")
        self.failed(vm.begin("SetVcpus", "(u)", 1), "NotSupported", "software emulation")
        self.unplugging(3, 3, 2, said=[("DEVICE_DELETED", '{"device": "cpu-1024", "path": "/machine/peripheral/cpu-1024"}'),
                                       ("ACPI_DEVICE_OST", '{"info": {"device": "cpu-512", "slot": "1", "slot-type": "CPU", "source": 3, "status": 1}}')])
        self.failed(vm.begin("SetVcpus", "(u)", 1), "BackendFailed", "does not let go of the virtual CPU cpu-512")
        self.assertEqual(vm.get("Vcpus"), 2)  # the other is gone
        self.unplugging(2)
        unheeded = vm.begin("SetVcpus", "(u)", 1)
        self.caller.wait_until(lambda: unheeded.get("State") == "Running", "the guest to be asked")
        unheeded.cancel()
        self.assertEqual((unheeded.wait()[0], vm.get("Vcpus")), ("Cancelled", 2))
        self.unplugging(1)              # it has heeded after all, when no manager was there
        self.restart()
        self.caller.wait_until(lambda: vm.get("Vcpus") == 1, lambda: f"1 in {vm.get('Vcpus')}")
        self.unplugging(2, n_stay=2)
        self.failed(vm.begin("SetVcpus", "(u)", 1), "NotSupported", "when its QEMU was started")
        self.unplugging(3, 3, 2, said=[("DEVICE_DELETED", '{"device": "cpu-1024", "path": "/machine/peripheral/cpu-1024"}')])
        self.done(vm.begin("SetVcpus", "(u)", 2))
        self.assertEqual(vm.get("Vcpus"), 2)
        self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])

    def test_internal_error_and_states_of_their_own(self):
        self.begin()
        for run_state, state, reason in (("internal-error", "Failed", "BackendFailed"), ("guest-panicked", "Panicked", "GuestPanic"),
                                         ("io-error", "IOError", "DiskFailed"), ("watchdog", "Panicked", "Watchdog"),
                                         ("colo-of-tomorrow", "Failed", "BackendFailed")):
            with self.subTest(run_state=run_state):
                self.script({"answers": self.prepared})
                vm = self.create(run_state, on_crash="Preserve")
                self.done(vm.start())
                self.script({"answers": {"query-status": STATUS % run_state}})
                self.restart()
                self.assertEqual((vm.get("State"), vm.get("StateReason")), (state, reason))
                self.done(vm.begin("Destroy"))
        self.assertEqual(self.leftovers(), [])


del FakeQemuTest, QemuTest
