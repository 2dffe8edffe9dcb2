# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is the same in all services, shown with the one of docs/writing-a-service.md."""

import itertools
import json
import os
import pathlib
import re
import signal
import sqlite3
import unittest

import dbuswire
from harness import Bus, Process, TestCase, build_directory, run, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = build_directory() / "services/example/xcp-example"
CALLER = build_directory() / "services/example/example-caller"

NAME = "org.xen.xcp.example"
ROOT = "/org/xen/xcp/example"
MANAGER = "org.xen.xcp.example1.Manager"
COUNTER = "org.xen.xcp.example1.Counter"
TASK = "org.xen.xcp.Task1"
DIAGNOSTICS = "org.xen.xcp.Diagnostics1"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
XCP_ERROR = "org.xen.xcp.Error."
ONE = ROOT + "/counter/one"
LONG = 600_000  # ms of a step: longer than any test


class ServiceTest(TestCase):
    """A bus, with the example on it."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.state = self.root / "state"
        self.bus = Bus(self.root)
        self.addCleanup(self.bus.kill)
        self.address = self.bus.address
        self.service = None

    def argv(self, *arguments):
        return [EXAMPLE, "--bus-address", self.address, "--state-dir", self.state, *arguments]

    def start(self, *arguments):
        self.service = Process.ready(self.argv(*arguments))
        self.addCleanup(self.service.kill)

    def stop(self, status=0):
        self.service.signal(signal.SIGTERM)
        return self.service.wait().check(status)

    def busctl(self, *arguments, **options):
        return run("busctl", f"--address={self.address}", *arguments, **options)

    def call(self, path, interface, method, *arguments):
        """Makes a call; returns its first result. Raises the error as LookupError(name, message)."""
        result = run("gdbus", "call", "--address", self.address, "--dest", NAME, "--object-path", path, "--method", f"{interface}.{method}",
                     *arguments, check=None)
        if result.status:
            match = re.search(r"GDBus\.Error:([\w.]+): (.*)", result.stderr)
            raise LookupError(*(match.groups() if match else ("?", result.stderr)))
        return result.stdout.strip()

    def error(self, *call):
        with self.assertRaises(LookupError) as caught:
            self.call(*call)
        return caught.exception.args[0].removeprefix(XCP_ERROR)

    def property(self, path, interface, name):
        return json.loads(self.busctl("--json=short", "get-property", NAME, path, interface, name).stdout)["data"]

    def managed(self):
        reply = json.loads(self.busctl("--json=short", "call", NAME, ROOT, OBJECT_MANAGER, "GetManagedObjects").stdout)
        return set(reply["data"][0])

    def tasks(self):
        return {path for path in self.managed() if path.startswith(ROOT + "/task/")}

    def counter(self, name="one"):
        self.call(ROOT, MANAGER, "CreateCounter", name)

    def caller(self):
        return Process([CALLER, self.address])

    def count(self, caller, steps, step_ms, n=1):
        """Has a caller count. Returns what it was told: paths of tasks, and errors."""
        before = caller.stdout.count("\n")
        caller.write(f"{ONE} {steps} {step_ms} {n}\n")
        wait_until(lambda: caller.stdout.count("\n") == before + n, "the answers")
        return caller.stdout.splitlines()[before:]

    def state_of(self, task):
        return self.property(task, TASK, "State")

    def wait_state(self, task, state):
        wait_until(lambda: self.state_of(task) == state, f"{task} to be {state}")


class Contract(ServiceTest):
    def test_introspection_is_the_xml(self):
        self.start()
        self.counter()
        with self.caller() as caller:
            [task] = self.count(caller, 1, LONG)
            documents = [*SOURCE.glob("idl/*.xml"), *SOURCE.glob("services/example/*.xml")]
            expected = {ROOT: (DIAGNOSTICS, MANAGER, OBJECT_MANAGER), ONE: (COUNTER,), task: (TASK,)}
            for path, interfaces in expected.items():
                xml = self.busctl("--xml-interface", "introspect", NAME, path).stdout
                for interface in interfaces:
                    self.assertIn(f'"{interface}"', xml)
                run(SOURCE / "idl/xcp-idl-compare", *documents, input=xml)

    def test_every_prefix_of_the_path_answers(self):
        self.start()
        for path in ("/", "/org", "/org/xen", "/org/xen/xcp", ROOT, ROOT + "/task", ROOT + "/counter"):
            self.assertIn("<node", self.busctl("--xml-interface", "introspect", NAME, path).stdout)

    def test_wrong_calls_are_refused_at_once(self):
        self.start()
        self.counter()
        for arguments, error in (
            (("call", NAME, ROOT, MANAGER, "CreateCounter", "u", "7"), "Invalid arguments"),
            (("call", NAME, ROOT, MANAGER, "CreateCounter"), "Invalid arguments"),
            (("call", NAME, ROOT, MANAGER, "Nothing"), "Unknown method"),
            (("call", NAME, ROOT + "/counter/two", COUNTER, "Destroy"), "Unknown object"),
            (("call", NAME, ROOT + "/task/77", TASK, "Cancel"), "Unknown object"),
            (("set-property", NAME, ROOT, DIAGNOSTICS, "Health", "s", "Good"), "not writable"),
            (("set-property", NAME, ROOT, DIAGNOSTICS, "LogLevel", "s", "Loud"), "Loud"),
        ):
            result = self.busctl(*arguments, check=1)
            self.assertIn(error, result.stderr)
        self.assertEqual(self.error(ROOT, MANAGER, "CreateCounter", ""), "InvalidArgument")
        self.assertEqual(self.error(ROOT, MANAGER, "CreateCounter", "x" * 10_000), "InvalidArgument")
        self.assertEqual(self.error(ROOT, MANAGER, "CreateCounter", "one"), "AlreadyExists")
        self.assertEqual(self.error(ONE, COUNTER, "Count", "0", "1"), "InvalidArgument")
        self.assertEqual(self.property(ROOT, DIAGNOSTICS, "Health"), "Good")

    def test_bytes_that_are_no_message_end_their_sender_and_nothing_else(self):
        self.start()
        for name, body in (
            ("invalid UTF-8", b"\x02\x00\x00\x00\xc3\x28\x00"),
            ("a string beyond the body", b"\xff\x00\x00\x00one\x00"),
            ("no NUL at the end", b"\x03\x00\x00\x00one!"),
            ("too short for its signature", b"\x03\x00"),
        ):
            with self.subTest(name), dbuswire.Bus(self.root / "bus") as sender:
                call = sender.call_async(NAME, ROOT, MANAGER, "CreateCounter", "s", raw_body=body)
                with self.assertRaises((dbuswire.Gone, ConnectionError)):
                    sender.reply_to(call)
        self.assertFalse(any(path.startswith(ROOT + "/counter/") for path in self.managed()))
        self.assertEqual(self.property(ROOT, DIAGNOSTICS, "Health"), "Good")
        self.stop()

    def test_diagnostics(self):
        self.start()
        first = self.property(ROOT, DIAGNOSTICS, "InstanceId")
        self.assertRegex(first, "^[0-9a-f]{32}$")
        self.assertEqual(self.property(ROOT, DIAGNOSTICS, "Features"), ["count"])
        self.busctl("set-property", NAME, ROOT, DIAGNOSTICS, "LogLevel", "s", "Debug")
        self.assertEqual(self.property(ROOT, DIAGNOSTICS, "LogLevel"), "Debug")
        self.counter()
        self.assertEqual(self.error(ROOT, MANAGER, "CreateCounter", "one"), "AlreadyExists")
        with self.caller() as caller:
            [task] = self.count(caller, 3, 1)
            self.wait_state(task, "Succeeded")
            counters = json.loads(self.busctl("--json=short", "call", NAME, ROOT, DIAGNOSTICS, "GetCounters").stdout)["data"][0]
            self.assertEqual((counters["steps"], counters["tasks.Succeeded"], counters["log.Error"]), (3, 1, 0))
            create, count = f"{MANAGER}.CreateCounter", f"{COUNTER}.Count"
            self.assertEqual((counters["calls." + create], counters["calls." + count], counters["failed." + create]), (2, 1, 1))
            self.assertGreater(counters["us." + create], 0)
            self.assertEqual((counters["errors.AlreadyExists"], "errors.Busy" in counters), (1, False))
            dump = self.call(ROOT, DIAGNOSTICS, "GetDump")
            for text in (first, "Count one", ONE, "is ready on", str(self.state)):
                self.assertIn(text, dump)
        self.stop()
        self.start()
        self.assertNotEqual(self.property(ROOT, DIAGNOSTICS, "InstanceId"), first)


class Tasks(ServiceTest):
    def setUp(self):
        super().setUp()
        self.start()
        self.counter()

    def test_a_task_succeeds_with_its_result_and_stays_until_destroyed(self):
        with self.caller() as caller:
            [going] = self.count(caller, 1, LONG)
            self.assertEqual(self.error(going, TASK, "Destroy"), "Busy")
            self.call(going, TASK, "Cancel")
            self.call(going, TASK, "Destroy")
            [task] = self.count(caller, 20, 1)
            self.wait_state(task, "Succeeded")
            self.assertEqual(self.property(task, TASK, "Result"), {"value": {"type": "t", "data": 20}})
            self.assertEqual(self.property(task, TASK, "Progress"), 1)
            self.assertEqual(self.property(task, TASK, "Operation"), COUNTER + ".Count")
            self.assertEqual(self.property(task, TASK, "Object"), ONE)
            self.assertEqual(self.property(task, TASK, "CancelWithinMs"), 1000)
            self.assertEqual(self.property(ONE, COUNTER, "Value"), 20)
            self.assertEqual(self.error(task, TASK, "Cancel"), "BadState")
            self.assertEqual(self.tasks(), {task})
            self.call(task, TASK, "Destroy")
            self.assertEqual(self.tasks(), set())

    def wait_subscribed(self, monitor):
        """gdbus says who owns the name before it asks the bus for its signals, so only a signal shows that it has."""
        levels = itertools.cycle(("Debug", "Info"))

        def heard():
            self.busctl("set-property", NAME, ROOT, DIAGNOSTICS, "LogLevel", "s", next(levels))
            return "'LogLevel'" in monitor.stdout

        wait_until(heard, "gdbus monitor to hear of a change")

    def test_signals_tell_all_of_it(self):
        with Process(["gdbus", "monitor", "--address", self.address, "--dest", NAME]) as monitor, self.caller() as caller:
            self.wait_subscribed(monitor)
            [task] = self.count(caller, 1, 1)
            monitor.wait_output(rf"{task}: {TASK}\.Finished \('Succeeded', {{'value': <uint64 1>}}")
            self.assertRegex(monitor.stdout, rf"InterfacesAdded \(objectpath '{task}'")
            self.assertRegex(monitor.stdout, rf"{task}: org\.freedesktop\.DBus\.Properties\.PropertiesChanged .*'State': <'Running'>")
            self.assertRegex(monitor.stdout, rf"{ONE}: .*PropertiesChanged .*'Value': <uint64 1>")
            self.call(task, TASK, "Destroy")
            monitor.wait_output(rf"InterfacesRemoved \(objectpath '{task}'")

    def test_cancel_ends_it_and_leaves_things_as_they_were(self):
        with self.caller() as caller:
            [task] = self.count(caller, 1000, 100)
            self.assertTrue(self.property(task, TASK, "Cancellable"))
            self.call(task, TASK, "Cancel")
            self.assertEqual(self.state_of(task), "Cancelled")
            self.assertEqual(self.property(task, TASK, "Error")[0], XCP_ERROR + "Cancelled")
            self.assertFalse(self.property(task, TASK, "Cancellable"))
            self.call(task, TASK, "Cancel")
            self.assertEqual(self.property(ONE, COUNTER, "Value"), 0)
            self.call(ONE, COUNTER, "Destroy")

    def test_a_client_that_crashes_leaves_nothing(self):
        with self.caller() as caller:
            done, going = self.count(caller, 1, 1)[0], self.count(caller, 6000, 100)[0]
            self.wait_state(done, "Succeeded")
            caller.signal(signal.SIGKILL)
            wait_until(lambda: self.tasks() == {going}, "the finished task to go")
            progress = self.property(going, TASK, "Progress")
            wait_until(lambda: self.property(going, TASK, "Progress") > progress, "the other task to go on")
            self.call(going, TASK, "Cancel")
            wait_until(lambda: self.tasks() == set(), "the other task to go with its end")
        self.assertEqual(self.property(ONE, COUNTER, "Value"), 1)

    def test_a_thousand_at_once_and_no_more_than_the_limit(self):
        with self.caller() as caller:
            answers = self.count(caller, 1, LONG, n=1100)
            tasks = [answer for answer in answers if answer.startswith("/")]
            refused = [answer for answer in answers if not answer.startswith("/")]
            self.assertEqual(len(tasks), 1024)
            self.assertEqual(set(refused), {XCP_ERROR + "LimitExceeded tasks of this caller: 1025 is more than 1024"})
            self.assertEqual(self.tasks(), set(tasks))
            with self.caller() as other:
                self.assertTrue(self.count(other, 1, 1)[0].startswith("/"))
        wait_until(lambda: len(self.tasks()) == 1024, "the other caller's task to go")
        self.assertLess(self.stop_seconds(), 60)

    def stop_seconds(self):
        before = os.times().elapsed
        self.stop()
        return os.times().elapsed - before


class Restart(ServiceTest):
    def test_killed_with_a_task_it_is_interrupted_and_not_forgotten(self):
        self.start()
        self.counter()
        first = self.property(ROOT, DIAGNOSTICS, "InstanceId")
        with self.caller() as caller:
            done, going = self.count(caller, 5, 1)[0], self.count(caller, 1, LONG)[0]
            self.wait_state(done, "Succeeded")
            self.service.kill()
            self.start()
            self.assertEqual(self.property(ONE, COUNTER, "Value"), 5)
            self.assertEqual(self.state_of(done), "Succeeded")
            self.assertEqual(self.property(done, TASK, "Result"), {"value": {"type": "t", "data": 5}})
            self.assertEqual(self.state_of(going), "Failed")
            name, message, details = self.property(going, TASK, "Error")
            self.assertEqual(name, XCP_ERROR + "Interrupted")
            self.assertIn("restart", message)
            self.assertEqual(details["instance"]["data"], first)
            [new] = self.count(caller, 1, 1)
            self.assertNotIn(new, (done, going))
        wait_until(lambda: self.tasks() == set(), "the tasks to go with their caller")

    def test_tasks_whose_caller_left_meanwhile_go(self):
        self.start()
        self.counter()
        with self.caller() as caller:
            self.count(caller, 1, LONG)
            self.service.kill()
        self.start()
        wait_until(lambda: self.tasks() == set(), "the task to go")

    def test_sigterm_cancels_what_runs_and_stops(self):
        self.start()
        self.counter()
        with self.caller() as caller:
            [task] = self.count(caller, 1, LONG)
            self.stop()
            self.start()
            self.assertEqual(self.state_of(task), "Cancelled")

    def test_the_bus_goes_with_a_task_and_so_does_the_service(self):
        self.start()
        self.counter()
        with self.caller() as caller:
            self.count(caller, 1, LONG)
            self.bus.kill()
            said = self.service.wait().check(1).stderr
        self.assertIn("The bus has gone", said)
        self.assertIn("interrupted", said)


class Starting(ServiceTest):
    def refused(self, *argv):
        return run(*(argv or self.argv()), check=1).stderr

    def test_a_second_one_is_refused(self):
        self.start()
        self.assertIn("in use by another process", self.refused())
        other = [EXAMPLE, "--bus-address", self.address, "--state-dir", self.root / "other"]
        self.assertIn("is the service running already?", self.refused(*other))
        self.assertEqual(self.property(ROOT, DIAGNOSTICS, "Health"), "Good")

    def test_a_database_of_a_newer_schema_is_refused(self):
        for file in ("example.db", "tasks.db"):
            self.state.mkdir(exist_ok=True)
            with sqlite3.connect(self.state / file) as database:
                database.execute("PRAGMA user_version = 99")
            said = self.refused()
            self.assertIn("schema version 99", said)
            self.assertIn(file, said)
            (self.state / file).unlink()
        self.start()

    def test_a_state_directory_that_cannot_be_written_is_refused(self):
        self.start()
        self.stop()
        argv = self.argv()
        if os.geteuid() == 0:
            script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
            if run("unshare", "--mount", "true", check=None).status:
                self.skipTest("mount namespaces cannot be made here")
            argv = ["unshare", "--mount", "sh", "-c", script, self.state, *argv]
        else:
            self.state.chmod(0o500)
            self.addCleanup(self.state.chmod, 0o700)
            for file in self.state.iterdir():
                file.chmod(0o400)
        said = self.refused(*argv)
        self.assertIn("Cannot open the database", said)
        self.assertIn(str(self.state), said)

    def test_a_bus_that_is_not_there_is_named(self):
        said = self.refused(EXAMPLE, "--bus-address", f"unix:path={self.root}/nobody", "--state-dir", self.state)
        self.assertIn("Cannot connect to the bus", said)
        self.assertIn("nobody", said)

    def test_nobody_else_can_read_the_state(self):
        self.start()
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        for file in self.state.iterdir():
            self.assertEqual(file.stat().st_mode & 0o077, 0, file)


class Document(unittest.TestCase):
    """docs/writing-a-service.md: its code is that of services/example."""

    BLOCK = re.compile(r"^From `([^`]+)`:\n\n```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)

    def test_its_code_is_in_the_tree(self):
        text = (SOURCE / "docs/writing-a-service.md").read_text()
        blocks = self.BLOCK.findall(text)
        self.assertGreaterEqual(len(blocks), 8)
        self.assertEqual(len(re.findall(r"^```(?:c|xml|meson)$", text, re.MULTILINE)), len(blocks), "each block of code names its file")
        for name, code in blocks:
            with self.subTest(name=name):
                self.assertIn(code, (SOURCE / "services/example" / name).read_text())
