# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether every service that runs is what its XML says, on all of its objects."""

import sys

from harness import Emulation, Process, build_directory
from toolstack import CLIENTS, PYTHON, SOURCE, Toolstack

sys.path.insert(0, str(SOURCE / "idl"))
from codegen import compare, xml_reader  # noqa: E402

EVERY_SERVICE = {"org.xen.xcp.Task1", "org.xen.xcp.Diagnostics1"}
LEFT_BEHIND = {"org.xen.xcp.storage1.Keeper"}  # of a service that has moved, under a name of its own: tests/integration/test-storage-move.py
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
EVERY_OBJECT = {"org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties"}


class Introspection(Toolstack):
    """In domain 0 of emulated Xen: some services have something to do with other domains."""

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=2))
        super().setUp()
        self.idl = [xml_reader.parse_file(str(path)) for path in sorted(SOURCE.glob("idl/*.xml"))]
        self.interfaces = {name for root in self.idl if root.name == "node" for name in compare.interfaces(root)}

    def start_bus(self, domain):
        bus = self.xen.start(0, build_directory() / "bus/xcp-bus-run", "--ready-fd", "1")
        bus.wait_output(r"^\n")
        self.address = f"unix:path={self.xen.rundir}/dom0/bus"
        return bus

    def introspect(self, service, path):
        return xml_reader.parse(path, self.busctl("--xml-interface", "introspect", service, path).stdout.encode())

    def walk(self, service, path="/"):
        """What every object of a service says, by path: found as a client finds it, from the top."""
        root = self.introspect(service, path)
        found = {path: root}
        for child in root.children:
            if child.name == "node":
                found |= self.walk(service, f"{path.rstrip('/')}/{child.attributes['name'].value}")
        return found

    def populate(self, service):
        process = Process([PYTHON, CLIENTS / "inhabitants.py", self.address, service, self.directory])
        self.addCleanup(process.kill)
        process.wait_output("^ready$")

    def test_there_are_services(self):
        self.assertLessEqual({"org.xen.xcp.pvcalls", "org.xen.xcp.storage", "org.xen.xcp.xenopsd"}, set(self.activatable()))

    def test_every_object_of_every_service_is_what_the_xml_says(self):
        for service in self.activatable():
            with self.subTest(service):
                self.populate(service)
                self.check(service)

    def check(self, service):
        seen = {}
        for path, root in self.walk(service).items():
            self.assertEqual(compare.differences(self.idl, root), [], path)
            seen[path] = set(compare.interfaces(root))
            if seen[path]:
                self.assertLessEqual(EVERY_OBJECT, seen[path], path)
        ours = {path: {name for name in names if name in self.interfaces} for path, names in seen.items()}

        root = "/" + service.replace(".", "/")
        self.assertIn(OBJECT_MANAGER, seen[root])
        self.assertEqual({path: names for path, names in ours.items() if names and path != root},
                         {path: set(interfaces) & self.interfaces for path, interfaces in self.managed(service).items() if path != root},
                         "what GetManagedObjects says is not what introspection says")

        # Whatever the XML promises for this service was there to be looked at.
        promised = EVERY_SERVICE | {name for name in self.interfaces if name.startswith(f"{service}1.")} - LEFT_BEHIND
        self.assertEqual(promised - set().union(*ours.values()), set(), "inhabitants.py makes no object with these")
