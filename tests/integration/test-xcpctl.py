# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl, the operator's command, with the example service: the bus, tasks, watching, and misuse."""

import json
import os
import signal
import tarfile

from harness import build_directory, run, wait_until
from xcpctlcase import Terminal, XcpctlTest

EXAMPLE = build_directory() / "services/example/xcp-example"

ROOT = "/org/xen/xcp/example"
ONE = ROOT + "/counter/one"
COUNTER = "org.xen.xcp.example1.Counter"
LONG = "600000"  # ms of a step: longer than any test


class ExampleTest(XcpctlTest):
    """The example service is on the bus, with a counter one."""

    def setUp(self):
        super().setUp()
        self.start()
        self.xcpctl("call", "example", ROOT, "org.xen.xcp.example1.Manager", "CreateCounter", "one")

    def start(self):
        self.service = self.start_service(EXAMPLE, self.root / "state")

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
