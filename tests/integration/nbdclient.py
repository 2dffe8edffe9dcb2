# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of NBD servers, for tests."""

import socket
import struct


class Nbd:
    """A client of an NBD server: nothing but what writes, flushes and reads blocks. NetworkBlockDevice/nbd, doc/proto.md."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(path)
        self._take(18)  # NBDMAGIC IHAVEOPT flags
        self._socket.sendall(struct.pack(">I8sII4s", 3, b"IHAVEOPT", 1, 4, b"disk"))  # EXPORT_NAME; no zeros
        self.size, _ = struct.unpack(">QH", self._take(10))
        self._cookie = 0

    def close(self):
        self._socket.close()

    def _take(self, n):
        data = b""
        while len(data) < n:
            more = self._socket.recv(n - len(data))
            if not more:
                raise ConnectionResetError("the server has gone")
            data += more
        return data

    def _ask(self, command, offset, length, data=b""):
        self._cookie += 1
        self._socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, self._cookie, offset, length) + data)
        magic, error, cookie = struct.unpack(">IIQ", self._take(16))
        assert (magic, error, cookie) == (0x67446698, 0, self._cookie), (hex(magic), error, cookie)

    def write(self, offset, data):
        self._ask(1, offset, len(data), data)

    def flush(self):
        self._ask(3, 0, 0)

    def read(self, offset, length):
        self._ask(0, offset, length)
        return self._take(length)
