# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the controller of PV Calls, for tests. With GLib's D-Bus (python3-gi)."""

from gi.repository import GLib

from xenopsdclient import Caller, Object, Task, pack

NAME = "org.xen.xcp.pvcalls"
ROOT = "/org/xen/xcp/pvcalls"
MANAGER = "org.xen.xcp.pvcalls1.Manager"
DOMAIN = "org.xen.xcp.pvcalls1.Domain"

RULE = {"action": "s", "call": "s", "family": "s", "type": "s", "prefix": "s", "port_first": "q", "port_last": "q", "to_address": "s", "to_port": "q",
        "per_second": "u"}
LIMITS = {"sockets": "u", "sockets_per_second": "u", "bytes_per_second": "t", "max_page_order": "u"}
OPTIONS = {"policy": RULE, "network_namespace": "s", "backend_domain": "u", "wait_ms": "u"}

ALLOW_ALL = ({"action": "Allow"},)


class Controller(Caller):
    def __init__(self, address):
        super().__init__(address, NAME)

    def attach(self, domain, limits=None, **options):
        """Begins; returns the task."""
        packed = pack(OPTIONS, options)
        if limits is not None:
            packed["limits"] = GLib.Variant("a{sv}", pack(LIMITS, limits))
        return Task(self, self.call(ROOT, MANAGER, "Attach", "(ua{sv})", domain, packed)[0], "org.xen.xcp.Task1")

    def lookup(self, domain):
        return Domain(self, self.call(ROOT, MANAGER, "LookupDomain", "(u)", domain)[0], DOMAIN)

    def domain(self, domain):
        return Domain(self, f"{ROOT}/domain/{domain}", DOMAIN)

    def domains(self):
        return sorted(path for path in self.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0] if "/domain/" in path)


class Domain(Object):
    def detach(self):
        return Task(self.caller, self.call("Detach")[0], "org.xen.xcp.Task1")

    def set_policy(self, *rules):
        self.set("Policy", "aa{sv}", [pack(RULE, rule) for rule in rules])

    def set_limits(self, **limits):
        self.set("Limits", "a{sv}", pack(LIMITS, limits))

    def sockets(self):
        return self.call("ListSockets")[0]

    def counters(self):
        return self.call("GetCounters")[0]

    def check(self, what, address, port):
        return self.call("CheckPolicy", "(sssq)", what, "Inet", address, port)

    def denials(self):
        """What it was denied so far: (what, family, address, port, rule, count)."""
        self.caller.iterate()
        return [arguments for path, _, member, arguments in self.caller.signals if path == self.path and member == "Denied"]

    def wait_state(self, state):
        self.caller.wait_until(lambda: self.get("State") == state, lambda: f"{state} in place of {self.get('State')}")
