# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that a test runs, with deadlines, and the certainty that none outlives it."""

import ctypes
import dataclasses
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading

from .wait import DEADLINE, Deadline, TimedOut

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
PR_SET_CHILD_SUBREAPER = 36
READY_DEADLINE = 120.0  # seconds: a service may have to wait for another, or find what it left
OUTPUT_SHOWN = 4000  # characters of output in a message: enough for a backtrace

_root = None  # pid of the process below which everything is that was started here; None: this one


def _said(stdout, stderr):
    """The end of a program's output, for a message."""
    return "".join(f"\n--- {name}\n{text[-OUTPUT_SHOWN:].rstrip()}" for name, text in (("stdout", stdout), ("stderr", stderr)) if text)


class Failed(AssertionError):
    """A program ended otherwise than expected."""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a program ended. status is its exit status, or minus the number of the signal that killed it."""

    argv: list
    status: int
    stdout: str
    stderr: str

    def __str__(self):
        return f"{shlex.join(self.argv)}: status {self.status}{_said(self.stdout, self.stderr)}"

    def check(self, status=0):
        if self.status != status:
            raise Failed(f"expected status {status} of {self}")
        return self


class _Collector(threading.Thread):
    """Reads a pipe to its end, and wakes up those who wait for what is in it."""

    def __init__(self, pipe, changed):
        super().__init__(daemon=True)
        self.data = bytearray()
        self.ended = False
        self._pipe = pipe
        self._changed = changed
        self.start()

    def run(self):
        while chunk := os.read(self._pipe.fileno(), 65536):
            with self._changed:
                self.data += chunk
                self._changed.notify_all()
        self._pipe.close()
        with self._changed:
            self.ended = True
            self._changed.notify_all()


class Process:
    """A running program. Its standard output and standard error are collected unless given as stdout= and stderr= (files or numbers).

    As a context manager it is killed at the end of the block.
    """

    def __init__(self, argv, *, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=None, cwd=None):
        self.argv = [os.fspath(argument) for argument in argv]
        self._changed = threading.Condition()  # its lock may be taken again by the thread that holds it
        self._popen = subprocess.Popen(
            self.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=True,
        )
        self._collectors = {
            name: _Collector(pipe, self._changed)
            for name, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr))
            if pipe
        }

    @classmethod
    def ready(cls, argv, deadline=READY_DEADLINE, **options):
        """Starts a program that has --ready-fd, and returns it when it has said that it is ready. If it does not say so, it is killed."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as said:
            try:
                process = cls([*argv, "--ready-fd", "0"], stdin=writer, **options)
            finally:
                os.close(writer)
            try:
                until = Deadline(deadline)
                poll = select.poll()
                poll.register(said, select.POLLIN)
                if not poll.poll(until.left() * 1000):
                    raise TimedOut(until.seconds, f"{process} to be ready{process._output()}")
                if said.read(1) != b"\n":
                    raise Failed(f"did not become ready: {process.wait()}")
            except BaseException:
                process.kill()
                raise
        return process

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()

    def __str__(self):
        return f"{shlex.join(self.argv)} (pid {self.pid})"

    @property
    def pid(self):
        return self._popen.pid

    @property
    def stdout(self):
        return self._text("stdout")

    @property
    def stderr(self):
        return self._text("stderr")

    def _text(self, name):
        with self._changed:
            return bytes(self._collectors[name].data).decode(errors="replace") if name in self._collectors else ""

    def _output(self):
        return _said(self.stdout, self.stderr)

    def running(self):
        return self._popen.poll() is None

    def write(self, data):
        """Sends data (str or bytes) to its standard input."""
        self._popen.stdin.write(data.encode() if isinstance(data, str) else data)
        self._popen.stdin.flush()

    def close_stdin(self):
        self._popen.stdin.close()

    def wait_output(self, pattern, deadline=DEADLINE, stream="stdout"):
        """Waits until a regular expression matches what it has printed so far. Returns the match; raises Failed if the output ends."""
        collector = self._collectors[stream]
        until = Deadline(deadline)
        expression = re.compile(pattern, re.MULTILINE)
        with self._changed:
            while not (match := expression.search(collector.data.decode(errors="replace"))):
                if collector.ended:
                    raise Failed(f"no {pattern!r} in the {stream} of {self}, which has ended{self._output()}")
                if not self._changed.wait(until.left()):
                    raise TimedOut(until.seconds, f"{pattern!r} in the {stream} of {self}{self._output()}")
        return match

    def wait(self, deadline=DEADLINE):
        """Waits until it has ended and its output is complete. If it has not by then, it is killed."""
        until = Deadline(deadline)
        try:
            self._popen.wait(until.left())
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimedOut(until.seconds, f"the end of {self._result()}") from None
        for collector in self._collectors.values():
            collector.join(until.left())
            if collector.is_alive():
                raise TimedOut(until.seconds, f"the end of the output of {self}: it has ended, but another process keeps its output open")
        return self._result()

    def _result(self):
        return Result(self.argv, self._popen.returncode, self.stdout, self.stderr)

    def signal(self, number):
        self._popen.send_signal(number)

    def kill(self):
        """Kills it and what it started in its session. Does nothing if that has ended."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()
        if self._popen.stdin and not self._popen.stdin.closed:
            try:
                self._popen.stdin.close()
            except BrokenPipeError:
                pass


def run(*argv, deadline=DEADLINE, input=None, check=0, **options):
    """Runs a program to its end, and checks its status unless check is None. input (str or bytes) is its standard input."""
    process = Process(argv, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE, **options)
    try:
        if input is not None:
            feeder = threading.Thread(target=_feed, args=(process, input), daemon=True)
            feeder.start()
        result = process.wait(deadline)
    finally:
        process.kill()
    return result if check is None else result.check(check)


def _feed(process, data):
    try:
        process.write(data)
        process.close_stdin()
    except (BrokenPipeError, ValueError):  # it did not read it all, or was killed
        pass


def adopt_orphans():
    """Goes on in a child process, below which everything stays that it starts: what loses its parent gets this one instead.

    This one, which does nothing else, collects their statuses at once, as an init does: a PID namespace, for one, ends only when the
    statuses of all that was in it are collected. When the child ends, all that is left is killed, and this ends with its status.
    """
    global _root
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _root = os.getppid()
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    while (ended := os.wait())[0] != child:
        pass
    _root = os.getpid()
    _kill(lambda: _collect_statuses() or survivors())
    status = os.waitstatus_to_exitcode(ended[1])
    os._exit(status if status >= 0 else 128 - status)


def _collect_statuses():
    """Those of all children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _prctl(option, argument):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "prctl")


def _processes():
    """All processes, as {pid: (parent's pid, state)}."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(name)] = (int(parent), state.decode())
    return found


def survivors():
    """The pids of all processes that were started here, directly or not, and still run."""
    processes = _processes()
    children = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    below, todo = [], [_root or os.getpid()]
    while todo:
        found = children.get(todo.pop(), [])
        todo += found
        below += [pid for pid in found if processes[pid][1] != "Z" and pid != os.getpid()]
    return below


def _describe(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            argv = file.read().rstrip(b"\0").split(b"\0")
        return f"{pid}: {shlex.join(argument.decode(errors='replace') for argument in argv)}"
    except (FileNotFoundError, ProcessLookupError):
        return f"{pid}: just ended"


def _wait_for_any(pids, seconds):
    """Waits until one of the processes ends, or the time is over."""
    poll = select.poll()
    fds = []
    try:
        for pid in pids:
            try:
                fds.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return
            poll.register(fds[-1], select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        for fd in fds:
            os.close(fd)


def _kill(find):
    """Kills the processes that find() names, until it names none."""
    while pids := find():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        _wait_for_any(pids, 1)


def end_survivors(spared=(), grace=20.0):
    """Gives the processes that were started here, but for the spared pids, time to end; kills those that are left, and raises Failed."""

    def find():
        return [pid for pid in survivors() if pid not in spared]

    until = Deadline(grace)
    while (pids := find()) and until.left():
        _wait_for_any(pids, until.left())
    if pids:
        described = "\n".join(_describe(pid) for pid in pids)
        _kill(find)
        raise Failed(f"still running {until.seconds:g} s after the end, and killed:\n{described}")
