# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PV Calls backend, driven from a domain by a frontend that does what it is told: commands, data, policy, faults, leaks."""

import contextlib
import os
import signal
import socket

from harness import TimedOut, wait_until
from pvcalls import ALLOW_LOOPBACK, DOM, Attached, Backend, Frontend, Refused, echo, keep

MIB = 1 << 20


class Commands(Attached):
    def test_connection_refused_and_then_not(self):
        server = self.serve()
        refusing = socket.socket()
        self.addCleanup(refusing.close)
        refusing.bind(("127.0.0.1", 0))
        self.assertEqual(self.frontend.connect(1, refusing.getsockname()[1]), "ECONNREFUSED")
        self.assertEqual(self.frontend.call("connect", 1, "127.0.0.1", server.port, 1), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 1000), (1000, 0))

    def test_wrong_arguments(self):
        call = self.frontend.call
        for words, expected in (
            (("socket", 1, 3, 1, 0), "ENOTSUP"),
            (("socket", 1, 2, 3, 0), "ENOTSUP"),
            (("socket", 1, 2, 1, 17), "ENOTSUP"),
            (("socket", 1, 2, 1, 6), 0),
            (("socket", 1), "EEXIST"),
            (("connect", 2, "127.0.0.1", 1, 1), "EBADF"),
            (("bind", 2, "127.0.0.1", 0), "EBADF"),
            (("listen", 2, 1), "EBADF"),
            (("accept", 2, 3, 1), "EBADF"),
            (("poll", 2), "EBADF"),
            (("release", 2), 0),
            (("listen", 1, 1), "EINVAL"),
            (("accept", 1, 3, 1), "EINVAL"),
            (("poll", 1), "EINVAL"),
            (("connect-raw", 1, "127.0.0.1", 1, 15, 2, 8, 8), "EINVAL"),
            (("connect-raw", 1, "127.0.0.1", 1, 29, 2, 8, 8), "EINVAL"),
            (("connect-raw", 1, "127.0.0.1", 1, 0xFFFFFFFF, 2, 8, 8), "EINVAL"),
            (("connect-raw", 1, "127.0.0.1", 1, 16, 10, 8, 8), "EAFNOSUPPORT"),
            (("raw", 7, 1), "ENOTSUP"),
            (("raw", 0xFFFFFFFF, 1), "ENOTSUP"),
            (("bind", 1, "127.0.0.1", 0), 0),
            (("bind", 1, "127.0.0.1", 0), "EINVAL"),
            (("release", 1), 0),
        ):
            with self.subTest(words=words):
                self.assertEqual(call(*words), expected)

    def test_responses_echo_what_was_asked(self):
        self.assertEqual(self.frontend.do("await", self.frontend.request("socket", 2**64 - 1)), ["0", str(2**64 - 1), "0"])
        self.assertEqual(self.frontend.do("await", self.frontend.request("raw", 99, 77)), ["-524", "77", "99"])

    def test_connecting_twice(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port), 0)
        self.assertEqual(self.frontend.call("connect-raw", 1, "127.0.0.1", server.port, 16, 2, 8, 8), "EISCONN")
        self.listen(2)
        self.assertEqual(self.frontend.call("connect-raw", 2, "127.0.0.1", server.port, 16, 2, 8, 8), "EISCONN")

    def test_a_slow_connect_holds_up_nothing(self):
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(full.close)
        port = full.getsockname()[1]
        for _ in range(4):  # its queue is full then, and SYNs are dropped
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        self.assertEqual(self.frontend.call("socket", 1), 0)
        slow = self.frontend.request("connect", 1, "127.0.0.1", port, 1)
        self.assertFalse(self.frontend.is_answered(slow))
        self.assertEqual(self.frontend.call("connect-raw", 1, "127.0.0.1", port, 16, 2, 8, 8), "EALREADY")
        server = self.serve()
        self.assertEqual(self.frontend.connect(2, server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", 2, 1000), (1000, 0))
        self.assertEqual(self.frontend.call("release", 1), 0)
        self.assertEqual(self.frontend.result(slow), "ECONNABORTED")

    def test_many_connections_one_after_the_other(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(0, server.port), 0)
        before = self.backend.descriptors(), self.used()
        for i in range(1, 200):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
            self.assertEqual(self.frontend.transfer("echo", i, 100), (100, 0))
            self.assertEqual(self.frontend.call("release", i), 0)
        self.assertEqual((self.backend.descriptors(), self.used()), before)


    def test_pages_and_ports_that_are_used_again(self):
        server = self.serve()
        nothing = self.used()
        self.assertEqual(self.frontend.connect(0, server.port), 0)
        connected = self.used()
        for i in range(1, 50):
            self.assertEqual(self.frontend.transfer("echo", i - 1, 5000), (5000, 0))
            self.assertEqual(self.frontend.call("release-kept", i - 1, i), 0)
            self.assertEqual(self.used(), connected)
            self.assertEqual(self.frontend.call("socket", i), 0)
            self.assertEqual(self.frontend.call("connect-kept", i, "127.0.0.1", server.port), 0)
            self.assertEqual(self.used(), connected)
        self.assertEqual(self.frontend.call("release", 49), 0)
        self.assertEqual(self.used(), nothing)

    def use_again(self, number, server):
        """One that was released is another's: whose pages work."""
        self.assertEqual(self.frontend.call("socket", number), 0)
        self.assertEqual(self.frontend.call("connect-kept", number, "127.0.0.1", server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", number, 5000), (5000, 0))

    def test_pages_that_are_used_again_unasked(self):
        server = self.serve()
        nothing = self.used()
        self.assertEqual(self.frontend.connect(0, server.port), 0)
        connected = self.used()
        for i in range(1, 20):
            self.assertEqual(self.frontend.call("release-again", i - 1, i), 0)
            self.assertEqual(self.used(), nothing)
            self.use_again(i, server)
            self.assertEqual(self.used(), connected)
        self.assertEqual(self.frontend.call("release", 19), 0)
        self.assertEqual(self.used(), nothing)

    def test_an_indexes_page_that_comes_with_other_data_pages(self):
        server = self.serve()
        nothing = self.used()
        for i in (1, 2):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
        for release in ("release-again", "release-kept"):
            for i in (1, 2):
                self.assertEqual(self.frontend.call(release, i, i + 10), 0)
            self.frontend.do("swap-data", 11, 12)
            for i in (1, 2):
                self.use_again(i + 10, server)
                self.assertEqual(self.frontend.call("release-again", i + 10, i), 0)
                self.use_again(i, server)
        for i in (1, 2):
            self.assertEqual(self.frontend.call("release-again", i, i), 0)
        self.assertEqual(self.used(), nothing)

    def test_an_indexes_page_whose_data_pages_are_not_granted_any_more(self):
        server = self.serve()
        nothing = self.used()
        for i in (1, 2, 3):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
            self.assertEqual(self.frontend.call("release-again", i, i), 0)
        self.frontend.do("swap-data", 1, 2)
        self.use_again(1, server)
        self.assertEqual(self.frontend.call("release-again", 1, 1), 0)
        self.frontend.do("swap-data", 1, 2)
        self.assertEqual(self.frontend.call("release", 2), 0)  # it is nobody's; its pages are gone
        self.use_again(1, server)  # what it came with last is not there any more, and is not needed
        self.assertEqual(self.frontend.call("release-again", 1, 1), 0)
        self.frontend.do("swap-data", 1, 3)
        self.assertEqual(self.frontend.call("release", 3), 0)
        self.assertEqual(self.frontend.call("socket", 1), 0)
        self.assertEqual(self.frontend.call("connect-kept", 1, "127.0.0.1", server.port), "EINVAL")  # what it names is not there
        self.assertEqual(self.used(), nothing)
        self.assertEqual(self.frontend.connect(4, server.port), 0)

    def test_what_is_kept_is_bounded_and_goes_with_the_frontend(self):
        server = self.serve()
        nothing = self.used()
        for i in range(80):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
            self.assertEqual(self.frontend.call("release-kept", i, 1000 + i), 0)
        self.assertEqual(self.used(), {"ports": nothing["ports"] + 64, "maptrack": nothing["maptrack"] + 3 * 64})
        self.assertEqual(self.frontend.call("socket", 1000), 0)  # was dropped, and is mapped anew
        self.assertEqual(self.frontend.call("connect-kept", 1000, "127.0.0.1", server.port), 0)
        self.assertEqual(self.frontend.transfer("echo", 1000, 5000), (5000, 0))
        self.frontend.do("set-state", 5)
        self.frontend.do("wait-backend", 5)
        self.wait_used(self.before)


class Listeners(Attached):
    def test_parked_accepts_are_served_in_order(self):
        port = self.listen(1)
        accepts = [self.frontend.request("accept", 1, 10 + i, 1) for i in range(5)]
        self.assertFalse(self.frontend.is_answered(accepts[0]))
        connections = []
        for i, accept in enumerate(accepts):
            connections.append(self.dial(port))
            self.assertEqual(self.frontend.result(accept), 0)
            connections[i].sendall(b"")
        for i in range(5):
            self.assertEqual(self.frontend.transfer("send", 10 + i, 1000), (1000, 0))
            data = connections[i].recv(1000, socket.MSG_WAITALL)
            connections[i].sendall(data)
            self.assertEqual(self.frontend.transfer("receive", 10 + i, 1000), (1000, 0))
        for i in range(5):
            self.assertEqual(self.frontend.call("release", 10 + i), 0)
            self.assertEqual(connections[i].recv(1), b"")

    def test_connections_that_came_before_the_accept(self):
        port = self.listen(1)
        for i in range(3):
            self.dial(port)
        for i in range(3):
            self.assertEqual(self.frontend.call("accept", 1, 10 + i, 1), 0)

    def test_poll(self):
        port = self.listen(1)
        polls = [self.frontend.request("poll", 1) for _ in range(3)]
        self.assertFalse(self.frontend.is_answered(polls[0]))
        self.dial(port)
        for poll in polls:
            self.assertEqual(self.frontend.result(poll), 0)
        self.assertEqual(self.frontend.call("poll", 1), 0)
        self.assertEqual(self.frontend.call("accept", 1, 10, 1), 0)
        self.assertFalse(self.frontend.is_answered(self.frontend.request("poll", 1)))

    def test_release_answers_what_is_parked(self):
        port = self.listen(1)
        before = self.used()
        accepts = [self.frontend.request("accept", 1, 10 + i, 1) for i in range(3)]
        poll = self.frontend.request("poll", 1)
        self.assertEqual(self.frontend.call("release", 1), 0)
        for number in (*accepts, poll):
            self.assertEqual(self.frontend.result(number), "ECONNABORTED")
        self.assertEqual(self.used(), before)
        with self.assertRaises(ConnectionRefusedError):
            self.dial(port)

    def test_accepts_that_cannot_be(self):
        self.listen(1)
        before = self.used()
        parked = self.frontend.request("accept", 1, 10, 1)
        self.assertEqual(self.frontend.call("accept-raw", 1, 10, 8, 8), "EEXIST")
        self.assertEqual(self.frontend.call("accept-raw", 1, 1, 8, 8), "EEXIST")
        self.assertEqual(self.frontend.call("accept-raw", 1, 11, 99999, 8), "EINVAL")
        self.assertEqual(self.frontend.call("release", 10), "EBUSY")
        self.assertEqual(self.frontend.call("release", 1), 0)
        self.assertEqual(self.frontend.result(parked), "ECONNABORTED")
        self.assertEqual(self.used(), before)

    def test_an_address_that_is_taken(self):
        port = self.listen(1)
        self.assertEqual(self.frontend.call("socket", 2), 0)
        self.assertEqual(self.frontend.call("bind", 2, "127.0.0.1", port), "EADDRINUSE")

    def test_a_ring_full_of_what_is_parked(self):
        port = self.listen(1)
        accepts = [self.frontend.request("accept", 1, 100 + i, 1) for i in range(31)]
        last = self.frontend.request("poll", 1)
        with self.assertRaisesRegex(Refused, "ENOBUFS"):
            self.frontend.request("poll", 1)
        for accept in accepts:
            self.dial(port)
            self.assertEqual(self.frontend.result(accept), 0)
        self.dial(port)
        self.assertEqual(self.frontend.result(last), 0)


class Policy(Attached):
    policy = "allow connect inet 10.9.9.9 port 1000-1009 to 127.0.0.1 port 0\n"

    def test_what_no_rule_allows_is_denied(self):
        server = self.serve()
        self.assertEqual(self.frontend.connect(1, server.port), "EACCES")
        self.assertEqual(self.frontend.call("socket", 2), 0)
        self.assertEqual(self.frontend.call("bind", 2, "127.0.0.1", 0), "EACCES")
        counters = self.backend.counters()
        self.assertEqual(counters["denied"], 2)
        self.assertTrue(any(f"denied connect 127.0.0.1 {server.port} rule=-1" in event for event in self.backend.events), self.backend.events)
        self.assertEqual(server.connections, [])

    def test_it_changes_while_sockets_are_open(self):
        server = self.serve()
        self.assertEqual(self.backend.ask(f"policy\nallow connect inet 10.1.1.1 port 80 to 127.0.0.1 port {server.port}\n"), ["0"])
        self.assertEqual(self.frontend.connect(1, 80, address="10.1.1.1"), 0)
        self.assertEqual(self.frontend.transfer("echo", 1, 1000), (1000, 0))
        self.assertEqual(self.backend.ask("policy\n" + ALLOW_LOOPBACK), ["1"])
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ECONNRESET"))
        self.assertEqual(self.frontend.call("release", 1), 0)
        port = self.listen(2)
        self.dial(port)
        self.assertEqual(self.frontend.call("accept", 2, 4, 1), 0)
        accept = self.frontend.request("accept", 2, 3, 1)
        self.assertFalse(self.frontend.is_answered(accept))
        self.assertEqual(self.backend.ask("policy\n"), ["2"])  # the listener, and what came from it
        self.assertEqual(self.frontend.result(accept), "ECONNABORTED")
        self.assertEqual(self.frontend.transfer("receive", 4, 1), (0, "ECONNRESET"))
        with self.assertRaises(ConnectionRefusedError):
            self.dial(port)
        with self.assertRaisesRegex(AssertionError, "line 2: 'nonsense'"):
            self.backend.ask("policy\nallow any\nallow any nonsense")

    def test_rates(self):
        server = self.serve()
        self.backend.ask("policy\nallow connect rate 1\n")
        results = [self.frontend.connect(i, server.port) for i in range(10)]
        self.assertEqual(results[0], 0)
        self.assertIn("ENOBUFS", results)

    def test_limits(self):
        self.backend.ask("limit sockets=3")
        self.assertEqual([self.frontend.call("socket", i) for i in range(4)], [0, 0, 0, "EMFILE"])
        self.assertEqual(self.frontend.call("release", 1), 0)
        self.assertEqual(self.frontend.call("socket", 4), 0)
        self.backend.ask("limit sockets=1000")
        self.backend.ask("limit sockets-per-second=1")
        self.assertIn("ENOBUFS", [self.frontend.call("socket", 10 + i) for i in range(10)])
        for nonsense in ("sockets", "sockets=", "sockets=-1", "sockets=99999999", "max-page-order=0", "max-page-order=10", "else=1"):
            with self.assertRaisesRegex(AssertionError, "no such limit"):
                self.backend.ask(f"limit {nonsense}")

    def test_bytes_per_second(self):
        server = self.serve()
        self.backend.ask("policy\n" + ALLOW_LOOPBACK)
        self.backend.ask(f"limit bytes-per-second={4 * MIB}")
        self.assertEqual(self.frontend.connect(1, server.port, order=4), 0)
        started = os.times().elapsed
        self.assertEqual(self.frontend.transfer("echo", 1, 6 * MIB), (6 * MIB, 0))  # 12 MiB, of which 4 are there at once
        self.assertGreater(os.times().elapsed - started, 1.5)

    def test_an_operator_closes_sockets(self):
        server = self.serve()
        self.backend.ask("policy\n" + ALLOW_LOOPBACK)
        for i in range(3):
            self.assertEqual(self.frontend.connect(i, server.port), 0)
        lines = self.backend.sockets()
        self.assertEqual([line.split()[2] for line in lines], ["Connected"] * 3)
        self.assertIn(f"127.0.0.1 {server.port} ", lines[0])
        self.backend.ask(f"close {lines[1].split()[1]}")
        self.assertEqual(self.frontend.transfer("receive", 1, 1), (0, "ECONNRESET"))
        self.assertEqual(self.frontend.transfer("echo", 2, 1000), (1000, 0))
        self.assertEqual(self.backend.ask("close all"), ["2"])
        self.assertEqual(self.frontend.transfer("receive", 2, 1), (0, "ECONNRESET"))


class Faults(Attached):
    """Either side ends in the middle of a stream, or the host runs out of what it needs."""

    def stream(self, server, order=4):
        """Leaves data flowing both ways."""
        self.assertEqual(self.frontend.connect(1, server.port, order=order), 0)
        self.frontend.process.write(f"echo 1 {1 << 40}\n")
        wait_until(lambda: int(self.backend.sockets()[0].split("sent=")[1].split()[0]) > MIB, "a stream that flows")

    def test_frontend_killed_in_the_middle(self):
        ended = []

        def echo_to_the_end(connection):
            with contextlib.suppress(OSError):
                echo(connection)
            ended.append(connection)

        server = self.serve(echo_to_the_end)
        self.stream(server)
        self.frontend.process.kill()
        with Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            wait_until(lambda: ended, "the peer to see the end of the connection")
            self.wait_left(self.attached, self.backend)
            self.assertEqual(frontend.connect(1, server.port, order=9), 0)
            self.assertEqual(frontend.transfer("echo", 1, MIB), (MIB, 0))

    def test_backend_killed_in_the_middle(self):
        server = self.serve()
        self.stream(server)
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        self.wait_used(self.before)
        self.frontend.process.kill()
        with Backend(self.xen, DOM) as backend, Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            self.wait_left(self.attached, backend)
            self.assertEqual(frontend.connect(1, server.port), 0)
            self.assertEqual(frontend.transfer("echo", 1, MIB), (MIB, 0))

    def test_domain_destroyed_in_the_middle(self):
        self.stream(self.serve())
        self.xen.destroy(DOM)
        self.assertEqual(self.backend.process.wait().status, 0)
        self.wait_destroyed(self.before, self.attached["nodes"], DOM)

    def test_a_peer_that_never_reads(self):
        server = self.serve(keep)
        self.assertEqual(self.frontend.connect(1, server.port, order=9), 0)
        server.wait_connections(1)
        server.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.assertEqual(self.frontend.transfer("send", 1, MIB), (MIB, 0))
        self.frontend.process.write(f"send 1 {64 * MIB}\n")  # more than all buffers: it will wait
        wait_until(lambda: int(self.backend.sockets()[0].split("sent=")[1].split()[0]) > MIB, "the socket's buffers to fill")
        self.assertEqual(self.backend.ask("close all"), ["1"])
        self.frontend.process.wait_output(r"^ok \d+ -104")
        self.frontend.process.kill()
        with Frontend(self.xen, DOM) as frontend:
            frontend.attach()
            self.wait_left(self.attached, self.backend)

    def test_release_does_not_wait_for_a_peer_that_never_reads(self):
        server = self.serve(keep)
        server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.assertEqual(self.frontend.connect(1, server.port, order=9), 0)
        sent = 0
        with self.assertRaisesRegex(TimedOut, "the network to take it"):
            while True:
                self.assertEqual(self.frontend.transfer("send", 1, MIB), (MIB, 0))
                sent += MIB
                wait_until(lambda: f" sent={sent} " in self.backend.sockets()[0], "the network to take it", deadline=5)
        self.assertEqual(self.frontend.call("release", 1), 0)
        self.assertEqual(self.backend.counters()["sockets.linger-ended"], 1)
        self.assertEqual(self.backend.counters()["sockets.now"], 0)
        self.wait_left(self.attached, self.backend)


class OutOfDescriptors(Attached):
    prefix = ("prlimit", "--nofile=64:64")

    def test_some_are_refused_and_nothing_is_lost(self):
        server = self.serve()
        port = self.listen(1)
        accept = self.frontend.request("accept", 1, 2, 1)
        self.assertFalse(self.frontend.is_answered(accept))
        before = self.left(self.backend)
        results = [self.frontend.connect(10 + i, server.port) for i in range(40)]
        self.assertIn(results.index(next(filter(None, results))), range(5, 35))
        self.assertLessEqual(set(results), {0, "EMFILE", "ENOMEM"})
        bound = 0  # take the one or two that were too few for a connection
        while self.frontend.call("socket", 100 + bound) or self.frontend.call("bind", 100 + bound, "127.0.0.1", 0) != "EMFILE":
            bound += 1
        self.dial(port)
        self.assertEqual(self.frontend.result(accept), "EMFILE")
        self.assertEqual(self.frontend.transfer("echo", 10, 1000), (1000, 0))
        for i in (*range(40), *range(90, 91 + bound)):
            self.assertEqual(self.frontend.call("release", 10 + i), 0)
        self.assertEqual(self.frontend.call("accept", 1, 2, 1), 0)  # the connection that there was no descriptor for has waited
        self.wait_left({**before, "descriptors": [before["descriptors"][0] + 1]}, self.backend)
        for number in (2, 1):
            self.assertEqual(self.frontend.call("release", number), 0)
        self.wait_left(self.attached, self.backend)
