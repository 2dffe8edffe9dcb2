# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data of PV Calls: streams by either way of moving bytes, many sockets, and guests that lie about what they share."""

import os
import re
import socket

from harness import wait_until
from pvcalls import DOM, Attached, echo, keep

MIB = 1 << 20
PATTERN_BEGINS = bytes([(6364136223846793005 + 1442695040888963407) % (1 << 64) >> 33 & 0xFF])  # toy-frontend.c, pattern_init()


class Data(Attached):
    """By calls, one for each transfer."""

    arguments = ("--io", "calls")

    def test_100_mib_each_way(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port, order=4), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 100 * MIB), (100 * MIB, 0))
        counters = self.backend.counters()
        self.assertEqual((counters["bytes.sent"], counters["bytes.received"]), (100 * MIB, 100 * MIB))
        self.assertEqual(self.frontend.call("release", 1), 0)

    def test_every_ring_order(self):
        server = self.serve()
        for order in range(1, 10):
            self.assertEqual(self.frontend.connect(order, server.port, order=order), 0)
            self.assertEqual(self.frontend.transfer("echo", order, 5 * MIB + order), (5 * MIB + order, 0))
            self.assertEqual(self.frontend.call("release", order), 0)

    def test_what_was_sent_before_release_arrives(self):
        received = []

        def collect(connection):
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
            received.append(len(data))

        server = self.serve(collect)
        self.assertEqual(self.frontend.connect(1, server.port, order=9), 0)
        self.assertEqual(self.frontend.transfer("send", 1, MIB), (MIB, 0))
        self.assertEqual(self.frontend.call("release", 1), 0)
        wait_until(lambda: received, "the server having all")
        self.assertEqual(received, [MIB])

    def test_data_before_the_end_and_then_the_end(self):
        def send_and_close(connection):
            echoed = connection.recv(1000, socket.MSG_WAITALL)
            connection.sendall(echoed)
            connection.close()

        server = self.serve(send_and_close)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.assertEqual(self.frontend.transfer("send", 1, 1000), (1000, 0))
        self.assertEqual(self.frontend.transfer("receive", 1, 2000), (1000, "ENOTCONN"))
        self.assertEqual(self.frontend.call("release", 1), 0)

    def test_an_end_that_comes_with_the_connection(self):
        """So soon that all of it is one event of the backend's."""
        server = self.serve(lambda connection: connection.sendall(PATTERN_BEGINS) or connection.close())
        for turn in range(10):
            ids = range(10 * turn, 10 * turn + 10)
            for i in ids:
                self.assertEqual(self.frontend.call("socket", i), 0)
            requests = [self.frontend.request("connect", i, "127.0.0.1", server.port, 1) for i in ids]
            self.assertEqual([self.frontend.result(number) for number in requests], [0] * 10)
            for i in ids:
                self.assertEqual(self.frontend.transfer("receive", i, 2), (1, "ENOTCONN"))
                self.assertEqual(self.frontend.call("release", i), 0)

    def test_a_reset_connection_ends_both_ways(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        server.wait_connections(1)
        server.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.connections[0].close()
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ECONNRESET"))
        self.assertEqual(self.frontend.transfer("send", 1, 100000)[1], "ECONNRESET")
        self.assertEqual(self.frontend.call("release", 1), 0)


class SuppressedData(Data):
    """The same with notification suppression, and by io_uring."""

    arguments = ("--io", "uring")
    suppress = True

    def test_a_guest_that_does_not_sleep_is_not_notified(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        before = self.backend.counters()
        for _ in range(100):  # there is room for all of it: it never waits for the backend to take some
            self.assertEqual(self.frontend.transfer("send", 1, 1), (1, 0))
        wait_until(lambda: " sent=100 " in self.backend.sockets()[0], "the backend to send it all")
        self.assertEqual(self.backend.counters()["notifications.sent"], before["notifications.sent"])


class Many(Attached):
    emulation = ("--limit", "shared-pages=4000", "--limit", "ports=2000")
    n = 1000

    def test_domain_destroyed_with_1000_connections(self):
        server = self.serve()
        nothing = self.used()
        for i in range(self.n):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
        for i in range(0, self.n, 10):
            self.assertEqual(self.frontend.transfer("echo", i, 5000), (5000, 0))
        self.assertEqual(self.backend.counters()["sockets.now"], self.n)
        self.assertEqual(self.used(), {"ports": nothing["ports"] + self.n, "maptrack": nothing["maptrack"] + 3 * self.n})
        self.xen.destroy(DOM)
        self.assertEqual(self.backend.process.wait().status, 0)
        self.wait_destroyed(self.before, self.attached["nodes"], DOM)


class Hostile(Attached):
    def fails(self, reason):
        """The device has failed, and nothing of it is left; the backend goes on."""
        self.frontend.do("wait-backend", 5)
        self.assertIn(reason, self.backend.ask("state")[0])
        self.backend.process.wait_output(re.escape(reason), stream="stderr")
        self.assertIn(reason, self.xen.run(0, "xenstore-read", "error/backend/pvcalls/1/0/error").stdout)
        self.assertEqual(self.backend.ask("state")[0].split()[0], "Failed")
        self.assertEqual(self.used(), self.before)
        told = [path for path in self.nodes() if path not in self.attached["nodes"]]
        self.assertEqual([path for path in told if not path.startswith("/local/domain/0/error")], [])
        self.frontend.do("set-state", 5)
        self.frontend.do("set-state", 6)
        self.frontend.do("wait-backend", 6)
        self.frontend.attach()
        self.wait_left({**self.attached, "nodes": sorted(self.attached["nodes"] + told)}, self.backend)
        server = self.serve()
        self.assertEqual(self.frontend.connect(9, server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", 9, 1000), (1000, 0))

    def connect(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 10000), (10000, 0))
        return server

    def test_a_data_index_that_cannot_be(self):
        self.connect()
        self.frontend.do("poke", 1, "out.prod", 10000 + 4097)
        self.fails("an index of a data ring")

    def test_the_other_data_index(self):
        server = self.connect()
        self.frontend.do("poke", 1, "in.cons", 20000)
        server.connections[0].sendall(b"so that it looks")
        self.fails("an index of a data ring")

    def test_a_command_index_that_cannot_be(self):
        self.connect()
        self.frontend.do("poke-ring", 2000)
        self.fails("req_prod")

    def test_pages_that_were_not_granted(self):
        server = self.serve()
        before = self.used()
        self.assertEqual(self.frontend.call("socket", 1), 0)
        for ref, port in ((0, 1), (99999, 1), (2**32 - 1, 1), (1, 0), (1, 99999), (8, 2**32 - 1)):
            self.assertEqual(self.frontend.call("connect-raw", 1, "127.0.0.1", server.port, 16, 2, ref, port), "EINVAL")
        self.assertEqual(self.used(), before)
        self.assertEqual(server.connections, [])
        self.assertEqual(self.frontend.call("release", 1), 0)
        self.wait_left(self.attached, self.backend)

    def test_orders_and_references_on_the_page_that_cannot_be(self):
        server = self.serve()
        self.listen(1)
        number = self.frontend.request("accept", 1, 2, 1)
        self.assertFalse(self.frontend.is_answered(number))
        before = self.used()
        ref = int(self.frontend.do("references")[0])  # of the indexes page that came with it
        for order in (0, 10, 31, 2**32 - 1):
            self.frontend.do("poke", 2, "order", order)
            self.assertEqual(self.frontend.call("accept-raw", 1, 3, ref, 1), "EINVAL")
        self.frontend.do("poke", 2, "order", 9)
        self.assertEqual(self.frontend.call("accept-raw", 1, 3, ref, 1), "EINVAL")  # 510 references that are 0
        self.assertEqual(self.used(), before)
        self.assertFalse(self.frontend.is_answered(number))
        self.assertEqual(self.frontend.connect(7, server.port), 0)
        for number in (7, 1):
            self.assertEqual(self.frontend.call("release", number), 0)
        self.wait_left(self.attached, self.backend)

    def test_a_storm_of_events(self):
        server = self.connect()
        before = os.times()
        self.frontend.do("storm", 1, 200000)
        self.frontend.do("storm", 0, 1000)
        self.assertLess(os.times().elapsed - before.elapsed, 60)
        self.assertEqual(self.frontend.transfer("echo", 1, 10000), (10000, 0))
        self.assertEqual(self.frontend.connect(2, server.port), 0)
        for number in (1, 2):
            self.assertEqual(self.frontend.call("release", number), 0)
        self.wait_left(self.attached, self.backend)
