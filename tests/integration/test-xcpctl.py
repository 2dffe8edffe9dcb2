# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl, the operator's command: with the example service, and with one that says whatever a test wants."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tarfile

from harness import Process, TestCase, build_directory, run, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
XCPCTL = build_directory() / "tools/xcpctl/xcpctl"
MOCK = build_directory() / "tools/xcpctl/xcpctl-mock"
EXAMPLE = build_directory() / "services/example/xcp-example"

ROOT = "/org/xen/xcp/example"
ONE = ROOT + "/counter/one"
COUNTER = "org.xen.xcp.example1.Counter"
LONG = "600000"  # ms of a step: longer than any test


class Terminal:
    """A terminal, 80 columns wide, for a program to write to: .program is its end."""

    def __init__(self, test):
        self.ours, self.program = pty.openpty()
        test.addCleanup(os.close, self.ours)
        test.addCleanup(os.close, self.program)
        self.text = ""

    def wait(self, pattern):
        """Waits until a regular expression matches what was written so far."""

        def look():
            while select.select([self.ours], [], [], 0)[0]:
                self.text += os.read(self.ours, 65536).decode()
            return re.search(pattern, self.text)

        return wait_until(look, lambda: f"{pattern!r} on the terminal: {self.text!r}", fds=(self.ours,))

    def settings(self):
        return subprocess.run(["stty", "-g"], stdin=self.program, capture_output=True, check=True).stdout


class XcpctlTest(TestCase):
    """A bus where xcpctl looks for domain 0's."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.rundir = self.root / "run"
        (self.rundir / "dom0").mkdir(parents=True)
        self.address = f"unix:path={self.rundir}/dom0/bus"
        self.env = {"XCP_RUNDIR": str(self.rundir), "TERM": "xterm", "TZ": "UTC", "NO_COLOR": ""}
        self.bus = Process(["dbus-daemon", "--session", "--nofork", "--print-address", f"--address={self.address}"])
        self.addCleanup(self.bus.kill)
        self.bus.wait_output("^unix:")  # it listens: the socket is there a moment before

    def xcpctl(self, *arguments, **options):
        return run(XCPCTL, *arguments, env=self.env, **options)

    def begin(self, *arguments, **options):
        process = Process([XCPCTL, *arguments], env=self.env, **options)
        self.addCleanup(process.kill)
        return process

    def json(self, *arguments):
        return json.loads(self.xcpctl("--json", *arguments).stdout)

    def refused(self, status, *arguments):
        """What it says when it fails, which begins each line with its name."""
        result = self.xcpctl(*arguments, check=status)
        self.assertEqual(result.stdout, "")
        for line in result.stderr.splitlines():
            self.assertTrue(line.startswith("xcpctl: "), line)
        self.assertNotIn("\033", result.stderr)
        return result.stderr


class ExampleTest(XcpctlTest):
    """The example service is on the bus, with a counter one."""

    def setUp(self):
        super().setUp()
        self.start()
        self.xcpctl("call", "example", ROOT, "org.xen.xcp.example1.Manager", "CreateCounter", "one")

    def start(self):
        reader, writer = os.pipe()
        argv = [EXAMPLE, "--bus-address", self.address, "--state-dir", self.root / "state", "--ready-fd", "0"]
        self.service = Process(argv, stdin=writer)
        self.addCleanup(self.service.kill)
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            if ready.read(1) != b"\n":
                self.fail(str(self.service.wait()))

    def count(self, *arguments):
        """The words of a command that counts."""
        return ("call", "example", ONE, COUNTER, "Count", *arguments)

    def begin_count(self):
        """A xcpctl that counts for longer than the test, and its terminal; it has begun to watch its task when this returns."""
        terminal = Terminal(self)
        counting = self.begin(*self.count("1", LONG), stderr=terminal.program)
        terminal.wait(r"Count one \[.*Running")
        [task] = self.tasks()
        return counting, terminal, task

    def tasks(self):
        return {task["task"]: task["State"] for task in self.json("task", "list")}


class Bus(ExampleTest):
    def test_services(self):
        [service] = self.json("services")
        self.assertEqual(service, {"name": "org.xen.xcp.example", "running": True, "pid": self.service.pid, "version": service["version"],
                                   "health": "Good", "domain": 0})
        self.assertRegex(self.xcpctl("services").stdout, r"\ASERVICE +STATE.*\nexample +running +\d+ .* Good +0\n\Z")
        self.assertNotIn("SERVICE", self.xcpctl("services", "--no-header").stdout)

    def test_a_service_that_does_not_answer_holds_nobody_up(self):
        self.service.signal(signal.SIGSTOP)
        self.assertEqual(self.json("services")[0]["health"], "no answer")
        self.service.signal(signal.SIGCONT)

    def test_tree(self):
        tree = self.json("tree", "example")
        self.assertEqual(tree[ONE], [COUNTER])
        self.assertEqual(set(tree[ROOT]), {"org.xen.xcp.Diagnostics1", "org.xen.xcp.example1.Manager"})
        self.assertEqual(self.json("tree"), tree)
        self.assertIn(f"{ONE}  {COUNTER}\n", self.xcpctl("tree").stdout)

    def test_show_and_get(self):
        self.assertEqual(self.json("show", "example/counter/one"), {COUNTER: {"Name": "one", "Value": 0}})
        self.assertEqual(self.json("show", ONE), {COUNTER: {"Name": "one", "Value": 0}})
        self.assertEqual(self.xcpctl("show", ONE).stdout, f"{COUNTER}\nName   one\nValue  0\n")
        self.assertEqual(self.xcpctl("get", "org.xen.xcp.example", ONE, COUNTER, "Name").stdout, "one\n")
        self.assertEqual(self.json("get", "example", ONE, COUNTER, "Value"), {"Value": 0})
        self.assertIn("UnknownObject", self.refused(1, "show", "example/counter/two"))
        self.assertIn("has no object", self.refused(1, "show", "example/counter"))
        self.assertIn("has no property 'Nothing'", self.refused(1, "get", "example", ONE, COUNTER, "Nothing"))

    def test_set_and_log_level(self):
        self.xcpctl("set", "example", ROOT, "org.xen.xcp.Diagnostics1", "LogLevel", "Debug")
        self.assertEqual(self.xcpctl("log-level", "example").stdout, "Debug\n")
        self.xcpctl("log-level", "example", "Warning")
        self.assertEqual(self.json("log-level", "example"), {"LogLevel": "Warning"})
        self.assertIn("none of Error, Warning, Info, Debug", self.refused(2, "log-level", "example", "Loud"))
        self.assertIn("org.xen.xcp.Error.InvalidArgument: ",
                      self.refused(1, "set", "example", ROOT, "org.xen.xcp.Diagnostics1", "LogLevel", "Loud"))
        self.assertIn("PropertyReadOnly", self.refused(1, "set", "example", ONE, COUNTER, "Value", "5"))

    def test_call(self):
        manager = ("call", "example", ROOT, "org.xen.xcp.example1.Manager")
        self.assertEqual(self.json(*manager, "CreateCounter", "two"), {"counter": ROOT + "/counter/two"})
        self.assertIn("org.xen.xcp.Error.AlreadyExists: ", self.refused(1, *manager, "CreateCounter", "two"))
        self.assertIn("CreateCounter takes 1 arguments, not 2: CreateCounter (s name)", self.refused(2, *manager, "CreateCounter", "a", "b"))
        self.assertIn("has no method 'Sing'", self.refused(1, *manager, "Sing"))
        self.assertIn("has no interface 'a.b'", self.refused(1, "call", "example", ROOT, "a.b", "Sing"))
        self.assertIn("'ten' is no value of type u", self.refused(2, *self.count("ten", "1")))
        self.assertIn("'-5' is no value of type u", self.refused(2, *self.count("-5", "1")))
        self.assertIn("InvalidArgument: ", self.refused(1, *manager, "CreateCounter", "x" * 10_000))

    def test_names_that_are_none(self):
        self.assertIn("is no bus name", self.refused(2, "tree", "a/b"))
        self.assertIn("is no object path", self.refused(2, "show", "example//x"))
        self.assertIn("is no object path", self.refused(2, "call", "example", "x", "a.b", "C"))
        self.assertIn("is no bus name", self.refused(2, "call", "e x", "/x", "a.b", "C"))
        self.assertIn("is below no service's", self.refused(2, "show", "/org/elsewhere"))

    def test_errors_as_json(self):
        result = self.xcpctl("--json", "call", "example", ROOT, "org.xen.xcp.example1.Manager", "CreateCounter", "one", check=1)
        error = json.loads(result.stderr)["error"]
        self.assertEqual(error["name"], "org.xen.xcp.Error.AlreadyExists")
        self.assertEqual(error["details"], {})

    def test_address_and_domain(self):
        elsewhere = self.root / "elsewhere"
        self.env["XCP_RUNDIR"] = str(elsewhere)
        said = self.refused(1, "services")
        self.assertIn(f"there is no bus at unix:path={elsewhere}/dom0/bus", said)
        self.assertIn("xcp-bus-run", said)
        self.assertEqual(len(self.json("services", "--address", self.address)), 1)
        (elsewhere / "dom7").mkdir(parents=True)
        (elsewhere / "dom7/bus").symlink_to(self.rundir / "dom0/bus")
        self.assertEqual(self.json("services", "--domain", "7")[0]["domain"], 7)

        # The only one there is, and not one of several.
        self.assertEqual(self.json("services")[0]["domain"], 7)
        (elsewhere / "dom8").mkdir()
        (elsewhere / "dom8/bus").symlink_to(self.rundir / "dom0/bus")
        self.assertIn(f"{elsewhere}/dom0/bus", self.refused(1, "services"))

    def test_a_broken_pipe_is_an_end_like_any_other(self):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            self.assertIn("standard output", self.begin("services", stdout=writer).wait().check(1).stderr)
        finally:
            os.close(writer)

    def test_completion_knows_services_and_tasks(self):
        def complete(*words):
            return [line.split("\t")[0] for line in self.xcpctl("--complete", *words).stdout.splitlines()]

        self.assertEqual(complete("tree", "ex"), ["example"])
        task = self.xcpctl("--no-wait", *self.count("1", LONG)).stdout.strip()
        self.assertEqual(complete("task", "cancel", ""), ["example/" + task.rpartition("/")[2]])
        self.assertEqual(complete("vm", "start", ""), [])
        self.assertEqual(complete("--address", "unix:path=/no/such/bus", "tree", ""), [])


class Tasks(ExampleTest):
    def test_a_result(self):
        self.assertEqual(self.xcpctl(*self.count("5", "1")).stdout, "value  5\n")
        self.assertEqual(self.json(*self.count("5", "1")), {"value": 10})
        self.assertEqual(self.tasks(), {})

    def test_a_failure_has_its_name(self):
        self.assertIn("xcpctl: org.xen.xcp.Error.InvalidArgument: steps", self.refused(1, *self.count("0", "1")))

    def test_interrupted_it_cancels(self):
        counting, terminal, _ = self.begin_count()
        counting.signal(signal.SIGINT)
        counting.wait().check(1)
        terminal.wait("xcpctl: cancelling, which takes 1 s at most; \\^C once more leaves")
        terminal.wait("xcpctl: org.xen.xcp.Error.Cancelled: ")
        terminal.wait("xcpctl:   operation: ")
        wait_until(lambda: self.tasks() == {}, "the task to go")
        self.assertEqual(self.json("get", "example", ONE, COUNTER, "Value"), {"Value": 0})

    def test_interrupted_twice_it_leaves(self):
        counting, terminal, task = self.begin_count()
        self.service.signal(signal.SIGSTOP)  # which cannot cancel now
        counting.signal(signal.SIGINT)
        terminal.wait("cancelling")
        counting.signal(signal.SIGINT)
        counting.wait().check(3)
        terminal.wait(f"the task {task} goes on")
        self.service.signal(signal.SIGCONT)

    def test_time_is_up(self):
        said = self.refused(3, *self.count("1", LONG), "--timeout", "200ms")
        self.assertIn("takes longer than 0.2 s, and goes on", said)
        self.assertEqual(list(self.tasks().values()), ["Running"])

    def test_not_waited_for(self):
        task = self.xcpctl("--no-wait", *self.count("1", LONG)).stdout.strip()
        number = task.rpartition("/")[2]
        self.assertEqual(self.tasks(), {task: "Running"})
        self.assertEqual(self.json("task", "show", f"example/{number}")["Description"], "Count one")
        self.assertRegex(self.xcpctl("task", "list").stdout, rf"example/{number} +Running +0 % .* Count one\n")
        self.assertIn("Error.Busy", self.refused(1, "task", "destroy", task))
        terminal = Terminal(self)
        waiting = self.begin("task", "wait", f"example/{number}", stderr=terminal.program)
        terminal.wait(r"Count one \[")
        self.xcpctl("task", "cancel", task)
        waiting.wait().check(1)
        terminal.wait("Error.Cancelled")
        self.assertIn("UnknownObject", self.refused(1, "task", "wait", task))
        self.assertEqual(self.json("--no-wait", *self.count("1", "1")).keys(), {"task"})

    def test_words_that_are_no_task(self):
        self.assertIn("write SERVICE/NUMBER", self.refused(2, "task", "show", "5"))
        self.assertIn("UnknownObject", self.refused(1, "task", "show", "example/77"))
        self.assertIn("ServiceUnknown", self.refused(1, "task", "wait", "nothing/1"))

    def test_the_service_dies_meanwhile(self):
        counting, terminal, _ = self.begin_count()
        self.service.kill()
        counting.wait().check(1)
        terminal.wait("org.xen.xcp.example has left the bus")

    def test_the_bus_goes_meanwhile(self):
        counting, terminal, _ = self.begin_count()
        self.bus.kill()
        counting.wait().check(1)
        terminal.wait("the bus has gone|has left the bus")

    def test_a_bar_on_a_terminal(self):
        terminal = Terminal(self)
        self.xcpctl(*self.count("20", "50"), stderr=terminal.program)
        terminal.wait(r"\r\033\[KCount one \[#+ *\] +\d+ %  Running")
        terminal.wait(r"\r\033\[K\Z")

    def test_no_bar_elsewhere(self):
        self.assertEqual(self.xcpctl(*self.count("20", "50")).stderr, "")


class Watching(ExampleTest):
    def test_monitor(self):
        with self.begin("monitor") as monitor:
            monitor.wait_output("Watching all services", stream="stderr")
            self.xcpctl(*self.count("2", "1"))
            monitor.wait_output(r"^\d\d:\d\d:\d\d\.\d{3}  example  counter/one  Value=2$")
            monitor.wait_output(r"^[\d:.]+  example  task/1  .*State=Running")
            monitor.wait_output(r"^[\d:.]+  example  .*  added /org/xen/xcp/example/task/1 Task1$")
            monitor.wait_output(r"^[\d:.]+  example  task/1  Finished state=Succeeded result=\(value=2\)")
            self.service.kill()
            monitor.wait_output("example .* has left the bus, where it was :")
            monitor.signal(signal.SIGINT)
            monitor.wait().check()

    def test_monitor_of_an_object_in_json(self):
        with self.begin("monitor", "--json", ONE) as monitor:
            wait_until(lambda: self.count_once() and "\n" in monitor.stdout, "a line of the monitor")
            events = [json.loads(line) for line in monitor.stdout.splitlines()]
            self.assertEqual({event["path"] for event in events}, {ONE})
            self.assertEqual(events[0]["service"], "org.xen.xcp.example")
            self.assertEqual(events[0]["signal"], "PropertiesChanged")
            self.assertEqual(events[0]["arguments"]["interface"], COUNTER)
            self.bus.kill()
            self.assertIn("the bus has gone", monitor.wait().check(1).stderr)

    def count_once(self):
        return self.xcpctl(*self.count("1", "1"))

    def test_diagnose(self):
        self.xcpctl(*self.count("3", "1"))
        said = self.json("diagnose")["org.xen.xcp.example"]
        self.assertEqual((said["Health"], said["counters"]["steps"]), ("Good", 3))
        shown = self.xcpctl("diagnose", "example").stdout
        self.assertRegex(shown, r"(?m)^Health +Good$")
        self.assertRegex(shown, r"(?m)^steps +3$")
        self.assertIn("ServiceUnknown", self.refused(1, "diagnose", "nothing"))

    def test_a_dump(self):
        directory, archive = self.root / "dump", self.root / "dump.tar.gz"
        self.xcpctl("diagnose", "--dump", directory)
        self.assertEqual(sorted(file.name for file in directory.iterdir()), ["example.dump", "example.json"])
        self.assertEqual(directory.stat().st_mode & 0o777, 0o700)
        self.assertIn("==== ", (directory / "example.dump").read_text())
        self.assertIn(ONE, json.loads((directory / "example.json").read_text())["objects"])
        self.assertIn("File exists", self.refused(1, "diagnose", "--dump", str(directory)))
        self.xcpctl("diagnose", "--dump", archive)
        with tarfile.open(archive) as tar:
            self.assertEqual(sorted(os.path.basename(name) for name in tar.getnames() if name != "."), ["example.dump", "example.json"])

    def test_a_dump_of_what_cannot_be_written_and_of_who_does_not_answer(self):
        self.assertIn("/no/such/place", self.refused(1, "diagnose", "--dump", "/no/such/place"))
        self.assertIn("tar: ", self.refused(1, "diagnose", "--dump", "/no/such/place.tar.gz"))
        directory = self.root / "dump"
        self.assertIn("ServiceUnknown", self.refused(1, "diagnose", "nothing", "--dump", str(directory)))
        self.assertIn("ServiceUnknown", (directory / "nothing.error").read_text())


WEB, DB, TWIN = "0a000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000002", "0b000000-0000-4000-8000-000000000003"
LOCAL, DISK, OTHER = "1a000000-0000-4000-8000-000000000001", "2a000000-0000-4000-8000-000000000001", "2b000000-0000-4000-8000-000000000002"
XENOPSD, STORAGE = "/org/xen/xcp/xenopsd", "/org/xen/xcp/storage"
MANAGER, VM = "org.xen.xcp.xenopsd1.Manager", "org.xen.xcp.xenopsd1.VM"
VM_DISK, VM_NIC = "org.xen.xcp.xenopsd1.Disk", "org.xen.xcp.xenopsd1.NetworkInterface"
SMANAGER, SR, VDI = "org.xen.xcp.storage1.Manager", "org.xen.xcp.storage1.SR", "org.xen.xcp.storage1.VDI"
TASK = "org.xen.xcp.Task1"


def path(root, kind, uuid):
    return f"{root}/{kind}/{uuid.replace('-', '_')}"


WEB_PATH, DISK_PATH, LOCAL_PATH = path(XENOPSD, "vm", WEB), path(STORAGE, "vdi", DISK), path(STORAGE, "sr", LOCAL)
DISK0, NET0 = WEB_PATH + "/disk/disk0", WEB_PATH + "/network/net0"

# Words after xcpctl, and the call that they make: path, interface, method and arguments in GVariant's text format.
XENOPSD_CALLS = [
    ("vm list", XENOPSD, MANAGER, "ListVms", "()"),
    ("vm backends", XENOPSD, MANAGER, "ListBackends", "()"),
    ("vm host", XENOPSD, MANAGER, "GetHostInfo", "()"),
    ("vm create new", XENOPSD, MANAGER, "Create", "({'name': <'new'>},)"),
    ("vm create new --vcpus 2", XENOPSD, MANAGER, "Create", "({'name': <'new'>, 'vcpus': <uint32 2>},)"),
    ("vm log web", WEB_PATH, VM, "GetConsoleLog", "('serial0', uint32 1048576)"),
    ("vm start web", WEB_PATH, VM, "Start", "(false,)"),
    ("vm start web --paused", WEB_PATH, VM, "Start", "(true,)"),
    ("vm stop web", WEB_PATH, VM, "Stop", "(uint32 60000,)"),
    ("vm stop web --grace 1.5s", WEB_PATH, VM, "Stop", "(uint32 1500,)"),
    ("vm kill web", WEB_PATH, VM, "Kill", "()"),
    ("vm reboot web --grace 5", WEB_PATH, VM, "Reboot", "(uint32 5000,)"),
    ("vm reset web", WEB_PATH, VM, "Reset", "()"),
    ("vm suspend web", WEB_PATH, VM, "Suspend", "()"),
    ("vm resume web", WEB_PATH, VM, "Resume", "()"),
    ("vm save web root", WEB_PATH, VM, "Save", f"(objectpath '{DISK_PATH}',)"),
    ("vm restore web --paused", WEB_PATH, VM, "Restore", "(true,)"),
    ("vm migrate web org.xen.xcp.other --compress", WEB_PATH, VM, "Migrate", "('org.xen.xcp.other', {'compress': <true>})"),
    ("vm snapshot create web now", WEB_PATH, VM, "Snapshot", "('now', @a{sv} {})"),
    ("vm snapshot create web now --sr local", WEB_PATH, VM, "Snapshot", f"('now', {{'sr': <objectpath '{LOCAL_PATH}'>}})"),
    ("vm snapshot revert web now", WEB_PATH, VM, "Revert", "('now',)"),
    ("vm snapshot delete web now", WEB_PATH, VM, "DeleteSnapshot", "('now',)"),
    ("vm prepare web", WEB_PATH, VM, "Prepare", "()"),
    ("vm destroy web", WEB_PATH, VM, "Destroy", "()"),
    ("vm power-button web", WEB_PATH, VM, "PowerButton", "()"),
    ("vm state web", WEB_PATH, VM, "QueryState", "()"),
    ("vm spec web", WEB_PATH, VM, "GetSpec", "()"),
    ("vm statistics web", WEB_PATH, VM, "GetStatistics", "()"),
    ("vm set-memory web 1GiB", WEB_PATH, VM, "SetMemory", "(uint64 1073741824,)"),
    ("vm set-vcpus web 4", WEB_PATH, VM, "SetVcpus", "(uint32 4,)"),
    ("vm rename web web2", WEB_PATH, VM, "Name", "= 'web2'"),
    ("vm set web Autostart true", WEB_PATH, VM, "Autostart", "= true"),
    ("vm set web OnCrash Preserve", WEB_PATH, VM, "OnCrash", "= 'Preserve'"),
    ("vm disk add web root --mode ReadOnly", WEB_PATH, VM, "AddDisk", f"({{'vdi': <objectpath '{DISK_PATH}'>, 'mode': <'ReadOnly'>}},)"),
    ("vm disk add web --kind CdRom", WEB_PATH, VM, "AddDisk", "({'kind': <'CdRom'>},)"),
    ("vm disk remove web disk0", DISK0, VM_DISK, "Remove", "()"),
    ("vm disk plug web disk0", DISK0, VM_DISK, "Plug", "()"),
    ("vm disk unplug web disk0 --force", DISK0, VM_DISK, "Unplug", "(true,)"),
    ("vm disk insert web disk0 root", DISK0, VM_DISK, "Insert", f"(objectpath '{DISK_PATH}',)"),
    ("vm disk eject web disk0", DISK0, VM_DISK, "Eject", "()"),
    ("vm disk refresh web disk0", DISK0, VM_DISK, "Refresh", "()"),
    ("vm disk statistics web disk0", DISK0, VM_DISK, "GetStatistics", "()"),
    ("vm nic add web xenbr0 --no-carrier", WEB_PATH, VM, "AddNetworkInterface", "({'network': <'xenbr0'>, 'carrier': <false>},)"),
    ("vm nic remove web net0", NET0, VM_NIC, "Remove", "()"),
    ("vm nic plug web net0", NET0, VM_NIC, "Plug", "()"),
    ("vm nic unplug web net0", NET0, VM_NIC, "Unplug", "(false,)"),
    ("vm nic move web net0 xenbr1", NET0, VM_NIC, "Move", "('xenbr1',)"),
    ("vm nic statistics web net0", NET0, VM_NIC, "GetStatistics", "()"),
]

STORAGE_CALLS = [
    ("sr list", STORAGE, SMANAGER, "ListSRs", "()"),
    ("sr drivers", STORAGE, SMANAGER, "ListDrivers", "()"),
    ("sr create new directory --config path=/srv", STORAGE, SMANAGER, "CreateSR",
     "({'name': <'new'>, 'driver': <'directory'>, 'config': <{'path': '/srv'}>},)"),
    ("sr introduce old file", STORAGE, SMANAGER, "IntroduceSR", "({'name': <'old'>, 'driver': <'file'>},)"),
    ("sr attach local", LOCAL_PATH, SR, "Attach", "()"),
    ("sr detach local", LOCAL_PATH, SR, "Detach", "()"),
    ("sr scan local", LOCAL_PATH, SR, "Scan", "()"),
    ("sr space local", LOCAL_PATH, SR, "GetSpace", "()"),
    ("sr forget local", LOCAL_PATH, SR, "Forget", "()"),
    ("sr destroy local", LOCAL_PATH, SR, "Destroy", "()"),
    ("sr set local Description text", LOCAL_PATH, SR, "Description", "= 'text'"),
    ("vdi list", LOCAL_PATH, SR, "ListVDIs", "()"),
    ("vdi create local new 10GiB", LOCAL_PATH, SR, "CreateVDI", "({'name': <'new'>, 'size': <uint64 10737418240>},)"),
    ("vdi create local new 1M --sharable", LOCAL_PATH, SR, "CreateVDI",
     "({'name': <'new'>, 'size': <uint64 1048576>, 'sharable': <true>},)"),
    ("vdi clone root copy", DISK_PATH, VDI, "Clone", "('copy',)"),
    ("vdi snapshot root then", DISK_PATH, VDI, "Snapshot", "('then',)"),
    ("vdi copy root local copy", DISK_PATH, VDI, "Copy", f"(objectpath '{LOCAL_PATH}', {{'name': <'copy'>}})"),
    ("vdi resize root 20GiB", DISK_PATH, VDI, "Resize", "(uint64 21474836480,)"),
    ("vdi destroy root", DISK_PATH, VDI, "Destroy", "()"),
    ("vdi stats root me", DISK_PATH, VDI, "GetStatistics", "('me',)"),
    ("vdi usage root", DISK_PATH, VDI, "GetUsage", "()"),
    ("vdi attach root me Nbd File", DISK_PATH, VDI, "Attach", "('me', 'ReadOnly', ['Nbd', 'File'])"),
    ("vdi attach root me Nbd --mode ReadWrite", DISK_PATH, VDI, "Attach", "('me', 'ReadWrite', ['Nbd'])"),
    ("vdi activate root me", DISK_PATH, VDI, "Activate", "('me',)"),
    ("vdi deactivate root me", DISK_PATH, VDI, "Deactivate", "('me',)"),
    ("vdi detach root me", DISK_PATH, VDI, "Detach", "('me',)"),
    ("vdi set root ReadOnly true", DISK_PATH, VDI, "ReadOnly", "= true"),
    ("vdi set root IopsLimit 500", DISK_PATH, VDI, "IopsLimit", "= uint64 500"),
    ("vdi set root Labels {'a':'b'}", DISK_PATH, VDI, "Labels", "= {'a': 'b'}"),
]


class Script:
    """What a made-up service says."""

    def __init__(self, root):
        self.root = root
        self.lines = []
        self.n_tasks = 0

    def add(self, *fields):
        self.lines.append("\t".join(fields))

    def property(self, *fields):
        self.add("property", *fields)

    def reply(self, *fields):
        self.add("reply", *fields)

    def task(self, state="Succeeded", result="@a{sv} {}", error="('', '', @a{sv} {})"):
        """Adds a task at its end. Returns the reply of a method that began it."""
        self.n_tasks += 1
        task = f"{self.root}/task/{self.n_tasks}"
        for name, value in (("State", f"'{state}'"), ("Result", result), ("Error", error), ("Description", "'Something'"), ("Progress", "1.0"),
                            ("CreatedUs", "uint64 1795239207470173"), ("CancelWithinMs", "uint32 1000")):
            self.property(task, TASK, name, value)
        return f"(objectpath '{task}',)"


class MockTest(XcpctlTest):
    """A VM manager with the VMs web, db and twin, of which web has a disk and a network interface, and a storage service."""

    def setUp(self):
        super().setUp()
        self.xenopsd, self.storage = Script(XENOPSD), Script(STORAGE)
        self.services = {}

    def start(self):
        """Starts the services, with what a test has added in front of what all of them have."""
        self.add_xenopsd()
        self.add_storage()
        for name, script in (("xenopsd", self.xenopsd), ("storage", self.storage)):
            file = self.root / name
            file.write_text("\n".join(script.lines) + "\n")
            documents = [*SOURCE.glob(f"idl/org.xen.xcp.{name}1.*.xml"), SOURCE / "idl/org.xen.xcp.Task1.xml"]
            self.services[name] = Process([MOCK, self.address, f"org.xen.xcp.{name}", file, *documents])
            self.addCleanup(self.services[name].kill)
            self.services[name].wait_output("ready")

    def add_xenopsd(self):
        script, vms = self.xenopsd, ((WEB, "web", "Running"), (DB, "db", "Halted"), (TWIN, "twin", "Halted"))
        rows = ", ".join(f"(objectpath '{path(XENOPSD, 'vm', uuid)}', '{uuid}', '{name}', '{state}', 'noop')" for uuid, name, state in vms)
        script.reply(XENOPSD, MANAGER, "ListVms", f"([{rows}],)")
        script.reply(XENOPSD, MANAGER, "LookupByUuid", f"(objectpath '{WEB_PATH}',)")
        script.reply(XENOPSD, MANAGER, "Create", f"(objectpath '{path(XENOPSD, 'vm', DB)}',)")
        script.reply(XENOPSD, MANAGER, "GetHostInfo", "({'memory': <uint64 8589934592>, 'memory_free': <uint64 1610612736>, 'cpus': <uint32 4>},)")
        script.reply(XENOPSD, MANAGER, "ListBackends", "([{'name': <'noop'>, 'available': <true>, 'features': <['save']>}],)")
        script.property(WEB_PATH, VM, "Uuid", f"'{WEB}'")
        script.property(WEB_PATH, VM, "Name", "'web'")
        script.property(WEB_PATH, VM, "State", "'Running'")
        script.property(WEB_PATH, VM, "Memory", "uint64 1610612736")
        script.property(WEB_PATH, VM, "Consoles", "[('vnc0', 'Vnc'), ('serial0', 'Serial')]")
        script.property(WEB_PATH, VM, "Addresses", "[('10.0.0.5', '00:16:3e:00:00:01', 'Lease')]")
        script.reply(WEB_PATH, VM, "OpenConsole", "(handle 0,)")
        script.reply(WEB_PATH, VM, "GetConsoleLog", f"([byte {', '.join(map(str, b'what it said' + bytes([10])))}],)")
        script.reply(WEB_PATH, VM, "QueryState", "('Running', 'Requested')")
        script.reply(WEB_PATH, VM, "GetSpec", "({'name': <'web'>, 'memory': <uint64 1073741824>},)")
        script.reply(WEB_PATH, VM, "GetStatistics", "({'uptime_us': <uint64 302000000>, 'memory': <uint64 1024>},)")
        for place, interface, name, root in ((DISK0, VM_DISK, "disk0", DISK_PATH), (NET0, VM_NIC, "net0", None)):
            script.property(place, interface, "Name", f"'{name}'")
            script.property(place, interface, "VM", f"objectpath '{WEB_PATH}'")
            if root:
                script.property(place, interface, "VDI", f"objectpath '{root}'")
            else:
                script.property(place, interface, "Network", "'xenbr0'")
            script.reply(place, interface, "GetStatistics", "({'errors': <uint64 0>},)")
        self.add_tasks(script, XENOPSD_CALLS)

    def add_storage(self):
        script = self.storage
        script.reply(STORAGE, SMANAGER, "ListSRs", f"([(objectpath '{LOCAL_PATH}', '{LOCAL}', 'local', 'directory', 'Attached')],)")
        script.reply(STORAGE, SMANAGER, "ListDrivers", "([('directory', 'Files in a directory.', ['clone'], {'path': 'Where.'})],)")
        script.reply(LOCAL_PATH, SR, "ListVDIs", f"([(objectpath '{DISK_PATH}', '{DISK}', 'root', uint64 10737418240), "
                     f"(objectpath '{path(STORAGE, 'vdi', OTHER)}', '{OTHER}', 'twin', uint64 512)],)")
        script.reply(LOCAL_PATH, SR, "GetSpace", "({'total': <uint64 1099511627776>, 'free': <uint64 512>},)")
        script.property(LOCAL_PATH, SR, "Name", "'local'")
        script.property(DISK_PATH, VDI, "Name", "'root'")
        script.property(DISK_PATH, VDI, "Size", "uint64 10737418240")
        script.reply(DISK_PATH, VDI, "GetUsage", "({'allocated': <uint64 1048576>},)")
        script.reply(DISK_PATH, VDI, "GetStatistics", "({'reads': <uint64 7>, 'read_bytes': <uint64 28672>},)")
        script.reply(LOCAL_PATH, SR, "ImportVDI", script.task(result=f"{{'vdi': <objectpath '{DISK_PATH}'>}}"))
        script.reply(DISK_PATH, VDI, "Export", script.task())
        self.add_tasks(script, STORAGE_CALLS)

    def add_tasks(self, script, calls):
        """Methods that nothing has been said about return a task that has succeeded."""
        said = {tuple(line.split("\t")[1:4]) for line in script.lines}
        for _, *place, arguments in calls:
            if tuple(place) not in said and not arguments.startswith("=") and place[2] != "PowerButton":
                said.add(tuple(place))
                script.reply(*place, script.task())

    def called(self, service, *parts):
        """Waits until the last call that a service saw has all these parts."""

        def last():
            return self.services[service].stdout.splitlines()[-1]

        wait_until(lambda: all(part in last() for part in parts), lambda: f"a call with {parts}; the last is {last()}")


class Commands(MockTest):
    def test_every_command_makes_its_call(self):
        self.start()
        for service, calls in (("xenopsd", XENOPSD_CALLS), ("storage", STORAGE_CALLS)):
            for words, *call in calls:
                with self.subTest(words):
                    self.xcpctl(*words.split())
                    self.called(service, " ".join(call))

    def test_there_is_no_command_that_is_not_tested(self):
        tested = {words for words, *_ in (*XENOPSD_CALLS, *STORAGE_CALLS)}
        # vm ssh: test-xcpctl-up.py
        own_tests = {"vm show", "vm console", "vm ssh", "vm disk list", "vm nic list", "vm snapshot list", "sr show", "vdi show", "vdi import", "vdi export"}
        for command in self.json("help"):
            name = command["command"]
            if name.split()[0] in ("vm", "sr", "vdi") and name not in own_tests:
                self.assertTrue(any(words == name or words.startswith(name + " ") for words in tested), name)

    def test_a_whole_vm(self):
        self.start()
        self.xcpctl("vm", "create", "new", "--memory", "1GiB", "--vcpus", "2", "--kind", "Pvh", "--disk", "root,mode=ReadOnly", "--disk", "path=/x",
                    "--nic", "xenbr0,mac=00:16:3e:00:00:01", "--label", "owner=ann", "--backend-option", "a=b", "--autostart")
        self.called("xenopsd", "'memory': <uint64 1073741824>", "'vcpus': <uint32 2>", "'kind': <'Pvh'>", "'autostart': <true>",
                    "'labels': <{'owner': 'ann'}>", "'backend_options': <{'a': 'b'}>", f"'vdi': <objectpath '{DISK_PATH}'>", "'mode': <'ReadOnly'>",
                    "'path': <'/x'>", "'network': <'xenbr0'>", "'mac': <'00:16:3e:00:00:01'>")

    def test_lists(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "list").stdout.splitlines()[:2],
                         ["NAME  UUID                                  STATE    BACKEND", f"web   {WEB}  Running  noop"])
        self.assertEqual(self.json("vm", "list")[0], {"vm": WEB_PATH, "uuid": WEB, "name": "web", "state": "Running", "backend": "noop"})
        self.assertEqual(self.json("sr", "list"), [{"sr": LOCAL_PATH, "uuid": LOCAL, "name": "local", "driver": "directory", "state": "Attached"}])
        self.assertEqual(self.json("vdi", "list", "local")[0],
                         {"vdi": DISK_PATH, "uuid": DISK, "name": "root", "size": 10737418240, "sr": LOCAL_PATH})
        self.assertIn(f"local  root  {DISK}  10 GiB\n", self.xcpctl("vdi", "list").stdout)
        self.assertEqual(self.json("vm", "backends"), [{"name": "noop", "available": True, "features": ["save"]}])
        self.assertIn("directory  Files in a directory.  clone     path\n", self.xcpctl("sr", "drivers").stdout)
        self.assertEqual(self.json("vm", "disk", "list", "web"), [{"Name": "disk0", "VM": WEB_PATH, "VDI": DISK_PATH}])
        self.assertRegex(self.xcpctl("vm", "nic", "list", "web").stdout, r"net0 +xenbr0 ")
        self.assertEqual(self.json("vm", "disk", "list", "db"), [])

    def test_figures_have_units(self):
        self.start()
        self.assertEqual(self.xcpctl("sr", "space", "local").stdout, "total  1 TiB\nfree   512 B\n")
        self.assertEqual(self.json("sr", "space", "local"), {"total": 1099511627776, "free": 512})
        self.assertIn("memory_free  1.5 GiB\n", self.xcpctl("vm", "host").stdout)
        self.assertIn("uptime_us  5 min 2 s\n", self.xcpctl("vm", "statistics", "web").stdout)
        self.assertEqual(self.xcpctl("vm", "state", "web").stdout, "state   Running\nreason  Requested\n")

    def test_show(self):
        self.start()
        shown = self.xcpctl("vm", "show", "web").stdout
        for line in ("Name               web", "Memory             1.5 GiB", "Addresses          (10.0.0.5 00:16:3e:00:00:01 Lease)"):
            self.assertIn(line + "\n", shown)
        self.assertIn(f"Disk               disk0 vdi/{DISK.replace('-', '_')}", shown)
        said = self.json("vm", "show", "web")
        self.assertEqual(said["Addresses"], [{"address": "10.0.0.5", "mac": "00:16:3e:00:00:01", "source": "Lease"}])
        self.assertEqual([disk["Name"] for disk in said["disks"]], ["disk0"])
        self.assertEqual([nic["Network"] for nic in said["network_interfaces"]], ["xenbr0"])
        self.assertEqual(self.json("show", "vm/web")[VM]["Memory"], 1610612736)
        self.assertEqual(self.json("vdi", "show", "root")["Size"], 10737418240)
        self.assertEqual(self.json("sr", "show", "local"), {"Name": "local"})

    def test_names_uuids_and_their_beginnings(self):
        self.start()
        for word in ("web", WEB, WEB_PATH, "0a000000-0000-4000-8000-000000000001"):
            self.xcpctl("vm", "kill", word)
            self.called("xenopsd", WEB_PATH)
        self.xcpctl("vdi", "usage", "2a00")
        self.called("storage", DISK_PATH)
        self.assertIn(f"'0a00' is ambiguous, it could be each of the VMs {WEB} (web), {DB} (db)", self.refused(1, "vm", "kill", "0a00"))
        self.assertIn("there is no VM 'nothing'", self.refused(1, "vm", "kill", "nothing"))
        self.assertIn("there is no disk 'disk7'", self.refused(1, "vm", "disk", "plug", "web", "disk7"))
        self.assertIn("there is no VDI 'web'", self.refused(1, "vm", "create", "x", "--disk", "web"))
        self.assertLess(len(self.refused(1, "vm", "kill", "x" * 10_000)), 200)

    def test_what_was_made_is_printed_by_its_uuid(self):
        self.storage.reply(LOCAL_PATH, SR, "CreateVDI", self.storage.task(result=f"{{'vdi': <objectpath '{DISK_PATH}'>}}"))
        self.start()
        self.assertEqual(self.xcpctl("vdi", "create", "local", "x", "1M").stdout, DISK + "\n")
        self.assertEqual(self.json("vdi", "create", "local", "x", "1M"), {"vdi": DISK_PATH})
        self.assertEqual(self.xcpctl("vm", "create", "x").stdout, DB + "\n")
        self.assertEqual(self.json("vm", "start", "web"), {})

    def test_a_task_that_failed_shows_its_details(self):
        error = ("('org.xen.xcp.Error.NotEnoughSpace', '2048 bytes of disk space are needed, and 1024 are free', "
                 "{'needed': <uint64 2048>, 'free': <uint64 1024>})")
        self.storage.reply(LOCAL_PATH, SR, "CreateVDI", self.storage.task("Failed", error=error))
        self.start()
        said = self.refused(1, "vdi", "create", "local", "x", "1M")
        self.assertIn("xcpctl: org.xen.xcp.Error.NotEnoughSpace: 2048 bytes of disk space are needed", said)
        self.assertIn("xcpctl:   needed: 2 KiB\n", said)
        result = self.xcpctl("--json", "vdi", "create", "local", "x", "1M", check=1)
        self.assertEqual(json.loads(result.stderr)["error"]["details"], {"needed": 2048, "free": 1024})

    def test_import_and_export(self):
        self.start()
        disk, new = self.root / "disk", self.root / "new"
        disk.write_bytes(b"x" * 1000)
        self.assertEqual(self.xcpctl("vdi", "import", "local", "name", disk).stdout, DISK + "\n")
        self.services["storage"].wait_output("descriptor: read 1000 bytes")
        self.services["storage"].wait_output(re.escape("({'name': <'name'>}, handle 0, 'Raw')"))
        self.xcpctl("vdi", "import", "local", "name", "-", "--from", "Raw", input=b"y" * 70_000)
        self.services["storage"].wait_output("descriptor: read 70000 bytes")
        self.xcpctl("vdi", "export", "root", new)
        self.assertEqual(new.read_text(), "disk")
        self.assertIn("File exists", self.refused(1, "vdi", "export", "root", str(new)))
        self.xcpctl("vdi", "export", "root", new, "--force")
        self.assertEqual(self.xcpctl("--json", "vdi", "export", "root", "-").stdout, "disk")
        self.assertIn("No such file", self.refused(1, "vdi", "import", "local", "name", "/no/such/file"))
        self.assertEqual(self.json("call", "storage", LOCAL_PATH, SR, "ImportVDI", "{'name': <'n'>}", f"@{disk}", "Raw"), {"vdi": DISK_PATH})

    def test_an_export_that_fails_leaves_nothing(self):
        self.storage.add("error", DISK_PATH, VDI, "Export", "org.xen.xcp.Error.Busy", "The VDI is in use")
        self.start()
        self.assertIn("Error.Busy: The VDI is in use", self.refused(1, "vdi", "export", "root", str(self.root / "new")))
        self.assertFalse((self.root / "new").exists())

    def test_properties_that_cannot_be_set(self):
        self.start()
        self.assertIn("'State' is no property that can be set", self.refused(2, "vm", "set", "web", "State", "Halted"))
        self.assertIn("OnCrash: there is no 'Explode'", self.refused(2, "vm", "set", "web", "OnCrash", "Explode"))
        self.assertIn("See xcpctl vm set --help", self.refused(2, "vm", "set", "web", "Sing", "x"))

    def test_completion_knows_names(self):
        self.start()

        def complete(*words):
            return {line.split("\t")[0] for line in self.xcpctl("--complete", *words).stdout.splitlines()}

        self.assertEqual(complete("vm", "start", ""), {"web", "db", "twin"})
        self.assertEqual(complete("vm", "start", "0a"), {WEB, DB})
        self.assertEqual(complete("vm", "disk", "remove", "web", ""), {"disk0"})
        self.assertEqual(complete("vm", "nic", "remove", "web", ""), {"net0"})
        self.assertEqual(complete("vdi", "copy", "root", ""), {"local"})
        self.assertEqual(complete("vm", "save", "web", "r"), {"root"})


class Console(MockTest):
    def test_on_pipes(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "console", "web", input="hello\nbye\n").stdout, "login: hello\nbye\n")
        self.called("xenopsd", "OpenConsole ('serial0', false)")

    def test_to_look_only(self):
        self.start()
        with self.begin("vm", "console", "web", "vnc0", "--read-only") as console:
            console.write("nobody hears this\n")
            console.wait_output("login: ")
            console.signal(signal.SIGTERM)
            console.wait().check()
        self.called("xenopsd", "OpenConsole ('vnc0', true)")

    def test_its_log(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "console", "web", "--log").stdout, "what it said\n")

    def test_on_a_terminal(self):
        self.start()
        terminal = Terminal(self)
        before = terminal.settings()
        console = self.begin("vm", "console", "web", stdin=terminal.program)
        console.wait_output("login: ")
        self.assertNotEqual(terminal.settings(), before)
        os.write(terminal.ours, b"\x03typed\r")
        console.wait_output("login: \x03typed\r")
        os.write(terminal.ours, b"\x1dnot this")
        console.wait().check()
        self.assertNotIn("not this", console.stdout)
        self.assertEqual(terminal.settings(), before)

    def test_killed_it_puts_the_terminal_right(self):
        self.start()
        terminal = Terminal(self)
        before = terminal.settings()
        console = self.begin("vm", "console", "web", stdin=terminal.program)
        console.wait_output("login: ")
        console.signal(signal.SIGTERM)
        console.wait().check()
        self.assertEqual(terminal.settings(), before)


class Hostile(MockTest):
    """Services and guests that mean no good to who looks at them."""

    EVIL = "\\u001b]0;owned\\u0007\\n\\u009b31m\\u202egnp.exe"

    def test_what_is_shown_cannot_do_anything_to_a_terminal(self):
        self.xenopsd.property(WEB_PATH, VM, "Description", f"'{self.EVIL}'")
        self.xenopsd.add("error", WEB_PATH, VM, "Kill", "org.xen.xcp.Error.Internal", "\033]0;owned\007 and more")
        self.xenopsd.reply(WEB_PATH, VM, "Reset", self.xenopsd.task("Failed", error=f"('a.b', '{self.EVIL}', {{'{self.EVIL}': <'{self.EVIL}'>}})"))
        self.start()
        for words in (("vm", "show", "web"), ("show", "vm/web"), ("--json", "vm", "show", "web"),
                      ("get", "xenopsd", WEB_PATH, VM, "Description")):
            with self.subTest(words):
                shown = self.xcpctl(*words).stdout
                self.assertIn("owned", shown)
                self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertNotIn("\u202e", self.xcpctl("vm", "show", "web").stdout)
        self.assertEqual(self.json("vm", "show", "web")["Description"], "\033]0;owned\007\n\x9b31m\u202egnp.exe")
        for words in (("vm", "kill", "web"), ("vm", "reset", "web")):
            said = self.refused(1, *words)
            self.assertIn("owned", said)
            self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

    def test_names_that_a_shell_would_run_are_not_completed(self):
        rows = ", ".join(f"(objectpath '/v{i}', '', '{name}', 'Halted', 'noop')" for i, name in enumerate(("$(touch x)", "a b", "`x`", "ok", "a\\tb")))
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", f"([{rows}],)")
        self.start()
        self.assertEqual(self.xcpctl("--complete", "vm", "start", "").stdout, "ok\t\n")

    def test_answers_of_another_shape_are_errors(self):
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", "(['a'],)")
        self.storage.reply(LOCAL_PATH, SR, "ListVDIs", "('nothing',)")
        self.xenopsd.reply(WEB_PATH, VM, "OpenConsole", "('no descriptor',)")
        self.start()
        for words in (("vm", "kill", "web"), ("vdi", "list"), ("vdi", "usage", "root"), ("vm", "console", WEB_PATH, "serial0")):
            with self.subTest(words):
                result = self.xcpctl(*words, check=1)
                self.assertNotIn("CRITICAL", result.stderr)
                self.assertRegex(result.stderr, r"\Axcpctl: .+\n\Z")
        self.assertEqual(self.xcpctl("vm", "list").stdout, "a\n")

    def test_a_name_of_10_kb(self):
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", f"([(objectpath '/v', '{WEB}', '{'x' * 10_000}', 'Halted', 'noop')],)")
        self.start()
        self.assertIn("x" * 10_000, self.xcpctl("vm", "list").stdout)
        terminal = Terminal(self)
        self.xcpctl("vm", "list", stdout=terminal.program)
        terminal.wait("noop")
        lines = terminal.text.splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertLessEqual(len(re.sub("\033\\[[0-9]*m", "", line)), 80)
        self.assertIn("…", lines[1])

    def test_colours_are_for_terminals_that_have_them(self):
        self.start()

        def shown():
            terminal = Terminal(self)
            self.xcpctl("vm", "list", stdout=terminal.program)
            terminal.wait("twin")
            return terminal.text

        self.assertIn("\033[1m", shown())
        self.env["NO_COLOR"] = "1"
        self.assertNotIn("\033", shown())
        self.assertNotIn("\033", self.xcpctl("vm", "list").stdout)


class Real(XcpctlTest):
    """The services there are: directories of disks, and VMs on the backend noop."""

    def setUp(self):
        super().setUp()
        for name in ("storage", "xenopsd"):
            reader, writer = os.pipe()
            argv = [build_directory() / f"services/{name}/xcp-{name}", "--bus-address", self.address, "--state-dir", self.root / name]
            service = Process([*argv, "--ready-fd", "0"], stdin=writer)
            self.addCleanup(service.kill)
            os.close(writer)
            with os.fdopen(reader, "rb") as ready:
                if ready.read(1) != b"\n":
                    self.fail(str(service.wait()))
        self.xcpctl("sr", "create", "local", "directory", "--config", f"path={self.root}/disks")

    def word(self, *arguments):
        """The one word that it prints."""
        return self.xcpctl(*arguments).stdout.strip()

    def state(self, vm):
        return self.json("vm", "show", vm)["State"]

    def test_the_life_of_disks(self):
        root = self.word("vdi", "create", "local", "root", "1M", "--label", "for=web")
        self.assertEqual(self.json("vdi", "show", "root")["Labels"], {"for": "web"})
        self.assertEqual({disk["uuid"] for disk in self.json("vdi", "list", "local")}, {root})
        data = os.urandom(1_000_000)
        image = self.xcpctl("vdi", "import", "local", "image", "-", "--size", "2M", input=data).stdout.strip()
        self.xcpctl("vdi", "export", image[:8], self.root / "image")
        exported = (self.root / "image").read_bytes()
        self.assertEqual((len(exported), exported[:len(data)]), (2 << 20, data))
        self.xcpctl("vdi", "clone", "image", "clone")
        self.xcpctl("vdi", "snapshot", "image", "snapshot")
        self.xcpctl("vdi", "copy", "image", "local", "copy")
        self.xcpctl("vdi", "resize", "root", "2M")
        self.assertEqual(self.json("vdi", "show", "root")["Size"], 2 << 20)
        self.assertTrue(self.json("vdi", "show", "snapshot")["ReadOnly"])
        self.xcpctl("vdi", "attach", "root", "me", "File", "--mode", "ReadWrite")
        self.xcpctl("vdi", "activate", "root", "me")
        self.assertEqual(self.json("vdi", "show", "root")["DataPaths"], [{"reader": "me", "state": "Activated", "kind": "File", "mode": "ReadWrite"}])
        self.assertIn("Error.Busy: ", self.refused(1, "vdi", "destroy", "root"))
        self.xcpctl("vdi", "deactivate", "root", "me")
        self.xcpctl("vdi", "detach", "root", "me")
        self.xcpctl("vdi", "destroy", "root")
        self.assertIn("there is no VDI 'root'", self.refused(1, "vdi", "show", "root"))

    def test_the_life_of_storage(self):
        self.assertIn("directory", self.xcpctl("sr", "drivers").stdout)
        self.assertGreater(self.json("sr", "space", "local")["total"], 0)
        self.assertIn("Error.BadState: ", self.refused(1, "sr", "forget", "local"))
        self.xcpctl("sr", "scan", "local")
        self.xcpctl("sr", "detach", "local")
        self.assertEqual(self.json("sr", "list")[0]["state"], "Detached")
        self.xcpctl("sr", "forget", "local")
        self.assertEqual(self.json("sr", "list"), [])
        self.xcpctl("sr", "introduce", "again", "directory", "--config", f"path={self.root}/disks")
        self.xcpctl("sr", "set", "again", "Description", "Back")
        self.assertEqual(self.json("sr", "show", "again")["Description"], "Back")
        self.xcpctl("sr", "detach", "again")
        self.xcpctl("sr", "attach", "again")
        self.xcpctl("sr", "destroy", "again")

    def test_the_life_of_a_vm(self):
        self.xcpctl("vdi", "create", "local", "root", "1M")
        self.xcpctl("vdi", "create", "local", "memory", "100M")
        uuid = self.word("vm", "create", "web", "--memory", "64M", "--vcpus", "2", "--disk", "root", "--nic", "user", "--backend", "noop")
        self.assertIn("Error.AlreadyExists: ", self.refused(1, "vm", "create", "web"))
        self.xcpctl("vm", "start", uuid[:8])
        self.assertEqual(self.state("web"), "Running")
        self.assertIn("uptime_us", self.json("vm", "statistics", "web"))
        self.assertEqual(self.json("vm", "spec", "web")["memory"], 64 << 20)
        self.assertEqual(self.json("vm", "state", "web")["state"], "Running")
        for words, state in ((("suspend",), "Suspended"), (("resume",), "Running"), (("reset",), "Running"), (("reboot",), "Running"),
                             (("save", "memory"), "Saved"), (("restore",), "Running"), (("kill",), "Halted"), (("prepare",), "Prepared"),
                             (("start", "--paused"), "Suspended"), (("resume",), "Running"), (("stop", "--grace", "5s"), "Halted")):
            self.xcpctl("vm", words[0], "web", *words[1:])
            self.assertEqual(self.state("web"), state, words)
        said = self.refused(1, "vm", "suspend", "web")
        self.assertIn("Error.BadPowerState: ", said)
        self.assertIn("xcpctl:   found: Halted\n", said)
        self.xcpctl("vm", "set-memory", "web", "32M")
        self.xcpctl("vm", "set-vcpus", "web", "1")
        self.xcpctl("vm", "snapshot", "create", "web", "now")
        self.assertEqual([(row["name"], row["with_memory"]) for row in self.json("vm", "snapshot", "list", "web")], [("now", False)])
        self.assertRegex(self.xcpctl("vm", "snapshot", "list", "web").stdout, r"\ANAME +CREATED +WITH MEMORY\nnow +20\d\d-\d\d-\d\d [0-9:]+ +no\n")
        self.xcpctl("vm", "snapshot", "revert", "web", "now")
        self.xcpctl("vm", "snapshot", "delete", "web", "now")
        self.assertEqual(self.json("vm", "snapshot", "list", "web"), [])
        self.xcpctl("vm", "rename", "web", "web2")
        self.xcpctl("vm", "set", "web2", "OnCrash", "Preserve")
        shown = self.json("vm", "show", "web2")
        self.assertEqual((shown["Memory"], shown["Vcpus"], shown["OnCrash"]), (32 << 20, 1, "Preserve"))
        self.xcpctl("vm", "destroy", "web2")
        self.assertEqual(self.json("vm", "list"), [])

    def test_devices(self):
        self.xcpctl("vdi", "create", "local", "data", "1M")
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop")
        self.xcpctl("vm", "start", "web")
        self.assertEqual(self.word("vm", "disk", "add", "web", "data", "--name", "a-disk"), "a-disk")
        self.assertTrue(self.json("vm", "disk", "list", "web")[0]["Plugged"])
        self.xcpctl("vm", "disk", "statistics", "web", "a-disk")
        self.xcpctl("vm", "disk", "unplug", "web", "a-disk")
        self.xcpctl("vm", "disk", "plug", "web", "a-disk")
        self.xcpctl("vm", "disk", "remove", "web", "a-disk")
        self.assertEqual(self.json("vm", "disk", "list", "web"), [])
        nic = self.word("vm", "nic", "add", "web", "user")
        self.xcpctl("vm", "nic", "statistics", "web", nic)
        self.xcpctl("vm", "nic", "remove", "web", nic)

    def test_a_console(self):
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop")
        self.xcpctl("vm", "start", "web")
        with self.begin("vm", "console", "web") as console:
            console.write("\n")
            console.wait_output("web login: ")
            self.xcpctl("vm", "kill", "web")
            console.wait().check()
        self.assertIn("web login: ", self.xcpctl("vm", "console", "web", "--log").stdout)

    def test_interrupted(self):
        """A VM that does not come up, as its backend is told not to."""
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop", "--backend-option", "start=stuck")
        terminal = Terminal(self)
        starting = self.begin("vm", "start", "web", stderr=terminal.program)
        terminal.wait("Running")
        starting.signal(signal.SIGINT)
        starting.wait().check(1)
        terminal.wait("Error.Cancelled")
        self.assertEqual(self.state("web"), "Halted")


class Misuse(XcpctlTest):
    def test_services_that_are_not_there(self):
        said = self.refused(1, "vm", "list")
        self.assertIn("xcpctl: org.freedesktop.DBus.Error.ServiceUnknown: ", said)
        self.assertIn("xcpctl services lists those that can", said)
        self.assertEqual(self.json("services"), [])

    def test_no_bus(self):
        self.bus.kill()
        self.assertIn("Start one with xcp-bus-run", self.refused(1, "services"))
        self.assertIn("there is no bus at nonsense", self.refused(1, "services", "--address", "nonsense"))

    def test_words_that_are_no_command(self):
        for words, said in ((("sing",), "there is no command 'sing'"), (("vm", "sing"), "xcpctl vm --help"), (("vm", "kill"), "VM is missing")):
            self.assertIn(said, self.refused(2, *words))
        self.assertIn("Usage: xcpctl", self.xcpctl(check=2).stderr)
        self.assertIn("vm disk add", self.xcpctl("vm", "disk", check=2).stderr)

    def test_every_command_has_help(self):
        for command in self.json("help"):
            words = command["command"].split()
            help_text = self.xcpctl(*words, "--help").stdout
            self.assertTrue(help_text.startswith(f"Usage: xcpctl {command['command']} "), help_text)
            self.assertIn(command["summary"], help_text.replace("\n", " "))
            self.assertEqual(self.xcpctl("help", *words).stdout, help_text)
        self.assertRegex(self.xcpctl("--version").stdout, r"\Axcpctl \S+\n\Z")
