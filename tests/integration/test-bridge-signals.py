# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which signals cross a bridge: those that somebody on the other side has asked his bus for, and no others."""

import signal

from bridgecase import ECHO, BridgeCase
from dbuswire import CALL, SIGNAL
from harness import wait_until

OTHER = "org.example.Other"
CLOCK = "org.example.Clock"

CLOSED = """\
<busconfig>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow send_type="signal"/>
    <allow receive_sender="*"/>
  </policy>
  <policy context="mandatory">
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
</busconfig>
"""


def ticker(bus, call):
    """A service that says what it is told to: member, path and one argument of a signal."""
    if call.type == CALL and call.member == "Say":
        member, path, argument = call.body
        bus.signal(path, ECHO, member, "s", argument)
    if call.type == CALL:
        bus.answer_to(call)


class Wanted(BridgeCase):
    def setUp(self):
        super().setUp()
        self.echo = self.service(1, ticker)
        self.wait_name(0)
        self.caller = self.bus(0)

    def say(self, member, path="/", argument=""):
        """Has the service emit a signal. It has crossed, if it does, when this returns: signals come before answers."""
        self.caller.call(ECHO, "/", ECHO, "Say", "sos", member, path, argument)

    def crossed(self, member, path="/", argument=""):
        """How many of them crossed of one that was emitted."""
        before = self.counters(1)["signals.in"]
        self.say(member, path, argument)
        return self.counters(1)["signals.in"] - before

    def heard(self, bus):
        """What came to a client so far, and is no longer there."""
        bus.driver("GetId")
        heard = [(m.member, m.path, m.body[0]) for m in bus.queue if m.type == SIGNAL and m.sender != "org.freedesktop.DBus"]
        bus.queue.clear()
        return heard

    def test_nothing_crosses_that_nobody_asked_for(self):
        self.assertEqual(self.crossed("Tick"), 0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        self.assertEqual((self.crossed("Tick"), self.crossed("Tock")), (1, 0))
        self.assertEqual(self.heard(bus), [("Tick", "/", "")])

    def test_rules_are_counted_and_taken_back(self):
        bus, other = self.bus(0), self.bus(0)
        rule = f"type='signal',sender='{ECHO}',member='Tick'"
        for client in (bus, bus, other):
            client.match(rule)
        for client in (bus, other):
            client.driver("RemoveMatch", "s", rule)
            self.assertEqual(self.crossed("Tick"), 1)
        bus.driver("RemoveMatch", "s", f"sender='{ECHO}',member=Tick,type='signal'")  # the same, in other words
        self.assertEqual(self.crossed("Tick"), 0)

    def test_what_was_not_asked_for_cannot_be_taken_back(self):
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        serial = bus.call_async("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RemoveMatch", "s", f"sender='{ECHO}',member='Tick'")
        bus.reply_to(serial)
        self.assertEqual(self.crossed("Tick"), 1)

    def test_who_leaves_wants_nothing_any_longer(self):
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}'")
        self.assertEqual(self.crossed("Tick"), 1)
        bus.close()
        wait_until(lambda: self.crossed("Tick") == 0, "the subscription of somebody who left to be given up")

    def test_a_subscription_holds_for_what_is_called_after_it(self):
        for number in range(30):
            with self.subTest(number=number):
                bus = self.bus(0)
                bus.match(f"type='signal',sender='{ECHO}',member='Tick{number}'")
                bus.call(ECHO, "/", ECHO, "Say", "sos", f"Tick{number}", "/", "")
                self.assertEqual(self.heard(bus), [(f"Tick{number}", "/", "")])
                bus.close()

    def test_subscriptions_and_calls_that_are_sent_at_once(self):
        """The bridge looks once for all that it reads at once what was asked for: each call still goes after what its sender had asked before it."""
        bus = self.bus(0)
        driver = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        members = [f"Tick{number}" for number in range(50)]
        calls = []
        for member in members:
            bus.call_async(*driver, "AddMatch", "s", f"type='signal',sender='{ECHO}',member='{member}'")
            calls.append(bus.call_async(ECHO, "/", ECHO, "Say", "sos", member, "/", ""))
        for serial in calls:
            bus.answer(serial)
        heard, expected = self.heard(bus), [(member, "/", "") for member in members]
        if self.broker == "dbus-broker":  # which may write such a call before the hub is told of the rules: those hold a moment later, and nothing comes twice
            self.assertEqual(heard, [tick for tick in expected if tick in heard])
            wait_until(lambda: self.crossed(members[-1]) == 1, "the rules to be known to the hub")
            self.heard(bus)
            for member in members:
                self.say(member)
            heard = self.heard(bus)
        self.assertEqual(heard, expected)

    def test_arguments_paths_and_namespaces(self):
        for rule, yes, no in (
            ("path='/a'", ("Tick", "/a"), ("Tick", "/a/b")),
            ("path_namespace='/a'", ("Tick", "/a/b"), ("Tick", "/ab")),
            ("arg0='x'", ("Tick", "/", "x"), ("Tick", "/", "y")),
            ("arg0path='/x/'", ("Tick", "/", "/x/y"), ("Tick", "/", "/xy")),
            ("arg0namespace='org.example'", ("Tick", "/", "org.example.A"), ("Tick", "/", "org.examples")),
            ("interface='org.example.Echo'", ("Tick",), None),
            ("interface='org.example.None'", None, ("Tick",)),
        ):
            with self.subTest(rule=rule):
                bus = self.bus(0)
                bus.match(rule)  # of whomever: of those of the other domain who have a name here
                for said, crosses in ((yes, 1), (no, 0)):
                    if said:
                        self.assertEqual(self.crossed(*said), crosses)
                bus.driver("RemoveMatch", "s", rule)
                bus.close()

    def test_a_ghost_is_meant_by_its_unique_name(self):
        service = self.service(1, ticker, OTHER)
        owner = self.wait_name(0, OTHER)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{owner}'")
        self.caller.call(OTHER, "/", ECHO, "Say", "sos", "Tick", "/", "from the other")
        self.say("Tick", argument="from the first")
        self.assertEqual(self.heard(bus), [("Tick", "/", "from the other")])
        service.close()

    def test_a_name_that_comes_later(self):
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{CLOCK}'")
        self.service(1, ticker, CLOCK)
        self.wait_name(0, CLOCK)
        self.caller.call(CLOCK, "/", ECHO, "Say", "sos", "Tick", "/", "late")
        self.assertEqual(self.heard(bus), [("Tick", "/", "late")])

    def test_rules_about_others_ask_for_nothing(self):
        bus = self.bus(0)
        bus.match("type='signal',sender='org.freedesktop.DBus'")
        bus.match("type='method_call'")
        bus.match(f"type='signal',sender='{OTHER}'")
        bus.match(f"type='signal',destination='{bus.unique}'")
        self.assertEqual(self.crossed("Tick"), 0)

    def test_again_after_a_new_link(self):
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        self.assertEqual(self.crossed("Tick"), 1)
        epoch = self.link_property(1, "Epoch")
        self.caller.call("org.xen.xcp.bridge", "/org/xen/xcp/bridge/link/1", "org.xen.xcp.bridge1.Link", "Reconnect")
        wait_until(lambda: self.link_property(1, "Epoch") != epoch, "a new link")
        self.wait_link(1)
        self.wait_name(0)
        self.heard(bus)
        self.assertEqual((self.crossed("Tick"), self.crossed("Tock")), (1, 0))
        self.assertEqual(self.heard(bus), [("Tick", "/", "")])

    def test_more_rules_than_can_be_asked_for(self):
        bus = self.bus(0)
        for number in range(4200):
            bus.call_async("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", f"member='Tick{number}'", flags=1)
        bus.driver("GetId")
        if self.broker == "dbus-broker":  # which may still be writing to its monitor what it has taken from the client
            wait_until(lambda: self.crossed("Tick4199") == 1, "the rules to be known to the hub")
            self.heard(bus)
        self.assertEqual((self.crossed("Tick4199"), self.crossed("Tock")), (1, 1))  # all of the name's, and the bus sorts them
        self.assertEqual(self.heard(bus), [("Tick4199", "/", "")])
        for number in range(200):
            bus.call_async("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RemoveMatch", "s", f"member='Tick{number}'", flags=1)
        bus.driver("GetId")
        if self.broker == "dbus-broker":
            wait_until(lambda: self.crossed("Tock") == 0, "the hub to know of fewer")
        self.assertEqual((self.crossed("Tick4199"), self.crossed("Tock")), (1, 0))


class WantedOnDbusBroker(Wanted):
    broker = "dbus-broker"


class Before(BridgeCase):
    """Clients who have asked before the bridge was started."""

    precise = True

    def restart(self):
        bridge = self.bridges[0]
        bridge.signal(signal.SIGTERM)
        bridge.wait()
        self.start_bridge(0)
        self.wait_link(1)
        self.wait_name(0)

    def test_clients_that_were_there_before(self):
        self.service(1, ticker)
        self.wait_name(0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        self.restart()
        caller = self.bus(0)
        for member in ("Tick", "Tock"):
            caller.call(ECHO, "/", ECHO, "Say", "sos", member, "/", "")
        bus.driver("GetId")
        self.assertEqual([m.member for m in bus.queue if m.type == SIGNAL and m.sender != "org.freedesktop.DBus"], ["Tick"])
        self.assertEqual(self.counters(1)["signals.in"], 1 if self.precise else 2)


class BeforeOnDbusBroker(Before):
    broker = "dbus-broker"
    precise = False  # it does not tell


class NoMonitor(Before):
    """Domain 0 has a bus of others, which lets nobody be a monitor, whoever he is."""

    precise = False  # nothing can be known

    def start_bus(self, domain):
        if domain != 0:
            super().start_bus(domain)
            return
        configuration = self.directory(domain) / "closed.conf"
        configuration.write_text(CLOSED.format(path=self.path(domain)))
        self.buses[domain] = self.xen.start(domain, "dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address")
        self.addCleanup(self.buses[domain].kill)
        self.buses[domain].wait_output("^unix:")

    def test_all_is_asked_for_and_the_log_says_so(self):
        self.service(1, ticker)
        self.wait_name(0)
        hears, caller = self.bus(0), self.bus(0)
        hears.match(f"type='signal',sender='{ECHO}',member='Tick'")
        for member in ("Tick", "Tock"):
            caller.call(ECHO, "/", ECHO, "Say", "sos", member, "/", "")
        hears.driver("GetId")
        self.assertEqual([m.member for m in hears.queue if m.type == SIGNAL and m.sender != "org.freedesktop.DBus"], ["Tick"])
        self.assertEqual(self.counters(1)["signals.in"], 2, "what nobody here has asked for crosses, too")
        self.bridges[0].wait_output("cannot be known, and all signals of services of other domains are asked for: .*denied", stream="stderr")
        self.assertNotIn("cannot be known", self.bridges[1].stderr)


class TwoLinks(BridgeCase):
    domains = 2

    def test_a_subscription_crosses_two_links(self):
        self.service(1, ticker)
        self.wait_name(2)
        bus = self.bus(2)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        for member in ("Tick", "Tock"):
            bus.call(ECHO, "/", ECHO, "Say", "sos", member, "/", "")
        self.assertEqual([m.member for m in bus.queue if m.type == SIGNAL and m.sender != "org.freedesktop.DBus"], ["Tick"])
        self.assertEqual(self.counters(1)["signals.in"], 1)
        bus.close()

        def is_forgotten():
            with self.bus(0) as other:
                other.call(ECHO, "/", ECHO, "Say", "sos", "Tick", "/", "")
            return self.counters(1)["signals.in"] == before

        def settle():
            nonlocal before
            before = self.counters(1)["signals.in"]
            return is_forgotten()

        before = 0
        wait_until(settle, "the subscription to be taken back over both links")

