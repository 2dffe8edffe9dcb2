# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of posix.py with more than one process or thread: sockets that are inherited, executed with, passed on, and calls that are interrupted."""

import array
import os
import signal
import socket
import subprocess
import sys
import threading

from posixcheck import HOST, PATIENCE, Pair, check, read_all


@check
def fork():
    with Pair() as pair:
        child = os.fork()
        if child == 0:
            pair.server.sendall(b"from the child")
            os._exit(0)
        pair.server.close()
        os.waitpid(child, 0)
        return read_all(pair.client)


@check
def fork_before_accept():
    with socket.create_server((HOST, 0)) as listener:
        children = []
        for _ in range(3):
            children.append(os.fork())
            if children[-1] == 0:
                with listener.accept()[0] as one:
                    one.sendall(b"served")
                os._exit(0)
        got = []
        for _ in range(3):
            with socket.create_connection(listener.getsockname(), PATIENCE) as one:
                got.append(read_all(one))
        for child in children:
            os.waitpid(child, 0)
        return got


@check
def dup():
    with Pair() as pair:
        other = pair.client.dup()
        pair.client.close()
        other.sendall(b"x")
        got = pair.server.recv(10)
        other.close()
        return got, pair.server.recv(10)


@check
def execute():
    with Pair() as pair:
        pair.server.setblocking(True)
        process = subprocess.Popen(["cat"], stdin=pair.server, stdout=pair.server)
        pair.server.close()
        pair.client.sendall(b"through cat")
        pair.client.shutdown(socket.SHUT_WR)
        got = read_all(pair.client)
        return got, process.wait(PATIENCE)


@check
def a_program_that_asks_for_its_socket():
    with Pair() as pair:
        script = "import socket; one = socket.socket(fileno=0); print(*one.getpeername())"
        said = subprocess.run([sys.executable, "-c", script], stdin=pair.server, capture_output=True, check=True, text=True).stdout
        return said == "{} {}\n".format(*pair.client.getsockname())


@check
def passing_on():
    with Pair() as pair:
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            _, control, _, _ = theirs.recvmsg(1, socket.CMSG_LEN(4))
            os.write(array.array("i", control[0][2][:4])[0], b"passed")
            os._exit(0)
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair.server.fileno()]))])
        pair.server.close()
        os.waitpid(child, 0)
        return read_all(pair.client)


class Interrupted(Exception):
    """A signal came."""


@check
def signal_in_accept():
    def handler(*_):
        raise Interrupted

    with socket.create_server((HOST, 0)) as listener:
        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            listener.accept()
            interrupted = False
        except Interrupted:
            interrupted = True
        signal.signal(signal.SIGALRM, before)
        with socket.create_connection(listener.getsockname(), PATIENCE) as one, listener.accept()[0] as other:
            other.sendall(b"after it")
            other.close()
            return interrupted, read_all(one)


@check
def threads():
    with socket.create_server((HOST, 0), backlog=64) as listener:
        def serve():
            with listener.accept()[0] as one:
                one.sendall(read_all(one))

        servers = [threading.Thread(target=serve) for _ in range(8)]
        got = []

        def ask(i):
            with socket.create_connection(listener.getsockname(), PATIENCE) as one:
                one.sendall(b"%d" % i)
                one.shutdown(socket.SHUT_WR)
                got.append(read_all(one))

        clients = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in servers + clients:
            thread.start()
        for thread in servers + clients:
            thread.join(PATIENCE)
        return sorted(got)
