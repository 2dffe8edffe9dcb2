# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains with a bus and a bridge each, for tests of what uses bridges. (linkcase.py is for tests of their insides.)"""

import os
import pathlib
import signal
import sys

from dbuswire import CALL, NO_REPLY, Bus, CallFailed, Service
from harness import Emulation, TestCase, build_directory, wait_until

BRIDGE = build_directory() / "bridge/xcp-bridge"
BUS_RUN = build_directory() / "bus/xcp-bus-run"

MANAGER = ("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager")
LINK = "org.xen.xcp.bridge1.Link"
PROPERTIES = "org.freedesktop.DBus.Properties"
ECHO = "org.example.Echo"

POLICY = """\
allow in any org.example.* from any
allow out any org.example.* to any
allow own org.example.* by any
"""


def echo(bus, call):
    """A service that answers with what it was asked."""
    if call.type != CALL or call.flags & NO_REPLY:
        return
    if call.member == "Fail":
        bus.fail(call, "org.example.Error.Failed", "as you asked")
    elif call.member == "Silent":
        pass
    elif call.member == "Signals":  # so many signals, then the answer
        for number in range(call.body[0]):
            bus.signal("/", ECHO, "Tick", "u", number)
        bus.answer_to(call)
    elif call.member == "Tell":  # a signal to the caller alone
        bus.signal("/", ECHO, "Told", "s", "only you", destination=call.sender)
        bus.answer_to(call)
    elif call.member == "CallMeBack":
        serial = bus.call_async(call.sender, "/agent", "org.example.Agent", "Ask", "s", "what?")
        reply = bus.reply_to(serial)
        bus.answer_to(call, "s", reply.body[0])
    elif call.member == "Introspect":
        bus.answer_to(call, "s", "<node><interface name='org.example.Echo'/></node>")
    else:
        bus.answer_to(call, call.signature, *call.body)


class BridgeCase(TestCase):
    """Domains 0 to .domains, all of them joined to domain 0. Clients and services are threads of the test."""

    domains = 1
    broker = os.environ.get("XCP_BROKER", "dbus-daemon")
    policy = POLICY
    xenemu = ()  # more arguments for xenemu up
    bridge_arguments = ()

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=self.domains, arguments=self.xenemu))
        self.buses, self.bridges = {}, {}
        for domain in range(self.domains + 1):
            self.start_bus(domain)
            self.start_bridge(domain)
        for domain in range(1, self.domains + 1):
            self.wait_link(domain)
            self.wait_link(0, at=domain)

    def directory(self, domain):
        return self.xen.rundir / f"dom{domain}"

    def policy_file(self, domain):
        return self.directory(domain) / "test.policy"

    def start_bus(self, domain):
        policies = self.directory(domain) / "bus.d"
        policies.mkdir(mode=0o755, exist_ok=True)
        (policies / "test.policy").write_text("allow own org.example.* to owner domains\n")
        self.buses[domain] = self.xen.start_ready(domain, BUS_RUN, "--broker", self.broker)
        self.addCleanup(self.buses[domain].kill)

    def start_bridge(self, domain):
        self.policy_file(domain).write_text(self.policy)
        bridge = self.xen.start_ready(domain, BRIDGE, "--policy", self.policy_file(domain), *self.bridge_arguments)
        self.addCleanup(self.show_log, domain, bridge)
        self.addCleanup(self.end, bridge)
        self.bridges[domain] = bridge

    def show_log(self, domain, bridge):
        """Of a test that failed, what the bridge had to say."""
        if self._outcome and getattr(self._outcome.result, "_errors", None):
            print(f"--- bridge of domain {domain}\n{bridge.stderr[-3000:]}", file=sys.stderr)

    def end(self, bridge):
        """Ends it as it should be ended, and sees that nothing that a sanitizer complains of has happened all the time."""
        if bridge.running():
            bridge.signal(signal.SIGTERM)
            self.assertIn(bridge.wait().status, (0, 137))  # 137: its domain was destroyed meanwhile
        self.assertNotRegex(bridge.stderr, "Sanitizer|runtime error")

    def path(self, domain):
        return self.directory(domain) / "bus"

    def bus(self, domain):
        bus = Bus(self.path(domain))
        self.addCleanup(bus.close)
        return bus

    def service(self, domain, handle, name=ECHO):
        service = Service(self.path(domain), name, handle)
        self.addCleanup(service.close)
        return service

    def process_of(self, domain, peer):
        """The pid of the bridge's process in a domain for the link to another."""
        def belongs(pid):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                return False
            return str(self.path(domain)).encode() in words and words[words.index(b"--peer") + 1] == str(peer).encode()

        [pid] = [pid for pid in os.listdir("/proc") if pid.isdigit() and belongs(pid)]
        return int(pid)

    def link_property(self, domain, name, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], f"{MANAGER[1]}/link/{domain}", PROPERTIES, "Get", "ss", LINK, name)[0][1]

    def counters(self, domain, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], f"{MANAGER[1]}/link/{domain}", LINK, "GetCounters")[0]

    def wait_link(self, domain, at=0, after=None):
        """after: the epoch of a link that has ended, of which the bridge may not have heard yet."""
        def is_up():
            try:
                return self.link_property(domain, "Epoch", at) != after and self.link_property(domain, "State", at) == "Up"
            except CallFailed:
                return False

        wait_until(is_up, f"the link of domain {at} to domain {domain}")

    def wait_name(self, domain, name=ECHO, there=True):
        """Waits until the name has an owner on the domain's bus, or none; returns the owner."""
        bus = self.bus(domain)
        wait_until(lambda: (bus.owner(name) is not None) == there, f"{name} to {'come to' if there else 'leave'} domain {domain}")
        return bus.owner(name)

    def error(self, call, *arguments, **options):
        with self.assertRaises(CallFailed) as caught:
            call(*arguments, **options)
        return caught.exception
