# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with emulated Xen, a bus in domain 0 and the controller of PV Calls on it."""

import contextlib
import os
import pathlib
import signal

from bridgecase import BUS_RUN
from harness import Emulation, TestCase, build_directory, wait_until
from pvcalls import Frontend, Server, echo
from pvcallsclient import ALLOW_ALL, Controller
from xenopsdclient import Refused

PROGRAM = build_directory() / "services/pvcalls/xcp-pvcalls"


def backends(directory):
    """The processes that run in a directory, which only backends do."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "cwd") == str(directory):
                found.append(int(process.name))
    return sorted(found)


class ControllerCase(TestCase):
    domains = 1

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=self.domains))
        self.state = self.xen.rundir / "state"
        self.addCleanup(self.kill_backends)
        self.addCleanup(self.xen.start_ready(0, BUS_RUN, "--broker", os.environ.get("XCP_BROKER", "dbus-daemon")).kill)
        self.address = f"unix:path={self.xen.rundir}/dom0/bus"
        self.before, self.used_before = self.left(), self.used()
        self.service = self.start()
        self.controller = Controller(self.address)
        self.addCleanup(self.controller.close)

    def start(self, *prefix):
        service = self.xen.start_ready(0, *prefix, PROGRAM, "--bus-address", self.address, "--state-dir", self.state)
        self.addCleanup(self.end, service)
        return service

    def end(self, service):
        """What a sanitizer has to say is a failure of the test."""
        said = service.stderr
        service.kill()
        self.assertNotRegex(said, "Sanitizer|runtime error|please report")

    def restart(self, how=signal.SIGKILL, meanwhile=lambda: None):
        """Ends the service, which its backends outlive, and starts another."""
        if how == signal.SIGKILL:
            self.service.kill()
        else:
            self.service.signal(how)
            self.service.wait().check()
        meanwhile()
        self.service = self.start()

    def kill_backends(self):
        for pid in backends(self.state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def left(self):
        """Whatever a device has in the store, as a list of paths."""
        listing = self.xen.run(0, "xenstore-ls", "-f", "/local").stdout
        return [line.partition(" ")[0] for line in listing.splitlines() if "pvcalls" in line or "/error" in line]

    def used(self):
        """What domain 0 has of Xen, without xenstored's port and page of each domain."""
        domains = self.xen.list()
        [here] = [domain for domain in domains if domain["domid"] == 0]
        return {what: here[what]["used"] - len(domains) for what in ("ports", "maptrack")}

    def assert_nothing_left(self):
        """No nodes, no process, no object, no file, no event channel and no map."""
        wait_until(lambda: backends(self.state) == [], lambda: f"the end of {backends(self.state)}")
        self.assertEqual(self.left(), self.before)
        self.assertEqual(self.controller.domains(), [])
        self.assertEqual([path.name for path in self.state.iterdir() if path.suffix in (".control", ".policy")], [])
        wait_until(lambda: self.used() == self.used_before, lambda: f"{self.used_before} in use in place of {self.used()}")

    def frontend(self, domain=1):
        return self.enterContext(Frontend(self.xen, domain))

    def attach(self, domain=1, policy=ALLOW_ALL, **options):
        """Attaches a domain, and connects its frontend. Returns the domain and the frontend."""
        task = self.controller.attach(domain, policy=policy, **options)
        self.xen.wait_store(0, f"/local/domain/{domain}/device/pvcalls/0/backend-id")
        frontend = self.frontend(domain)
        frontend.attach()
        self.done(task)
        return self.controller.lookup(domain), frontend

    def serve(self, handle=echo):
        return self.enterContext(Server(handle))

    def done(self, task):
        state, result, error = task.wait()
        self.assertEqual((state, error[0]), ("Succeeded", ""), error)
        return result

    def failed(self, task, name, *words, state="Failed"):
        got, _, error = task.wait()
        self.assertEqual((got, error[0].removeprefix("org.xen.xcp.Error.")), (state, name), error)
        for word in words:
            self.assertIn(word, error[1])

    def refused(self, error, call, *arguments, **more):
        with self.assertRaises(Refused) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.name, error, caught.exception.message)
        return caught.exception.message
