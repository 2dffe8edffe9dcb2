# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two domains whose buses are joined, for programs that know nothing of it: services in one, their clients in the other."""

import os
import re
import signal
import sys

from gi.repository import Gio, GLib
from harness import Emulation, TestCase, build_directory, wait_until

LINK_DEADLINE = 60
NAME_DEADLINE = 60
END_DEADLINE = 60
LOG_SHOWN = 4000  # characters that a failed test shows of each program's words

PYTHON = "/usr/bin/python3"  # Debian's, as python3-dbusmock, python3-dbus and python3-gi are for no other
DRIVER = "org.freedesktop.DBus"
LINK = ("org.xen.xcp.bridge", "/org/xen/xcp/bridge/link/1")


class Joined(TestCase):
    """names: well-known names that services have in one domain, for programs of the other to call and hear.
    agents: interfaces of objects that these programs have and the services call. Their owners have no well-known name.
    services, clients: which domain is which.
    """

    names = ()
    agents = ()
    services = 1
    clients = 0

    def setUp(self):
        self.programs = []
        self.addCleanup(self.show)
        self.xen = self.enterContext(Emulation(domains=1))
        for domain in (0, 1):
            self.start_bus(domain)
        self.start_bridge(self.clients, self.policy_of_clients())
        self.start_bridge(self.services, self.policy_of_services())
        self.wait_link()

    def policy_of_clients(self):
        """What the bridge of the clients' domain lets through."""
        there, lines = f"id={self.services}", []
        for name in self.names:
            lines += [f"allow own {name} by {there}", f"allow out call {name} to {there}", f"allow in signal {name} from {there}"]
        return lines + [f"allow in call unnamed interface {interface} from {there}" for interface in self.agents]

    def policy_of_services(self):
        """What the bridge of the services' domain lets through."""
        there, lines = f"id={self.clients}", []
        for name in self.names:
            lines += [f"allow in call {name} from {there}", f"allow out signal {name} to {there}"]
        return lines + [f"allow out call unnamed interface {interface} to {there}" for interface in self.agents]

    def directory(self, domain):
        return self.xen.rundir / f"dom{domain}"

    def address(self, domain):
        return f"unix:path={self.directory(domain)}/bus"

    def start_bus(self, domain):
        policy = self.directory(domain) / "bus.d"
        policy.mkdir(mode=0o755, exist_ok=True)
        (policy / "interop.policy").write_text("".join(f"allow own {name} to owner domains\n" for name in self.names))
        broker = os.environ.get("XCP_BROKER", "dbus-daemon")
        self.end_later(self.xen.start_ready(domain, build_directory() / "bus/xcp-bus-run", "--broker", broker))

    def start_bridge(self, domain, lines):
        policy = self.directory(domain) / "interop.policy"
        policy.write_text("".join(f"{line}\n" for line in lines))
        self.end_later(self.xen.start_ready(domain, build_directory() / "bridge/xcp-bridge", "--policy", policy))

    def end_later(self, process):
        self.programs.append(process)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.running():
            process.signal(signal.SIGTERM)
            process.wait(END_DEADLINE)

    def show(self):
        """Of a test that failed, what its programs said."""
        if self._outcome.result is not None and self._outcome.result._errors:
            for process in self.programs:
                for name in ("stdout", "stderr"):
                    if said := getattr(process, name)[-LOG_SHOWN:].rstrip():
                        print(f"--- {name} of {process}\n{said}", file=sys.stderr)

    def wait_link(self):
        """Waits until domain 0 has its link to domain 1."""
        bus = self.connect(0)

        def is_up():
            try:
                return self.call(bus, *LINK, "org.freedesktop.DBus.Properties.Get", "(ss)", "org.xen.xcp.bridge1.Link", "State") == ("Up",)
            except GLib.Error:
                return False

        wait_until(is_up, "the link of domain 0 to domain 1", LINK_DEADLINE)

    def environment(self, domain):
        """With this, a program takes the domain's bus for the system's, and for a session's."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address(domain), "DBUS_SESSION_BUS_ADDRESS": self.address(domain), "LC_ALL": "C.UTF-8"}

    def argv(self, domain, argv):
        return ["env", *(f"{key}={value}" for key, value in self.environment(domain).items()), *argv]

    def start(self, domain, *argv, **options):
        """Starts a program in a domain, to be ended with the test."""
        return self.end_later(self.xen.start(domain, *self.argv(domain, argv), **options))

    def run_in(self, domain, *argv, **options):
        """Runs a program in a domain to its end."""
        return self.xen.run(domain, *self.argv(domain, argv), **options)

    def connect(self, domain):
        """A connection of this process to a domain's bus."""
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        bus = Gio.DBusConnection.new_for_address_sync(self.address(domain), flags, None, None)
        self.addCleanup(lambda: bus.is_closed() or bus.close_sync(None))
        return bus

    def call(self, bus, name, path, method, signature=None, *arguments, deadline=60):
        """Calls a method, given with its interface, and returns what it returns."""
        interface, _, member = method.rpartition(".")
        body = GLib.Variant(signature, arguments) if signature else None
        return bus.call_sync(name, path, interface, member, body, None, Gio.DBusCallFlags.NONE, deadline * 1000, None).unpack()

    def has_name(self, bus, name):
        return self.call(bus, DRIVER, "/org/freedesktop/DBus", f"{DRIVER}.NameHasOwner", "(s)", name)[0]

    def wait_name(self, domain, name):
        """Waits until a name has an owner on a domain's bus."""
        bus = self.connect(domain)
        wait_until(lambda: self.has_name(bus, name), f"{name} to come", NAME_DEADLINE)

    def assert_says(self, text, *patterns):
        """The regular expressions match, each on what follows the match before."""
        position = 0
        for pattern in patterns:
            match = re.compile(pattern, re.MULTILINE).search(text, position)
            self.assertTrue(match, f"no {pattern!r} in\n{text[position:]}")
            position = match.end()

    def cover(self, directory):
        """Gives the services' domain an empty directory of its own in place of the host's."""
        isolated = {domain["domid"]: domain["isolated"] for domain in self.xen.list()}
        self.assertTrue(isolated[self.services])
        self.xen.run(self.services, "mount", "-t", "tmpfs", "tmpfs", directory)

    def start_service(self, name, *argv):
        """Starts a service that takes this name, and returns it when its clients can see it."""
        service = self.start(self.services, *argv)
        self.wait_name(self.clients, name)
        return service

    def start_mock(self, template, name, parameters="{}"):
        """Starts a service of python-dbusmock's."""
        return self.start_service(name, PYTHON, "-m", "dbusmock", "--template", template, "--parameters", parameters)

    def client(self, *argv, **options):
        """Runs a client to its end and returns what it printed."""
        return self.run_in(self.clients, *argv, **options).stdout
