# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the checks of posix.py stand on: their list, a connection to try things on, and what calls return in words that can be compared."""

import errno
import select
import socket

HOST = "127.0.0.1"
PATIENCE = 30
CHECKS = []
KEPT = []


def check(function):
    CHECKS.append(function)
    return function


def name(error):
    return errno.errorcode.get(error, str(error)) if error else "0"


def outcome(call, *arguments):
    """The name of the error that a call fails with, or 0."""
    try:
        call(*arguments)
        return "0"
    except OSError as error:
        return name(error.errno)


class Pair:
    """A listener, a connection to it, and what it has accepted."""

    def __init__(self, backlog=16):
        self.listener = socket.create_server((HOST, 0), backlog=backlog)
        self.client = socket.create_connection(self.listener.getsockname(), PATIENCE)
        self.server, self.address = self.listener.accept()
        self.server.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for one in (self.client, self.server, self.listener):
            one.close()


def free_port():
    """A port on which nobody listens: it is bound, and stays so until the end."""
    bound = socket.socket()
    bound.bind((HOST, 0))
    KEPT.append(bound)
    return bound.getsockname()[1]


def poll(one, events, milliseconds=PATIENCE * 1000):
    """The names of what poll(2) says of it."""
    poller = select.poll()
    poller.register(one, events)
    got = dict(poller.poll(milliseconds)).get(one.fileno(), 0)
    return "+".join(text for text, bit in (("IN", 1), ("OUT", 4), ("ERR", 8), ("HUP", 16), ("RDHUP", 0x2000)) if got & bit) or "nothing"


def read_all(one):
    data = b""
    while chunk := one.recv(65536):
        data += chunk
    return data
