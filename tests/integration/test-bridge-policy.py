# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge's policy, as those see it who are let through and who are not."""

import os
import signal

from bridgecase import BridgeCase, echo
from harness import wait_until
from linkcase import ACCESS_DENIED, ECHO, MANAGER, NO_ANSWER, POLICY, LinkCase


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


class Reload(BridgeCase):
    """Who is told that it is done need not wait any longer."""

    policy = POLICY
    denied = {
        "out": (0, "deny out call org.example.Echo to any\n"),
        "in": (1, "deny in call org.example.Echo from any\n"),
        "own": (0, "deny own org.example.Echo by any\n"),
    }

    def reload(self, bus, domain, text):
        self.policy_file(domain).write_text(text)
        bus.call(*MANAGER, "ReloadPolicy")

    def test_what_was_denied_is_when_it_is_answered(self):
        service = self.service(1, echo)
        bus = self.bus(0)
        buses = [bus, self.bus(1)]
        for what, (domain, line) in self.denied.items():
            with self.subTest(what=what):
                for turn in range(10):
                    self.wait_name(0)
                    self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "u", turn), (turn,))
                    self.reload(buses[domain], domain, line + self.policy)
                    if what == "own":
                        self.assertIsNone(bus.owner(ECHO))
                    else:
                        self.assertEqual(self.error(bus.call, ECHO, "/", ECHO, "Echo").name, ACCESS_DENIED)
                    self.reload(buses[domain], domain, self.policy)
                self.assertEqual([call.body for call in service.calls], [(turn,) for turn in range(10)])
                service.calls.clear()


class ReloadOnDbusBroker(Reload):
    broker = "dbus-broker"


class ReloadWithAProcessThatStops(BridgeCase):
    """It neither takes the policy nor ends by itself."""

    domains = 2

    def stop(self, domain):
        pid = self.process_of(0, domain)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        return pid

    def go_on(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_it_is_waited_for_and_then_ended(self):
        service = self.service(1, echo)
        self.wait_name(0)
        bus, caller = self.bus(0), self.bus(0)
        epochs = {domain: self.link_property(domain, "Epoch") for domain in (1, 2)}
        self.policy_file(0).write_text("deny out call org.example.Echo to any\n" + self.policy)

        pid = self.stop(1)
        serial = bus.call_async(*MANAGER, "ReloadPolicy")
        bus.call(MANAGER[0], "/", "org.freedesktop.DBus.Peer", "Ping")
        self.assertFalse([message for message in bus.queue if message.reply_serial == serial])
        self.go_on(pid)
        bus.answer(serial)

        self.wait_link(1)
        self.stop(1)
        waiting = caller.call_async(ECHO, "/", ECHO, "Echo")
        bus.call(*MANAGER, "ReloadPolicy")
        self.assertEqual(caller.reply_to(waiting).error, NO_ANSWER)
        self.wait_link(1, after=epochs[1])
        self.assertEqual(self.link_property(2, "Epoch"), epochs[2])
        self.wait_name(0)
        self.assertEqual(self.error(caller.call, ECHO, "/", ECHO, "Echo").name, ACCESS_DENIED)
        self.assertEqual(service.calls, [])
        self.bridges[0].wait_output("process of the link to domain 1 did not take a new policy, and is killed", stream="stderr")
