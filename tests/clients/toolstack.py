# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bus with the services of the tree, each of which starts with the first call to it."""

import json
import pathlib
import signal

from harness import Bus, TestCase, run

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = SOURCE / "tests/clients"
PYTHON = "/usr/bin/python3"  # Debian's, as python3-dbus and python3-gi are for no other

STORAGE = "org.xen.xcp.storage"
XENOPSD = "org.xen.xcp.xenopsd"


class Toolstack(TestCase):
    """Has the bus at self.address, and an empty directory for a storage repository at self.directory."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.directory = self.root / "disks"
        self.directory.mkdir()
        domain = self.root / "dom0"
        domain.mkdir()
        self.bus = self.start_bus(domain)
        self.addCleanup(self.end)

    def start_bus(self, domain):
        """Starts it in the directory of a domain, and has its address at self.address."""
        bus = Bus(domain)
        self.address = bus.address
        return bus

    def end(self):
        """Ends the services and then the bus. Shows what they said if the test has failed."""
        self.bus.signal(signal.SIGTERM)
        result = self.bus.wait()
        if not self._outcome.success:
            print(result)
        result.check(0)

    def busctl(self, *arguments, **options):
        return run("busctl", f"--address={self.address}", "--no-pager", *arguments, **options)

    def activatable(self):
        """The names of the services that the bus can start. Those that wait to take a service over are not services yet."""
        driver = "org.freedesktop.DBus"
        reply = self.busctl("--json=short", "call", driver, "/org/freedesktop/DBus", driver, "ListActivatableNames").stdout
        return sorted(name for name in json.loads(reply)["data"][0] if name.startswith("org.xen.xcp.") and not name.endswith(".standby"))

    def managed(self, service):
        """All objects of a service, with their interfaces and properties."""
        path = "/" + service.replace(".", "/")
        reply = self.busctl("--json=short", "call", service, path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects").stdout
        return json.loads(reply)["data"][0]
