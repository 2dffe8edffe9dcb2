# SPDX-License-Identifier: LGPL-2.1-or-later
"""The extensions of PV Calls (docs/pvcalls-extensions.md): each command and node, as a frontend uses it and as it should not."""

import os
import select
import socket

from harness import wait_until
from pvcalls import BOTH, LOCAL, PEER, READ, WRITE, Attached, echo, keep, name_of, parse_name


class Names(Attached):
    def test_of_a_connection(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.call("socket", 1), 0)
        self.assertEqual(self.frontend.name(1, LOCAL), ("0.0.0.0", 0))
        self.assertEqual(self.frontend.name(1, PEER), "ENOTCONN")
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), 0)
        server.wait_connections(1)
        self.assertEqual(self.frontend.name(1, PEER), ("127.0.0.1", server.port))
        self.assertEqual(self.frontend.name(1, LOCAL), server.connections[0].getpeername())

    def test_of_a_listener_and_who_came(self):
        port = self.listen(1)
        self.assertEqual(self.frontend.name(1, LOCAL), ("127.0.0.1", port))
        self.assertEqual(self.frontend.name(1, PEER), "ENOTCONN")
        accept = self.frontend.request("accept", 1, 2, 1)
        self.assertEqual(self.frontend.name(2, PEER), "ENOTCONN")
        connection = self.dial(port)
        result, n, piece = self.frontend.do("await-long", accept)
        self.assertEqual((int(result), int(n)), (0, 16))
        self.assertEqual(parse_name(bytes.fromhex(piece)[:16]), connection.getsockname())
        self.assertEqual(self.frontend.name(2, PEER), connection.getsockname())
        self.assertEqual(self.frontend.name(2, LOCAL), ("127.0.0.1", port))

    def test_the_guest_is_told_what_it_asked_for(self):
        server = self.serve(keep)
        self.backend.ask(f"policy\nallow connect inet 10.9.9.9 port 80 to 127.0.0.1 port {server.port}\n"
                         "allow bind inet 10.9.9.9 port 81 to 127.0.0.1 port 0\n")
        self.assertEqual(self.frontend.connect(1, 80, address="10.9.9.9"), 0)
        self.assertEqual(self.frontend.name(1, PEER), ("10.9.9.9", 80))
        self.assertEqual(self.frontend.call("socket", 2), 0)
        self.assertEqual(self.frontend.call("bind", 2, "10.9.9.9", 81), 0)
        self.assertEqual(self.frontend.name(2, LOCAL), ("10.9.9.9", 81))

    def test_pieces_and_nonsense(self):
        self.listen(1)
        whole = self.frontend.call_long("getname", 1, LOCAL)[2]
        self.assertEqual(self.frontend.call_long("getname", 1, LOCAL, 4)[2][:12], whole[4:])
        self.assertEqual(self.frontend.call_long("getname", 1, LOCAL, 2**32 - 1), (0, 16, bytes(16)))
        self.assertEqual(self.frontend.call("getname", 1, 2), "EINVAL")
        self.assertEqual(self.frontend.call("getname", 99, LOCAL), "EBADF")


class Shutdown(Attached):
    def test_what_was_sent_arrives_and_then_the_end(self):
        received = []

        def collect_and_answer(connection):
            while chunk := connection.recv(65536):
                received.append(chunk)
            connection.sendall(received[0][:1])
            connection.shutdown(socket.SHUT_WR)

        server = self.serve(collect_and_answer)
        self.assertEqual(self.frontend.connect(1, server.port, order=9), 0)
        self.assertEqual(self.frontend.transfer("send", 1, 1000000), (1000000, 0))
        self.assertEqual(self.frontend.call("shutdown", 1, WRITE), 0)
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (1, 0))  # the peer has seen the end, and still can send
        self.assertEqual(sum(map(len, received)), 1000000)
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ENOTCONN"))
        self.assertEqual(self.frontend.transfer("send", 1, 1), (0, "EPIPE"))
        self.assertEqual(self.frontend.call("release", 1), 0)

    def test_both_ways_at_once(self):
        ended = []

        def wait_for_the_end(connection):
            connection.recv(1)
            ended.append(True)

        server = self.serve(wait_for_the_end)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.assertEqual(self.frontend.call("shutdown", 1, BOTH), 0)
        wait_until(lambda: ended, "the server seeing the end")
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ENOTCONN"))
        self.assertEqual(self.frontend.transfer("send", 1, 1 << 20)[1], "EPIPE")  # more than fits: which is so a moment after the server has seen the end

    def test_reading_only(self):
        server = self.serve(echo)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 5000), (5000, 0))
        self.assertEqual(self.frontend.call("shutdown", 1, READ), 0)
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ENOTCONN"))
        self.assertEqual(self.frontend.transfer("send", 1, 3000), (3000, 0))

    def test_nonsense(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.call("shutdown", 1, WRITE), "EBADF")
        self.assertEqual(self.frontend.call("socket", 1), 0)
        self.assertEqual(self.frontend.call("shutdown", 1, WRITE), "ENOTCONN")
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), 0)
        self.assertEqual(self.frontend.call("shutdown", 1, 3), "EINVAL")
        for out_prod in (4097, 2**32 - 1, 2**31):
            self.assertEqual(self.frontend.call("shutdown", 1, WRITE, out_prod), "EINVAL")
        server.wait_connections(1)
        server.connections[0].setblocking(False)
        with self.assertRaises(BlockingIOError):
            server.connections[0].recv(1)
        self.assertEqual(self.frontend.call("shutdown", 1, WRITE), 0)
        self.assertEqual(self.frontend.call("shutdown", 1, WRITE), 0)
        self.listen(2)
        self.assertEqual(self.frontend.call("shutdown", 2, BOTH), "ENOTCONN")


INET6, UNIX, STREAM, DATAGRAM, SEQPACKET = 10, 1, 1, 2, 5
SOL_SOCKET, IPPROTO_TCP = 1, 6


class Inet6(Attached):
    policy = "allow inet6 ::1\nallow inet 127.0.0.2\n"

    def test_both_ways(self):
        server = self.serve(address="::1")
        self.assertEqual(self.frontend.call("socket", 1, INET6, STREAM, 0), 0)
        self.assertEqual(self.frontend.name(1, LOCAL), ("::", 0))
        self.assertEqual(self.frontend.call("connect", 1, "::1", server.port, 1), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 100000), (100000, 0))
        self.assertEqual(self.frontend.name(1, PEER), ("::1", server.port))
        self.assertIn(f" ::1 {server.port} ", self.backend.sockets()[0])
        self.assertIn(" family=inet6 type=stream", self.backend.sockets()[0])

    def test_a_listener(self):
        self.assertEqual(self.frontend.call("socket", 1, INET6, STREAM, 6), 0)
        self.assertEqual(self.frontend.call("bind", 1, "::1", 0), 0)
        self.assertEqual(self.frontend.call("listen", 1, 1), 0)
        address = self.frontend.name(1, LOCAL)
        accept = self.frontend.request("accept", 1, 2, 1)
        connection = self.stack.enter_context(socket.create_connection(address, 60))
        result, n, piece = self.frontend.do("await-long", accept)
        self.assertEqual((result, parse_name(bytes.fromhex(piece)[:28])), ("0", connection.getsockname()[:2]))

    def test_the_policy_is_asked_for_what_an_address_stands_for(self):
        server = self.serve()
        self.assertEqual(self.frontend.call("socket", 1, INET6, STREAM, 0), 0)
        self.assertEqual(self.frontend.call("connect", 1, "::ffff:127.0.0.1", server.port, 1), "EACCES")
        self.assertEqual(self.frontend.call("connect", 1, "::2", server.port, 1), "EACCES")
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), "EAFNOSUPPORT")
        self.backend.ask("policy\nallow connect inet 127.0.0.0/8\nallow bind inet6 ::\n")
        self.assertEqual(self.frontend.call("connect", 1, "::ffff:127.0.0.1", server.port, 1), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 1000), (1000, 0))

    def test_any_address_is_not_also_that_of_ipv4_unless_allowed(self):
        for number, (policy, reachable) in enumerate((("allow bind inet6 ::\n", False), ("allow bind inet6 ::\nallow bind inet 0.0.0.0\n", True))):
            self.backend.ask("policy\n" + policy)
            self.assertEqual(self.frontend.call("socket", number, INET6, STREAM, 0), 0)
            self.assertEqual(self.frontend.call("bind", number, "::", 0), 0)
            self.assertEqual(self.frontend.call("listen", number, 1), 0)
            port = self.frontend.name(number, LOCAL)[1]
            if reachable:
                self.dial(port)
            else:
                with self.assertRaises(ConnectionRefusedError):
                    self.dial(port)


class Options(Attached):
    def get(self, *words):
        result, n, value = self.frontend.call_long("getsockopt", *words)
        return result or int.from_bytes(value[:n], "little")

    def test_set_and_get(self):
        server = self.serve()
        nodelay, keepidle, keepalive = (1, IPPROTO_TCP, 1), (1, IPPROTO_TCP, 4), (1, SOL_SOCKET, 9)
        self.assertEqual(self.frontend.call("socket", 1), 0)
        self.assertEqual(self.get(*keepalive), 0)
        self.assertEqual(self.frontend.call("setsockopt", *keepalive, "01000000"), 0)
        self.assertEqual(self.frontend.call("setsockopt", *keepidle, "21000000"), 0)
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), 0)
        self.assertEqual((self.get(*keepalive), self.get(*keepidle), self.get(*nodelay)), (1, 0x21, 1))
        self.assertEqual(self.frontend.call("setsockopt", *nodelay, "00000000"), 0)
        self.assertEqual(self.get(*nodelay), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 1000), (1000, 0))

    def test_they_outlive_a_connection_that_was_refused(self):
        server = self.serve()
        refusing = self.stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))
        self.assertEqual(self.frontend.call("socket", 1), 0)
        self.assertEqual(self.frontend.call("bind", 1, "127.0.0.3", 0), 0)
        self.assertEqual(self.frontend.call("setsockopt", 1, SOL_SOCKET, 9, "01000000"), 0)
        for _ in range(2):
            self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", refusing.getsockname()[1], 1), "ECONNREFUSED")
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), 0)
        self.assertEqual((self.get(1, SOL_SOCKET, 9), self.frontend.name(1, LOCAL)[0]), (1, "127.0.0.3"))  # Linux gives another port
        self.assertEqual(self.frontend.transfer("echo", 1, 1000), (1000, 0))

    def test_linger_of_no_time_resets(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        server.wait_connections(1)
        self.assertEqual(self.frontend.call("setsockopt", 1, SOL_SOCKET, 13, "0100000000000000"), 0)
        self.assertEqual(self.frontend.call("release", 1), 0)
        server.connections[0].settimeout(60)
        with self.assertRaises(ConnectionResetError):
            server.connections[0].recv(1)

    def test_what_is_not_on_the_list(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        for level, name in ((SOL_SOCKET, 15), (SOL_SOCKET, 25), (SOL_SOCKET, 36), (0, 19), (IPPROTO_TCP, 31), (2**32 - 1, 1), (SOL_SOCKET, 2**31)):
            self.assertEqual(self.frontend.call("setsockopt", 1, level, name, "01000000"), "ENOPROTOOPT")
            self.assertEqual(self.get(1, level, name), "ENOPROTOOPT")
        self.assertEqual(self.frontend.call("setsockopt", 1, SOL_SOCKET, 4, "01000000"), "ENOPROTOOPT")  # SO_ERROR is only read
        for n in (0, 3, 5, 36, 37, 2**32 - 1):
            self.assertEqual(self.frontend.call("setsockopt", 1, SOL_SOCKET, 9, "01000000", n), "EINVAL")
            self.assertEqual(self.frontend.call("setsockopt", 1, SOL_SOCKET, 13, "0100000000000000", n), "EINVAL")
        self.assertEqual(self.frontend.call("setsockopt", 2, SOL_SOCKET, 9, "01000000"), "EBADF")
        self.assertEqual(self.get(2, SOL_SOCKET, 9), "EBADF")


class Datagrams(Attached):
    emulation = ("--limit", "shared-pages=4000")

    def serve_datagrams(self):
        """A UDP socket of the host's."""
        server = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        return server, server.getsockname()[1]

    def open(self, number=1, order=1):
        self.assertEqual(self.frontend.call("socket", number, 2, DATAGRAM, 17), 0)
        self.assertEqual(self.frontend.call("attach-rings", number, order), 0)

    def receive(self, number=1):
        """(bytes, flags, error, address or None)"""
        n, flags, error, address, same = self.frontend.do("receive-datagram", number)
        self.assertEqual(same, "1")
        return int(n), int(flags), name_of(int(error)), None if address == "-" else parse_name(bytes.fromhex(address))

    def test_to_any_address_and_back(self):
        server, port = self.serve_datagrams()
        other, other_port = self.serve_datagrams()
        self.open()
        for n in (0, 1, 7, 8, 1000, 1400, 1400, 1400):
            self.frontend.do("send-datagram", 1, n, "127.0.0.1", port)
            data, address = server.recvfrom(2000)
            self.assertEqual(len(data), n)
            server.sendto(data, address)
            self.assertEqual(self.receive(), (n, 0, 0, ("127.0.0.1", port)))
        self.frontend.do("send-datagram", 1, 5, "127.0.0.1", other_port)
        self.assertEqual(other.recvfrom(2000), (data[:5], address))
        self.assertEqual(self.frontend.name(1, PEER), "ENOTCONN")
        self.assertIn(" type=datagram", self.backend.sockets()[0])
        self.assertEqual(self.frontend.call("release", 1), 0)

    def test_connected_and_not_any_more(self):
        server, port = self.serve_datagrams()
        self.open()
        self.assertEqual(self.frontend.call("connect-raw", 1, "127.0.0.1", port, 16, 2, 0, 0), 0)
        self.assertEqual(self.frontend.name(1, PEER), ("127.0.0.1", port))
        self.frontend.do("send-datagram", 1, 10)
        self.assertEqual(len(server.recv(100)), 10)
        self.assertEqual(self.frontend.call("connect-raw", 1, "0.0.0.0", 0, 16, 0, 0, 0), 0)
        self.frontend.do("send-datagram", 1, 10)
        self.assertEqual(self.receive(), (0, 0, "EDESTADDRREQ", None))

    def test_bound(self):
        server, port = self.serve_datagrams()
        self.assertEqual(self.frontend.call("socket", 1, 2, DATAGRAM, 0), 0)
        self.assertEqual(self.frontend.call("bind", 1, "127.0.0.1", 0), 0)
        self.assertEqual(self.frontend.call("attach-rings", 1, 1), 0)
        address = self.frontend.name(1, LOCAL)
        server.sendto(b"", address)
        self.assertEqual(self.receive(), (0, 0, 0, ("127.0.0.1", port)))
        self.open(2)
        self.assertEqual(self.frontend.call("bind", 2, *address), "EADDRINUSE")

    def test_the_largest_and_one_that_is_too_large_for_the_ring(self):
        server, port = self.serve_datagrams()
        self.open(1, 6)
        self.open(2, 1)
        self.frontend.do("send-datagram", 1, 65507, "127.0.0.1", port)
        data, address = server.recvfrom(70000)
        self.assertEqual(len(data), 65507)
        server.sendto(data, address)
        self.assertEqual(self.receive()[:3], (65507, 0, 0))
        self.frontend.do("send-datagram", 2, 1, "127.0.0.1", port)
        server.sendto(data[:5000], server.recvfrom(10)[1])
        self.assertEqual(self.receive(2)[:3], (4096 - 48, 1, 0))

    def test_what_cannot_be_sent_is_told(self):
        self.open()
        self.frontend.do("send-datagram", 1, 10, "10.9.9.9", 53)
        self.assertEqual(self.receive(), (0, 0, "EACCES", ("10.9.9.9", 53)))
        self.frontend.do("send-datagram", 1, 10, "::1", 53)
        self.assertEqual(self.receive(), (0, 0, "EAFNOSUPPORT", ("::1", 53)))
        closed, port = self.serve_datagrams()
        closed.close()
        self.assertEqual(self.frontend.call("connect-raw", 1, "127.0.0.1", port, 16, 2, 0, 0), 0)
        self.frontend.do("send-datagram", 1, 10)
        self.assertEqual(self.receive()[:3], (0, 0, "ECONNREFUSED"))

    def test_nonsense(self):
        self.assertEqual(self.frontend.call("attach-rings", 9, 1), "EBADF")
        self.assertEqual(self.frontend.call("socket", 2), 0)
        self.assertEqual(self.frontend.call("attach-rings", 2, 1), "ENOTSUP")
        self.assertEqual(self.frontend.call("socket", 4, 2, DATAGRAM, 6), "ENOTSUP")
        self.open()
        self.assertEqual(self.frontend.call("raw", 260, 1), "EISCONN")
        self.assertEqual(self.frontend.call("listen", 1, 1), "ENOTSUP")
        self.assertEqual(self.frontend.call("accept", 1, 3, 1), "EINVAL")
        self.frontend.do("poke", 1, "out.prod", 47)  # less than a header
        self.frontend.do("wait-backend", 5)
        self.assertIn("a datagram's header", self.backend.ask("state")[0])


class Unix(Attached):
    policy = "allow unix @xcp-test-\n"

    def setUp(self):
        super().setUp()
        self.directory = self.temporary_directory()
        os.chmod(self.directory, 0o777)
        self.backend.ask(f"policy\nallow unix {self.directory}\nallow bind unix /virtual/web to {self.directory}/web\n")

    def open(self, number=1):
        self.assertEqual(self.frontend.call("socket", number, UNIX, STREAM, 0), 0)

    def listen_unix(self, path):
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        listener.settimeout(60)
        return listener

    def test_a_connection_to_a_path_of_any_length(self):
        for number, length in enumerate((len(self.directory) + 2, 26, 27, 63, 107)):
            path = (self.directory + "/").ljust(length, "x")
            listener = self.listen_unix(path)
            self.open(number)
            self.assertEqual(self.frontend.call("connect", number, path, 0, 1), 0)
            connection = self.stack.enter_context(listener.accept()[0])
            self.assertEqual(self.frontend.transfer("send", number, 1000), (1000, 0))
            connection.sendall(connection.recv(1000, socket.MSG_WAITALL))
            self.assertEqual(self.frontend.transfer("receive", number, 1000), (1000, 0))
            name = b""
            while len(name) < length + 2:
                result, n, piece = self.frontend.call_long("getname", number, PEER, len(name))
                self.assertEqual((result, n), (0, length + 2))
                name += piece
            self.assertEqual(name[2 : length + 2].decode(), path)

    def test_a_listener_leaves_no_path(self):
        for path, asked in ((f"{self.directory}/own", f"{self.directory}/own"), (f"{self.directory}/web", "/virtual/web")):
            self.open()
            self.assertEqual(self.frontend.call("bind", 1, asked), 0)
            self.assertEqual(self.frontend.call("listen", 1, 5), 0)
            accept = self.frontend.request("accept", 1, 2, 1)
            client = self.stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(path)
            self.assertEqual(self.frontend.result(accept), 0)
            self.assertEqual(self.frontend.transfer("send", 2, 10), (10, 0))
            self.assertEqual(len(client.recv(10, socket.MSG_WAITALL)), 10)
            self.open(3)
            self.assertEqual(self.frontend.call("bind", 3, asked), "EADDRINUSE")
            for number in (2, 1, 3):
                self.assertEqual(self.frontend.call("release", number), 0)
            self.assertFalse(os.path.exists(path))

    def test_a_path_that_a_killed_one_has_left(self):
        path = f"{self.directory}/left"
        self.listen_unix(path).close()
        os.chown(path, os.stat(f"/proc/{self.backend.pid()}").st_uid, -1)
        self.open()
        self.assertEqual(self.frontend.call("bind", 1, path), 0)

    def test_descriptors_of_the_other_side_are_let_go_of(self):
        listener = self.listen_unix(f"{self.directory}/fds")
        self.open()
        self.assertEqual(self.frontend.call("connect", 1, f"{self.directory}/fds", 0, 1), 0)
        connection = self.stack.enter_context(listener.accept()[0])
        before = self.backend.descriptors()
        for n in (1, 20):
            reader, writer = os.pipe()
            with open(reader, "rb") as end:
                self.assertEqual(self.frontend.transfer("send", 1, 100), (100, 0))
                socket.send_fds(connection, [connection.recv(100, socket.MSG_WAITALL)], [writer] * n)
                os.close(writer)
                self.assertEqual(self.frontend.transfer("receive", 1, 100), (100, 0))
                self.assertTrue(select.select([end], [], [], 30)[0], "the pipe is still held")
                self.assertEqual(end.read(1), b"")  # nobody has its other end any more
        self.assertEqual(self.backend.descriptors(), before)

    def test_refusals(self):
        self.open()
        for path in ("/run/x", f"{self.directory}/../x", f"{self.directory}x", "@web"):
            self.assertEqual(self.frontend.call("connect", 1, path, 0, 1), "EACCES")
        self.backend.ask("policy\nallow any\n")
        self.assertEqual(self.frontend.call("connect", 1, f"{self.directory}/x", 0, 1), "EACCES")  # UNIX sockets have to be named
        for kind, protocol in ((DATAGRAM, 0), (SEQPACKET, 0), (3, 0), (STREAM, 1), (STREAM, 6)):
            self.assertEqual(self.frontend.call("socket", 2, UNIX, kind, protocol), "ENOTSUP")
        self.assertEqual(self.frontend.call("setname", 9, 10, 0, "00"), "EBADF")
        for n, offset in ((111, 0), (10, 10), (0, 0), (2**32 - 1, 0), (40, 36)):
            self.assertEqual(self.frontend.call("setname", 1, n, offset, "00"), "EINVAL")
        self.assertEqual(self.frontend.call("connect-raw", 1, "0.0.0.0", 0, 60, 1, 8, 8), "EINVAL")  # there is no such name yet


class Announced(Attached):
    def test_nodes(self):
        self.assertEqual(self.frontend.do("backend-node", "versions"), ["1"])
        for node in ("notification-suppression", "names", "shutdown", "ipv6", "socket-options", "datagrams", "unix"):
            self.assertEqual(self.frontend.do("backend-node", f"feature-{node}"), ["1"])
