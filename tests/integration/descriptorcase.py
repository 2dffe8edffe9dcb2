# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs in two domains that pass each other descriptors over the bridge, for tests."""

import errno
import fcntl
import os
import pathlib
import select
import threading

from dbuswire import CALL, Bus, CallFailed, Service
from linkcase import LinkCase

K, M = 1 << 10, 1 << 20
KEEP = "org.example.Keep"
NOT_SUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def memfd(data, seals=SEALS):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def n_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Keeper:
    """A service that keeps what it is given, and gives what it is told to."""

    def __init__(self, path):
        self.given = []  # the descriptors of each call
        self.gives = []
        self.arrived = threading.Condition()
        self.service = Service(path, KEEP, self._handle, passes_fds=True)

    def _handle(self, bus, call):
        if call.type != CALL:
            return
        with self.arrived:
            self.given.append(call.fds)
            self.arrived.notify_all()
        if call.flags & 1:
            return
        if call.member in ("Get", "Tell", "Shout"):  # in the answer, or in a signal to the caller or to everybody before it
            fds, self.gives = self.gives, []
            passed = ("h" * len(fds), *range(len(fds)))
            if call.member == "Get":
                bus.answer_to(call, *passed, fds=fds)
            else:
                bus.signal("/", KEEP, "Given", *passed, destination=call.sender if call.member == "Tell" else None, fds=fds)
                bus.answer_to(call, "u", 0)
            for fd in fds:
                os.close(fd)
        else:
            bus.answer_to(call, "u", len(call.fds))

    def take(self):
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.given, timeout=60), "no call has come within 60 s"
            return self.given.pop(0)

    def close(self):
        self.service.close()
        for fds in self.given:
            for fd in fds:
                os.close(fd)


class DescriptorTest(LinkCase):
    def setUp(self):
        super().setUp()
        self.keeper = Keeper(self.path(1))
        self.addCleanup(self.keeper.close)
        self.wait_name(0, KEEP)
        self.client = Bus(self.path(0), passes_fds=True)
        self.addCleanup(self.client.close)

    def own(self, fd):
        """Closes it at the end."""
        self.addCleanup(self.close, fd)
        return fd

    def close(self, fd):
        try:
            os.close(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise

    def passing(self, *fds, member="Keep", flags=0):
        """The call's answer; the descriptors are closed here."""
        try:
            serial = self.client.call_async(KEEP, "/", KEEP, member, "h" * len(fds), *range(len(fds)), fds=fds, flags=flags)
        finally:
            for fd in fds:
                os.close(fd)
        return None if flags else self.client.answer(serial)

    def give(self, *fds):
        """Passes them in a call, and returns what has arrived."""
        self.assertEqual(self.passing(*fds), (len(fds),))
        return self.keeper.take()

    def get(self, *fds):
        """Passes them in an answer."""
        self.keeper.gives = list(fds)
        reply = self.client.reply_to(self.client.call_async(KEEP, "/", KEEP, "Get"))
        self.keeper.take()
        if reply.error:
            raise CallFailed(reply.error, reply.body[0])
        return reply.fds

    def ways(self):
        return (self.give, "call"), (self.get, "answer")

    def bridges_of(self):
        """The processes of the link, one at each side."""
        return [self.process_of(0, 1), self.process_of(1, 0)]

    def process_of(self, domain, other):
        pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.is_process_of(pid, domain)]
        self.assertEqual(len(pids), 1, f"processes of domain {domain} for domain {other}")
        return pids[0]

    def is_process_of(self, pid, domain):
        try:
            argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return b"--peer" in argv and os.fsencode(self.directory(domain)) in argv

    def read(self, fd, n, what="bytes"):
        data = b""
        while len(data) < n:
            self.wait_readable(fd, what)
            piece = os.read(fd, n - len(data))
            self.assertTrue(piece, f"the end after {len(data)} of {n} bytes, {what}")
            data += piece
        return data

    def wait_readable(self, fd, what):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        self.assertTrue(poll.poll(60000), f"nothing to read within 60 s: {what}")

    def assert_end(self, fd):
        self.wait_readable(fd, "the end")
        try:
            self.assertEqual(os.read(fd, 100), b"")
        except OSError as error:
            self.assertIn(error.errno, (errno.ECONNRESET, errno.EIO))
