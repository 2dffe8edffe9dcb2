# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who the processes of the bridge's links are, and what they have given up."""

import json
import os
import pathlib

from bridgecase import ECHO, BridgeCase
from dbuswire import CALL, Bus, CallFailed, Gone, Service
from harness import wait_until

FIRST = 65536
GROUP = 98288
USERS = pathlib.Path("/run/userdb")


def echo(bus, call):
    if call.type == CALL:
        bus.answer_to(call, call.signature, *call.body)


class Links(BridgeCase):
    def process(self, domain, at=0):
        """The process of a link."""
        wanted = ["xcp-bridge", "--peer", str(domain), "--own", str(at)]
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[:5] == wanted and str(self.path(at)) in words:
                return path.parent
        return None

    def status(self, domain, at=0):
        lines = (self.process(domain, at) / "status").read_text().splitlines()
        return dict((name, value.split()) for name, _, value in (line.partition(":") for line in lines))


class Sandbox(Links):
    def test_what_a_process_has_given_up(self):
        for domain, at in ((1, 0), (0, 1)):
            status = self.status(domain, at)
            self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), (["2"], ["1"]))
            for capabilities in ("CapPrm", "CapEff", "CapAmb", "CapInh"):
                self.assertEqual(int(status[capabilities][0], 16), 0, capabilities)
            limits = (self.process(domain, at) / "limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 +0 ")


class WithUsers(Links):
    """Root's bridges make their connections as a user for each domain; those of others as themselves."""

    domains = 2
    own_users = os.geteuid() == 0

    def user(self, domain):
        return FIRST + domain if self.own_users else os.geteuid()

    def setUp(self):
        super().setUp()
        self.services = {}
        for domain in (1, 2):
            name = f"org.example.Dom{domain}"
            self.services[domain] = self.service(domain, echo, name)
            self.wait_name(0, name)

    def start_bus(self, domain):
        for path in (self.xen.rundir, self.directory(domain)):
            path.chmod(0o755)
        if self.own_users and self.broker == "dbus-daemon":
            self.describe(domain)
        super().start_bus(domain)

    def describe(self, domain):
        """Makes them known to the user database, without which dbus-daemon takes nobody. An installed bridge does that itself."""
        for kind, name, number, more in (
            ("user", f"xcp-dom{domain}", FIRST + domain, {"uid": FIRST + domain, "gid": GROUP}),
            ("group", "xcp-domains", GROUP, {"gid": GROUP}),
        ):
            record, link = USERS / f"{name}.{kind}", USERS / f"{number}.{kind}"
            if not record.exists():
                USERS.mkdir(exist_ok=True)
                record.write_text(json.dumps({f"{kind}Name": name, "disposition": "system", **more}))
                self.addCleanup(record.unlink)
            if not link.is_symlink():
                link.symlink_to(record.name)
                self.addCleanup(link.unlink)


class Users(WithUsers):
    def test_the_bus_says_which_domain_it_is(self):
        bus = self.bus(0)
        for domain in (1, 2):
            owner = bus.owner(f"org.example.Dom{domain}")
            self.assertEqual(bus.driver("GetConnectionUnixUser", "s", owner), (self.user(domain),))
            self.assertEqual(self.status(domain)["Uid"], [str(self.user(domain))] * 4)
            if self.own_users:
                self.assertEqual((self.status(domain)["Gid"], self.status(domain)["Groups"]), ([str(GROUP)] * 4, []))
            self.assertEqual(bus.call(f"org.example.Dom{domain}", "/", ECHO, "Echo", "s", "hello"), ("hello",))

    def test_callers_from_another_domain(self):
        seen = []

        def note(bus, call):
            if call.type == CALL:
                seen.append(call.sender)
                bus.answer_to(call)

        self.service(0, note)
        for domain in (1, 2):
            self.wait_name(domain)
            with Bus(self.path(domain)) as bus:
                bus.call(ECHO, "/", ECHO, "Echo")
                user, = self.bus(0).driver("GetConnectionUnixUser", "s", seen[-1])
                self.assertEqual(user, self.user(domain))

    def test_descriptors(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        given = []

        def keep(bus, call):
            if call.type == CALL:
                given.extend(call.fds)
                call.fds.clear()
                bus.answer_to(call)

        name = "org.example.Keep"
        service = Service(self.path(1), name, keep, passes_fds=True)
        self.addCleanup(service.close)
        self.wait_name(0, name)
        master, terminal = os.openpty()
        with open(__file__, "rb") as file, Bus(self.path(0), passes_fds=True) as bus:
            fds = [writer, terminal, file.fileno()]
            bus.answer(bus.call_async(name, "/", ECHO, "Keep", "hhh", 0, 1, 2, fds=fds))
        os.close(writer)
        os.write(given[0], b"through the pipe")
        self.assertEqual(os.read(reader, 100), b"through the pipe")
        self.assertTrue(os.isatty(given[1]))
        with os.fdopen(given[2], "rb") as copy, open(__file__, "rb") as file:
            self.assertEqual(copy.read(), file.read())
        for fd in (*given[:2], terminal, master):
            os.close(fd)

    def test_the_policy_is_read_again(self):
        self.policy_file(0).write_text("")
        bus = self.bus(0)
        bus.call("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "ReloadPolicy")
        wait_until(lambda: bus.owner("org.example.Dom1") is None, "the name to go, which policy no longer allows")
        self.assertEqual(self.link_property(1, "State"), "Up")


class UsersOnDbusBroker(Users):
    broker = "dbus-broker"


class Limits(WithUsers):
    """The broker's limits are each domain's own."""

    connections = 30

    def start_bus(self, domain):
        if domain == 0:
            policies = self.directory(domain) / "bus.d"
            policies.mkdir(mode=0o755)
            (policies / "limits.policy").write_text(f"limit connections-per-user {self.connections}\n")
        super().start_bus(domain)

    def test_the_broker_counts_for_each_domain(self):
        answered, failed = [], 0
        self.service(0, echo)
        for domain in (1, 2):
            self.wait_name(domain)
        for number in range(self.connections + 5):
            bus = self.bus(1)
            try:
                answered.append(bus.call(ECHO, "/", ECHO, "Echo", "u", number))
            except CallFailed:
                failed += 1
        self.assertGreaterEqual(failed, 5)  # each caller has a connection of its own to domain 0's bus, which has no more for this domain
        if self.own_users:
            self.assertGreaterEqual(len(answered), self.connections - 5)
            self.assertEqual(self.bus(2).call(ECHO, "/", ECHO, "Echo", "u", 7), (7,), "another domain has its own")
            self.assertEqual(self.bus(0).call(ECHO, "/", ECHO, "Echo", "u", 8), (8,), "and so has this one")
