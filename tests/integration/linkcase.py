# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains whose buses are joined, for tests of the bridge itself. (bridgecase.py is for tests of what uses bridges.)"""

import signal
import sys

from bridgecase import echo
from dbuswire import Bus, CallFailed, Service
from harness import Emulation, TestCase, build_directory, wait_until

BUILD = build_directory()
BRIDGE = BUILD / "bridge/xcp-bridge"
BUS_RUN = BUILD / "bus/xcp-bus-run"
EXAMPLE = BUILD / "services/example/xcp-example"

MANAGER = ("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager")
PROPERTIES = "org.freedesktop.DBus.Properties"
ECHO = "org.example.Echo"
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNKNOWN = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")  # what brokers say
NO_ANSWER = "org.freedesktop.DBus.Error.NoReply"

POLICY = """\
allow in call org.example.* from any
allow in call unnamed interface org.example.Agent from any
allow in signal org.example.* from any
allow out call org.example.* to any
allow out call unnamed interface org.example.Agent to any
allow out signal org.example.* to any
allow own org.example.* by any
"""
ALLOW_EXAMPLE = """\
allow in any org.xen.xcp.example from any
allow out any org.xen.xcp.example to any
allow own org.xen.xcp.example by any
"""


class LinkCase(TestCase):
    """Domains 0, 1 and, if domains is 2, 2: each with a bus and a bridge. Clients and services are threads of the test."""

    domains = 1
    broker = "dbus-daemon"
    policy = POLICY

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=self.domains))
        self.buses, self.bridges = {}, {}
        for domain in range(self.domains + 1):
            self.bring_up(domain)
        for domain in range(1, self.domains + 1):
            self.wait_link(domain)

    def bring_up(self, domain):
        self.start_bus(domain)
        self.start_bridge(domain)

    def policy_of(self, domain):
        return self.policy

    def start_bus(self, domain):
        policies = self.directory(domain) / "bus.d"
        policies.mkdir(mode=0o755, exist_ok=True)
        (policies / "test.policy").write_text("allow own org.example.* to owner domains\n")
        bus = self.xen.start_ready(domain, BUS_RUN, "--broker", self.broker)
        self.addCleanup(bus.kill)
        self.buses[domain] = bus

    def directory(self, domain):
        return self.xen.rundir / f"dom{domain}"

    def write_policy(self, domain, text):
        (self.directory(domain) / "test.policy").write_text(text)

    def show_log(self, domain, bridge):
        """Of a test that failed, what the bridge had to say."""
        if getattr(self._outcome.result, "_errors", None):
            print(f"--- bridge of domain {domain}\n{bridge.stderr[-3000:]}", file=sys.stderr)

    def start_bridge(self, domain, *arguments):
        self.write_policy(domain, self.policy_of(domain))
        bridge = self.xen.start_ready(domain, BRIDGE, "--policy", self.directory(domain) / "test.policy", *arguments)
        self.addCleanup(self.show_log, domain, bridge)
        self.addCleanup(self.end, bridge)
        self.bridges[domain] = bridge

    def end(self, bridge):
        """Ends it as it should be ended, and sees that nothing that a sanitizer complains of has happened all the time."""
        if bridge.running():
            bridge.signal(signal.SIGTERM)
            status = bridge.wait().status
            self.assertIn(status, (0, 137))  # 137: its domain was destroyed meanwhile
        self.assertNotRegex(bridge.stderr, "Sanitizer|runtime error")

    def path(self, domain):
        return self.directory(domain) / "bus"

    def bus(self, domain):
        bus = Bus(self.path(domain))
        self.addCleanup(bus.close)
        return bus

    def service(self, domain, name=ECHO, handle=echo):
        service = Service(self.path(domain), name, handle)
        self.addCleanup(service.close)
        return service

    def link(self, domain, at=0):
        return f"/org/xen/xcp/bridge/link/{domain}"

    def link_property(self, domain, name, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], self.link(domain), PROPERTIES, "Get", "ss", "org.xen.xcp.bridge1.Link", name)[0][1]

    def counters(self, domain, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], self.link(domain), "org.xen.xcp.bridge1.Link", "GetCounters")[0]

    def is_up(self, domain, at=0):
        try:
            return self.link_property(domain, "State", at) == "Up"
        except CallFailed:
            return False

    def wait_link(self, domain, at=0):
        wait_until(lambda: self.is_up(domain, at), f"the link of domain {at} to domain {domain}")

    def wait_name(self, domain, name=ECHO, there=True):
        """Waits until the name has an owner on the domain's bus, or none; returns the owner."""
        bus = Bus(self.path(domain))
        self.addCleanup(bus.close)
        wait_until(lambda: (bus.owner(name) is not None) == there, f"{name} to {'come to' if there else 'leave'} domain {domain}")
        return bus.owner(name)

    def error(self, call, *arguments, **options):
        with self.assertRaises(CallFailed) as caught:
            call(*arguments, **options)
        return caught.exception
