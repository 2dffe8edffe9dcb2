# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with something else than a bridge: for tests of what a bridge does about it."""

import os
import pathlib
import re
import struct
import sys

from bridgecase import ECHO, BridgeCase, echo
from bridgewire import PING, PONG, REFUSED, frame
from harness import Emulation, wait_until


SOURCE = pathlib.Path(__file__).resolve().parents[2]


class ImpostorCase(BridgeCase):
    """Domains 0 and 2 are joined. Domain 1 has no bus, which is nobody's business but its own, and for a bridge it has bridge-impostor.py."""

    domains = 2
    bridge_arguments = ("--pause-max", "50")  # links end here one after the other

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=2))
        self.buses, self.bridges = {}, {}
        self.before_bridges()
        for domain in (0, 2):
            self.start_bus(domain)
            self.start_bridge(domain)
        self.wait_link(2)
        self.impostor = self.xen.start(1, sys.executable, pathlib.Path(__file__).with_name("bridge-impostor.py"))
        self.addCleanup(self.impostor.kill)

    def before_bridges(self):
        """For what must be there when they start."""

    def meet(self, *frames):
        """A new link, on which these frames are sent at once."""
        met = self.impostor.stdout.count("met\n")
        self.impostor.write("meet\n")
        wait_until(lambda: self.impostor.stdout.count("met\n") > met, lambda: f"a link of {self.impostor}")
        if frames:
            self.send(*frames)

    def send(self, *frames):
        self.impostor.write(f"send {b''.join(frames).hex()}\n")

    def said(self):
        """What the impostor has said since it met the bridge last."""
        return self.impostor.stdout.rpartition("met\n")[2]

    def frames(self, kind):
        """The bodies of such frames that have come over the link."""
        return [bytes.fromhex(body) for body in re.findall(rf"^frame {kind} ([0-9a-f]*)\n", self.said(), re.MULTILINE)]

    def wait_frame(self, kind, accept=lambda body: True):
        """The first such frame that is accepted."""
        wait_until(lambda: any(map(accept, self.frames(kind))), lambda: f"a frame {kind}, after {self.said()[-1000:]}")
        return next(filter(accept, self.frames(kind)))

    def wait_refusal(self, call):
        """The refusal of one of its calls."""
        return self.wait_frame(REFUSED, lambda body: struct.unpack_from("<Q", body)[0] == call)

    def wait_handled(self):
        """What was sent has been handled: a ping behind it is answered."""
        cookie = os.urandom(8)
        self.send(frame(PING, cookie))
        self.wait_frame(PONG, lambda body: body == cookie)

    def wait_end(self):
        """The bridge closes the ring."""
        wait_until(lambda: "end\n" in self.said(), lambda: f"the end of the link of {self.impostor}")

    def assert_others_are_well(self):
        service = self.service(2, echo, "org.example.Well")
        self.wait_name(0, "org.example.Well")
        self.assertEqual(self.bus(0).call("org.example.Well", "/", ECHO, "Echo", "s", "well"), ("well",))
        service.close()
        self.wait_name(0, "org.example.Well", there=False)
        self.assertIsNone(self.bridges[0]._popen.poll())
