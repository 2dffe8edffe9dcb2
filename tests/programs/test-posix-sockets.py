# SPDX-License-Identifier: LGPL-2.1-or-later
"""posix-sockets as it is and carried by PV Calls: every call returns the same, but for what docs/pvcalls-frontend.md lists."""

import collections

from carried import Carried
from harness import build_directory, run

PROGRAM = build_directory() / "tests/posix-sockets/posix-sockets"

DIFFERENT = {
    "urgent: send(MSG_OOB)": ("1", "EOPNOTSUPP"),
}


def results(text):
    """What each call has returned; those that come more than once have numbers."""
    returned, seen = {}, collections.Counter()
    for line in text.splitlines():
        call, result = line.split(" = ", 1)
        seen[call] += 1
        returned[f"{call}, {seen[call]}" if seen[call] > 1 else call] = result
    return returned


class PosixSockets(Carried):
    deadline = 400

    def setUp(self):
        super().setUp()
        for limit in ("sockets=4096", "sockets-per-second=1000000"):  # the list opens as many as it can
            self.backend.ask(f"limit {limit}")
        peer = self.stack.enter_context(self.xen.start(0, PROGRAM, "peer", "0"))
        self.port = peer.wait_output(r"^ready (\d+)$")[1]

    def test_every_call_returns_the_same(self):
        natively = results(run(PROGRAM, "run", self.port, deadline=120).check().stdout)
        carried = results(self.run_carried(PROGRAM, "run", self.port, deadline=250).check().stdout)
        self.compare(natively, carried, DIFFERENT)
        self.assertGreater(self.backend.counters()["bytes.sent"], 64 << 20)  # it did go through the backend
        self.wait_tidy()
