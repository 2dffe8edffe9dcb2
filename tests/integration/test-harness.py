# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself: a test that cannot fail, or leaves something running, would be worse than none."""

import os
import pathlib
import re
import socket
import sys
import textwrap
import threading

from harness import Emulation, Failed, Process, TestCase, TimedOut, run, wait_listening, wait_path, wait_until

TESTLOG = pathlib.Path(__file__).resolve().parents[1] / "harness/testlog.py"


class Waiting(TestCase):
    def test_a_predicate_that_becomes_true_gives_its_value(self):
        values = iter([0, None, "there"])
        self.assertEqual(wait_until(lambda: next(values), "the third value"), "there")

    def test_a_deadline_that_passes_names_what_was_waited_for(self):
        with self.assertRaisesRegex(TimedOut, "waited .* for the moon"):
            wait_until(lambda: False, "the moon", deadline=0.05)

    def test_a_readable_descriptor_makes_it_look_again(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        looks = []

        def look():
            looks.append(1)
            if len(looks) == 1:
                os.close(writer)  # the pipe's end is readable from now on
            return len(looks) == 2

        wait_until(look, "the second look", fds=(reader,))

    def test_a_path_is_seen_when_it_appears(self):
        path = pathlib.Path(self.temporary_directory()) / "socket"
        threading.Timer(0.05, path.touch).start()
        wait_path(path)
        wait_path(path)  # and when it is there already

    def test_a_path_is_not_enough_to_connect_to(self):
        path = f"{self.temporary_directory()}/socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            with self.assertRaisesRegex(TimedOut, "somebody to listen at"):
                wait_listening(path, deadline=0.05)
            threading.Timer(0.05, listening.listen).start()
            wait_listening(path)


class Programs(TestCase):
    def test_status_and_output_are_told(self):
        result = run("sh", "-c", "cat; echo oops >&2; exit 3", input="hello", check=3)
        self.assertEqual((result.stdout, result.stderr), ("hello", "oops\n"))

    def test_one_that_says_that_it_is_ready(self):
        with Process.ready(["sh", "-c", "echo >&0; exec sleep 600"]) as program:
            self.assertTrue(program.running())
        with self.assertRaisesRegex(Failed, "(?s)did not become ready: .* status 3.*oops"):
            Process.ready(["sh", "-c", "echo oops >&2; exit 3"])
        with self.assertRaisesRegex(TimedOut, "waited .* for sh .* to be ready"):
            Process.ready(["sh", "-c", "exec sleep 600"], deadline=0.05)

    def test_an_unexpected_status_fails_with_the_output(self):
        with self.assertRaisesRegex(Failed, "(?s)status 4.*no such thing"):
            run("sh", "-c", "echo no such thing >&2; exit 4")

    def test_a_deadline_kills_the_program_and_shows_its_output(self):
        with self.assertRaisesRegex(TimedOut, "(?s)waited.*sleep.*so far"):
            run("sh", "-c", "echo so far; exec sleep 100", deadline=3)

    def test_output_is_waited_for(self):
        with Process(["sh", "-c", "read line; echo got $line; sleep 100"]) as process:
            process.write("this\n")
            self.assertEqual(process.wait_output(r"^got (\w+)$")[1], "this")
            self.assertTrue(process.running())
        self.assertFalse(process.running())

    def test_output_that_ends_is_not_waited_for(self):
        with self.assertRaisesRegex(Failed, "no 'never' in the stdout.*which has ended"):
            Process(["echo", "something else"]).wait_output("never", deadline=30)

    def test_a_mebibyte_goes_through(self):
        data = "0123456789abcdef" * 65536
        self.assertEqual(run("cat", input=data).stdout, data)


class Runner(TestCase):
    """Test files run by the runner, as meson does it."""

    def harness(self, text, status=1, patience="1"):
        path = pathlib.Path(self.temporary_directory()) / "test-sample.py"
        path.write_text("import os, subprocess, unittest\nfrom harness import TestCase\n" + textwrap.dedent(text))
        return run(sys.executable, "-m", "harness", path, check=status, env={"XCP_TEST_PATIENCE": patience}).stdout

    def test_results_are_tap(self):
        tap = self.harness(
            """
            class Sample(TestCase):
                def test_a(self): pass
                def test_b(self): self.fail("because")
                def test_c(self): self.skipTest("not here")
                def test_d(self):
                    for i in range(3):
                        with self.subTest(i=i): self.assertNotEqual(i, 1)
            """
        )
        self.assertEqual(
            [line for line in tap.splitlines() if not line.startswith("#")],
            ["ok 1 - Sample.test_a", "not ok 2 - Sample.test_b", "ok 3 - Sample.test_c # SKIP not here", "not ok 4 - Sample.test_d", "1..4"],
        )
        self.assertRegex(tap, "# .*because")

    def test_a_failing_class_set_up_is_a_failure(self):
        tap = self.harness(
            """
            class Sample(TestCase):
                @classmethod
                def setUpClass(cls): raise OSError("no such class")
                def test_a(self): pass
            """
        )
        self.assertRegex(tap, "(?s)no such class.*not ok 1 - setUpClass")

    def test_a_file_without_tests_is_a_failure(self):
        self.assertIn("Bail out!", self.harness(""))

    def test_a_test_that_hangs_is_ended_and_shown(self):
        tap = self.harness(
            """
            class Hanging(TestCase):
                deadline = 0.2
                def test_a(self): os.read(os.pipe()[0], 1)
            class Other(TestCase):
                def test_b(self): pass
            """
        )
        self.assertRegex(tap, "(?s)waited .* for the end of .*not ok 1 .*ok 2")

    def test_signals_that_were_ignored_are_not_for_tests(self):
        path = pathlib.Path(self.temporary_directory()) / "test-sample.py"
        path.write_text(textwrap.dedent("""
            import signal, subprocess
            from harness import TestCase
            class Sample(TestCase):
                def test_a(self):
                    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
                        self.assertEqual(subprocess.run(["sh", "-c", f"ulimit -c 0; kill -{number.value} $$; echo lives"]).returncode, -number)
            """))
        said = run("sh", "-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh", sys.executable, "-m", "harness", path).stdout
        self.assertEqual(said, "# begin Sample.test_a\nok 1 - Sample.test_a\n1..1\n")

    def test_a_process_left_behind_is_killed_and_fails_its_test(self):
        tap = self.harness(
            """
            class Sample(TestCase):
                def test_a(self): subprocess.run(["sh", "-c", "setsid sleep 4321 & echo"])
                def test_b(self): pass
            """,
            patience="0.1",  # of the time that it has to end by itself
        )
        self.assertRegex(tap, "(?s)still running .*sleep 4321.*not ok 1 .*ok 2")
        with self.assertRaises(ProcessLookupError):
            os.kill(int(re.search(r"(\d+): sleep 4321", tap)[1]), 0)

    def test_a_killed_test_leaves_no_pid_namespace(self):
        """It ends only when the statuses are collected of all that was in it, also of what had its parent outside."""
        tap = self.harness(
            """
            import signal
            class Sample(TestCase):
                def test_a(self):
                    space = subprocess.Popen(["unshare", "--pid", "--fork", "sh", "-c", "echo; exec sleep 4322"], stdout=subprocess.PIPE)
                    space.stdout.readline()
                    with open(f"/proc/{space.pid}/task/{space.pid}/children") as children:
                        first = children.read().strip()
                    within = ["nsenter", "--target", first, "--pid", "sh", "-c", "echo; exec sleep 4323"]
                    subprocess.Popen(within, stdout=subprocess.PIPE).stdout.readline()
                    os.kill(os.getpid(), signal.SIGKILL)
            """,
            status=128 + 9,
        )
        self.assertEqual(tap, "# begin Sample.test_a\n")

    def test_a_run_that_is_killed_has_told_what_it_was_at(self):
        tap = self.harness(
            """
            import signal
            class Sample(TestCase):
                def test_a(self): pass
                def test_b(self): os.kill(os.getpid(), signal.SIGKILL)
            """,
            status=128 + 9,
        )
        self.assertEqual(tap.splitlines(), ["# begin Sample.test_a", "ok 1 - Sample.test_a", "# begin Sample.test_b"])


class Emulated(TestCase):
    def test_domains_come_up_run_programs_and_go(self):
        with Emulation(domains=2) as xen:
            self.assertEqual(xen.run("dom2", "xenstore-read", "domid").stdout, "2\n")
            domid = xen.create("--name", "web")
            self.assertEqual([domain["domid"] for domain in xen.list()], [0, 1, 2, domid])
            self.assertEqual(xen.run("web", "sh", "-c", "exit 7", check=7).status, 7)
            xen.destroy("web")
            self.assertEqual([domain["domid"] for domain in xen.list()], [0, 1, 2])
        self.assertFalse(xen.rundir.exists())

    def test_a_value_in_the_store_is_waited_for(self):
        with Emulation(domains=1) as xen:
            with self.assertRaisesRegex(TimedOut, "xenstore-watch"):
                xen.wait_store("dom1", "data/key", deadline=0.5)
            writer = xen.start("dom1", "sh", "-c", "for i in 1 2 3; do xenstore-write data/key $i; done")
            self.assertEqual(xen.wait_store("dom1", "data/key", lambda value: value == "3"), "3")
            writer.wait().check()

    def test_a_program_that_outlives_its_test_ends_with_its_domain(self):
        with Emulation(domains=1) as xen:
            sleeper = xen.start("dom1", "sleep", "100")
        sleeper.wait()


class Log(TestCase):
    """What is counted in meson's log."""

    def count(self, *programs, arguments=(), status=0):
        path = pathlib.Path(self.temporary_directory()) / "testlog.json"
        path.write_text("".join(programs))
        return run(sys.executable, TESTLOG, *arguments, path, check=status).stdout.splitlines()

    @staticmethod
    def program(name, result, stdout=""):
        return f'{{"name": "{name}", "result": "{result}", "returncode": 1, "stdout": "{stdout}"}}\n'

    def test_cases_and_programs_are_counted(self):
        lines = self.count(
            self.program("one", "OK", "ok 1 /a\\n# ok, this is a comment\\nok 2 /b # SKIP no\\n"), self.program("two", "OK", "hello")
        )
        self.assertEqual(lines, ["1 skipped", "2 passed, 0 failed"])

    def test_failed_cases_are_named(self):
        lines = self.count(self.program("one", "FAIL", "ok 1 /a\\nnot ok 2 /b\\n"), status=1)
        self.assertEqual((lines[0], lines[-1]), ("FAILED  one: /b", "1 passed, 1 failed"))

    def test_a_programs_own_summary_is_believed(self):
        lines = self.count(self.program("one", "FAIL", "FAIL a\\nok   b\\n1 passed, 1 failed\\n"), status=1)
        self.assertEqual(lines[-1], "1 passed, 1 failed")

    def test_a_crash_after_good_cases_counts(self):
        lines = self.count(self.program("one", "FAIL", "ok 1 /a\\nBail out! Why\\n"), self.program("two", "TIMEOUT"), status=1)
        self.assertEqual(lines[-1], "1 passed, 2 failed")
        self.assertIn("        Bail out! Why", lines)

    def test_an_empty_log_is_a_failure(self):
        self.assertEqual(self.count(status=1)[-1], "0 passed, 1 failed")
        self.assertEqual(self.count(arguments=["--some-may-be-missing"], status=1)[-1], "0 passed, 1 failed")
