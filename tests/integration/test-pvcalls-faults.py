# SPDX-License-Identifier: LGPL-2.1-or-later
"""PV Calls when a side ends at any step of any command, or the host has no memory: nothing is left of it, and another guest notices nothing."""

import contextlib
import os
import pathlib
import re
import signal
import threading

from harness import Emulation, wait_until
from pvcalls import ALLOW_LOOPBACK, LOCAL, WRITE, Attached, Backend, Counted, Frontend, Server, echo, make_device

MIB = 1 << 20
DOM, OTHER = 1, 2

# Words of the toy frontend's; {} is the port of a server that echoes. Each step ends with one more of them.
COMMANDS = (
    ("socket", 1),
    ("setsockopt", 1, 1, 9, "01000000"),
    ("getsockopt", 1, 1, 9),
    ("connect", 1, "127.0.0.1", "{}", 4),
    ("getname", 1, LOCAL),
    ("shutdown", 1, WRITE),
    ("release", 1),
    ("socket", 2),
    ("bind", 2, "127.0.0.1", 0),
    ("listen", 2, 5),
    ("accept", 2, 3, 4),  # stays parked
    ("poll", 2),  # so does this
    ("socket", 4, 2, 2, 17),
    ("attach-rings", 4, 4),
    ("socket", 5, 1, 1, 0),
    ("setname", 5, 60, 0, "0100"),
)
PARKED = ("accept", "poll")


class Neighbours(Counted):
    """Two guests; what happens to the first must be nothing to the second."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.xen = self.stack.enter_context(Emulation(domains=2))
        self.server = self.stack.enter_context(Server(echo))
        for domid in (DOM, OTHER):
            make_device(self.xen, domid)
        self.other_backend = self.stack.enter_context(Backend(self.xen, OTHER))
        self.other = self.stack.enter_context(Frontend(self.xen, OTHER))
        self.other.attach()
        self.assertEqual(self.other.connect(1, self.server.port), 0)
        self.nobody = self.used()

    def run_to(self, frontend, n):
        """Has the first n commands done, and one more begun."""
        for number, words in enumerate(COMMANDS[: n + 1]):
            words = [str(word).format(self.server.port) for word in words]
            if number == n and words[0] != "release":  # the toy waits for that
                frontend.request(*words)
            elif words[0] in PARKED:
                frontend.request(*words)
            else:
                self.assertEqual(frontend.call(*words), 0, words)

    def other_goes_on(self):
        self.assertEqual(self.other.transfer("echo", 1, 1000), (1000, 0))


    @contextlib.contextmanager
    def other_streams(self):
        """The second guest sends and receives, and compares that, from before the block to after it."""
        n, results, ended = MIB, [], threading.Event()

        def stream():
            while not ended.is_set():
                results.append(self.other.transfer("echo", 1, n))

        def wait_more():
            seen = len(results)
            wait_until(lambda: len(results) > seen or not thread.is_alive(), "the second guest to go on")

        thread = threading.Thread(target=stream)
        thread.start()
        try:
            wait_more()
            yield
            wait_more()
        finally:
            ended.set()
            thread.join()
        self.assertEqual(set(results), {(n, 0)})


class Streams(Neighbours):
    """The second guest has a stream, with nothing lost in it and nothing added, while the first one does its worst."""

    def test_beside_a_storm_of_events(self):
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            attached = self.left(backend, self.other_backend)
            self.assertEqual(frontend.connect(1, self.server.port), 0)
            with self.other_streams():
                frontend.do("storm", 1, 200_000)
                frontend.do("storm", 0, 1000)
            self.assertEqual(frontend.transfer("echo", 1, MIB), (MIB, 0))
            self.assertEqual(frontend.call("release", 1), 0)
            self.wait_left(attached, backend, self.other_backend)

    def test_beside_the_end_of_a_domain(self):
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            nodes, descriptors = self.nodes(), self.other_backend.descriptors()
            for number in range(1, 101):
                self.assertEqual(frontend.connect(number, self.server.port), 0)
            with self.other_streams():
                self.xen.destroy(DOM)
                backend.process.wait()
            self.wait_destroyed(self.nobody, nodes, DOM)
        self.other_goes_on()
        self.assertEqual(self.other_backend.descriptors(), descriptors)


class FrontendKilled(Neighbours):
    def test_at_every_step(self):
        with Backend(self.xen, DOM) as backend:
            with Frontend(self.xen, DOM) as frontend:
                frontend.attach()
                connected = self.left(backend, self.other_backend)
            for n, words in enumerate(COMMANDS):
                with Frontend(self.xen, DOM) as frontend:
                    frontend.attach()
                    self.run_to(frontend, n)
                with Frontend(self.xen, DOM) as frontend:
                    frontend.attach()
                    self.wait_left(connected, backend, self.other_backend, what=words)
                    self.assertEqual(backend.counters()["sockets.now"], 0, words)
                self.other_goes_on()


class BackendKilled(Neighbours):
    def test_at_every_step(self):
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            connected = self.left(backend, self.other_backend)
        for n, words in enumerate(COMMANDS):
            with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
                frontend.attach()
                self.wait_left(connected, backend, self.other_backend, what=words)
                self.run_to(frontend, n)
                os.kill(backend.pid(), signal.SIGKILL)
                backend.process.wait()
                self.wait_used(self.nobody, words)
            self.other_goes_on()
        with Backend(self.xen, DOM), Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            self.assertEqual(frontend.connect(1, self.server.port), 0)
            self.assertEqual(frontend.transfer("echo", 1, MIB), (MIB, 0))


class Removed(Neighbours):
    def test_nothing_is_written_where_the_device_was(self):
        """The backend has not yet seen that the device goes when all of it is gone."""
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            self.assertEqual(frontend.connect(1, self.server.port), 0)
            os.kill(backend.pid(), signal.SIGSTOP)
            stat = pathlib.Path(f"/proc/{backend.process.pid}/stat")  # xenemu stops with what it runs
            wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the backend to be stopped")
            for path in (f"/local/domain/{DOM}/device/pvcalls/0", f"/local/domain/0/backend/pvcalls/{DOM}/0"):
                self.xen.run(0, "xenstore-rm", path)
            backend.process.signal(signal.SIGCONT)
            backend.process.wait().check()
            self.assertNotIn("Cannot", backend.process.stderr)
        self.assertEqual(self.nodes(DOM), [f"/local/domain/0/backend/pvcalls/{DOM}", f"/local/domain/{DOM}/device/pvcalls"])
        self.wait_used(self.nobody, "after its device's end")
        self.other_goes_on()


class NoMemory(Attached):
    emulation = ("--limit", "shared-pages=9000")
    prefix = ("env", "MALLOC_ARENA_MAX=1")  # or there is room set aside that says nothing

    def test_some_are_refused_and_the_others_go_on(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        size = int(re.search(r"VmSize:\s+(\d+) kB", pathlib.Path(f"/proc/{self.backend.pid()}/status").read_text())[1]) * 1024
        self.backend.process.kill()
        self.frontend.process.kill()
        self.wait_used(self.before)
        with Backend(self.xen, 1, ALLOW_LOOPBACK, prefix=(*self.prefix, "prlimit", f"--as={size + 5 * MIB}")) as backend, Frontend(self.xen, 1) as frontend:
            frontend.attach()
            self.assertEqual(frontend.connect(1, server.port), 0)
            left = self.left(backend)
            results = [frontend.connect(10 + i, server.port, order=9) for i in range(12)]  # 2 MiB each
            self.assertEqual((results[0], results[-1]), (0, "ENOMEM"))
            self.assertEqual(frontend.transfer("echo", 1, 10000), (10000, 0))
            for i in range(12):
                self.assertEqual(frontend.call("release", 10 + i), 0)
            self.wait_left(left, backend)
            self.assertEqual(frontend.connect(20, server.port, order=9), 0)
            self.assertEqual(frontend.transfer("echo", 20, MIB), (MIB, 0))


class OthersPages(Neighbours):
    """References and ports that another domain has granted, or that were granted to another domain."""

    def test_they_cannot_be_had(self):
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            theirs = [int(word) for word in self.other.do("references")]
            self.assertEqual(len(theirs), 1)
            ours = []
            self.assertEqual(frontend.connect(1, self.server.port), 0)
            ours = [int(word) for word in frontend.do("references")]
            left = self.left(backend, self.other_backend)
            self.assertEqual(frontend.call("socket", 2), 0)
            for ref in set(range(theirs[0] - 8, theirs[0] + 8)) - set(range(ours[0] - 1, ours[0] + 3)):
                if ref >= 64:
                    self.assertEqual(frontend.call("connect-raw", 2, "127.0.0.1", self.server.port, 16, 2, ref, 1), "EINVAL")
            self.assertEqual(frontend.call("release", 2), 0)
            self.wait_left(left, backend, self.other_backend)
            self.assertEqual(backend.ask("state")[0].split()[0], "Connected")
            self.other_goes_on()


del Neighbours, Attached, Counted
