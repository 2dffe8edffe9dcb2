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

    def run_ring(self, mutator, reader, kind, name):
        mutator.write(f"server {kind} data/{name}\n")
        mutator.wait_output(rf"^data/{name} offered$")
        reader.write(f"client /local/domain/1/data/{name}\n")
        reader.wait_output(rf"^/local/domain/1/data/{name} \w")

    def run_rings(self, kind):
        """What ended each, counted."""
        mutator = self.enterContext(self.xen.start(1, LINK / "ring-mutator", str(self.SEED)))
        reader = self.enterContext(self.xen.start(0, LINK / "ring-reader", "1"))
        for number in range(self.N):
            self.run_ring(mutator, reader, kind, f"ring-{number}")
        mutator.close_stdin()
        reader.close_stdin()
        mutator.wait().check()
        ended = reader.wait().check()
        self.assertEqual(ended.stderr, "")
        words = collections.Counter(line.split(maxsplit=1)[1] for line in ended.stdout.splitlines() if not line.endswith(" offered"))
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


class MutatedByItsClient(Mutated):
    """The bridge of a guest is the server of most of its links."""

    N = 10

    def run_ring(self, mutator, reader, kind, name):
        path = f"/local/domain/0/data/{name}"
        reader.write(f"server {path}\n")
        reader.wait_output(rf"^{path} offered$")
        mutator.write(f"client {kind} {path}\n")
        reader.wait_output(rf"^{path} (?!offered)\w")
