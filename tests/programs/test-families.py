# SPDX-License-Identifier: LGPL-2.1-or-later
"""families.py as it is and carried by PV Calls: IPv6, UDP and UNIX sockets, as far as an option asks for them, do the same."""

import os
import pathlib
import sys

from carried import DOM, RUN, Carried, results
from harness import run, wait_until

SCRIPT = pathlib.Path(__file__).with_name("families.py")

SIZES = 4048, 4049, 8144, 16336, 32719, 32720, 32721, 65507, 65508, 70000  # of families.py


def sizes(most):
    """What becomes of datagrams of these sizes, if those up to one arrive."""
    return str(([(size, {True} if size <= most else {"EMSGSIZE"}) for size in SIZES], b"012"))


DIFFERENT = {
    "datagrams_of_every_size": (sizes(65507), sizes(32720)),
    "messages_to_any_address": ("((b'y', [('IP_PKTINFO', '127.0.0.1', '127.0.0.1')]), b'x', True)", "((b'y', [('IP_PKTINFO', '0.0.0.0', '0.0.0.0')]), b'x', True)"),
    "unix_reset": ("('ECONNRESET', 'EISCONN')", "('0', 'EISCONN')"),
    "unix_descriptors": ("(('0', '0'), 7, b'with a descriptorwithout')", "(('ENOTSUP', 'ENOTSUP'), 7, b'without')"),  # EOPNOTSUPP's number
    "unix_packets": ("([('0', 'ENOENT'), ('ENOENT', 'ENOENT'), ('0', 'ENOENT'), ('ENOTCONN', 'ENOTCONN')], (3, 3), b'own', b'too')",
                     f"([{', '.join([str(('ESOCKTNOSUPPORT',) * 2)] * 4)}], (3, 3), b'own', b'too')"),
}


class Families(Carried):
    def setUp(self):
        super().setUp()
        self.directory = self.temporary_directory()
        os.chmod(self.directory, 0o777)
        self.backend.ask(f"policy\nallow inet\nallow inet6\nallow unix {self.directory}\nallow unix @xcp-families{self.directory}/b\n")

    def directory_of(self, name):
        path = f"{self.directory}/{name}"
        os.mkdir(path)
        os.chmod(path, 0o777)
        return path

    def test_the_same_call_by_call(self):
        natively = results(run(sys.executable, SCRIPT, self.directory_of("a"), deadline=120))
        there = self.directory_of("b")
        carried = results(self.xen.run(1, RUN, "--all", "--ipv6", "--udp", "--unix", f"{there},@xcp-families{there}", "--", sys.executable,
                                       SCRIPT, there, deadline=120))
        self.compare(natively, carried, DIFFERENT)
        self.assertGreater(self.backend.counters()["bytes.sent"], 3 << 20)  # it did go through the backend
        self.wait_tidy()
        wait_until(lambda: os.listdir(there) == [], lambda: f"paths to go with their listeners: {os.listdir(there)}")

    def test_what_no_option_asks_for_is_the_domain_s_own(self):
        own = results(self.xen.run(1, RUN, "--all", "--", sys.executable, SCRIPT, "/tmp", "v6_both_ways", "v4_datagrams", "unix_path", deadline=120))
        self.assertEqual(len(own), 3)
        self.assertNotIn("Error", "".join(own.values()))
        self.assertEqual(self.backend.counters()["sockets.made"], 0)


class SmallRings(Carried):
    """What sockets have when there are many of them: as large as the smallest that there are."""

    backend_arguments = "--limit", "max-page-order=1"

    def test_datagrams_of_every_size(self):
        told = results(self.xen.run(DOM, RUN, "--all", "--udp", "--", sys.executable, SCRIPT, "/tmp", "datagrams_of_every_size", deadline=120))
        self.assertEqual(told, {"datagrams_of_every_size": sizes(4048)})
        self.wait_tidy()
