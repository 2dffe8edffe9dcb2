# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What IPv6, UDP and UNIX sockets do, and listeners that share an address, one line for each check: NAME RESULT. Run as it is and carried, the lines are to be the same.

    families.py DIRECTORY [NAME...]
"""

import contextlib
import errno
import os
import select
import socket
import sys

HOST = "::1"
DIRECTORY = sys.argv[1]  # for UNIX sockets
PATIENCE = 60
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def outcome(call, *arguments):
    """The name of the error that a call fails with, or 0."""
    try:
        call(*arguments)
        return "0"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def exchange(one, other):
    """Sends more than what fits at once, each way, and the ends."""
    for here, there in ((one, other), (other, one)):
        here.settimeout(PATIENCE)
        there.settimeout(PATIENCE)
        sent, received = b"0123456789abcdef" * 20000, b""
        left = memoryview(sent)
        while len(received) < len(sent):
            readable, writable, _ = select.select([there], [here] if left else [], [], PATIENCE)
            if writable:
                left = left[here.send(left[:50000]):]
            if readable:
                received += there.recv(65536)
        if received != sent:
            return "other bytes"
    one.shutdown(socket.SHUT_WR)
    ended = other.recv(1)
    other.sendall(b"after the half close")
    other.close()
    return ended, one.recv(100), one.recv(100)


def listen(family, address, v6_only=None):
    listener = socket.socket(family)
    if v6_only is not None:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
    listener.settimeout(PATIENCE)
    listener.bind(address)
    listener.listen(16)
    return listener


@check
def v6_refused():
    with socket.socket(socket.AF_INET6) as bound, socket.socket(socket.AF_INET6) as one:
        bound.bind((HOST, 0))
        return outcome(one.connect, bound.getsockname())


@check
def v6_both_ways():
    with listen(socket.AF_INET6, (HOST, 0)) as listener, socket.socket(socket.AF_INET6) as one:
        one.settimeout(PATIENCE)
        one.connect(listener.getsockname())
        with listener.accept()[0] as other:
            names = one.getpeername() == listener.getsockname() == other.getsockname(), other.getpeername() == one.getsockname(), one.getpeername()[0]
            return names, exchange(one, other)


@check
def v6_without_waiting():
    with listen(socket.AF_INET6, (HOST, 0)) as listener, socket.socket(socket.AF_INET6) as one:
        one.setblocking(False)
        begun = outcome(one.connect, listener.getsockname())
        writable = bool(select.select([], [one], [], PATIENCE)[1])
        with listener.accept()[0] as other:
            return begun, writable, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), exchange(one, other)


@check
def v6_only():
    with listen(socket.AF_INET6, ("::", 0), True) as listener, socket.create_connection((HOST, listener.getsockname()[1])) as one:
        with listener.accept()[0] as other, socket.create_server(("0.0.0.0", listener.getsockname()[1])):  # the same port of IPv4 is free
            return listener.getsockname()[0], other.getpeername()[:2] == one.getsockname()[:2]


@check
def v6_and_v4():
    with listen(socket.AF_INET6, ("::", 0), False) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as one:
        with listener.accept()[0] as other:
            return other.getpeername()[:2] == ("::ffff:127.0.0.1", one.getsockname()[1]), exchange(one, other)


@check
def v6_datagrams():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        return datagrams(one, other, HOST)


@check
def v4_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        return datagrams(one, other, "127.0.0.1")


def datagrams(server, client, host):
    """A server that is bound and answers whom it hears from, and a client that is connected to nobody, and later to the server."""
    for one in (server, client):
        one.settimeout(PATIENCE)
    server.bind((host, 0))
    results = []
    for size in (0, 1, 1400, 8000):
        client.sendto(b"q" * size, server.getsockname())
        query, address = server.recvfrom(10000)
        results.append((len(query), address[1] == client.getsockname()[1], address[0] == host))
        server.sendto(query + b"!", address)
        answer, address = client.recvfrom(10000)
        results.append((len(answer), address == server.getsockname()))
    client.connect(server.getsockname())
    client.send(b"connected")
    query, address = server.recvfrom(100)
    server.sendto(b"yes", address)
    return results, query, client.recv(100), client.getpeername() == server.getsockname()


@check
def datagrams_of_several():
    """Each client is told from the others, and gets its own answer."""
    with contextlib.ExitStack() as stack:
        server, *clients = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(6))
        server.bind(("127.0.0.1", 0))
        for i, client in enumerate(clients):
            client.settimeout(PATIENCE)
            client.sendto(b"%d" % i, server.getsockname())
        server.settimeout(PATIENCE)
        heard = [server.recvfrom(100) for _ in clients]
        for query, address in heard:
            server.sendto(b"to " + query, address)
        return [client.recvfrom(100)[0] for client in clients], len({address for _, address in heard})


@check
def datagrams_without_waiting():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        nothing = outcome(one.recvfrom, 10)
        one.sendto(b"to itself", one.getsockname())
        return nothing, bool(select.select([one], [], [], PATIENCE)[0]), one.recvfrom(100)[0], outcome(one.send, b"to nobody")


def reuse_port(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.settimeout(PATIENCE)
    listener.bind(("127.0.0.1", port))
    return listener


def accepted(listeners, address):
    """Which of the listeners gets a connection, that works."""
    with socket.create_connection(address, PATIENCE) as one:
        ready = select.select(listeners, [], [], PATIENCE)[0]
        with ready[0].accept()[0] as other:
            one.sendall(b"x")
            return listeners.index(ready[0]) if other.recv(1) == b"x" else None


@check
def listeners_that_share_an_address():
    first = reuse_port(0)
    address = first.getsockname()
    with first, reuse_port(address[1]) as second, reuse_port(address[1]) as third, socket.socket() as stranger:
        first.listen(5)
        alone = {accepted([first], address) for _ in range(5)}
        second.listen(5)
        third.listen(5)
        all_three = {accepted([first, second, third], address) for _ in range(60)}
        taken = outcome(stranger.bind, address), second.getsockname() == address
        first.close()
        without_first = {accepted([second, third], address) for _ in range(40)}
        third.close()
        return alone, all_three, taken, without_first, {accepted([second], address) for _ in range(5)}


def pair(address):
    """A listener at a UNIX address, a connection to it and what it has accepted."""
    listener, one = listen(socket.AF_UNIX, address), socket.socket(socket.AF_UNIX)
    one.settimeout(PATIENCE)
    one.connect(address)
    return listener, one, listener.accept()[0]


def unix(address):
    listener, one, other = pair(address)
    with listener, one, other:
        names = listener.getsockname() == address, one.getpeername() == address, one.getsockname(), other.getpeername(), other.getsockname() == address
        return names, exchange(one, other)


@check
def unix_path():
    return unix(f"{DIRECTORY}/path")


@check
def unix_long_path():
    return unix(f"{DIRECTORY}/".ljust(107, "x"))


@check
def unix_abstract():
    return unix(b"\0xcp-families-%d" % os.getppid())


@check
def unix_refused():
    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX) as one:
        bound.bind(f"{DIRECTORY}/bound")
        return outcome(one.connect, f"{DIRECTORY}/bound"), outcome(one.connect, f"{DIRECTORY}/nothing"), outcome(bound.bind, f"{DIRECTORY}/again")


@check
def unix_taken():
    with listen(socket.AF_UNIX, f"{DIRECTORY}/taken"), socket.socket(socket.AF_UNIX) as one:
        return outcome(one.bind, f"{DIRECTORY}/taken")


@check
def unix_without_waiting():
    with listen(socket.AF_UNIX, f"{DIRECTORY}/nonblocking") as listener, socket.socket(socket.AF_UNIX) as one:
        listener.setblocking(False)
        nothing = outcome(listener.accept)
        one.setblocking(False)
        result = outcome(one.connect, f"{DIRECTORY}/nonblocking")
        readable = bool(select.select([listener], [], [], PATIENCE)[0])
        with listener.accept()[0] as other:
            return nothing, result, readable, exchange(one, other)


@check
def unix_reset():
    listener, one, other = pair(f"{DIRECTORY}/reset")
    with listener, one:
        one.sendall(b"never read")
        select.select([other], [], [], PATIENCE)
        other.close()
        return outcome(one.recv, 1), outcome(one.connect, f"{DIRECTORY}/reset")


@check
def unix_many():
    with listen(socket.AF_UNIX, f"{DIRECTORY}/many") as listener, contextlib.ExitStack() as stack:
        pairs = []
        for _ in range(40):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(f"{DIRECTORY}/many")
            pairs.append((one, stack.enter_context(listener.accept()[0])))
        for i, (one, _) in enumerate(pairs):
            one.sendall(b"%d" % i)
        return all(other.recv(10) == b"%d" % i for i, (_, other) in enumerate(pairs))


for function in CHECKS:
    if sys.argv[2:] and function.__name__ not in sys.argv[2:]:
        continue
    try:
        result = function()
    except Exception as error:  # it is a result, to be compared
        result = f"{type(error).__name__}: {error}"
    print(function.__name__, result, flush=True)
