# SPDX-License-Identifier: LGPL-2.1-or-later
"""posix.py as it is and carried by PV Calls: what each call does is the same, but for what docs/pvcalls-frontend.md lists."""

import pathlib
import sys

from carried import RUN, Carried
from harness import run

SCRIPT = pathlib.Path(__file__).with_name("posix.py")

DIFFERENT = {  # "What is different" in docs/pvcalls-frontend.md: natively, carried
    "urgent_data": ("0", "ENOTSUP"),  # EOPNOTSUPP: the same number
}


def results(result):
    return dict(line.split(" ", 1) for line in result.check().stdout.splitlines())


class Posix(Carried):
    def test_the_same_call_by_call(self):
        natively = results(run(sys.executable, SCRIPT))
        carried = results(self.xen.run(1, RUN, "--all", "--", sys.executable, SCRIPT))
        self.assertEqual(list(carried), list(natively))
        for name, expected in natively.items():
            with self.subTest(name):
                if name in DIFFERENT:
                    self.assertEqual((expected, carried[name]), DIFFERENT[name])
                else:
                    self.assertEqual(carried[name], expected)
        self.assertGreater(self.backend.counters()["bytes.sent"], 16 << 20)  # it did go through the backend
        self.wait_tidy()
