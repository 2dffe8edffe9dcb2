# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of a domain that do not go through the libraries: whatever they send, the hypervisor lives on and others notice nothing."""

import array
import contextlib
import os
import pathlib
import random
import signal
import socket
import struct

from harness import Emulation, TestCase, wait_until
from xenagent import Agent

HELLO, ALLOC_UNBOUND, SHARE, MAP, DOMAIN_INFO, DOMAIN_CREATE, SHUTDOWN = 1, 16, 32, 48, 64, 80, 84  # protocol.h, enum emu_op
UNSHARE, POSTED = 34, 1
VERSION = 2
REQUEST_MAX = 4096
EPERM, ENOENT, EINVAL, EPROTO, EMSGSIZE, EOPNOTSUPP, EMFILE = 1, 2, 22, 71, 90, 95, 24


def connect(path, greet=True):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(60)
    connection.connect(str(path))
    if greet:
        assert ask(connection, HELLO, struct.pack("=II", VERSION, 0)) == 0
    return connection


def ask(connection, op, argument=b"", reserved=0):
    """Sends a request and returns the result; None if the hypervisor closed the connection instead."""
    try:
        connection.send(struct.pack("=II", op, reserved) + argument)
        reply = connection.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        return None
    return struct.unpack_from("=i", reply)[0] if reply else None


class Hypervisor(TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.xen = stack.enter_context(Emulation(domains=2))
        self.stack = stack
        self.socket = self.xen.rundir / "dom1/xen"

    def connect(self, greet=True, path=None):
        return self.stack.enter_context(contextlib.closing(connect(path or self.socket, greet)))

    def lives(self):
        """Two domains can still share a page, and nothing is left of what was refused."""
        with Agent(self.xen, 1) as one, Agent(self.xen, 2) as two:
            region, refs = one.share(one.open_handle("gntshr"), 2, 2)
            one.poke(region, 5000, "alive")
            mapped = two.map_refs(two.open_handle("gnttab"), [1, 1], refs)
            self.assertEqual(two.peek(mapped, 5000, 5), "alive")

    def test_requests_that_are_none(self):
        for packet in (b"\0", b"\xff" * 7, b"x" * 8, b"\0" * REQUEST_MAX, os.urandom(REQUEST_MAX), b"x" * (REQUEST_MAX + 1), b"x" * 100000):
            with self.subTest(packet[:8]):
                connection = self.connect()
                connection.send(packet)
                self.assertLess(struct.unpack_from("=i", connection.recv(65536))[0], 0)
        self.lives()

    def test_the_error_says_what_is_wrong(self):
        connection = self.connect()
        self.assertEqual(ask(connection, 9999), -EOPNOTSUPP)
        self.assertEqual(ask(connection, SHARE, b"\0" * 11), -EMSGSIZE)
        self.assertEqual(ask(connection, SHARE, b"\0" * 13), -EMSGSIZE)
        self.assertEqual(ask(connection, SHARE, b"\0" * REQUEST_MAX), -EMSGSIZE)
        self.assertEqual(ask(connection, SHARE, struct.pack("=III", 2, 1, 0), reserved=1), -EINVAL)
        self.assertEqual(ask(connection, SHARE, struct.pack("=III", 2, 2**32 - 1, 0)), -EINVAL)
        self.assertEqual(ask(connection, MAP, struct.pack("=II", 0, 2**31)), -EINVAL)
        self.assertEqual(ask(connection, MAP, struct.pack("=II", 0, 3)), -EMSGSIZE)

    def test_no_word_before_the_hello_and_none_of_another_build(self):
        self.assertEqual(ask(self.connect(greet=False), SHARE, struct.pack("=III", 2, 1, 0)), -EPROTO)
        self.assertEqual(ask(self.connect(greet=False), HELLO, struct.pack("=II", 99, 0)), -EPROTO)

    def test_a_guest_is_not_the_toolstack(self):
        connection = self.connect()
        self.assertEqual(ask(connection, DOMAIN_INFO, struct.pack("=I", 0)), -EPERM)
        for op in (DOMAIN_CREATE, SHUTDOWN):
            self.assertEqual(ask(connection, op), -EOPNOTSUPP)
        self.assertEqual(len(self.xen.list()), 3)

    def test_descriptors_that_are_sent_along_are_dropped(self):
        connection = self.connect()
        before = len(os.listdir(f"/proc/{self.pid()}/fd"))
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        for _ in range(5):
            connection.sendmsg([struct.pack("=II", 9999, 0)], control)
            connection.recv(65536)
        self.assertLessEqual(len(os.listdir(f"/proc/{self.pid()}/fd")), before)  # less: of who had just gone
        for file in files:
            os.close(file)

    def pid(self):
        inode = os.stat(self.xen.rundir / "xenemud/lock").st_ino
        look = lambda: [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines()]
        found = lambda: next((int(fields[4]) for fields in look() if fields[5].endswith(f":{inode}")), None)
        return wait_until(found, "xenemud's lock")  # a look may miss a line while others come and go

    def test_who_does_not_read_is_cut_off(self):
        connection = self.connect()
        connection.setblocking(False)
        request = struct.pack("=IIIII", SHARE, 0, 2, 1, 0)
        sent = 0
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            while sent < 1000000:
                try:
                    connection.send(request)
                    sent += 1
                except BlockingIOError:
                    pass
        self.lives()

        def shared():
            return next(domain for domain in self.xen.list() if domain["domid"] == 1)["shared_pages"]["used"]

        wait_until(lambda: shared() == 0, lambda: f"{shared()} pages to be given back")

    @contextlib.contextmanager
    def stopped(self):
        """xenemud does nothing, and finds all that came meanwhile at once."""
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "xenemud to stop")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_what_is_posted_is_done_before_what_is_asked_later(self):
        """Whichever connection is looked at first."""
        other = self.xen.rundir / "dom2/xen"
        before, others, granter, after = self.connect(path=other), [self.connect() for _ in range(4)], self.connect(), self.connect(path=other)
        for mapper in (before, after) * 4:
            granter.send(struct.pack("=IIIII", SHARE, 0, 2, 1, 0))
            _, _, share, _, ref = struct.unpack("=iIIII", granter.recv(65536))
            with self.stopped():
                for connection in others:  # with many that have something, the order in which the loop takes them is any
                    connection.send(struct.pack("=III", UNSHARE, POSTED, share))
                granter.send(struct.pack("=III", UNSHARE, POSTED, share))
                mapper.send(struct.pack("=IIIIII", MAP, 0, 0, 1, 1, ref))
            self.assertEqual(struct.unpack_from("=i", mapper.recv(65536))[0], -EINVAL)
        self.assertEqual(ask(granter, UNSHARE, struct.pack("=I", share)), -ENOENT)  # and nothing was answered but this
        self.lives()

    def test_a_domain_has_its_handles_and_the_others_theirs(self):
        results = [ask(self.connect(greet=False), HELLO, struct.pack("=II", VERSION, 0)) for _ in range(1024)]
        self.assertEqual(set(results), {0})
        more = [ask(self.connect(greet=False), HELLO, struct.pack("=II", VERSION, 0)) for _ in range(40)]
        self.assertEqual(set(more), {-EMFILE})
        with Agent(self.xen, 2) as two:
            two.open_handle("evtchn")

    def test_connections_that_come_and_go(self):
        for n in range(2000):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect(str(self.socket))
            if n % 2:
                connection.send(struct.pack("=IIII", HELLO, 0, VERSION, 0))
            connection.close()
        self.lives()

    def test_random_requests(self):
        """The same as fuzz-hypercall does, through the socket, with a seed that a failure can be repeated by."""
        source = random.Random(7)
        connection = None
        for _ in range(20000):
            if connection is None or source.random() < 0.01:
                connection = connect(self.socket)
            op = source.choice([*range(16, 23), 32, 33, 34, 48, 49, 50, 64, 65, source.getrandbits(32)])
            words = [source.choice([0, 1, 2, 3, 8, 9, 1023, 1024, 0x7FF0, 2**32 - 1]) for _ in range(source.randrange(7))]
            if ask(connection, op, struct.pack(f"={len(words)}I", *words)) is None:
                connection = None
        connection.close()
        wait_until(lambda: [d["handles"]["used"] for d in self.xen.list()][1:] == [0, 0], "the last handle to be closed")
        self.lives()

        def used():
            first = self.xen.list()[1]
            return [first[what]["used"] for what in ("ports", "shared_pages", "grants", "maptrack")]

        wait_until(lambda: used() == [1, 0, 1, 0], lambda: f"all to be given back but what is the domain's own: {used()}")
