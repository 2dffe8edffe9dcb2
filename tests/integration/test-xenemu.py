# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command xenemu: what it passes through, what it keeps apart, and what it says when misused."""

import os
import pathlib
import pty
import re
import signal
import socket
import sys
import unittest

from harness import Emulation, Process, TestCase, build_directory, run, wait_until

XENEMU = build_directory() / "emu/command/xenemu"
UNIQUE = 1_000_000 + os.getpid()  # seconds that nobody else on the machine sleeps


class Exec(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.xen = cls.enterClassContext(Emulation(domains=2))

    def test_exit_status_arguments_and_streams(self):
        result = self.xen.run("dom1", "sh", "-c", 'cat; printf "%s|" "$@" >&2; exit 42', "sh", "a b", "", "*", input="in", check=42)
        self.assertEqual((result.stdout, result.stderr), ("in", "a b||*|"))

    def test_death_by_signal(self):
        self.assertEqual(self.xen.run("dom1", "sh", "-c", "kill -SEGV $$", check=None).status, -signal.SIGSEGV)

    def test_signals_reach_the_program(self):
        program = 'trap "echo $1; exit 3" $1; echo ready; while :; do read line; done'
        for number, name in ((signal.SIGTERM, "TERM"), (signal.SIGHUP, "HUP"), (signal.SIGINT, "INT"), (signal.SIGUSR1, "USR1")):
            with self.subTest(name), self.xen.start("dom1", "bash", "-c", program, "bash", name) as process:
                process.wait_output("ready")
                process.signal(number)
                process.close_stdin()
                result = process.wait()
                self.assertEqual((result.status, result.stdout), (3, f"ready\n{name}\n"))

    def test_killing_it_kills_the_program(self):
        process = self.xen.start("dom1", "sh", "-c", "echo ready; exec sleep 1000")
        process.wait_output("ready")
        process.signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: "sleep" not in self.xen.run("dom1", "ps", "-e").stdout, "the program to end")

    def terminal(self, *argv):
        """Runs a program on a terminal of its own, without echo. Returns its pid and the terminal's other end."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp(argv[0], [str(argument) for argument in argv])
        self.addCleanup(os.close, terminal)
        return pid, terminal

    def await_terminal(self, terminal, wanted):
        """Reads until wanted has been said. Returns all of it."""
        said = b""

        def look():
            nonlocal said
            said += os.read(terminal, 4096)
            return wanted in said

        wait_until(look, lambda: f"{wanted} after {said}", fds=[terminal])
        return said

    def test_a_terminal_is_passed_through(self):
        pid, terminal = self.terminal(XENEMU, "--rundir", self.xen.rundir, "exec", "dom1", "--", "bash", "--norc", "--noediting", "-i")
        os.write(terminal, b"stty -echo; PS1='again> '; tty; echo up; cat\n")
        said = self.await_terminal(terminal, b"up\r\n")
        self.assertIn(b"/dev/pts/", said)
        self.assertNotIn(b"no job control", said)
        os.write(terminal, b"mirror\n")
        self.await_terminal(terminal, b"mirror\r\n")
        os.write(terminal, b"\x03")  # ends cat, not the shell
        self.await_terminal(terminal, b"again> ")
        os.write(terminal, b"echo status $?\n")
        self.await_terminal(terminal, b"status 130")
        os.write(terminal, b"exit 5\n")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 5)

    def test_a_job_can_be_stopped_and_continued(self):
        pid, terminal = self.terminal("bash", "--norc", "--noediting", "-i")
        command = f"{XENEMU} --rundir {self.xen.rundir} exec dom1 -- sh -c 'echo in; exec cat'"
        os.write(terminal, f"stty -echo; PS1=; {command}\n".encode())
        self.await_terminal(terminal, b"in\r\n")
        os.write(terminal, b"\x1a")
        self.await_terminal(terminal, b"Stopped")
        self.assertRegex(self.xen.run("dom1", "ps", "-eo", "stat,comm").stdout, r"T\S* +(sh|cat)")
        os.write(terminal, b"fg\n")
        self.await_terminal(terminal, b"exec cat")
        os.write(terminal, b"mirror\n")
        self.await_terminal(terminal, b"mirror\r\n")
        os.write(terminal, b"\x04exit 6\n")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 6)

    def test_programs_that_cannot_be_run(self):
        self.assertIn("No such file", self.xen.run("dom1", "/no/such/program", check=127).stderr)
        self.assertIn("Permission denied", self.xen.run("dom1", "/etc/passwd", check=126).stderr)

    def test_without_a_program_it_is_a_shell(self):
        self.assertEqual(self.xen.xenemu("exec", "dom1", input="xenstore-read domid\n").stdout, "1\n")

    def test_a_program_dies_with_its_domain(self):
        domid = self.xen.create()
        process = self.xen.start(domid, "sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
        process.wait_output("ready")
        self.xen.destroy(domid)
        self.assertEqual(process.wait().status, -signal.SIGKILL)

    def test_a_program_of_a_domain_that_is_not_isolated_dies_with_it_too(self):
        domid = self.xen.create("--no-isolate")
        process = self.xen.start(domid, "sh", "-c", f"setsid sleep {UNIQUE} & echo ready; sleep {UNIQUE}")
        process.wait_output("ready")
        self.xen.destroy(domid)
        result = process.wait()
        self.assertEqual(result.status, -signal.SIGKILL)
        self.assertIn("the domain is gone", result.stderr)
        self.assertNotIn(f"sleep {UNIQUE}", run("ps", "-eo", "args").stdout)


class Isolation(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.xen = cls.enterClassContext(Emulation(domains=2))

    def test_a_domain_has_a_network_of_its_own(self):
        self.assertEqual(self.xen.run("dom1", "sh", "-c", "ls /sys/class/net || cat /proc/net/dev").stdout.split()[0:1], ["lo"])
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        connect = f"import socket; socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}))"
        self.assertIn("ConnectionRefused", self.xen.run("dom1", sys.executable, "-c", connect, check=1).stderr)
        self.xen.run(0, sys.executable, "-c", connect)  # domain 0 keeps the host's

    def test_two_programs_of_a_domain_share_its_network(self):
        serve = "import socket; s = socket.create_server(('127.0.0.1', 7)); print('up', flush=True); s.accept()"
        with self.xen.start("dom1", sys.executable, "-c", serve) as server:
            server.wait_output("up")
            self.xen.run("dom1", sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 7))")

    def test_a_domain_sees_its_own_processes_only(self):
        first = self.xen.run("dom1", "ps", "-eo", "pid=,comm=").stdout.split()
        self.assertEqual(first[:2], ["1", "xenemu-guest"])
        self.assertNotIn("xenemud", first)

    def test_a_domain_sees_its_own_run_directory_only(self):
        self.assertEqual(self.xen.run("dom1", "ls", self.xen.rundir).stdout, "dom1\n")
        self.assertEqual(self.xen.run("dom2", "hostname").stdout, "dom2\n")

    def test_what_joins_processes_on_one_machine_joins_no_domains(self):
        for directory in ("/tmp", "/run", "/dev/shm", "/var/tmp"):
            path = f"{directory}/xcp-{UNIQUE}"
            with self.subTest(path):
                self.xen.run("dom1", "sh", "-c", f"echo > {path}")
                self.xen.run("dom1", "test", "-e", path)
                self.xen.run("dom2", "test", "-e", path, check=1)
                self.assertFalse(os.path.exists(path))

    def test_the_program_is_told_nothing_but_where_xen_is(self):
        def environment(domain):
            return dict(line.split("=", 1) for line in self.xen.run(domain, "env").stdout.splitlines() if "=" in line)

        told = {name for name, value in environment("dom1").items() if os.environ.get(name) != value}
        self.assertEqual(told - {"_", "PWD", "OLDPWD", "SHLVL"}, {"LD_LIBRARY_PATH", "XENEMU_SOCKET", "XENSTORED_PATH", "XCP_RUNDIR"})


class Domains(TestCase):
    def test_domids_go_up_wrap_and_are_not_reused_early(self):
        with Emulation(domains=0, arguments=["--end-domid", "6"]) as xen:
            self.assertEqual([xen.create() for _ in range(3)], [1, 2, 3])
            xen.destroy(2)
            self.assertEqual([xen.create() for _ in range(3)], [4, 5, 2])
            self.assertIn("every domid is in use", xen.xenemu("create", check=1).stderr)
            xen.destroy(4)
            self.assertEqual(xen.create(), 4)

    def test_names_and_uuids(self):
        uuid = "01234567-89ab-4cde-8f01-23456789abcd"
        with Emulation(domains=0) as xen:
            domid = xen.create("--name", "storage", "--uuid", uuid)
            self.assertEqual(xen.run("storage", "xenstore-read", "vm").stdout, f"/vm/{uuid}\n")
            listed = xen.list()[1]
            self.assertEqual((listed["domid"], listed["name"], listed["uuid"]), (domid, "storage", uuid))
            self.assertIn("named 'storage' already", xen.xenemu("create", "--name", "storage", check=1).stderr)
            self.assertEqual(len(xen.list()), 2, "nothing is left of the one that could not be")
            for name in ("", "a/b", "a b", "7", "x" * 129):
                self.assertIn("will not do as a name", xen.xenemu("create", "--name", name, check=1).stderr)
            self.assertIn("not a uuid", xen.xenemu("create", "--uuid", "0123", check=1).stderr)
            self.assertIn("storage", xen.xenemu("list").stdout)
            xen.destroy("storage")
            self.assertIn("no domain named 'storage'", xen.xenemu("destroy", "storage", check=1).stderr)

    def test_many_at_once_leave_nothing_behind(self):
        with Emulation(domains=0) as xen:
            xen.destroy(xen.create())  # the first one makes the event loop's timer
            before = descriptors_of_hypervisor(xen)
            creating = [xen_create(xen) for _ in range(30)]
            domids = sorted(int(process.wait().check().stdout) for process in creating)
            self.assertEqual(domids, list(range(2, 32)))
            destroying = [Process([XENEMU, "--rundir", xen.rundir, "destroy", str(domid)]) for domid in domids]
            for process in destroying:
                process.wait().check()
            wait_until(lambda: len(xen.list()) == 1, "the last page of the dead to be unmapped")
            wait_until(lambda: descriptors_of_hypervisor(xen) == before, "the last connection to be closed")
            self.assertEqual(sorted(path.name for path in xen.rundir.iterdir()), ["dom0", "xenemud"])


def xen_create(xen):
    return Process([XENEMU, "--rundir", xen.rundir, "create"])


def hypervisor_pid(xen):
    """By the lock that it holds (proc(5), /proc/locks)."""
    inode = os.stat(xen.rundir / "xenemud/lock").st_ino
    look = lambda: [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines()]
    found = lambda: next((int(fields[4]) for fields in look() if fields[5].endswith(f":{inode}")), None)
    return wait_until(found, "xenemud's lock")  # a look may miss a line while others come and go


def descriptors_of_hypervisor(xen):
    return len(os.listdir(f"/proc/{hypervisor_pid(xen)}/fd"))


class Misuse(TestCase):
    def xenemu(self, *arguments, status=1, **options):
        return run(XENEMU, *arguments, check=status, **options).stderr

    def test_without_a_hypervisor(self):
        nowhere = self.temporary_directory()
        for command in (["list"], ["down"], ["create"], ["destroy", "1"], ["exec", "1", "--", "true"]):
            with self.subTest(command):
                self.assertIn(f"not up in {nowhere}", self.xenemu("--rundir", nowhere, *command))
        self.assertIn("no run directory", self.xenemu("--rundir", nowhere + "/none", "list"))

    def test_words_it_does_not_know(self):
        for arguments in ([], ["fly"], ["--fast"], ["up", "--domains", "x"], ["up", "--domains", "99999"], ["up", "again"]):
            with self.subTest(arguments):
                self.assertRegex(self.xenemu("--rundir", self.temporary_directory(), *arguments, status=2), "xenemu")
        for arguments in (["create", "--limit", "pages=3"], ["create", "--limit", "ports=-1"], ["destroy"], ["exec"], ["list", "x"]):
            with self.subTest(arguments):
                self.xenemu("--rundir", self.temporary_directory(), *arguments, status=2)

    def test_help_is_complete(self):
        help_text = run(XENEMU, "--help").stdout
        for command in ("up", "down", "list", "create", "destroy", "exec", "forget"):
            self.assertIn(f"  {command}", help_text)
            self.assertIn(f"Usage: xenemu {command}", run(XENEMU, command, "--help").stdout)

    def test_domains_that_do_not_exist(self):
        with Emulation(domains=0) as xen:
            for domain in ("7", "32752", "4294967295", "nobody", "-1", ""):
                with self.subTest(domain):
                    self.assertRegex(xen.xenemu("exec", domain, "--", "true", check=1).stderr, "there is no domain")
                    self.assertRegex(xen.xenemu("destroy", domain, check=1).stderr, "there is no domain")
            self.assertIn("domain 0 cannot be destroyed", xen.xenemu("destroy", "0", check=1).stderr)

    def test_up_twice(self):
        with Emulation(domains=0) as xen:
            self.assertIn("is up in", xen.xenemu("up", check=1).stderr)
            self.assertEqual(len(xen.list()), 1)

    def test_what_a_killed_hypervisor_left_is_no_hindrance(self):
        with Emulation(domains=2) as xen:
            program = xen.start("dom1", "sh", "-c", "echo ready; exec sleep 1000")
            program.wait_output("ready")
            victim = hypervisor_pid(xen)
            os.kill(victim, signal.SIGKILL)
            self.assertEqual(program.wait().status, -signal.SIGKILL, "a domain does not outlive its hypervisor")
            self.assertIn("not up", xen.xenemu("list", check=1).stderr)
            (xen.rundir / "dom7/sub").mkdir(parents=True)
            xen.xenemu("up", "--domains", "1")
            self.assertEqual([domain["domid"] for domain in xen.list()], [0, 1])
            self.assertFalse((xen.rundir / "dom7").exists())

    def test_a_path_too_long_for_a_socket(self):
        path = self.temporary_directory() + "/" + "d" * 100
        self.assertIn("socket addresses leave room for 81", self.xenemu("--rundir", path, "up"))

    def test_a_killed_xenstored_ends_it_and_the_log_says_so(self):
        with Emulation(domains=1) as xen:
            pid = int((xen.rundir / "dom0/xenstored/pid").read_text())
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: xen.xenemu("list", check=None).status == 1, "the end of emulated Xen")
            self.assertIn("xenstored ended", (xen.rundir / "xenemud/log").read_text())
            wait_until(lambda: xen.xenemu("up", check=None).status == 0, "the lock to be given back")

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_another_user_has_no_part_in_it(self):
        with Emulation(domains=1) as xen:
            os.chmod(xen.rundir, 0o755)
            result = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", XENEMU, "--rundir", xen.rundir, "list", check=1)
            self.assertRegex(result.stderr, "belongs to another user|Permission denied")


@unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
class WithoutRoot(TestCase):
    """A user of the machine has emulated Xen as well, only not isolated."""

    def setUp(self):
        self.directory = self.temporary_directory()
        os.chown(self.directory, 65534, 65534)
        if run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-x", XENEMU, check=None).status != 0:
            self.skipTest(f"{XENEMU} is in a directory that is closed to other users")
        self.addCleanup(self.xenemu, "down", check=None)

    def argv(self, *arguments):
        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        return [*user, str(XENEMU), "--rundir", self.directory + "/run", *arguments]

    def xenemu(self, *arguments, **options):
        return run(*self.argv(*arguments), **options)

    def test_domains_come_up_talk_to_the_store_and_die_with_all_their_programs(self):
        self.xenemu("up", "--domains", "2")
        self.xenemu("exec", "dom1", "--", "xenstore-write", "data/x", "1")
        self.assertEqual(self.xenemu("exec", "dom1", "--", "xenstore-read", "data/x").stdout, "1\n")
        self.assertNotEqual(self.xenemu("exec", "dom2", "--", "xenstore-read", "/local/domain/1/data/x", check=None).status, 0)
        program = Process(self.argv("exec", "dom2", "--", "sh", "-c", f"sleep {UNIQUE} & setsid sleep {UNIQUE} & echo ready; wait"))
        program.wait_output("ready")
        self.xenemu("destroy", "dom2")
        self.assertEqual(program.wait().status, -signal.SIGKILL)
        self.assertNotIn(f"sleep {UNIQUE}", run("ps", "-eo", "args").stdout)

    def test_isolation_is_refused(self):
        self.assertIn("without root", self.xenemu("up", "--isolate", check=1).stderr)
        self.xenemu("up")
        self.assertIn("without root", self.xenemu("create", "--isolate", check=1).stderr)
