# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a disk of zeros, and back-ends that serve it."""

import os
import pathlib
import re
import signal

from harness import Process, TestCase, run

BUILD = pathlib.Path(os.environ["XCP_BUILDDIR"]) / "vhost"
BLK, CHECK = BUILD / "blk/xcp-vhost-blk", BUILD / "check/xcp-vhost-check"
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

    def check(self, *options, status=0):
        """The clauses by verdict: {"passed": [...], ...}."""
        result = run(CHECK, "--socket", self.socket, *options, deadline=100, check=None)
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
