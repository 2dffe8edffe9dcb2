# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames of the bridge's protocol as bytes, for tests that are the other bridge: docs/bridge-protocol.md, "Frames"."""

import struct

(HELLO, PEER, PEER_GONE, NAME, NAME_GONE, ACTIVATABLE, START, STARTED, SUBSCRIBE, UNSUBSCRIBE, MESSAGE, FRAGMENT, REFUSED, CREDIT, PING, PONG,
 GOODBYE) = range(1, 18)

WINDOW = 128 * 1024  # bytes that a peer may send before it gets credit, as the bridge's hello has it


def frame(kind, body=b""):
    return struct.pack("<IHH", len(body), kind, 0) + body


def hello(**changes):
    values = {"magic": 0x62706378, "min": 1, "max": 1, "features": 0, "domain": 1, "uuid": bytes(16), "instance": bytes(16), "epoch": 1,
              "window": WINDOW, "message": 1 << 27, "peers": 1024, "names": 1024, **changes}
    return frame(HELLO, struct.pack("<IHHII16s16sQIIII", *values.values()))


def peer(number, name, hops=0):
    return frame(PEER, struct.pack("<IBBH", number, hops, 0, len(name)) + name.encode())


def name(number, text):
    return frame(NAME, struct.pack("<IHH", number, len(text), 0) + text.encode())


def subscribe(number, rule):
    return frame(SUBSCRIBE, struct.pack("<IHH", number, len(rule), 0) + rule.encode())


def message(stream, data, destination=0, call=0, flags=0, size=None):
    return frame(MESSAGE, struct.pack("<IIQII", stream, destination, call, len(data) if size is None else size, flags) + data)
