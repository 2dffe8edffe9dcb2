# SPDX-License-Identifier: LGPL-2.1-or-later
"""Descriptors of a domain that does not keep to the protocol."""

import os
import struct

from bridgewire import frame, hello, message, name, peer
from dbuswire import CALL, Bus, Message, encode
from descriptorcase import K, KEEP, NOT_SUPPORTED, Keeper
from harness import wait_until
from impostorcase import ImpostorCase

DESCRIPTORS, DATA, DATA_CREDIT, DATA_END, DATA_STOP = range(18, 23)


def descriptors(stream, *entries):
    return frame(DESCRIPTORS, struct.pack("<IHH", stream, len(entries), 0) + b"".join(struct.pack("<IHHQQ", number, kind, 0, size, 0)
                                                                                         for number, kind, size in entries))


def data(number, content, side=0):
    return frame(DATA, struct.pack("<IB3x", number, side) + content)


def end(number, reason=0, side=0):
    return frame(DATA_END, struct.pack("<IBB2x", number, side, reason))


class Hostile(ImpostorCase):
    """A guest with something else than a bridge."""

    def call(self, number, n_fds, destination=KEEP, flags=2):
        call = Message(CALL, number, path="/", interface=KEEP, member="Keep", destination=destination, n_fds=n_fds)
        return message(1, encode(call), call=number, flags=flags)

    def test_what_is_no_protocol_ends_the_link(self):
        start = hello(features=1) + peer(1, ":1.1")
        pipe = descriptors(1, (1, 1, 0))
        cases = {
            "none at all": start + descriptors(1),
            "more than there are": start + frame(DESCRIPTORS, struct.pack("<IHH", 1, 5, 0) + bytes(24)),
            "of nobody": start + descriptors(7, (1, 1, 0)),
            "with the number 0": start + descriptors(1, (0, 1, 0)),
            "twice": start + pipe + pipe,
            "twice at once": start + descriptors(1, (1, 1, 0), (1, 1, 0)),
            "too many": start + b"".join(descriptors(1, (number, 1, 0)) for number in range(1, 1026)),
            "too many that are refused": start + b"".join(descriptors(1, (number, 99, 0)) + end(number) for number in range(1, 1026)),
            "a message that has none": start + self.call(1, 1),
            "data of nothing": start + data(9, b"x"),
            "data of something that was not passed": start + data(1, b"x", side=1),
            "no data": start + pipe + data(1, b""),
            "more than was allowed": start + pipe + b"".join(data(1, bytes(16 * K)) for _ in range(4 * 64)),
            "data the wrong way": start + descriptors(1, (1, 2, 0)) + data(1, b"x"),
            "data after the end": start + pipe + end(1) + data(1, b"x"),
            "two ends": start + pipe + end(1) + end(1),
            "more than a copy has": start + descriptors(1, (1, 7, 3)) + data(1, b"four"),
            "too much credit": start + pipe + frame(DATA_CREDIT, struct.pack("<IB3xI", 1, 0, 0xffffffff)),
            "a side that there is not": start + pipe + data(1, b"x", side=2),
        }
        for what, frames in cases.items():
            with self.subTest(what):
                self.meet(frames)
                self.wait_end()
        self.assert_others_are_well()

    def test_a_message_that_claims_others_than_it_has(self):
        keeper = Keeper(self.path(2))
        self.addCleanup(keeper.close)
        self.wait_name(0, KEEP)
        pipe = descriptors(1, (1, 1, 0))
        self.meet(hello(features=1), peer(1, ":1.1"), self.call(1, 1, flags=0),  # it has none
                  pipe, self.call(2, 2),  # it has one
                  descriptors(1, (2, 99, 0)), self.call(3, 1),  # of a kind that there will be
                  descriptors(1, (3, 7, 1 << 40)), self.call(4, 1),
                  descriptors(1, (4, 7, 10)), data(4, b"short"), end(4), self.call(5, 1))
        for number, error in enumerate((b"InconsistentMessage", b"InconsistentMessage", b"NotSupported", b"LimitsExceeded", b"IOError")):
            self.assertIn(error, self.wait_refusal(number + 1))
        self.send(frame(DATA_STOP, struct.pack("<IB3x", 77, 0)), end(1), end(2), end(3))
        wait_until(lambda: self.counters(1)["descriptors"] == 0, "none to be left")
        self.assertEqual(self.link_property(1, "State"), "Up")
        self.assertEqual(keeper.given, [])

    def test_a_bridge_that_does_not_carry_them(self):
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Old"))
        self.wait_name(0, "org.example.Old")
        reader, writer = os.pipe()
        with Bus(self.path(0), passes_fds=True) as bus:
            failed = bus.reply_to(bus.call_async("org.example.Old", "/", KEEP, "Keep", "h", 0, fds=[reader]))
        self.assertEqual(failed.error, NOT_SUPPORTED)
        os.close(reader)
        os.close(writer)
