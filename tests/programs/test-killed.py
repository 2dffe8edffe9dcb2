# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the supervisor of xcp-pvcalls-run, and of a program on the library, at every step: what is left of it with the backend is counted."""

import os
import pathlib
import select
import signal
import socket
import sys

from carried import DOM, Carried
from harness import build_directory, wait_until
from pvcalls import Counted, Server, echo

LIBRARY_USER = build_directory() / "pvcalls/frontend/pvcalls-library-user"

# The steps, and what the backend then lists of sockets.
STEPS = {"socket": None, "bind": "Bound", "listen": "Listening", "accept": "Listening", "connect": "Connecting", "data": "Connected"}

# Goes as far as the step, and on when it hears from us or the step's call has failed; says then what a new connection comes to.
PROGRAM = """
import errno, socket, sys

step, port = sys.argv[1], int(sys.argv[2])

def at(name, call=sys.stdin.readline):
    if name != step:
        return
    print("at", name, flush=True)
    try:
        while call() not in (b"", "on\\n"):
            pass
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", port), 60)
        print("connected", flush=True)
    except OSError as error:
        print("failed", errno.errorcode[error.errno], flush=True)
    sys.exit()

listener = socket.socket()
at("socket")
listener.bind(("127.0.0.1", 0))
at("bind")
listener.listen(5)
at("listen")
at("accept", listener.accept)
connection = socket.socket()
at("connect", lambda: connection.connect(("127.0.0.1", port)))
connection.connect(("127.0.0.1", port))
connection.sendall(bytes(65536))
at("data", lambda: connection.recv(65536))
"""

# Says that all is well with who comes next.
NEXT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) as one:
    one.sendall(b"well")
    print(one.recv(4).decode())
"""


class Killed(Carried):
    def setUp(self):
        super().setUp()
        self.server = self.stack.enter_context(Server(echo))
        self.full = self.make_full()
        self.come_next()
        self.wait_tidy()
        self.kept = self.left()

    def make_full(self):
        """The port of a listener whose queue is full: a connect waits there."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filler = self.stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        return listener.getsockname()[1]

    def port(self, step):
        return self.full if step == "connect" else self.server.port

    def left(self):
        """All there is of the frontend with the backend, and in the store."""
        return self.used(), self.backend.descriptors(), self.backend.sockets(), self.backend.counters()["sockets.now"], self.nodes()

    nodes = Counted.nodes

    def wait_step(self, process, step):
        process.wait_output(f"^at {step}$")
        state = STEPS[step]
        wait_until(lambda: not state or any(f" {state} " in line for line in self.backend.sockets()),
                   lambda: f"a socket that is {state}: {self.backend.sockets()}")

    def come_next(self):
        raise NotImplementedError

    def check_nothing_left(self, step):
        self.come_next()
        wait_until(lambda: self.left() == self.kept, lambda: f"{self.kept} to be left in place of {self.left()}, after {step}")


class Supervisors(Killed):
    def supervisors(self):
        """Their pids: they alone have the lock's file open."""
        pids = []
        lock = (self.xen.rundir / f"dom{DOM}/pvcalls-run.lock").stat()
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                file = (directory / "fd/4").stat()
            except OSError:  # has ended, or is somebody else's
                continue
            if (file.st_dev, file.st_ino) == (lock.st_dev, lock.st_ino):
                pids.append(int(directory.name))
        return pids

    def kill_supervisor(self):
        """Kills it, and waits until all that it had is closed: before, a program could still come to its door."""
        wait_until(lambda: len(self.supervisors()) == 1, "one supervisor, and the end of one before it")
        descriptor = os.pidfd_open(self.supervisors()[0])
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            wait_until(lambda: select.select([descriptor], [], [], 0)[0], "the end of the supervisor")
        finally:
            os.close(descriptor)

    def come_next(self):
        self.assertEqual(self.run_carried(sys.executable, "-c", NEXT, str(self.server.port)).stdout, "well\n")

    def test_at_every_step(self):
        for step in STEPS:
            program = self.start_carried(sys.executable, "-c", PROGRAM, step, str(self.port(step)))
            self.wait_step(program, step)
            self.kill_supervisor()
            if step in ("socket", "bind", "listen"):
                program.write("on\n")
            program.wait_output("^failed ENOSYS$")  # what the kernel says when nobody is there to be asked
            program.wait(60).check()
            self.check_nothing_left(step)


class Libraries(Killed):
    def come_next(self):
        said = self.xen.run(DOM, LIBRARY_USER, "churn", "127.0.0.1", str(self.server.port), "1").stdout
        self.assertEqual(said, "ok 1\n")

    def kill_at(self, step):
        with self.xen.start(DOM, LIBRARY_USER, "stop", "127.0.0.1", str(self.port(step)), step) as process:
            self.wait_step(process, step)

    def test_at_every_step(self):
        for step in STEPS:
            self.kill_at(step)
            self.check_nothing_left(step)

    def test_and_nobody_comes_after(self):
        self.kill_at("data")
        self.xen.destroy(DOM)
        self.backend.process.wait()
        used = {what: n - 1 for what, n in self.before[0].items() if what != "shared_pages"}  # and xenstored's port and page of the domain
        wait_until(lambda: {what: self.used()[0][what] for what in used} == used, lambda: f"{used} in use in place of {self.used()}")
        self.assertEqual(set(self.nodes()) - set(self.kept[-1]), set())


del Killed, Carried, Counted
