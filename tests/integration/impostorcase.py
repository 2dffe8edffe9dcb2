# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with something else than a bridge: for tests of what a bridge does about it."""

import pathlib
import sys

from bridgecase import ECHO, BridgeCase, echo
from harness import Emulation, wait_until


class ImpostorCase(BridgeCase):
    """Domains 0 and 2 are joined. Domain 1 has no bus, which is nobody's business but its own, and for a bridge it has bridge-impostor.py."""

    domains = 2
    deadline = 240

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=2))
        self.bridges = {}
        for domain in (0, 2):
            self.start_bus(domain)
            self.start_bridge(domain)
        self.wait_link(2)
        self.impostor = self.xen.start(1, sys.executable, pathlib.Path(__file__).with_name("bridge-impostor.py"))
        self.addCleanup(self.impostor.kill)
        self.n_met = self.n_ended = 0

    def meet(self, *frames):
        """A new link, on which these frames are sent at once."""
        self.n_met += 1
        self.impostor.write("meet\n")
        self.wait_said("met", self.n_met)
        if frames:
            self.send(*frames)

    def send(self, *frames):
        self.impostor.write(f"send {b''.join(frames).hex()}\n")

    def wait_said(self, word, n):
        wait_until(lambda: self.impostor.stdout.count(f"{word}\n") >= n, lambda: f"'{word}' number {n} of {self.impostor}", deadline=30)

    def wait_frame(self, kind, pattern=""):
        return bytes.fromhex(self.impostor.wait_output(rf"^frame {kind} ([0-9a-f]*{pattern}[0-9a-f]*)\n", 20)[1])

    def wait_end(self):
        """The bridge closes the ring."""
        self.n_ended += 1
        self.wait_said("end", self.n_ended)

    def assert_others_are_well(self):
        service = self.service(2, echo, "org.example.Well")
        self.wait_name(0, "org.example.Well")
        self.assertEqual(self.bus(0).call("org.example.Well", "/", ECHO, "Echo", "s", "well"), ("well",))
        service.close()
        self.wait_name(0, "org.example.Well", there=False)
        self.assertIsNone(self.bridges[0]._popen.poll())
