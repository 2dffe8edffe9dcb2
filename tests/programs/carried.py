# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain whose programs are carried, for the tests here."""

import contextlib
import pathlib
import sys

from harness import Emulation, TestCase, build_directory, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from pvcalls import Backend, make_device  # noqa: E402 - it is beside the integration tests

RUN = build_directory() / "pvcalls/run/xcp-pvcalls-run"
DOM = 1


def results(told):
    """What a program tells of its checks, a line NAME RESULT for each."""
    return dict(line.split(" ", 1) for line in told.check().stdout.splitlines())


class Carried(TestCase):
    """Domain 1 with a device, and a backend for it in domain 0, whose network is the host's loopback."""

    backend_arguments = ()
    shared_pages = 4096

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.xen = self.stack.enter_context(Emulation(domains=1, arguments=("--limit", f"shared-pages={self.shared_pages}", "--limit", "ports=2048")))
        make_device(self.xen, DOM)
        self.before = self.used()
        self.backend = self.stack.enter_context(Backend(self.xen, DOM, "allow inet\n", self.backend_arguments))
        self.descriptors = self.backend.descriptors()
        self.addCleanup(self.show_log)

    def show_log(self):
        """What a supervisor had to say; nothing, if all is well."""
        log = self.xen.rundir / f"dom{DOM}/pvcalls-run.log"
        if log.exists() and (text := log.read_text()):
            print(text, file=sys.stderr)

    def used(self):
        """What both domains have of Xen."""
        return {domain["domid"]: {what: domain[what]["used"] for what in ("ports", "maptrack", "shared_pages")} for domain in self.xen.list()}

    def wait_tidy(self):
        """Waits until the supervisor has ended, and nothing of it is left."""
        wait_until(lambda: self.used() == self.before, lambda: f"nothing to be left of {self.before}: {self.used()}")
        if self.backend.process.running():
            allowed = self.descriptors, self.descriptors + 1  # sd-event opens one for timers when it first needs it
            wait_until(lambda: self.backend.descriptors() in allowed, lambda: f"the backend to have {allowed} descriptors: {self.backend.descriptors()}")

    def compare(self, natively, carried, different):
        """
        Two runs of the same checks: what they have told (results()), and NAME: (natively, carried) for those that may differ, which are listed with their
        reasons under "What is different" in docs/pvcalls-frontend.md.
        """
        self.assertEqual(list(carried), list(natively))
        found = {name: (expected, carried[name]) for name, expected in natively.items() if carried[name] != expected}
        for name in found.keys() | different.keys():
            with self.subTest(name):
                self.assertEqual(found.get(name), different.get(name))

    def run_carried(self, *argv, **options):
        """Runs a program in the domain to its end. Options are those of harness.run."""
        return self.xen.run(DOM, RUN, "--all", "--", *argv, **options)

    def start_carried(self, *argv, **options):
        return self.stack.enter_context(self.xen.start(DOM, RUN, "--all", "--", *argv, **options))

    def wait_listening(self, port):
        """Waits until the backend listens there."""
        wait_until(lambda: any(" Listening " in line and line.split()[4] == str(port) for line in self.backend.sockets()),
                   lambda: f"a listener at port {port}: {self.backend.sockets()}")
