# SPDX-License-Identifier: LGPL-2.1-or-later
"""The extensions of PV Calls (docs/pvcalls-extensions.md): each command and node, as a frontend uses it and as it should not."""

import socket

from harness import wait_until
from pvcalls import BOTH, LOCAL, PEER, READ, WRITE, Attached, echo, keep, parse_name


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
        self.assertEqual(self.frontend.transfer("send", 1, 1), (0, "EPIPE"))

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


class Announced(Attached):
    def test_nodes(self):
        self.assertEqual(self.frontend.do("backend-node", "versions"), ["1"])
        for node in ("notification-suppression", "names", "shutdown"):
            self.assertEqual(self.frontend.do("backend-node", f"feature-{node}"), ["1"])
