# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a disk of zeros, and back-ends that serve it."""

import os
import pathlib
import re
import signal
import socket

from harness import Process, TestCase, run

BUILD = pathlib.Path(os.environ["XCP_BUILDDIR"]) / "vhost"
BLK, CHECK = BUILD / "blk/xcp-vhost-blk", BUILD / "check/xcp-vhost-check"
RELAY = BUILD / "relay/xcp-vhost-relay"
DRIVER = BUILD / "blk/vhost-toy-driver"
MIB = 1 << 20


class Backend(TestCase):
    def setUp(self):
        self.directory = self.temporary_directory()
        self.socket = f"{self.directory}/socket"
        self.file = f"{self.directory}/disk.raw"
        with open(self.file, "wb") as file:
            file.truncate(64 * MIB)

    def blk(self, *options, fds=()):
        backend = Process([BLK, "--socket-path", self.socket, "--blk-file", self.file, *options], stdin=fds[0] if fds else None)
        self.addCleanup(backend.kill)
        backend.wait_output("ready\n")
        return backend

    def relay(self):
        """As the storage service starts it: 3 is the socket, and 4 the daemon's monitor."""
        listener = self.enterContext(socket.socket(socket.AF_UNIX))
        listener.bind(self.socket)
        listener.listen()
        ours, theirs = socket.socketpair()
        self.enterContext(ours)
        with theirs:
            relay = Process([
                "sh", "-c", 'exec "$@" 3<&0 4<&1', "sh", RELAY, "qemu-storage-daemon",
                "--blockdev", f"driver=file,filename={self.file},node-name=file,discard=unmap",
                "--chardev", "socket,id=control,fd=4", "--monitor", "chardev=control",
                "--export", "type=vhost-user-blk,id=e,node-name=file,addr.type=fd,addr.str=3,writable=on,num-queues=2",
            ], stdin=listener.fileno(), stdout=theirs.fileno())
        self.addCleanup(relay.kill)
        return relay

    def check(self, *options, status=0):
        """The clauses by verdict: {"passed": [...], ...}."""
        result = run(CHECK, "--socket", self.socket, "--timeout", "60000", *options, deadline=100, check=None)
        if result.status != status:
            raise AssertionError(result)
        verdicts = {}
        for clause, verdict in re.findall(r"^(\w+-\d+) +\w+ +(passed|FAILED|not offered) ", result.stdout, re.MULTILINE):
            verdicts.setdefault(verdict, []).append(clause)
        return verdicts, result

    def check_frontend(self, *options):
        """A back-end that checks the front-end which connects; frontend_verdicts() has what it says in the end."""
        check = Process([CHECK, "--frontend", "--socket", self.socket, "--trace", *options])
        self.addCleanup(check.kill)
        check.wait_output("^ready\n")
        return check

    def frontend_verdicts(self, check, status=0):
        """The clauses by verdict, once the front-end is gone."""
        result = check.wait().check(status)
        verdicts = {"passed": set(), "FAILED": set(), "not seen": set()}
        for clause, verdict in re.findall(r"^(F-\d+) +\w+ +(passed|FAILED|not seen) ", result.stdout, re.MULTILINE):
            verdicts[verdict].add(clause)
        return verdicts, result

    def end(self, backend):
        backend.signal(signal.SIGTERM)
        backend.wait().check()
