# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge: buses of several domains, joined."""

import os
import pathlib
import threading

from bridgecase import echo
from dbuswire import CALL, ERROR, NO_REPLY, RETURN, SIGNAL, Bus
from harness import run, wait_until
from linkcase import ALLOW_EXAMPLE, ECHO, EXAMPLE, MANAGER, POLICY, PROPERTIES, LinkCase

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Calls(LinkCase):
    def test_both_ways(self):
        for here, there in ((0, 1), (1, 0)):
            with self.subTest(here=here):
                service = self.service(there)
                self.wait_name(here)
                bus = self.bus(here)
                self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "sas", "hello", ["a", "b"]), ("hello", ["a", "b"]))
                self.assertEqual(bus.call(ECHO, "/", "org.freedesktop.DBus.Introspectable", "Introspect")[0][:6], "<node>")
                self.assertEqual(service.calls[0].destination, ECHO)
                service.close()
                self.wait_name(here, there=False)

    def test_errors_come_as_they_are(self):
        self.service(1)
        self.wait_name(0)
        failed = self.error(self.bus(0).call, ECHO, "/", ECHO, "Fail")
        self.assertEqual((failed.name, failed.text), ("org.example.Error.Failed", "as you asked"))

    def test_big_endian_messages_pass(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serial = bus.call_async(ECHO, "/", ECHO, "Echo", "xs", -5, "hello", big_endian=True)
        self.assertEqual(bus.answer(serial), (-5, "hello"))

    def test_a_call_without_reply_is_delivered_and_not_answered(self):
        service = self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        bus.call_async(ECHO, "/", ECHO, "Echo", "s", "quiet", flags=NO_REPLY)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "loud"), ("loud",))
        self.assertEqual([call.body for call in service.calls], [("quiet",), ("loud",)])
        self.assertEqual(bus.queue and [m for m in bus.queue if m.type in (RETURN, ERROR)], [])

    def test_order_is_kept_and_each_answer_comes_once(self):
        service = self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serials = [bus.call_async(ECHO, "/", ECHO, "Echo", "u", number) for number in range(500)]
        for number, serial in enumerate(serials):
            self.assertEqual(bus.answer(serial), (number,))
        self.assertEqual([call.body[0] for call in service.calls], list(range(500)))
        bus.call(ECHO, "/", ECHO, "Echo")
        self.assertEqual([m for m in bus.queue if m.type in (RETURN, ERROR)], [])

    def test_clients_at_the_same_time(self):
        service = self.service(1)
        self.wait_name(0)
        wrong = []

        def client(number):
            with Bus(self.path(0)) as bus:
                for i in range(100):
                    if bus.call(ECHO, "/", ECHO, "Echo", "uu", number, i) != (number, i):
                        wrong.append((number, i))

        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(len({call.sender for call in service.calls}), 4)  # each of them is somebody there
        self.assertEqual(len(service.calls), 400)

    def test_callers_come_and_go(self):
        service = self.service(1)
        self.wait_name(0)
        watcher = self.bus(1)
        watcher.match("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'")
        client = self.bus(0)
        client.call(ECHO, "/", ECHO, "Echo")
        ghost = service.calls[0].sender
        domain = watcher.call(*MANAGER, "GetConnectionDomain", "s", ghost)
        self.assertEqual((domain[0], domain[3]), (0, client.unique))
        client.close()
        gone = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ghost and not m.body[2], "the end of the ghost")
        self.assertEqual(gone.body, (ghost, ghost, ""))

    def test_who_has_left_before_he_was_known_is_not_kept(self):
        service = self.service(1)
        self.wait_name(0)
        for number in range(50):
            with Bus(self.path(0)) as bus:
                bus.call_async(ECHO, "/", ECHO, "Echo", "u", number, flags=NO_REPLY)
        wait_until(lambda: len(service.calls) == 50, lambda: f"50 calls: there are {len(service.calls)}")
        wait_until(lambda: self.counters(1)["peers.local"] == 0 and self.counters(0, at=1)["peers"] == 0, "the callers to be forgotten")

    def test_where_a_name_is(self):
        service = self.service(1)
        owner = self.wait_name(0)
        uuid = next(d["uuid"] for d in self.xen.list() if d["domid"] == 1)
        bus = self.bus(0)
        for name in (ECHO, owner):
            domain, found, epoch, remote = bus.call(*MANAGER, "GetConnectionDomain", "s", name)
            self.assertEqual((domain, found, remote), (1, uuid, service.bus.unique))
            self.assertEqual(epoch, self.link_property(1, "Epoch"))
        self.assertEqual(bus.call(*MANAGER, "GetConnectionDomain", "s", bus.unique)[0::2], (0, 0))
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", ECHO), (1, True))
        self.assertEqual(self.error(bus.call, *MANAGER, "GetServiceDomain", "s", "org.example.None").name, "org.xen.xcp.Error.DoesNotExist")
        wait_until(lambda: self.link_property(1, "Names") == [ECHO], "the link to be told of")

    def test_an_agent_is_called_back(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serial = bus.call_async(ECHO, "/", ECHO, "CallMeBack")
        asked = bus.receive(lambda m: m.type == CALL and m.member == "Ask", "the question")
        bus.answer_to(asked, "s", "that")
        self.assertEqual(bus.answer(serial), ("that",))

    def test_the_bus_of_another_domain_cannot_be_called(self):
        self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        for member in ("ListNames", "Hello", "GetId"):
            # Answered by this bus, whoever it is sent to: the interface is any service's own business.
            self.assertEqual(bus.call(owner, "/org/freedesktop/DBus", "org.freedesktop.DBus", member, "s", "x"), ("x",))


class Signals(LinkCase):
    def test_signals_come_before_the_answer_that_follows_them(self):
        self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        for _ in range(20):
            serial = bus.call_async(ECHO, "/", ECHO, "Signals", "u", 5)
            bus.answer(serial)
            ticks = [m for m in bus.queue if m.type == SIGNAL and m.member == "Tick"]
            self.assertEqual([m.body[0] for m in ticks], [0, 1, 2, 3, 4])
            self.assertEqual({m.sender for m in ticks}, {owner})
            bus.queue.clear()

    def test_one_signal_crosses_once_for_many(self):
        service = self.service(1)
        self.wait_name(0)
        listeners = [self.bus(0) for _ in range(20)]
        for bus in listeners:
            bus.match(f"type='signal',sender='{ECHO}'")
            bus.match("type='signal',interface='org.example.Echo'")
        bus.call(ECHO, "/", ECHO, "Echo")  # what was asked for before is known there
        before = self.counters(1)["signals.in"]
        service.bus.signal("/a/b", ECHO, "Tick", "u", 7)
        for bus in listeners:
            self.assertEqual(bus.receive(lambda m: m.member == "Tick", "the signal").body, (7,))
        self.assertEqual(self.counters(1)["signals.in"] - before, 1)

    def test_a_signal_for_one_is_for_nobody_else(self):
        self.service(1)
        self.wait_name(0)
        bus, other = self.bus(0), self.bus(0)
        other.match(f"type='signal',sender='{ECHO}'")
        bus.call(ECHO, "/", ECHO, "Tell")
        self.assertEqual([m.body for m in bus.queue if m.member == "Told"], [("only you",)])
        other.driver("GetId")
        self.assertEqual([m for m in other.queue if m.member == "Told"], [])


class Order(LinkCase):
    """Signals and answers come to the bridge over two connections. dbus-daemon writes to both in the order in which it handles what it has;
    dbus-broker does not if much is on its way (docs/bridge.md)."""

    def test_signals_come_before_their_answers_when_many_are_on_their_way(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        bus.call(ECHO, "/", ECHO, "Signals", "u", 1)
        bus.queue.clear()
        serials = [bus.call_async(ECHO, "/", ECHO, "Signals", "u", 2) for _ in range(300)]
        wait_until(lambda: sum(m.type == RETURN for m in bus.queue) == len(serials) or not bus.pump(60), "all answers")
        ticks = [m.body[0] for m in bus.queue if m.member == "Tick"]
        self.assertEqual(ticks, [0, 1] * len(serials))
        came, late = 0, []  # signals, and those answers that came before theirs
        for message in bus.queue:
            came += message.member == "Tick"
            if message.type == RETURN and came < 2 * (serials.index(message.reply_serial) + 1):
                late.append((message.reply_serial, came))
        self.assertEqual(late, [])


class Contract(LinkCase):
    def test_introspection_is_the_xml(self):
        for path, interface in ((MANAGER[1], MANAGER[2]), (self.link(1), "org.xen.xcp.bridge1.Link")):
            xml = self.bus(0).call(MANAGER[0], path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]
            run(SOURCE / "idl/xcp-idl-compare", *SOURCE.glob("idl/*.xml"), "--expect", interface, input=xml)


class Large(LinkCase):
    def test_pings_pass_a_large_message(self):
        """While 64 MiB are on their way, a hundred small calls of others are answered."""
        size = 64 << 20
        got = []

        def handle(bus, message):
            if message.type == CALL and message.member == "Big":
                got.append(len(message.body[0]))
                bus.answer_to(message)
            else:
                echo(bus, message)

        self.service(1, "org.example.Big", handle)
        self.service(1)
        self.wait_name(0, "org.example.Big")
        self.wait_name(0)
        big, small = self.bus(0), self.bus(0)
        done = threading.Event()

        def send():
            big.call("org.example.Big", "/", "org.example.Big", "Big", "ay", bytes(size), deadline=120)
            done.set()

        before = self.counters(1)["bytes.out"]
        thread = threading.Thread(target=send)
        thread.start()
        wait_until(lambda: self.counters(1)["bytes.out"] - before > 1 << 20, "the large message to be on its way")
        n_before = 0
        while not done.is_set() and n_before < 100:
            small.call(ECHO, "/", ECHO, "Echo")
            n_before += 1
        during = self.counters(1)["bytes.out"] - before
        thread.join()
        self.assertEqual(got, [size])
        self.assertGreater(n_before, 3, f"only {n_before} calls were answered while {size} bytes were on their way ({during} had gone)")

    def test_a_message_that_needs_the_whole_window_after_small_ones(self):
        """What is given back of the window in large pieces only is given back in time."""
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        for size in (20 << 10, 120 << 10, 30 << 10, 1 << 10, 127 << 10):
            self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "ay", bytes(size)), (bytes(size),))

    def test_what_d_bus_allows_passes(self):
        self.service(1)
        self.wait_name(0)
        body = os.urandom(9 << 20)
        self.assertEqual(self.bus(0).call(ECHO, "/", ECHO, "Echo", "ay", body)[0], body)


class Hub(LinkCase):
    domains = 2

    def test_two_guests_by_way_of_domain_0(self):
        service = self.service(1)
        self.wait_name(2)
        bus = self.bus(2)
        bus.match(f"type='signal',sender='{ECHO}'")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "far"), ("far",))
        service.bus.signal("/", ECHO, "Tick", "u", 3)
        self.assertEqual(bus.receive(lambda m: m.member == "Tick", "the signal").body, (3,))
        self.assertEqual(self.bus(1).owner(ECHO), service.bus.unique)  # and it did not come back to where it is
        service.close()
        self.wait_name(2, there=False)
        self.wait_name(1, there=False)


class Objects(LinkCase):
    """The service of docs/writing-a-service.md, which knows nothing of bridges, as somebody in another domain sees it."""

    policy = POLICY + ALLOW_EXAMPLE
    NAME, ROOT = "org.xen.xcp.example", "/org/xen/xcp/example"

    def test_properties_objects_and_tasks(self):
        example = self.xen.start_ready(1, EXAMPLE, "--bus-address", f"unix:path={self.path(1)}", "--state-dir", self.directory(1) / "state")
        self.addCleanup(example.kill)
        self.wait_name(0, self.NAME)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{self.NAME}'")
        [path] = bus.call(self.NAME, self.ROOT, "org.xen.xcp.example1.Manager", "CreateCounter", "s", "one")
        self.assertEqual([m.body[0] for m in bus.queue if m.member == "InterfacesAdded"], [path])
        self.assertIn(path, bus.call(self.NAME, self.ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0])
        [task] = bus.call(self.NAME, path, "org.xen.xcp.example1.Counter", "Count", "uu", 3, 1)
        bus.receive(lambda m: m.member == "Finished" and m.path == task, "the end of the task")
        changed = [m for m in bus.queue if m.member == "PropertiesChanged" and m.path == path]
        self.assertEqual(changed[-1].body[1]["Value"], ("t", 3))
        self.assertEqual(bus.call(self.NAME, path, PROPERTIES, "Get", "ss", "org.xen.xcp.example1.Counter", "Value"), (("t", 3),))
        bus.call(self.NAME, path, "org.freedesktop.DBus.Peer", "Ping")
        tree = self.xen.run(0, "busctl", f"--address=unix:path={self.path(0)}", "tree", self.NAME).stdout
        self.assertIn(path, tree)


class CallsOnDbusBroker(Calls):
    broker = "dbus-broker"


class SignalsOnDbusBroker(Signals):
    broker = "dbus-broker"
