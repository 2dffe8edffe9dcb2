# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the store that speaks its protocol (xen/include/public/io/xs_wire.h), so that a test can do what no tool does."""

import socket
import struct

HEADER = struct.Struct("=IIII")  # type, request id, transaction id, length

DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, TRANSACTION_START, TRANSACTION_END = range(1, 8)
WRITE, MKDIR, RM, SET_PERMS, WATCH_EVENT, ERROR = 11, 12, 13, 14, 15, 16


class StoreError(Exception):
    """The store refused; the text is its error's name."""


class StoreClient:
    """One connection, as one open /dev/xen/xenbus is."""

    def __init__(self, path, deadline=60.0):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(deadline)
        self._socket.connect(str(path))
        self.events = []  # of watches, as [path, token], in the order in which they came

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self._socket.close()

    def send(self, kind, *strings, transaction=0, request=7):
        payload = b"".join(s.encode() + b"\0" for s in strings)
        self.send_raw(HEADER.pack(kind, request, transaction, len(payload)) + payload)

    def send_raw(self, data):
        self._socket.sendall(data)

    def receive(self):
        """The next packet: (type, request id, transaction id, payload)."""
        kind, request, transaction, length = HEADER.unpack(self._exactly(HEADER.size))
        return kind, request, transaction, self._exactly(length)

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            more = self._socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the store closed the connection")
            data += more
        return data

    def call(self, kind, *strings, transaction=0):
        """Sends a request and returns the answer's payload. Watch events that come in between are kept in events."""
        self.send(kind, *strings, transaction=transaction)
        return self._answer(kind, transaction)

    def _answer(self, kind, transaction):
        while True:
            answered, request, tx, payload = self.receive()
            if answered == WATCH_EVENT:
                self.events.append(payload.decode().split("\0")[:2])
                continue
            if answered == ERROR:
                raise StoreError(payload.rstrip(b"\0").decode())
            if (answered, request, tx) != (kind, 7, transaction):
                raise AssertionError(f"asked for {kind} in transaction {transaction}, answered {answered}, {request}, {tx}")
            return payload.rstrip(b"\0").decode()

    def start(self):
        """Starts a transaction and returns its number."""
        return int(self.call(TRANSACTION_START, ""))

    def write(self, path, value, transaction=0):
        """A value is not terminated, unlike a path."""
        payload = path.encode() + b"\0" + value.encode()
        self.send_raw(HEADER.pack(WRITE, 7, transaction, len(payload)) + payload)
        self._answer(WRITE, transaction)

    def next_event(self):
        """Waits for an event of a watch: [path, token]."""
        while not self.events:
            kind, _, _, payload = self.receive()
            if kind == WATCH_EVENT:
                self.events.append(payload.decode().split("\0")[:2])
        return self.events.pop(0)
