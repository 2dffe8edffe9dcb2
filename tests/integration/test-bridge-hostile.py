# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge, and a guest that has something else than a bridge: what it sends, and what it does to the ring."""

import os
import struct

from bridgecase import ECHO, MANAGER, echo
from bridgewire import (ACTIVATABLE, CREDIT, FRAGMENT, GOODBYE, MESSAGE, PEER, PEER_GONE, PING, PONG, REFUSED, frame, hello, message, name, peer,
                        subscribe)
from dbuswire import CALL, ERROR, RETURN, SIGNAL, Message, encode
from harness import wait_until
from impostorcase import ImpostorCase

ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
NO_ANSWER = "org.freedesktop.DBus.Error.NoReply"


class Ring(ImpostorCase):
    """What the bridge makes of it before its bus hears anything."""

    def test_what_is_no_protocol_ends_the_link(self):
        one = peer(1, ":1.1")
        small = encode(Message(SIGNAL, 1, path="/", interface=ECHO, member="Tick"))
        cases = {
            "garbage": os.urandom(4096),
            "no hello": frame(PING, bytes(8)),
            "second hello": hello() + hello(),
            "another magic": hello(magic=1),
            "no window": hello(window=0),
            "too long a frame": hello() + struct.pack("<IHH", 65537, 99, 0),
            "half a body": hello() + frame(PEER, b"x"),
            "a peer that is nobody": hello() + peer(1, "not unique"),
            "a peer with the number 0": hello() + peer(0, ":1.1"),
            "a peer twice": hello() + one + one,
            "a peer from too far": hello() + peer(1, ":1.1", hops=2),
            "a service from too far": hello() + frame(ACTIVATABLE, struct.pack("<HBB", 11, 1, 2) + b"org.example"),
            "the end of nobody": hello() + frame(PEER_GONE, struct.pack("<I", 7)),
            "a name of nobody": hello() + name(1, "org.example.Name"),
            "a name that is none": hello() + one + name(1, "..."),
            "a message of nobody": hello() + message(1, small),
            "more than it said": hello() + one + message(1, small, size=16),
            "a fragment of nothing": hello() + one + frame(FRAGMENT, struct.pack("<I", 1) + b"x"),
            "a message within another": hello() + one + message(1, small, size=5000) + message(1, small),
            "too large a message": hello() + one + message(1, small, size=(1 << 27) + 1),
            "credit for what was not sent": hello() + frame(CREDIT, struct.pack("<II", 0, 1)),
            "too many peers": hello() + b"".join(peer(number, f":1.{number}") for number in range(1, 1026)),
            "more than its window": hello() + one + message(1, small + bytes(1000), size=1 << 20)
            + b"".join(frame(FRAGMENT, struct.pack("<I", 1) + bytes(65000)) for _ in range(4)),
        }
        for what, data in cases.items():
            with self.subTest(what):
                self.meet(data)
                if what != "more than its window":  # which has memory of its own, and so gets credit: it is too much only if it comes at once
                    self.wait_end()
                    continue
                self.impostor.write("bye\n")
        self.assert_others_are_well()

    def test_newer_versions_are_understood(self):
        self.meet(hello(max=9, features=0xffffffff), frame(999, b"something new"), frame(PING, struct.pack("<Q", 77) + b"and more"))
        self.wait_frame(PONG, lambda body: body == struct.pack("<Q", 77))
        self.wait_link(1)
        self.assertEqual(self.link_property(1, "ProtocolVersion"), 1)
        self.meet(hello(min=2, max=9))
        self.assertEqual(self.wait_frame(GOODBYE)[0], 4)

    def test_another_uuid_is_another_domain(self):
        self.meet(hello(uuid=bytes(range(16))))
        self.assertEqual(self.wait_frame(GOODBYE)[0], 5)

    def test_corrupt_ring_indexes_are_noticed(self):
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Mine"))
        self.wait_name(0, "org.example.Mine")
        bus = self.bus(0)
        serial = bus.call_async("org.example.Mine", "/", ECHO, "Echo")
        self.wait_frame(MESSAGE)
        self.impostor.write("corrupt\n")
        self.assertEqual(bus.reply_to(serial).error, NO_ANSWER)
        self.wait_name(0, "org.example.Mine", there=False)
        self.bridges[0].wait_output("the ring's indexes are corrupt", stream="stderr")
        self.assert_others_are_well()

    def test_a_domain_that_does_not_read(self):
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Mine"))
        self.wait_name(0, "org.example.Mine")
        self.impostor.write("deaf\n")
        bus = self.bus(0)
        serial = bus.call_async("org.example.Mine", "/", ECHO, "Echo", "ay", bytes(1 << 20))
        wait_until(lambda: self.link_property(1, "State") == "Stalled", "the link to be stalled")
        self.assert_others_are_well()
        self.assertEqual(bus.reply_to(serial).error, NO_ANSWER)


class Hostile(ImpostorCase):
    """What would get to the bus."""

    def test_names_that_it_may_not_own(self):
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.freedesktop.systemd1"), name(1, "org.xen.xcp.bridge"), name(1, "org.example.Mine"))
        self.wait_name(0, "org.example.Mine")
        bus = self.bus(0)
        self.assertIsNone(bus.owner("org.freedesktop.systemd1"))
        self.assertEqual(bus.call(*MANAGER, "GetConnectionDomain", "s", "org.xen.xcp.bridge")[0], 0)

    def test_the_bus_and_its_libraries_are_out_of_reach(self):
        def call(number, destination, member, interface="org.freedesktop.DBus"):
            data = encode(Message(CALL, number, path="/org/freedesktop/DBus", interface=interface, member=member, destination=destination))
            return message(1, data, call=number)

        local = encode(Message(SIGNAL, 9, path="/org/freedesktop/DBus/Local", interface="org.freedesktop.DBus.Local", member="Disconnected"))
        self.meet(hello(), peer(1, ":1.1"), call(1, "org.freedesktop.DBus", "BecomeMonitor", "org.freedesktop.DBus.Monitoring"),
                  call(2, "org.freedesktop.DBus", "Hello"), call(3, None, "ListNames"), message(1, local),
                  subscribe(1, "type='signal',eavesdrop='true'"), subscribe(2, "eavesdrop = true"), subscribe(3, "type='method_call'"))
        for number in (1, 2, 3):
            refused = self.wait_refusal(number)
            self.assertIn(ACCESS_DENIED.encode(), refused)
        wait_until(lambda: self.counters(1)["messages.invalid"] == 1, "the local message to be counted")
        self.assertEqual(self.link_property(1, "State"), "Up")

    def test_messages_that_no_bus_takes(self):
        bad = [
            encode(Message(CALL, 1, path="/", interface=ECHO, member="Echo", destination="org.example.Well", signature="s",
                           raw_body=b"\xff\xff\xff\xff")),
            encode(Message(CALL, 1, path="/", interface=ECHO, member="Echo", destination="org.example.Well", n_fds=3)),
            os.urandom(100),
        ]
        service = self.service(2, echo, "org.example.Well")
        self.wait_name(0, "org.example.Well")
        self.meet(hello(), peer(1, ":1.1"), *(message(1, data, call=number + 1) for number, data in enumerate(bad)))
        for number in range(len(bad)):
            self.assertIn(b"InconsistentMessage", self.wait_refusal(number + 1))
        self.assertEqual(self.counters(1)["messages.invalid"], len(bad))
        self.assertEqual(service.calls, [])

    def test_answers_to_nothing_and_second_answers(self):
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Mine"))
        self.wait_name(0, "org.example.Mine")
        bus = self.bus(0)
        serial = bus.call_async("org.example.Mine", "/", ECHO, "Echo")
        body = self.wait_frame(MESSAGE)
        _, _, number, _, _ = struct.unpack_from("<IIQII", body)
        reply = encode(Message(RETURN, 5, reply_serial=1, destination=":1.1", signature="s", body=("right",)))
        self.send(message(1, reply, call=number + 1, flags=1), message(1, reply, call=number, flags=1), message(1, reply, call=number, flags=1))
        self.assertEqual(bus.answer(serial), ("right",))
        wait_until(lambda: self.counters(1)["replies.unexpected"] == 2, "both to be counted")
        bus.driver("GetId")
        self.assertEqual([m for m in bus.queue if m.type in (RETURN, ERROR)], [])
