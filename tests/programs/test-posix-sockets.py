# SPDX-License-Identifier: LGPL-2.1-or-later
"""posix-sockets as it is and carried by PV Calls: every call returns the same, but for what docs/pvcalls-frontend.md lists."""

import socket

from carried import Carried
from harness import build_directory, run

PROGRAM = build_directory() / "tests/posix-sockets/posix-sockets"

DIFFERENT = {  # "What is different" in docs/pvcalls-frontend.md: the call, what it returns natively, and carried
    "urgent: send(MSG_OOB)": ("1", "EOPNOTSUPP"),
}


def results(text):
    return [tuple(line.split(" = ", 1)) for line in text.splitlines()]


class PosixSockets(Carried):
    deadline = 400

    def setUp(self):
        super().setUp()
        for limit in ("sockets=4096", "sockets-per-second=1000000"):  # the list opens as many as it can
            self.backend.ask(f"limit {limit}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        peer = self.stack.enter_context(self.xen.start(0, PROGRAM, "peer", self.port))
        peer.wait_output("ready")

    def test_every_call_returns_the_same(self):
        natively = results(run(PROGRAM, "run", self.port, deadline=120).check().stdout)
        carried = results(self.run_carried(PROGRAM, "run", self.port, deadline=250).check().stdout)
        self.assertEqual([call for call, _ in carried], [call for call, _ in natively])
        found = {call: (here, there) for (call, here), (_, there) in zip(natively, carried) if here != there}
        self.assertEqual(found, DIFFERENT)
        self.assertGreater(self.backend.counters()["bytes.sent"], 64 << 20)  # it did go through the backend
        self.wait_tidy()
