# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a PV Calls device comes up and goes: states in any order, offers that cannot be, and sides that are killed and come back."""

import os
import signal

from harness import wait_until
from pvcalls import DOM, Attached, Backend, Frontend

MIB = 1 << 20


class Handshake(Attached):
    def test_frontend_killed_and_begins_anew(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port, order=4), 0)
        self.assertEqual(self.frontend.transfer("send", 1, 100000), (100000, 0))
        connected = self.used()
        self.frontend.process.kill()
        with Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            self.assertEqual(frontend.connect(1, server.port, order=4), 0)
            self.assertEqual(frontend.transfer("echo", 1, MIB), (MIB, 0))
            self.assertEqual(self.used(), connected)
            self.assertEqual(frontend.call("release", 1), 0)
            self.wait_left(self.attached, self.backend)

    def test_backend_killed_and_comes_back(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port, order=4), 0)
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        wait_until(lambda: self.used() == self.before, "the port and pages of the one that was killed to be free")
        with Backend(self.xen, DOM) as backend:
            self.frontend.do("wait-backend", 5)
            self.frontend.do("set-state", 5)
            self.frontend.do("set-state", 6)
            self.frontend.do("wait-backend", 6)
            self.frontend.attach()
            self.wait_left(self.attached, backend)
            self.assertEqual(self.frontend.connect(1, server.port, order=4), 0)
            self.assertEqual(self.frontend.transfer("echo", 1, MIB), (MIB, 0))

    def test_backend_that_is_told_to_end(self):
        self.backend.process.signal(signal.SIGTERM)
        self.assertEqual(self.backend.process.wait().status, 0)
        self.frontend.do("wait-backend", 5)
        self.wait_used(self.before)

    def test_orderly_close(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.frontend.do("set-state", 5)
        self.frontend.do("wait-backend", 5)
        self.wait_used(self.before)
        self.frontend.do("set-state", 6)
        self.frontend.do("wait-backend", 6)
        self.xen.run(0, "xenstore-write", "backend/pvcalls/1/0/online", "0")
        self.assertEqual(self.backend.process.wait().status, 0)

    def test_states_in_any_order(self):
        for state in (3, 7, 8, 2, 0, 4, 1, 3, 9, "x", 4, 5, 4, 3, 1, 1, 6, 6, 4, 5, 6):
            self.frontend.do("write", "state", state)
        self.frontend.do("wait-backend", 6)
        self.wait_used(self.before)
        server = self.serve()
        self.frontend.attach()
        self.assertEqual(self.frontend.connect(1, server.port), 0)

    def test_offers_that_cannot_be(self):
        for node, value in (("version", "2"), ("version", "1,2"), ("ring-ref", "-1"), ("ring-ref", "99999"), ("ring-ref", "x"), ("port", "99999"),
                            ("port", "4294967296")):
            with self.subTest(node=node, value=value):
                self.frontend.do("set-state", 6)
                self.frontend.do("wait-backend", 6)
                self.frontend.do("set-state", 1)
                self.frontend.do("wait-backend", 2)
                self.frontend.do("offer")
                self.frontend.do("write", node, value)
                self.frontend.do("set-state", 3)
                self.frontend.do("wait-backend", 5)
                self.assertEqual(self.backend.ask("state")[0].split()[0], "Failed")
        self.wait_used(self.before)

    def test_the_nodes_are_those_of_version_1(self):
        for node, value in (("versions", "1"), ("max-page-order", "9"), ("function-calls", "1"), ("feature-notification-suppression", "1")):
            self.assertEqual(self.frontend.do("backend-node", node), [value])

    def test_it_has_given_up_its_privileges(self):
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{self.backend.pid()}/status", encoding="ascii").read().splitlines() if ":\t" in line)
        if os.getuid() == 0:
            self.assertNotIn("0", status["Uid"].split())
            self.assertEqual(int(status["CapEff"], 16), 1 << 10)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
