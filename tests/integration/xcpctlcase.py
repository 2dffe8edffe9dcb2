# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of xcpctl have in common: a bus where it looks for one, and a terminal."""

import json
import os
import pathlib
import pty
import re
import select
import subprocess

from harness import Process, TestCase, build_directory, run, wait_until

XCPCTL = build_directory() / "tools/xcpctl/xcpctl"


class Terminal:
    """A terminal, 80 columns wide, for a program to write to: .program is its end."""

    def __init__(self, test):
        self.ours, self.program = pty.openpty()
        test.addCleanup(os.close, self.ours)
        test.addCleanup(os.close, self.program)
        self.text = ""

    def wait(self, pattern):
        """Waits until a regular expression matches what was written so far."""

        def look():
            while select.select([self.ours], [], [], 0)[0]:
                self.text += os.read(self.ours, 65536).decode()
            return re.search(pattern, self.text)

        return wait_until(look, lambda: f"{pattern!r} on the terminal: {self.text!r}", fds=(self.ours,))

    def settings(self):
        return subprocess.run(["stty", "-g"], stdin=self.program, capture_output=True, check=True).stdout


class XcpctlTest(TestCase):
    """A bus where xcpctl looks for domain 0's."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.rundir = self.root / "run"
        (self.rundir / "dom0").mkdir(parents=True)
        self.address = f"unix:path={self.rundir}/dom0/bus"
        self.env = {"XCP_RUNDIR": str(self.rundir), "TERM": "xterm", "TZ": "UTC", "NO_COLOR": ""}
        self.bus = Process(["dbus-daemon", "--session", "--nofork", "--print-address", f"--address={self.address}"])
        self.addCleanup(self.bus.kill)
        self.bus.wait_output("^unix:")  # it listens: the socket is there a moment before

    def xcpctl(self, *arguments, **options):
        return run(XCPCTL, *arguments, env=self.env, **options)

    def begin(self, *arguments, **options):
        process = Process([XCPCTL, *arguments], env=self.env, **options)
        self.addCleanup(process.kill)
        return process

    def start_service(self, program, state):
        """Starts a service on this bus, with its state in a directory; it is ready when this returns."""
        service = Process.ready([program, "--bus-address", self.address, "--state-dir", state])
        self.addCleanup(service.kill)
        return service

    def json(self, *arguments):
        return json.loads(self.xcpctl("--json", *arguments).stdout)

    def refused(self, status, *arguments):
        """What it says when it fails, which begins each line with its name."""
        result = self.xcpctl(*arguments, check=status)
        self.assertEqual(result.stdout, "")
        for line in result.stderr.splitlines():
            self.assertTrue(line.startswith("xcpctl: "), line)
        self.assertNotIn("\033", result.stderr)
        return result.stderr
