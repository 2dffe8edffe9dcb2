# SPDX-License-Identifier: LGPL-2.1-or-later
"""D-Bus as bytes, for tests: a connection that says what it is told to, and programs on a bus that are threads of the test.

    with Bus(path) as bus:
        reply = bus.call("org.xen.xcp.storage", "/", "org.freedesktop.DBus.Peer", "Ping")

A message is a Message; its body's values are Python's own, and a variant is a pair of signature and value.
"""

import dataclasses
import os
import select
import socket
import struct
import threading
import time

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY, NO_AUTO_START = 1, 2
DRIVER = "org.freedesktop.DBus"
DEADLINE = 60.0

_FIELDS = {1: ("path", "o"), 2: ("interface", "s"), 3: ("member", "s"), 4: ("error", "s"), 5: ("reply_serial", "u"),
           6: ("destination", "s"), 7: ("sender", "s"), 8: ("signature", "g"), 9: ("n_fds", "u")}
_FIXED = {"y": ("B", 1), "b": ("I", 4), "n": ("h", 2), "q": ("H", 2), "i": ("i", 4), "u": ("I", 4), "x": ("q", 8), "t": ("Q", 8),
          "d": ("d", 8), "h": ("I", 4)}
_ALIGNMENT = {**{code: size for code, (_, size) in _FIXED.items()}, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}


class CallFailed(Exception):
    """The answer was an error: .name, and its text."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class Gone(Exception):
    """The bus has ended the connection."""


@dataclasses.dataclass
class Message:
    type: int
    serial: int = 0
    flags: int = 0
    path: str = None
    interface: str = None
    member: str = None
    error: str = None
    reply_serial: int = None
    destination: str = None
    sender: str = None
    signature: str = ""
    body: tuple = ()
    n_fds: int = None
    fds: list = dataclasses.field(default_factory=list)  # of a message that came: to be closed by who takes it
    raw_body: bytes = None  # instead of body
    big_endian: bool = False


def split(signature):
    """The complete types that a signature has."""
    types = []
    while signature:
        n = _end(signature)
        types.append(signature[:n])
        signature = signature[n:]
    return types


def _end(signature):
    if signature[0] == "a":
        return 1 + _end(signature[1:])
    if signature[0] in "({":
        depth, i = 1, 1
        while depth:
            depth += (signature[i] in "({") - (signature[i] in ")}")
            i += 1
        return i
    return 1


class _Writer:
    def __init__(self, order):
        self.data = bytearray()
        self.order = order

    def pad(self, n):
        self.data += bytes(-len(self.data) % n)

    def fixed(self, code, value):
        letter, size = _FIXED[code]
        self.pad(size)
        self.data += struct.pack(self.order + letter, value)

    def put(self, kind, value):
        code = kind[0]
        if code in _FIXED:
            self.fixed(code, value)
        elif code in "so":
            raw = value.encode()
            self.fixed("u", len(raw))
            self.data += raw + b"\0"
        elif code == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif code == "v":
            self.put("g", value[0])
            self.put(value[0], value[1])
        elif code == "a":
            self.array(kind[1:], value)
        else:
            self.pad(8)
            for part, item in zip(split(kind[1:-1]), value):
                self.put(part, item)

    def array(self, kind, value):
        self.fixed("u", 0)
        at = len(self.data)
        self.pad(_ALIGNMENT[kind[0]])
        start = len(self.data)
        if kind == "y":
            self.data += value
        else:
            for item in value.items() if isinstance(value, dict) else value:
                self.put(kind, item)
        self.data[at - 4:at] = struct.pack(self.order + "I", len(self.data) - start)


class _Reader:
    def __init__(self, data, order, at=0):
        self.data = data
        self.order = order
        self.at = at

    def pad(self, n):
        self.at += -self.at % n

    def fixed(self, code):
        letter, size = _FIXED[code]
        self.pad(size)
        self.at += size
        return struct.unpack_from(self.order + letter, self.data, self.at - size)[0]

    def get(self, kind):
        code = kind[0]
        if code in _FIXED:
            value = self.fixed(code)
            return bool(value) if code == "b" else value
        if code in "sog":
            n = self.fixed("u") if code != "g" else self.fixed("y")
            self.at += n + 1
            return bytes(self.data[self.at - n - 1:self.at - 1]).decode()
        if code == "v":
            inner = self.get("g")
            return inner, self.get(inner)
        if code == "a":
            return self.array(kind[1:])
        self.pad(8)
        return tuple(self.get(part) for part in split(kind[1:-1]))

    def array(self, kind):
        n = self.fixed("u")
        self.pad(_ALIGNMENT[kind[0]])
        end = self.at + n
        if kind == "y":
            self.at = end
            return bytes(self.data[end - n:end])
        items = []
        while self.at < end:
            items.append(self.get(kind))
        return dict(items) if kind[0] == "{" else items


def encode(message):
    order = ">" if message.big_endian else "<"
    body = _Writer(order)
    for kind, value in zip(split(message.signature), message.body):
        body.put(kind, value)
    data = body.data if message.raw_body is None else message.raw_body
    fields = [(number, (kind, getattr(message, name))) for number, (name, kind) in _FIELDS.items() if getattr(message, name)]
    head = _Writer(order)
    for code, value in zip("yyyyuu", (ord("B" if message.big_endian else "l"), message.type, message.flags, 1, len(data), message.serial)):
        head.fixed(code, value)
    head.put("a(yv)", fields)
    head.pad(8)
    return bytes(head.data) + bytes(data)


def decode(data):
    order = ">" if data[0] == ord("B") else "<"
    head = _Reader(data, order, 1)
    kind, flags, _ = (head.fixed("y") for _ in range(3))
    n_body, serial = head.fixed("u"), head.fixed("u")
    message = Message(kind, serial, flags, big_endian=order == ">")
    for number, (_, value) in head.get("a(yv)"):
        if number in _FIELDS:
            setattr(message, _FIELDS[number][0], value)
    head.pad(8)
    body = _Reader(memoryview(data)[head.at:], order)
    message.body = tuple(body.get(part) for part in split(message.signature))
    assert len(data) == head.at + n_body
    return message


class Bus:
    """A connection to a bus, by the path of its socket. What comes and is no awaited answer is kept for receive()."""

    def __init__(self, path, hello=True, passes_fds=False):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(os.fspath(path))
        self._serial = 0
        self._buffer = bytearray()
        self.queue = []
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        self._fds = [] if passes_fds else None
        if not (line := self._read_line()).startswith(b"OK "):
            raise Gone(line)
        if passes_fds:
            self._socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            if self._read_line() != b"AGREE_UNIX_FD\r\n":
                raise Gone("it passes no descriptors")
        self._socket.sendall(b"BEGIN\r\n")
        self.unique = self.driver("Hello")[0] if hello else None

    def _read_line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._socket.recv(1)
        return line

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self._socket.close()
        for fds in (self._fds or [], *(message.fds for message in self.queue)):
            while fds:
                os.close(fds.pop())

    def fileno(self):
        return self._socket.fileno()

    def send(self, message, fds=()):
        """Sends it, with the next serial if it has none, and with descriptors. Returns the serial."""
        if not message.serial:
            self._serial += 1
            message.serial = self._serial
        data = encode(message)
        sent = socket.send_fds(self._socket, [data], fds) if fds else 0
        self._socket.sendall(data[sent:])
        return message.serial

    def send_bytes(self, data):
        self._socket.sendall(data)

    def call_async(self, destination, path, interface, member, signature="", *body, flags=0, **more):
        fds = more.pop("fds", ())
        return self.send(Message(CALL, 0, flags, path, interface, member, destination=destination, signature=signature, body=body,
                                 n_fds=len(fds) or None, **more), fds)

    def call(self, destination, path, interface, member, signature="", *body, flags=0, deadline=DEADLINE):
        """Calls, and returns the answer's body; raises CallFailed."""
        return self.answer(self.call_async(destination, path, interface, member, signature, *body, flags=flags), deadline)

    def driver(self, member, signature="", *body):
        return self.call(DRIVER, "/org/freedesktop/DBus", DRIVER, member, signature, *body)

    def reply_to(self, serial, deadline=DEADLINE):
        return self.receive(lambda m: m.reply_serial == serial, f"an answer to call {serial}", deadline)

    def answer(self, serial, deadline=DEADLINE):
        reply = self.reply_to(serial, deadline)
        if reply.type == ERROR:
            raise CallFailed(reply.error, reply.body[0] if reply.body else "")
        return reply.body

    def receive(self, accept=lambda message: True, what="a message", deadline=DEADLINE):
        """The first message that is accepted; others stay, in their order."""
        end = time.monotonic() + deadline
        seen = 0
        while True:
            for index in range(seen, len(self.queue)):
                if accept(self.queue[index]):
                    return self.queue.pop(index)
            seen = len(self.queue)
            left = end - time.monotonic()
            if left <= 0 or not self.pump(left):
                raise TimeoutError(f"no {what} within {deadline:g} s; there are {self.queue[-5:]}")

    def pump(self, seconds):
        """Reads what there is, waiting so long for it. Returns whether anything came."""
        poll = select.poll()  # there may be more than 1,024 descriptors
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(max(0, seconds) * 1000):
            return False
        if self._fds is None:
            data = self._socket.recv(1 << 20)
        else:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 20, 253)
            self._fds += fds
        if not data:
            raise Gone("the bus has ended the connection")
        self._buffer += data
        while (n := self._length()) and len(self._buffer) >= n:
            message = decode(bytes(self._buffer[:n]))
            if message.n_fds and self._fds is not None:
                message.fds, self._fds = self._fds[:message.n_fds], self._fds[message.n_fds:]
            self.queue.append(message)
            del self._buffer[:n]
        return True

    def _length(self):
        if len(self._buffer) < 16:
            return 0
        order = ">" if self._buffer[0] == ord("B") else "<"
        n_body, _, n_fields = struct.unpack_from(order + "III", self._buffer, 4)
        return 16 + n_fields + (-n_fields % 8) + n_body

    def own(self, name, flags=4):
        return self.driver("RequestName", "su", name, flags)[0]

    def match(self, rule):
        self.driver("AddMatch", "s", rule)

    def owner(self, name):
        """The unique name, or None."""
        try:
            return self.driver("GetNameOwner", "s", name)[0]
        except CallFailed as failed:
            if failed.name != "org.freedesktop.DBus.Error.NameHasNoOwner":
                raise
            return None

    def signal(self, path, interface, member, signature="", *body, destination=None, fds=()):
        self.send(Message(SIGNAL, 0, 1, path, interface, member, destination=destination, signature=signature, body=body,
                          n_fds=len(fds) or None), fds)

    def answer_to(self, call, signature="", *body, fds=()):
        self.send(Message(RETURN, 0, 1, reply_serial=call.serial, destination=call.sender, signature=signature, body=body,
                          n_fds=len(fds) or None), fds)

    def fail(self, call, error, text):
        self.send(Message(ERROR, 0, 1, error=error, reply_serial=call.serial, destination=call.sender, signature="s", body=(text,)))


class Service:
    """A program on a bus, a thread of the test: what comes is given to handle(bus, message), and calls are kept in .calls."""

    def __init__(self, path, name, handle, passes_fds=False):
        self.bus = Bus(path, passes_fds=passes_fds)
        self.calls = []
        self._handle = handle
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if name:
            assert self.bus.own(name) == 1, f"{name} cannot be owned"
        self._thread.start()

    def _run(self):
        try:
            while True:
                while self.bus.queue:
                    message = self.bus.queue.pop(0)
                    if message.type == CALL:
                        self.calls.append(message)
                    self._handle(self.bus, message)
                if self._end in select.select([self.bus, self._end], [], [])[0]:
                    break
                self.bus.pump(0)
        except (Gone, OSError):  # of the bus, when its domain is destroyed
            pass
        finally:
            self.bus.close()

    def close(self):
        """Leaves the bus. Does nothing the second time."""
        if self._ended is None:
            return
        os.write(self._ended, b"x")
        self._thread.join()
        os.close(self._end)
        os.close(self._ended)
        self._ended = None
