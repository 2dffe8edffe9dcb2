# SPDX-License-Identifier: LGPL-2.1-or-later
"""posix.py as it is and carried by PV Calls: what each call does is the same, but for what docs/pvcalls-frontend.md lists."""

import pathlib
import sys

from carried import RUN, Carried, results
from harness import run

SCRIPT = pathlib.Path(__file__).with_name("posix.py")

DIFFERENT = {
    "urgent_data": ("0", "ENOTSUP"),  # EOPNOTSUPP: the same number
}


class Posix(Carried):
    def test_the_same_call_by_call(self):
        natively = results(run(sys.executable, SCRIPT))
        carried = results(self.xen.run(1, RUN, "--all", "--", sys.executable, SCRIPT))
        self.compare(natively, carried, DIFFERENT)
        self.assertGreater(self.backend.counters()["bytes.sent"], 16 << 20)  # it did go through the backend
        self.wait_tidy()
