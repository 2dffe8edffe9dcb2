# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a bus, a VM manager, and a caller."""

import pathlib
import sys

from harness import Bus, Process, TestCase, build_directory
from xenopsdclient import Caller, Refused

SOURCE = pathlib.Path(__file__).resolve().parents[2]
XENOPSD = build_directory() / "services/xenopsd/xcp-xenopsd"
STORAGE = SOURCE / "tests/integration/fake-storage.py"
NAME = "org.xen.xcp.xenopsd"
MIB = 1 << 20
VDI = "/org/xen/xcp/storage/vdi/"
LONG = "600000"  # ms: longer than any test


class XenopsdTest(TestCase):
    """A bus with a VM manager, and a caller."""

    autostarted = True
    members = None  # the signals that callers hear: all

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.address = self.start_bus()
        if self.autostarted:
            self.manager = self.start()
            self.caller = self.connect()

    def start_bus(self):
        self.bus = Bus(self.root, "--domain-services-only")
        self.addCleanup(self.bus.kill)
        return self.bus.address

    def start(self, name=NAME, state="state"):
        return self.start_service("xenopsd/xcp-xenopsd", name, state)

    def around(self, argv):
        """What runs a service."""
        return argv

    def start_service(self, program, name, state):
        argv = [build_directory() / "services" / program, "--bus-address", self.address, "--bus-name", name, "--state-dir", self.root / state]
        process = Process.ready(self.around(argv))
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """No manager ends by itself: what a sanitizer has to say is a failure of the test."""
        said = process.stderr if process.running() else process.wait().stderr
        process.kill()
        if self._outcome and getattr(self._outcome.result, "_errors", None):
            print(f"--- {process}\n{said[-6000:]}", file=sys.stderr)
        self.assertNotRegex(said, "Sanitizer|runtime error|please report")

    def connect(self, name=NAME):
        caller = Caller(self.address, name, self.members)
        self.addCleanup(caller.close)
        return caller

    def restart(self):
        """Kills the manager, and starts it again."""
        self.manager.kill()
        self.manager = self.start()
        self.caller.forget()

    def storage(self, *names, size=300 * MIB):
        file = self.root / "disk"
        with open(file, "wb") as f:
            f.truncate(size)
        process = Process([STORAGE, self.address, file, *names])
        self.addCleanup(process.kill)
        process.wait_output("^ready")
        return process

    def create(self, name="one", options=None, **spec):
        return self.caller.create(name, options, **spec)

    def running(self, name="one", options=None, **spec):
        vm = self.create(name, options, **spec)
        self.done(vm.start())
        return vm

    def done(self, task):
        state, result, error = task.wait()
        self.assertEqual((state, error[0]), ("Succeeded", ""), error)
        return result

    def failed(self, task, name, *words, state="Failed"):
        got, result, error = task.wait()
        self.assertEqual((got, error[0].removeprefix("org.xen.xcp.Error.")), (state, name), error)
        for word in words:
            self.assertIn(word, error[1])
        return error[2]

    def refused(self, error, call, *arguments, **more):
        with self.assertRaises(Refused) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.name, error, caught.exception.message)
        return caught.exception.message
