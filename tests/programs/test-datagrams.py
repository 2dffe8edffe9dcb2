# SPDX-License-Identifier: LGPL-2.1-or-later
"""UDP sockets of programs in a domain, carried by PV Calls: to one server of the host, with calls that wait and datagrams that do not fit."""

import os
import random
import signal
import socket
import sys
import threading

from carried import DOM, RUN, Carried


class Datagrams(Carried):
    """UDP sockets that a program connects."""

    arguments = ("--all", "--udp", "--")

    def setUp(self):
        super().setUp()
        self.address = "127.{}.{}.{}".format(*(random.randrange(1, 255) for _ in range(3)))  # where nobody else's programs listen
        self.server = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.server.bind((self.address, 0))
        self.server.settimeout(60)
        self.port = self.server.getsockname()[1]

    def serve(self, answer):
        """Answers what comes, until a datagram 'end'."""
        def run():
            while (one := self.server.recvfrom(65536))[0] != b"end":
                if (answered := answer(one[0])) is not None:
                    self.server.sendto(answered, one[1])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", (self.address, self.port))
            thread.join(20)

        self.stack.callback(end)

    def run_python(self, script, **options):
        start = f"import socket\none = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nserver = ('{self.address}', {self.port})\n"
        return self.xen.run(DOM, RUN, *self.arguments, sys.executable, "-c", start + script, **options).stdout

    def test_a_query_of_names(self):
        def answer(query):
            """A record of type A for a question of it, and none for others."""
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end] == b"\0\1\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("192.0.2.77")
            return query[:2] + b"\x81\x80\0\1" + bytes((0, is_a)) + b"\0\0\0\0" + query[12:end] + (record if is_a else b"")

        self.serve(answer)
        said = self.xen.run(DOM, RUN, *self.arguments, "busybox", "nslookup", "-timeout=60", "name.example", f"{self.address}:{self.port}")
        self.assertIn("192.0.2.77", said.stdout)
        self.wait_tidy()

    def test_with_and_without_addresses(self):
        self.serve(lambda data: data)
        said = self.run_python("""
one.connect(server)
one.settimeout(60)
for size in (0, 1, 1400, 30000):
    one.send(bytes(size))
    data, address = one.recvfrom(65536)
    print(len(data), address == server)
    one.sendto(b"x" * size, server)
    print(one.recv(65536) == b"x" * size)
print(one.getpeername() == server, one.getsockname()[0])
""")
        lines = [line for size in (0, 1, 1400, 30000) for line in (f"{size} True", "True")]
        self.assertEqual(said.splitlines(), [*lines, "True 127.0.0.1"])

    def test_waiting_calls(self):
        self.serve(lambda data: data if data == b"answer" else None)
        said = self.run_python("""
import errno, select, struct, threading
one.connect(server)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
try:
    one.recvfrom(10)
except BlockingIOError as error:
    print("in vain")
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
try:
    one.recvfrom(10, socket.MSG_DONTWAIT)
except BlockingIOError as error:
    print("in vain")
got = []
thread = threading.Thread(target=lambda: got.append(one.recvfrom(10)))
thread.start()
one.send(b"question")
one.send(b"answer")
thread.join(30)
print(got == [(b"answer", server)])
one.send(b"answer")
poll = select.poll()
poll.register(one, select.POLLIN)
print(poll.poll(30000) == [(one.fileno(), select.POLLIN)], one.recvfrom(10, socket.MSG_PEEK)[0], one.recvfrom(3)[0])
""")
        self.assertEqual(said.splitlines(), ["in vain", "in vain", "True", "True b'answer' b'ans'"])

    def test_those_that_have_to_wait_for_room(self):
        """The ring has room for the first and not for the second as well, and the backend takes none for a while."""
        process = self.stack.enter_context(self.xen.start(DOM, RUN, *self.arguments, sys.executable, "-uc", f"""
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("{self.address}", {self.port}))
print("connected")
sys.stdin.readline()
for size in (1000, 32720, 10):
    one.send(bytes(size))
    for _ in range(10):
        one.getpeername()  # and the supervisor has looked
print("sent")
sys.stdin.readline()
"""))
        process.wait_output("connected")
        os.kill(self.backend.pid(), signal.SIGSTOP)
        try:
            process.write("\n")
            process.wait_output("sent")
        finally:
            os.kill(self.backend.pid(), signal.SIGCONT)
        self.assertEqual([len(self.server.recv(65536)) for _ in range(3)], [1000, 32720, 10])

    def test_one_that_is_too_long_to_come(self):
        def answer(data):
            return b"x" * 32721 if data == b"longer" else b"y" * 32720

        self.serve(answer)
        said = self.run_python("""
one.settimeout(60)
one.connect(server)
one.send(b"longer")
one.send(b"as long")
print(one.recv(65536) == b"y" * 32720)
""")
        self.assertEqual(said.strip(), "True")

    def test_connected_again_and_to_nobody(self):
        self.serve(lambda data: data)
        said = self.run_python("""
import ctypes
one.settimeout(60)
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(("127.0.0.1", 0))
one.connect(server)
one.connect(server)
one.send(b"a")
print(one.recvfrom(10) == (b"a", server))
print(ctypes.CDLL(None).connect(one.fileno(), bytes(16), 16))
one.sendto(b"own", other.getsockname())
print(other.recv(10))
""")
        self.assertEqual(said.splitlines(), ["True", "0", "b'own'"])
        self.wait_tidy()

    def test_refused_by_policy(self):
        self.backend.ask("policy\ndeny\n")
        self.assertEqual(self.run_python("print(one.connect_ex(server))").strip(), "13")

    def test_without_the_option_they_are_the_domain_s_own(self):
        self.arguments = ("--all", "--")
        self.assertEqual(self.run_python("one.connect(server); print(one.getpeername() == server)").strip(), "True")
        self.assertEqual(self.backend.sockets(), [])

    def test_a_backend_that_has_gone(self):
        self.serve(lambda data: data)
        process = self.stack.enter_context(self.xen.start(DOM, RUN, *self.arguments, sys.executable, "-uc", f"""
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(60)
one.connect(("{self.address}", {self.port}))
one.send(b"a")
print(one.recv(10))
sys.stdin.readline()
one.settimeout(1)  # what is sent to nobody is not answered
while True:
    try:
        one.send(b"b")
        one.recv(10)
    except ConnectionRefusedError:
        print("refused")
        break
    except TimeoutError:
        pass
"""))
        process.wait_output("b'a'")
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        process.write("\n")
        process.wait_output("refused")
