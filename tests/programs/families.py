# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What IPv6, UDP and UNIX sockets do, and listeners that share an address, one line for each check: NAME RESULT. Run as it is and carried, the lines are to be the same.

    families.py DIRECTORY [NAME...]
"""

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True

from systemcalls import Header, header, raw_message, several, system  # noqa: E402 - it is run where nothing may be written

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
def datagrams_of_every_size():
    """What a connected socket sends without an address arrives whole, or is refused, by whatever call it is sent. The first check, as rings get smaller."""
    results = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())

        def send_several(data):
            message = header(ctypes.create_string_buffer(data, len(data)))
            result = system("sendmmsg", client.fileno(), several(message), 1, 0)
            if result != 1:
                raise OSError(getattr(errno, result), result)

        calls = client.send, lambda data: client.sendmsg([data[:100], data[100:]]), send_several, lambda data: os.write(client.fileno(), data)
        for size in (4048, 4049, 8144, 16336, 32719, 32720, 32721, 65507, 65508, 70000):
            data, outcomes = os.urandom(size), set()
            for call in calls if size > 32720 else calls[:-1]:  # who writes fewer is not asked about (docs/pvcalls-frontend.md)
                sent = outcome(call, data)
                if sent == "0":
                    sent = server.recv(70000) == data
                outcomes.add(sent)
            results.append((size, outcomes))
        most = max(size for size, outcomes in results if True in outcomes and size <= 32720)
        for i in range(3):  # more than a ring has room for, and less than the queues beside it
            client.send(b"%d" % i * most)
        return results, b"".join(server.recv(70000)[:1] for _ in range(3))


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
        with listener.accept()[0] as other, socket.create_server(("127.0.0.2", listener.getsockname()[1])):  # the same port of IPv4 is free, and there nobody else's
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


def received(one, *arguments):
    """What recvmsg has to tell, with the names of control messages in place of their bytes, but for addresses."""
    data, control, flags, address = one.recvmsg(*arguments)
    told = []
    for level, kind, value in control:
        if (level, kind) == (socket.IPPROTO_IP, 8):  # IP_PKTINFO: the interface, and twice the address
            told.append(("IP_PKTINFO", socket.inet_ntoa(value[4:8]), socket.inet_ntoa(value[8:12])))
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            told.append(("IPV6_PKTINFO", socket.inet_ntop(socket.AF_INET6, value[:16])))
        else:
            told.append((level, kind, len(value)))
    return data, told, flags, address


def messages(family, host):
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        for one in (server, client):
            one.settimeout(PATIENCE)
        server.bind((host, 0))
        here = server.getsockname()
        sent = client.sendmsg([b"in ", b"", b"pieces"], [], 0, here), client.sendmsg([b""], [], 0, here), client.sendmsg([b"x" * 100], [], 0, here)
        data, told, flags, address = received(server, 100, 1024)
        results = [sent, data, told, flags, address == client.getsockname() or address[1] == client.getsockname()[1], received(server, 100)[:3]]
        results.append((received(server, 10, 0, socket.MSG_PEEK)[:3], received(server, 10, 0, socket.MSG_TRUNC)[:3]))
        server.sendmsg([b"an", b"swer"], [], 0, address)
        data, _, flags, whence = received(client, 100)
        pieces = bytearray(2), bytearray(10)
        server.sendto(b"scattered", address)
        results += [data, flags, whence == here, client.recvmsg_into(pieces)[::2], bytes(pieces[0] + pieces[1])]
        client.connect(here)
        results.append((client.sendmsg([b"connected"]), received(server, 100)[:3], outcome(client.sendmsg, [b"x" * 65536], [], 0, here)))
        server.sendmsg([b"back"], [], 0, address)
        data, _, flags, whence = received(client, 100)
        client.setblocking(False)
        return results, data, flags, whence == here, outcome(client.recvmsg, 10)


@check
def v4_messages():
    return messages(socket.AF_INET, "127.0.0.1")


@check
def v6_messages():
    return messages(socket.AF_INET6, HOST)


@check
def messages_with_control():
    """The address that a datagram was sent to, when it came; and control messages that are ignored, or cannot be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.2", 0))
        server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        server.setsockopt(socket.SOL_SOCKET, 29, 1)  # SO_TIMESTAMP
        here = server.getsockname()
        client.sendmsg([b"x"], [(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("i", 9))], 0, here)
        client.sendmsg([b"y"], [], 0, here)
        both = received(server, 10, 1024)[:3], received(server, 10, 20)[:3]
        too_long = struct.pack("@NiiI", 99, socket.IPPROTO_IP, 8, 0)
        return both, raw_message(client, b"z", here, too_long), raw_message(client, b"z", here, b"")


@check
def messages_to_any_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("0.0.0.0", 0))
        server.setsockopt(socket.IPPROTO_IP, 8, 1)
        client.settimeout(PATIENCE)
        client.sendto(b"x", ("127.0.0.1", server.getsockname()[1]))
        query, control, _, address = server.recvmsg(10, 1024)
        server.sendmsg([b"answer"], control, 0, address)  # from where it came to, as dnsmasq and chrony do it
        client.sendto(b"y", ("127.0.0.1", server.getsockname()[1]))
        return received(server, 10, 1024)[:2], query, client.recvfrom(10) == (b"answer", ("127.0.0.1", server.getsockname()[1]))


@check
def many_messages_at_once():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        here = server.getsockname()
        out = [header(ctypes.create_string_buffer(b"%04d" % i * (i + 1)), here) for i in range(20)]
        sent = several(*out)
        results = [system("sendmmsg", client.fileno(), sent, 20, 0), [one.length for one in sent]]
        into = [header(ctypes.create_string_buffer(40), ()) for _ in range(20)]
        array, got = several(*into), 0
        while got < 20:
            readable = select.select([server], [], [], PATIENCE)[0]
            n = system("recvmmsg", server.fileno(), ctypes.byref(array, got * ctypes.sizeof(Header)), 20 - got, socket.MSG_DONTWAIT, None) if readable else "nothing"
            if isinstance(n, str):
                return n
            got += n
        port = struct.pack("!H", client.getsockname()[1])
        results.append([(one.length, one.flags, one.name_length, into[i].buffers[0].raw[:4], into[i].buffers[3].raw[2:4] == port) for i, one in enumerate(array)])
        results.append(system("recvmmsg", server.fileno(), array, 20, socket.MSG_DONTWAIT, None))
        client.connect(here)  # with and without an address, and one that has none to go to
        mixed = [header(ctypes.create_string_buffer(b"%d" % i), here if i % 2 else None) for i in range(4)]
        results.append((system("sendmmsg", client.fileno(), several(*mixed), 4, 0), sorted(server.recv(10)[:1] for _ in range(4))))
        bad = [header(ctypes.create_string_buffer(size), here) for size in (1, 70000, 1)]
        results.append((system("sendmmsg", client.fileno(), several(*bad), 3, 0), system("sendmmsg", client.fileno(), several(*bad[1:]), 2, 0)))
        return results, len(server.recv(10))


@check
def messages_that_are_waited_for():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"first", server.getsockname())
        _, address = server.recvfrom(10)
        results = []
        for call in (lambda: server.recvmsg(10)[0], lambda: system("recvmmsg", server.fileno(), array, 1, 0x10000, None)):  # MSG_WAITFORONE
            into = header(ctypes.create_string_buffer(10), ())
            array = several(into)
            late = threading.Timer(0.2, client.sendto, (b"late", server.getsockname()))
            late.start()
            results.append(call())
            late.join()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
        return results, address[1] == client.getsockname()[1], outcome(server.recvmsg, 10), system("recvmmsg", server.fileno(), array, 1, 0, None)


@check
def datagrams_that_are_cut():
    """UDP_SEGMENT, for a socket and for a message."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        here = server.getsockname()
        sent = client.sendmsg([b"a" * 250], [(socket.IPPROTO_UDP, 103, struct.pack("H", 100))], 0, here)
        results = [sent, [len(server.recv(1000)) for _ in range(3)]]
        client.setsockopt(socket.IPPROTO_UDP, 103, 500)
        results += [client.sendto(b"b" * 1200, here), [len(server.recv(1000)) for _ in range(3)]]
        return results, client.sendto(b"c", here), server.recv(10)


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
    return unix(b"\0xcp-families" + os.fsencode(DIRECTORY))


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
def unix_descriptors():
    """They are refused before anything of the message is sent, and what is sent with other control messages, or none, arrives."""
    listener, one, other = pair(f"{DIRECTORY}/descriptors")
    with listener, one, other:
        refused = outcome(socket.send_fds, one, [b"with a descriptor"], [0]), outcome(socket.send_fds, other, [b"back"], [0, 1, 2])
        sent = one.sendmsg([b"wi", b"thout"])
        one.shutdown(socket.SHUT_WR)
        arrived = b"".join(iter(lambda: other.recv(100), b""))
        return refused, sent, arrived


@check
def unix_descriptors_in_the_domain():
    """Between sockets that are not carried they are passed on as ever."""
    one, other = socket.socketpair()
    with one, other, open("/dev/null", "rb") as null:
        socket.send_fds(one, [b"x"], [null.fileno()])
        data, fds, _, _ = socket.recv_fds(other, 10, 2)
        same = [os.path.samestat(os.fstat(fd), os.fstat(null.fileno())) for fd in fds]
        for fd in fds:
            os.close(fd)
        return data, same


@check
def unix_packets():
    """Kinds of UNIX sockets that are not carried: with a name that is, they are told so, and with others they work."""
    results = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as one, socket.socket(socket.AF_UNIX, kind) as other:
            results.append((outcome(one.bind, f"{DIRECTORY}/packets-{kind}"), outcome(other.connect, f"{DIRECTORY}/nobody-{kind}")))
            results.append((outcome(other.sendto, b"x", f"{DIRECTORY}/nobody"), outcome(other.sendmsg, [b"x"], [], 0, f"{DIRECTORY}/nobody")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        one.settimeout(PATIENCE)
        one.bind("")
        sent = other.sendto(b"own", one.getsockname()), other.sendmsg([b"too"], [], 0, one.getsockname())
        return results, sent, one.recv(10), one.recvmsg(10)[0]


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
