# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names over the bridge: who has one, and services that are started in another domain."""

from bridgecase import echo
from dbuswire import NO_AUTO_START, Bus, CallFailed, Service
from harness import wait_until
from linkcase import ALLOW_EXAMPLE, ECHO, EXAMPLE, MANAGER, POLICY, UNKNOWN, LinkCase


class Names(LinkCase):
    def test_names_come_and_go_once_and_in_order(self):
        watcher = self.bus(0)
        watcher.match("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'")
        service = Service(self.path(1), ECHO, echo)
        came = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ECHO, "the name")
        service.close()
        went = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ECHO, "the name's end")
        ghost = came.body[2]
        self.assertEqual(came.body, (ECHO, "", ghost))
        self.assertEqual(went.body, (ECHO, ghost, ""))
        watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body == (ghost, ghost, ""), "the ghost's end")
        self.assertIn(self.error(watcher.call, ECHO, "/", ECHO, "Echo", flags=NO_AUTO_START).name, UNKNOWN)

    def test_a_name_that_changes_hands_does_so_once(self):
        first = Bus(self.path(1))
        self.addCleanup(first.close)
        first.own(ECHO, 1)
        self.wait_name(0)
        watcher = self.bus(0)
        watcher.match(f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{ECHO}'")
        second = Bus(self.path(1))
        self.addCleanup(second.close)
        self.assertEqual(second.own(ECHO, 2), 1)
        changed = watcher.receive(lambda m: m.member == "NameOwnerChanged", "the change")
        self.assertTrue(changed.body[1] and changed.body[2])
        self.assertEqual(watcher.call(*MANAGER, "GetConnectionDomain", "s", ECHO)[3], second.unique)
        watcher.driver("GetId")
        self.assertEqual([m for m in watcher.queue if m.member == "NameOwnerChanged"], [])


class Taken(LinkCase):
    """A name that both domains have. Only domain 0 would take it from the other."""

    def policy_of(self, domain):
        return self.policy if domain == 0 else self.policy.replace("allow own", "deny own")

    def test_a_name_that_somebody_has_here_is_not_taken(self):
        local = self.service(0)
        self.service(1)
        wait_until(lambda: self.counters(1)["names.refused"] == 1, "the refusal")
        bus = self.bus(0)
        self.assertEqual(bus.owner(ECHO), local.bus.unique)
        local.close()
        wait_until(lambda: bus.owner(ECHO) not in (None, local.bus.unique), "the name to go to the other domain's")


class Activation(LinkCase):
    def bring_up(self, domain):
        if domain == 1:
            services = self.directory(1) / "services"
            services.mkdir(mode=0o755, exist_ok=True)
            state = self.directory(1) / "example-state"
            (services / "org.xen.xcp.example.service").write_text(
                f"[D-BUS Service]\nName=org.xen.xcp.example\nExec=\"{EXAMPLE}\" --state-dir {state}\n")
        super().bring_up(domain)

    policy = POLICY + ALLOW_EXAMPLE
    call = ("org.xen.xcp.example", "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")

    def test_a_call_starts_the_service_in_its_domain(self):
        bus = self.bus(0)
        wait_until(lambda: "org.xen.xcp.example" in bus.driver("ListActivatableNames")[0], "the name to be activatable")
        self.assertIsNone(bus.owner("org.xen.xcp.example"))
        self.assertIn(self.error(bus.call, *self.call, flags=NO_AUTO_START).name, UNKNOWN)
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", "org.xen.xcp.example"), (1, False))
        self.assertIn("ObjectManager", bus.call(*self.call)[0])
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", "org.xen.xcp.example"), (1, True))
        self.xen.destroy(1)
        wait_until(lambda: "org.xen.xcp.example" not in bus.driver("ListActivatableNames")[0], "the name to go")


class Activatable(LinkCase):
    """Services that are installed and removed while links are up."""

    domains = 2
    policy = POLICY + ALLOW_EXAMPLE
    NAME = "org.xen.xcp.example"

    def install(self, domain, there=True):
        """Installs it in a domain, or removes it; and has the bus look."""
        services = self.directory(domain) / "services"
        services.mkdir(mode=0o755, exist_ok=True)
        file = services / f"{self.NAME}.service"
        if there:
            file.write_text(f"[D-BUS Service]\nName={self.NAME}\nExec=\"{EXAMPLE}\" --state-dir {self.directory(domain) / 'example-state'}\n")
        else:
            file.unlink()
        self.bus(domain).driver("ReloadConfig")

    def wait_listed(self, domain, there=True):
        bus = self.bus(domain)
        wait_until(lambda: (self.NAME in bus.driver("ListActivatableNames")[0]) == there,
                   f"{self.NAME} to {'become' if there else 'be no longer'} activatable in domain {domain}")

    def test_one_comes_and_goes(self):
        self.install(1)
        for domain in (0, 2):
            self.wait_listed(domain)
        self.assertEqual(self.bus(0).call(*MANAGER, "GetServiceDomain", "s", self.NAME), (1, False))
        self.assertIn("ObjectManager", self.bus(2).call(self.NAME, "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")[0])
        self.assertIsNotNone(self.bus(1).owner(self.NAME))
        self.assertNotIn("xcp-bridge", (self.directory(1) / f"services/{self.NAME}.service").read_text())  # nobody has offered it back
        self.install(1, there=False)
        for domain in (0, 2):
            self.wait_listed(domain, there=False)
        self.assertEqual([list(self.directory(domain).glob("services/*.service")) for domain in range(3)], [[], [], []])

    def test_of_two_that_have_one_either_does(self):
        where = (*MANAGER, "GetServiceDomain", "s", self.NAME)
        for domain in (1, 2):
            self.install(domain)
        self.wait_listed(0)
        first, runs = self.bus(0).call(*where)
        self.assertFalse(runs)
        other = 3 - first
        bus = self.bus(0)
        self.install(first, there=False)

        def is_others():
            try:
                return bus.call(*where) == (other, False)
            except CallFailed:  # it had not been told of that yet
                return False

        wait_until(is_others, "the other domain's to be the one")
        self.assertIn("ObjectManager", bus.call(self.NAME, "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")[0])
        self.assertIsNotNone(self.bus(other).owner(self.NAME))
        self.wait_listed(first)  # by way of domain 0, as it has none of its own any longer

    def test_policy_decides_anew(self):
        """The names that may be owned in the one domain, and those that may be called in the other."""
        self.install(1)
        for domain in (0, 1):
            self.wait_listed(0)
            for policy, there in ((POLICY, False), (self.policy, True)):
                self.write_policy(domain, policy)
                self.bus(domain).call(*MANAGER, "ReloadPolicy")
                self.wait_listed(0, there)


class NamesOnDbusBroker(Names):
    broker = "dbus-broker"


class ActivationOnDbusBroker(Activation):
    broker = "dbus-broker"


class ActivatableOnDbusBroker(Activatable):
    broker = "dbus-broker"
