# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge's policy, as those see it who are let through and who are not."""

from harness import wait_until
from linkcase import ACCESS_DENIED, ECHO, MANAGER, POLICY, LinkCase


class Policy(LinkCase):
    policy = """\
deny in call org.example.Echo member Secret from any
allow in call org.example.Echo interface org.example.Echo from any
allow in signal org.example.* from any
allow out any org.example.* to any
allow own org.example.Echo by any
"""

    def test_denied_calls_get_an_error_at_once_and_are_recorded(self):
        service = self.service(1)
        self.wait_name(0)
        bus, watcher = self.bus(0), self.bus(1)
        watcher.match("type='signal',member='Denied'")
        self.assertEqual(self.error(bus.call, ECHO, "/", ECHO, "Secret").name, ACCESS_DENIED)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "fine"), ("fine",))
        # A rule that asks for an interface matches no message without one, and no other interface.
        self.assertEqual(self.error(bus.call, ECHO, "/", None, "Echo").name, ACCESS_DENIED)
        self.assertEqual(self.error(bus.call, ECHO, "/", "org.example.Other", "Echo").name, ACCESS_DENIED)
        self.assertEqual([call.body for call in service.calls], [("fine",)])
        denied = watcher.receive(lambda m: m.member == "Denied", "the signal")
        self.assertEqual({key: value[1] for key, value in denied.body[0].items()},
                         {"domain": 0, "direction": "In", "kind": "MethodCall", "destination": ECHO, "path": "/", "interface": ECHO,
                          "member": "Secret"})
        self.assertRegex(denied.body[1], r"test\.policy:1$")
        self.bridges[1].wait_output(r"Denied .*XCP_MEMBER=Secret XCP_RULE=.*test\.policy:1", stream="stderr")
        self.assertEqual(self.counters(0, at=1)["denied.in"], 3)

    def test_what_a_policy_would_say(self):
        bus = self.bus(0)

        def ask(**message):
            given = {key: ("u" if key == "domain" else "o" if key == "path" else "s", value) for key, value in message.items()}
            return bus.call(*MANAGER, "CheckPolicy", "a{sv}", given)

        action, rule = ask(domain=1, direction="In", destination=ECHO, interface=ECHO, member="Secret")
        self.assertEqual((action, rule.rpartition(":")[2]), ("Deny", "1"))
        action, rule = ask(domain=1, direction="In", destination=ECHO, interface=ECHO, member="Other")
        self.assertEqual((action, rule.rpartition(":")[2]), ("Allow", "2"))
        self.assertEqual(ask(domain=1, direction="In", destination="org.example.None", interface=ECHO, member="Other"), ("Deny", ""))
        self.assertEqual(ask(domain=1, direction="In", owns=ECHO)[0], "Allow")
        self.assertEqual(ask(domain=1, direction="In", owns="org.xen.xcp.storage"), ("Deny", ""))

    def test_a_name_that_a_domain_may_not_own(self):
        self.service(1, "org.example.Other")
        self.service(1)
        self.wait_name(0)
        self.assertIsNone(self.bus(0).owner("org.example.Other"))
        self.bridges[0].wait_output("Denied to domain 1: own", stream="stderr")

    def test_limits(self):
        self.write_policy(1, self.policy + "limit calls 2 for any\nlimit peers 2 for any\nlimit message-bytes 1000 for any\n")
        self.bus(1).call(*MANAGER, "ReloadPolicy")
        self.service(1)
        self.wait_name(0)
        first, second, third = (self.bus(0) for _ in range(3))
        exceeded = "org.freedesktop.DBus.Error.LimitsExceeded"
        self.assertEqual(self.error(first.call, ECHO, "/", ECHO, "Echo", "ay", bytes(1000)).name, exceeded)
        for _ in range(2):
            first.call_async(ECHO, "/", ECHO, "Silent")
        failed = self.error(first.call, ECHO, "/", ECHO, "Echo")
        self.assertEqual((failed.name, failed.text), (exceeded, "2 calls of domain 0 are not answered, and 2 may be"))
        first.close()
        wait_until(lambda: self.counters(0, at=1)["calls.waiting.in"] == 0, "the calls of who has left to be forgotten")
        self.assertEqual(second.call(ECHO, "/", ECHO, "Echo", "s", "one"), ("one",))
        fourth = self.bus(0)
        self.assertEqual(third.call(ECHO, "/", ECHO, "Echo", "s", "two"), ("two",))
        self.assertEqual(self.error(fourth.call, ECHO, "/", ECHO, "Echo").name, exceeded)
        second.close()
        wait_until(lambda: self.counters(0, at=1)["peers"] == 1, "the ghost of who has left to go")
        self.assertEqual(fourth.call(ECHO, "/", ECHO, "Echo", "s", "three"), ("three",))

    def test_the_limit_of_a_message_holds_for_answers_and_signals(self):
        everything = POLICY
        for domain, limit in ((0, "limit message-bytes 1000 for any\n"), (1, "")):
            self.write_policy(domain, everything + limit)
            self.bus(domain).call(*MANAGER, "ReloadPolicy")
        self.service(1)
        loud = self.bus(1)
        loud.own("org.example.Loud")
        for name in (ECHO, "org.example.Loud"):
            self.wait_name(0, name)
        bus = self.bus(0)
        failed = self.error(bus.call, ECHO, "/", ECHO, "Echo", "ay", bytes(1000))
        self.assertEqual(failed.name, "org.freedesktop.DBus.Error.LimitsExceeded")
        self.assertRegex(failed.text, r"and may have 1000 \(limit message-bytes\)")
        bus.match("type='signal',sender='org.example.Loud'")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "ay", bytes(10)), (bytes(10),))
        for n in (1000, 10):
            loud.signal("/", ECHO, "Heard", "ay", bytes(n))
        self.assertEqual(bus.receive(lambda m: m.member == "Heard", "the signal").body, (bytes(10),))
        self.assertEqual(self.counters(1)["signals.dropped"], 1)

    def test_reload(self):
        service = self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        self.write_policy(0, "nonsense\n")
        failed = self.error(bus.call, *MANAGER, "ReloadPolicy")
        self.assertEqual(failed.name, "org.xen.xcp.Error.InvalidArgument")
        self.assertRegex(failed.text, r"test\.policy:1:1")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "as before"), ("as before",))
        self.write_policy(0, "")
        bus.call(*MANAGER, "ReloadPolicy")
        self.wait_name(0, there=False)
        self.assertEqual(self.error(bus.call, owner, "/", ECHO, "Echo").name, ACCESS_DENIED)
        self.write_policy(0, self.policy)
        bus.call(*MANAGER, "ReloadPolicy")
        self.assertEqual(self.wait_name(0), owner)      # the link has been up all the time
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))
        self.assertEqual(len(service.calls), 2)

    def test_what_is_in_force_is_what_was_read_last(self):
        """Not what has been written to the files since: for what the bridge says, and for new links."""
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        message = {"domain": ("u", 1), "direction": ("s", "In"), "owns": ("s", ECHO)}
        for text in ("nonsense\n", ""):
            self.write_policy(0, text)
            self.assertEqual(bus.call(*MANAGER, "CheckPolicy", "a{sv}", message)[0], "Allow")
        epoch = self.link_property(1, "Epoch")
        bus.call(MANAGER[0], self.link(1), "org.xen.xcp.bridge1.Link", "Reconnect")
        wait_until(lambda: self.link_property(1, "Epoch") != epoch, "a new link")
        self.wait_name(0)
        bus.call(*MANAGER, "ReloadPolicy")
        self.assertEqual(bus.call(*MANAGER, "CheckPolicy", "a{sv}", message)[0], "Deny")
        self.wait_name(0, there=False)
