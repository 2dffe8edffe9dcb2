# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the calls of sockets(7) do, one line for each check: NAME RESULT. Run as it is and carried, the lines are to be the same."""

import contextlib
import hashlib
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import time

import posix_processes  # its checks come first
from posixcheck import CHECKS, HOST, PATIENCE, Pair, check, free_port, name, outcome, poll, read_all


@check
def connect_refused():
    return outcome(socket.socket().connect, (HOST, free_port()))


@check
def connect_refused_and_again():
    one = socket.socket()
    return outcome(one.connect, (HOST, free_port())), outcome(one.connect, (HOST, free_port()))


@check
def connect_after_refused():
    with socket.create_server((HOST, 0)) as listener, socket.socket() as one:
        return outcome(one.connect, (HOST, free_port())), outcome(one.connect, listener.getsockname())


@check
def nonblocking_refused():
    with socket.socket() as one:
        one.setblocking(False)
        begun = outcome(one.connect, (HOST, free_port()))
        events = poll(one, select.POLLOUT | select.POLLIN)
        errors = [name(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) for _ in range(2)]
        return begun, events, errors, poll(one, select.POLLOUT | select.POLLIN), outcome(one.send, b"x")


@check
def nonblocking_connect():
    with socket.create_server((HOST, 0)) as listener, socket.socket() as one:
        one.setblocking(False)
        begun = outcome(one.connect, listener.getsockname())
        events = poll(one, select.POLLOUT | select.POLLIN)
        error = name(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        server, address = listener.accept()
        with server:
            server.sendall(b"x")
            return begun, events, error, outcome(one.connect, listener.getsockname()), address == one.getsockname(), \
                one.getpeername() == listener.getsockname(), poll(one, select.POLLIN), one.recv(10)


@check
def epoll_registered_before_connect():
    with socket.create_server((HOST, 0)) as listener, socket.socket() as one, select.epoll() as epoll:
        one.setblocking(False)
        outcome(one.connect, listener.getsockname())
        epoll.register(one, select.EPOLLOUT | select.EPOLLET)
        return [events & select.EPOLLOUT for _, events in epoll.poll(PATIENCE)]


@check
def connect_twice():
    with Pair() as pair:
        return outcome(pair.client.connect, pair.listener.getsockname())


@check
def addresses():
    with Pair() as pair:
        return pair.address == pair.client.getsockname(), pair.server.getpeername() == pair.client.getsockname(), \
            pair.server.getsockname() == pair.listener.getsockname(), pair.client.getpeername() == pair.listener.getsockname(), pair.client.getsockname()[0]


@check
def any_address_is_loopback():
    with socket.create_server((HOST, 0)) as listener, socket.socket() as one:
        return outcome(one.connect, ("0.0.0.0", listener.getsockname()[1])), one.getpeername() == listener.getsockname()


@check
def names_of_what_is_not_connected():
    with socket.socket() as one, socket.create_server((HOST, 0)) as listener:
        return one.getsockname(), outcome(one.getpeername), outcome(listener.getpeername), listener.getsockname()[1] != 0


@check
def accept_without_a_connection():
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        return outcome(listener.accept), poll(listener, select.POLLIN, 0)


@check
def accept_of_what_does_not_listen():
    with socket.socket() as one:
        return outcome(one.accept)


@check
def listener_is_readable():
    with socket.create_server((HOST, 0)) as listener, socket.create_connection(listener.getsockname()):
        return poll(listener, select.POLLIN)


@check
def address_in_use():
    with socket.create_server((HOST, 0)) as listener, socket.socket() as one:
        return outcome(one.bind, listener.getsockname())


@check
def address_free_after_close():
    listener = socket.create_server((HOST, 0))
    address = listener.getsockname()
    listener.close()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return outcome(one.bind, address)


@check
def address_not_available():
    with socket.socket() as one:
        return outcome(one.bind, ("192.0.2.1", 0))


@check
def bind_twice():
    with socket.socket() as one:
        return outcome(one.bind, (HOST, 0)), outcome(one.bind, (HOST, 0))


@check
def refused_after_the_listener_closed():
    listener = socket.create_server((HOST, 0))
    address = listener.getsockname()
    listener.close()
    return outcome(socket.create_connection, address)


@check
def half_close():
    with Pair() as pair:
        pair.client.sendall(b"question")
        pair.client.shutdown(socket.SHUT_WR)
        question = read_all(pair.server)
        pair.server.sendall(b"answer")
        pair.server.close()
        return question, read_all(pair.client), outcome(pair.client.send, b"x")


@check
def end_of_the_peer():
    with Pair() as pair:
        pair.server.sendall(b"last")
        pair.server.close()
        return poll(pair.client, select.POLLIN), pair.client.recv(10), pair.client.recv(10)


@check
def reset():
    with Pair() as pair:
        pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair.server.close()
        events = poll(pair.client, select.POLLIN)
        return events, outcome(pair.client.recv, 1), outcome(pair.client.send, b"x")


@check
def broken_pipe():
    with Pair() as pair:
        pair.server.close()
        deadline = time.monotonic() + PATIENCE
        while (result := outcome(pair.client.send, b"x")) == "0" and time.monotonic() < deadline:
            time.sleep(0.01)
        return result in ("EPIPE", "ECONNRESET")


@check
def broken_pipe_signal():
    with Pair() as pair:
        pair.client.shutdown(socket.SHUT_WR)
        seen = []
        before = signal.signal(signal.SIGPIPE, lambda *_: seen.append(1))
        result = outcome(pair.client.send, b"x")
        signal.signal(signal.SIGPIPE, before)
        return result, seen


@check
def a_huge_write():
    data = random.Random(1).randbytes(16 << 20)
    with Pair() as pair:
        received = []

        def receive():
            received.append(hashlib.sha256(read_all(pair.server)).hexdigest())

        thread = threading.Thread(target=receive)
        thread.start()
        pair.client.sendall(data)
        pair.client.shutdown(socket.SHUT_WR)
        thread.join(PATIENCE)
        return received == [hashlib.sha256(data).hexdigest()]


@check
def what_was_written_before_close_arrives():
    with Pair() as pair:
        pair.client.sendall(b"x" * 100000)
        pair.client.close()
        return len(read_all(pair.server))


@check
def a_peer_that_does_not_read_stops_the_writer():
    with Pair() as pair:
        pair.client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 1 << 28:
                sent += pair.client.send(b"x" * 65536)
        stopped = sent < 1 << 28
        pair.server.setblocking(False)
        received = 0
        deadline = time.monotonic() + PATIENCE
        while received < sent and time.monotonic() < deadline:
            select.select([pair.server], [], [], 1)
            with contextlib.suppress(BlockingIOError):
                received += len(pair.server.recv(1 << 20))
        return stopped, received == sent, poll(pair.client, select.POLLOUT)


@check
def urgent_data():
    with Pair() as pair:
        return outcome(pair.client.send, b"!", socket.MSG_OOB)


@check
def peek():
    with Pair() as pair:
        pair.server.sendall(b"abc")
        return pair.client.recv(3, socket.MSG_PEEK), pair.client.recv(3)


@check
def receive_timeout():
    with Pair() as pair:
        pair.client.setblocking(True)
        pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (0).to_bytes(8, "little") + (20000).to_bytes(8, "little"))
        return outcome(pair.client.recv, 1)


@check
def options():
    with Pair() as pair:
        pair.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return pair.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), pair.client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), \
            pair.client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), pair.listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), \
            len(pair.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)), pair.client.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)


@check
def sendfile():
    with Pair() as pair, tempfile.TemporaryFile() as file:
        file.write(b"z" * 300000)
        file.flush()
        offset = 0
        thread = threading.Thread(target=lambda: [offset_done.append(len(read_all(pair.server)))])
        offset_done = []
        thread.start()
        pair.client.settimeout(None)
        while offset < 300000:
            offset += os.sendfile(pair.client.fileno(), file.fileno(), offset, 300000 - offset)
        pair.client.shutdown(socket.SHUT_WR)
        thread.join(PATIENCE)
        return offset_done


@check
def shutdown_of_a_listener_ends_accept():
    with socket.create_server((HOST, 0)) as listener:
        results = []
        thread = threading.Thread(target=lambda: results.append(outcome(listener.accept)))
        thread.start()
        time.sleep(0.1)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        return results


@check
def who_was_not_accepted_is_reset():
    told = []
    for end in (socket.socket.close, lambda listener: listener.shutdown(socket.SHUT_RDWR)):
        with socket.create_server((HOST, 0)) as listener, socket.create_connection(listener.getsockname(), PATIENCE) as one:
            address = listener.getsockname()
            select.select([listener], [], [], PATIENCE)
            end(listener)
            told += [outcome(one.recv, 1), outcome(socket.socket().connect, address)]
    return told


@check
def accept_queue_full():
    with socket.create_server((HOST, 0), backlog=1) as listener:
        dialled = []
        for _ in range(40):
            one = socket.socket()
            one.setblocking(False)
            outcome(one.connect, listener.getsockname())
            dialled.append(one)
        deadline = time.monotonic() + PATIENCE
        while all(poll(one, select.POLLOUT, 0) != "OUT" for one in dialled) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        connected = sum(poll(one, select.POLLOUT, 0) == "OUT" for one in dialled)
        for one in dialled:
            one.close()
        return 0 < connected < 40


@check
def data_before_accept():
    with socket.create_server((HOST, 0), backlog=3) as listener, contextlib.ExitStack() as stack:
        for i in range(4):
            one = stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE))
            one.sendall(b"%d" % i * 1000)
            one.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        return sorted(read_all(stack.enter_context(listener.accept()[0])) for _ in range(4)) == [b"%d" % i * 1000 for i in range(4)]


@check
def ipv6_listener_of_both():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        with socket.create_connection((HOST, listener.getsockname()[1]), PATIENCE) as one, listener.accept()[0] as other:
            return listener.getsockname()[0], other.getpeername()[:2] == ("::ffff:127.0.0.1", one.getsockname()[1]), other.getsockname()[0]


@check
def ipv6_mapped_connect():
    with socket.create_server((HOST, 0)) as listener, socket.socket(socket.AF_INET6) as one:
        one.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))
        with listener.accept()[0] as other:
            other.sendall(b"x")
            return one.recv(1), one.getpeername()[0], one.getsockname()[0]


@check
def udp_is_left_alone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        one.bind((HOST, 0))
        other.connect(one.getsockname())
        other.send(b"x")
        return one.recv(10)


@check
def unix_is_left_alone():
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as one:
        listener.bind(b"\0posix-%d" % os.getpid())
        listener.listen()
        one.connect(listener.getsockname())
        with listener.accept()[0] as other:
            other.send(b"x")
            return one.recv(10)


@check
def one_after_the_other():
    with socket.create_server((HOST, 0), backlog=128) as listener:
        for i in range(CHURN):
            with socket.create_connection(listener.getsockname(), PATIENCE) as one, listener.accept()[0] as other:
                one.sendall(b"x")
                if other.recv(1) != b"x":
                    return i
        return "all"


@check
def at_once():
    with socket.create_server((HOST, 0), backlog=1024) as listener, contextlib.ExitStack() as stack:
        pairs = []
        for _ in range(AT_ONCE):
            one = stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE))
            pairs.append((one, stack.enter_context(listener.accept()[0])))
        for i, (one, _) in enumerate(pairs):
            one.sendall(b"%d" % i)
        return all(other.recv(10) == b"%d" % i for i, (_, other) in enumerate(pairs))


CHURN, AT_ONCE = (int(word) for word in (sys.argv[1:] or ("300", "60")))
for function in CHECKS:
    try:
        result = function()
    except Exception as error:  # it is a result, to be compared
        result = f"{type(error).__name__}: {error}"
    print(function.__name__, result, flush=True)
