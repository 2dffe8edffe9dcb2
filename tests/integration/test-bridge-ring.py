# SPDX-License-Identifier: LGPL-2.1-or-later
"""A ring whose other end changes what both share while it is read: the bridge's code for rings and frames, with AddressSanitizer."""

import collections
import sys

from harness import Emulation, TestCase, build_directory

LINK = build_directory() / "bridge/link"


class Mutated(TestCase):
    N = 25  # rings
    SEED = 20120111

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=1))

    def run_rings(self, kind):
        """What ended each, counted."""
        mutator = self.enterContext(self.xen.start(1, LINK / "ring-mutator", str(self.SEED)))
        reader = self.enterContext(self.xen.start(0, LINK / "ring-reader", "1"))
        for number in range(self.N):
            mutator.write(f"{kind} data/ring-{number}\n")
            mutator.wait_output(rf"^data/ring-{number} offered$")
            reader.write(f"/local/domain/1/data/ring-{number}\n")
            reader.wait_output(rf"^/local/domain/1/data/ring-{number} \w")
        mutator.close_stdin()
        reader.close_stdin()
        mutator.wait().check()
        ended = reader.wait().check()
        self.assertEqual(ended.stderr, "")
        words = collections.Counter(line.split(maxsplit=1)[1] for line in ended.stdout.splitlines())
        print(f"measured: {kind}: {dict(words)}", file=sys.stderr)
        self.assertEqual(words.total(), self.N)
        self.assertLessEqual(set(words), {"closed", "corrupt", "violation"})     # nobody waited in vain, and nothing else went wrong
        return words

    def test_data(self):
        """Frames that change between two looks at them; indexes are right, so nobody may say that they are not."""
        words = self.run_rings("data")
        self.assertGreater(words["violation"], 0)

    def test_indexes(self):
        self.assertGreater(self.run_rings("indexes")["corrupt"], 0)

    def test_the_page(self):
        self.run_rings("page")

    def test_all(self):
        self.run_rings("all")
