# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a deadline, after which nothing that it started is left."""

import shutil
import signal
import tempfile
import unittest

from .process import end_survivors, survivors
from .wait import PATIENCE, TimedOut

CLEANUP_DEADLINE = 60  # seconds that one cleanup of a test may take that has reached its deadline


class TestCase(unittest.TestCase):
    """deadline: seconds that each test of the class may take.

    lasting: what a test starts may run on after it, as it does when programs that setUpClass has started start others; else nothing may.
    What setUpClass starts may run until the end of the file; the runner sees to that.
    """

    deadline = 300
    lasting = False

    def run(self, result=None):
        if not self.lasting:
            self.addCleanup(end_survivors, spared=set(survivors()))  # first in, so last to run: after all that the test adds
        seconds = self.deadline * PATIENCE

        def too_late(number, frame):
            raise TimedOut(seconds, f"the end of {self.id()}; the traceback shows where it was")

        before = signal.signal(signal.SIGALRM, too_late)
        signal.setitimer(signal.ITIMER_REAL, seconds, CLEANUP_DEADLINE)
        try:
            return super().run(result)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def temporary_directory(self):
        """A new directory, removed after the test. Its path is short, as a UNIX socket's must be (108 bytes, unix(7))."""
        path = tempfile.mkdtemp(prefix="xcp-", dir="/tmp")
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path
