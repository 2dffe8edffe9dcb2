# SPDX-License-Identifier: LGPL-2.1-or-later
"""What integration tests share: emulated Xen for the length of a test, programs with deadlines, and a TAP runner.

    from harness import Emulation, TestCase

    class Store(TestCase):
        def test_a_guest_reads_its_domid(self):
            with Emulation(domains=1) as xen:
                self.assertEqual(xen.run("dom1", "xenstore-read", "domid").stdout, "1\\n")

Run a file with `python3 -m harness FILE [PATTERN...]`, with tests/ in PYTHONPATH; meson does. Nothing a test starts outlives it: what
is left at its end is killed, and fails it.
"""

from .bus import Bus
from .case import TestCase
from .emulation import Emulation, build_directory
from .process import Failed, Process, Result, run
from .wait import TimedOut, wait_listening, wait_path, wait_until

__all__ = [
    "Bus",
    "Emulation",
    "Failed",
    "Process",
    "Result",
    "TestCase",
    "TimedOut",
    "build_directory",
    "run",
    "wait_listening",
    "wait_path",
    "wait_until",
]
