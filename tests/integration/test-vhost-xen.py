# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vhost-user block back-end, with rings and buffers in pages that a guest of (emulated) Xen grants: XEN_MMAP."""

import signal

from harness import Emulation, TestCase, wait_until
from vhostcase import BLK, CHECK, MIB

GUEST, OTHER = 1, 2


class Granted(TestCase):
    """The back-end in domain 0 serves domain 1, in which the checks of X run; domain 2 is nobody's guest."""

    def setUp(self):
        # What is checked stands for a guest and for its device model, so that it finds the socket of domain 0.
        self.xen = self.enterContext(Emulation(domains=2, arguments=["--no-isolate"]))
        self.directory = self.temporary_directory()
        self.socket = f"{self.directory}/socket"
        with open(f"{self.directory}/disk.raw", "wb") as file:
            file.truncate(MIB)

    def blk(self, *options):
        backend = self.xen.start(0, BLK, "--socket-path", self.socket, "--blk-file", f"{self.directory}/disk.raw", *options)
        self.addCleanup(backend.kill)
        backend.wait_output("ready\n")
        return backend

    def check(self, domid, *options):
        return self.xen.run(domid, CHECK, "--socket", self.socket, "--xen", f"{domid}:0", "X", *options, check=None)

    def mapped(self):
        """Pages that domain 0 has mapped of others'."""
        return next(domain["maptrack"]["used"] for domain in self.xen.list() if domain["domid"] == 0)

    def test_every_clause_and_nothing_stays_mapped(self):
        before = self.mapped()
        for options in (), ("--no-io-uring",), ("--pin-memory",):
            with self.subTest(options=options):
                backend = self.blk("--xen", str(GUEST), *options)
                result = self.check(GUEST)
                self.assertEqual((result.status, result.stdout.splitlines()[-1]), (0, "7 passed, 0 failed, 0 not offered"), result)
                wait_until(lambda: self.mapped() == before, "the back-end has unmapped what it was lent")
                backend.signal(signal.SIGTERM)
                backend.wait().check()

    def test_only_the_guest_it_was_told_of_is_served(self):
        self.blk("--xen", str(GUEST))
        result = self.check(OTHER, "--timeout", "60000")
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.stdout, "X-1 +MUST +FAILED .*: granted pages are refused")
        self.assertRegex(result.stdout, "X-2 +MUST +FAILED .*: granted pages are refused")

    def test_it_is_offered_only_to_whoever_wants_it(self):
        self.blk()
        result = self.check(GUEST)
        self.assertEqual(result.stdout.splitlines()[-1], "0 passed, 0 failed, 7 not offered", result)
