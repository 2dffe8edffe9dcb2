# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bus of xcp-bus-run with services on it, and the programs that measure them."""

import json
import pathlib
import tempfile
import time

from comparison import Program
from harness import Process, build_directory, run

# What no service of ours needs: the peer's name. The rest is as on every bus.
POLICY = "allow own org.libvirt to owner\n"


def cpu_seconds(pid):
    """The time that a process has used of all CPUs: its clock, as clock_getcpuclockid(3) makes its number."""
    return time.clock_gettime((~pid << 3) | 2)


class PrivateBus:
    """A context manager. What is started on the bus ends with it, and its files are removed."""

    def __init__(self, broker="dbus-daemon"):
        self._broker = broker
        self._processes = []

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="xcp-bench-")
        self.directory = pathlib.Path(self._directory.name)
        (self.directory / "bus.d").mkdir()
        (self.directory / "bus.d/bench.policy").write_text(POLICY)
        self.address = f"unix:path={self.directory}/bus"
        try:
            runner = self._ready([build_directory() / "bus/xcp-bus-run", "--domain-dir", self.directory, "--broker", self._broker])
            [self.broker_pid] = map(int, pathlib.Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        for process in reversed(self._processes):
            process.kill()
        self._directory.cleanup()

    def _ready(self, argv):
        """Starts what has --ready-fd, and waits until it says that it is ready. Returns its process."""
        process = Process.ready(argv)
        self._processes.append(process)
        return process

    def start(self, argv, **options):
        process = Process(argv, **options)
        self._processes.append(process)
        return process

    def service(self, name):
        """Starts a service of the tree. Returns its process."""
        program = build_directory() / f"services/{name}/xcp-{name}"
        state = self.directory / f"{name}-state"
        return self._ready([program, "--bus-address", self.address, "--state-dir", state, "--log-level", "warning"])

    def _program(self, name, *arguments):
        program = Program([build_directory() / f"bench/bus/{name}", self.address, *arguments])
        self._processes.append(program)
        program.line("ready")
        return program

    def echo(self, name):
        """A service with org.xen.xcp.bench1.Echo."""
        return self._program(name)

    def caller(self, name, method, arguments, *paths):
        """A measuring program that calls a method, INTERFACE.MEMBER, of objects in turn. arguments: a tuple as GVariant's text."""
        return self._program("call", name, *method.rsplit(".", 1), arguments, *paths)

    def batch(self, name, kind, window, *paths):
        """A measuring program that does something to many objects (batch.c)."""
        return self._program("batch", name, kind, window, *paths)

    def call(self, name, path, method, *arguments):
        """Makes a call with busctl. Returns the results."""
        call = ["busctl", f"--address={self.address}", "--json=short", "call", name, path, *method.rsplit(".", 1), *map(str, arguments)]
        return json.loads(run(*call, deadline=60).stdout)["data"]

    def reply_bytes(self, name, path):
        """How many objects GetManagedObjects returns, and in how many bytes."""
        fields = run(build_directory() / "bench/bus/reply-bytes", self.address, name, path, deadline=60).stdout.split()
        return int(fields[0]), int(fields[2])
