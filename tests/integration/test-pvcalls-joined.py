# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests of one host that are joined ring to ring: data, ends, faults of either side, and when they are not joined."""

import contextlib
import os
import signal
import threading

from harness import Emulation, wait_until
from pvcalls import ALLOW_LOOPBACK, BOTH, LOCAL, PEER, WRITE, Backend, Counted, Frontend, make_device, parse_name

MIB = 1 << 20
LISTENING, CONNECTING = 1, 2  # the domains
SOL_SOCKET, SO_LINGER = 1, 13  # on the ring
JOIN = f"test-{os.getpid()}"  # two runs on one host have one space of names, and the same domains, references and ports


class Joined(Counted):
    """Domain 1 listens with socket 1, and domain 2 connects to it."""

    arguments = (("--join", JOIN), ("--join", JOIN))
    prefix = ()  # in front of the command line of the listening guest's backend
    emulation = ()

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.xen = self.stack.enter_context(Emulation(domains=2, arguments=self.emulation))
        self.backends, self.frontends = {}, {}
        for domid in (LISTENING, CONNECTING):
            make_device(self.xen, domid)
            prefix = self.prefix if domid == LISTENING else ()
            self.backends[domid] = self.stack.enter_context(
                Backend(self.xen, domid, ALLOW_LOOPBACK + "allow bind inet 0.0.0.0\n", self.arguments[domid - 1], prefix)
            )
            self.frontends[domid] = self.stack.enter_context(Frontend(self.xen, domid))
            self.frontends[domid].attach(suppress=True)
        self.server, self.client = self.frontends[LISTENING], self.frontends[CONNECTING]
        self.before = self.all_left()

    def all_left(self):
        return self.left(*self.backends.values())

    def wait_all(self, expected, what="at the end"):
        self.wait_left(expected, *self.backends.values(), what=what)

    def wait_without(self, domid, n):
        """
        Waits until of this guest, whose backend or device has ended, nothing is left: the other's sockets are all released. n of the ports and maps
        of before were its command ring, and xenstored's of the domain.
        """
        other = LISTENING + CONNECTING - domid
        expected = {what: self.before[what] - n for what in ("ports", "maptrack")}, self.before["descriptors"][other - 1]
        found = lambda: (self.used(), self.backends[other].descriptors())
        wait_until(lambda: found() == expected, lambda: f"{expected} to be left in place of {found()}")
        self.assertEqual([path for path in self.nodes() if path not in self.before["nodes"] and "/0/error" not in path], [])
        self.assertEqual(self.backends[other].counters()["sockets.now"], 0)

    def listen(self, address="127.0.0.1"):
        self.assertEqual(self.server.call("socket", 1), 0)
        self.assertEqual(self.server.call("bind", 1, address, 0), 0)
        self.assertEqual(self.server.call("listen", 1, 16), 0)
        return self.server.name(1, LOCAL)[1]

    def connect(self, port, number=2, order=4):
        """Socket `number` of either side."""
        accept = self.server.request("accept", 1, number, order)
        self.assertEqual(self.client.connect(number, port, order=order), 0)
        self.assertEqual(self.server.result(accept), 0)

    def connected(self, order=4):
        port = self.listen()
        self.connect(port, order=order)
        return port

    def is_joined(self, domid):
        return [line.endswith(" joined=yes") for line in self.backends[domid].sockets() if " Connected " in line]

    def pass_on(self, n, sender, receiver, number=2):
        """One sends, while the other receives."""
        results = []
        thread = threading.Thread(target=lambda: results.append(sender.transfer("send", number, n)))
        thread.start()
        results.append(receiver.transfer("receive", number, n))
        thread.join()
        self.assertEqual(results, [(n, 0), (n, 0)])


class Data(Joined):
    def test_both_ways_and_every_order(self):
        port = self.listen()
        listening = self.all_left()
        for order in (1, 4, 9):
            self.connect(port, order=order)
            self.assertEqual((self.is_joined(LISTENING), self.is_joined(CONNECTING)), ([True], [True]))
            self.pass_on(5 * MIB + order, self.client, self.server)
            self.pass_on(5 * MIB + order, self.server, self.client)
            self.assertIn(f" sent={5 * MIB + order} ", self.backends[CONNECTING].sockets()[0])
            self.assertEqual(self.client.call("release", 2), 0)
            self.assertEqual(self.server.transfer("receive", 2, 1), (0, "ENOTCONN"))
            self.assertEqual(self.server.call("release", 2), 0)
            self.wait_all(listening)

    def test_names(self):
        port = self.listen("0.0.0.0")
        accept = self.server.request("accept", 1, 2, 1)
        self.assertEqual(self.client.connect(2, port, address="127.0.0.7"), 0)
        result, n, piece = self.server.do("await-long", accept)
        self.assertEqual((result, self.is_joined(CONNECTING)), ("0", [True]))
        self.assertEqual(parse_name(bytes.fromhex(piece)[: int(n)]), self.client.name(2, LOCAL))
        self.assertEqual(self.client.name(2, PEER), ("127.0.0.7", port))
        self.assertEqual(self.server.name(2, LOCAL), ("127.0.0.7", port))

    def test_what_was_sent_before_the_accept_and_the_release(self):
        port = self.listen()
        self.assertEqual(self.client.connect(2, port, order=4), 0)
        self.assertEqual(self.client.transfer("send", 2, 20000), (20000, 0))
        release = self.client.request("raw", 2, 2)  # without waiting for it
        self.assertEqual(self.server.call("accept", 1, 2, 1), 0)
        self.assertEqual(self.server.transfer("receive", 2, 20001), (20000, "ENOTCONN"))
        self.assertEqual(self.client.result(release), 0)

    def test_half_closes_of_either_side(self):
        self.connected()
        self.assertEqual(self.client.transfer("send", 2, 1000), (1000, 0))
        self.assertEqual(self.client.call("shutdown", 2, WRITE), 0)
        self.assertEqual(self.server.transfer("receive", 2, 1001), (1000, "ENOTCONN"))
        self.assertEqual(self.client.transfer("send", 2, 1), (0, "EPIPE"))
        self.pass_on(100000, self.server, self.client)
        self.assertEqual(self.server.call("shutdown", 2, BOTH), 0)
        self.assertEqual(self.client.transfer("receive", 2, 1), (0, "ENOTCONN"))
        for frontend in (self.server, self.client):
            self.assertEqual(frontend.call("release", 2), 0)
        self.assertEqual(self.server.call("release", 1), 0)
        self.wait_all(self.before)

    def test_the_listening_side_releases_first(self):
        port = self.connected()
        self.assertEqual(self.server.transfer("send", 2, 1000), (1000, 0))
        self.assertEqual(self.server.call("release", 2), 0)
        self.assertEqual(self.client.transfer("receive", 2, 1001), (1000, "ENOTCONN"))
        self.assertEqual(self.client.transfer("send", 2, 1), (0, "EPIPE"))
        self.assertEqual(self.client.call("release-kept", 2, 3), 0)
        self.assertEqual(self.client.call("socket", 3), 0)
        accept = self.server.request("accept", 1, 3, 1)
        self.assertEqual(self.client.call("connect-kept", 3, "127.0.0.1", port), 0)
        self.assertEqual(self.server.result(accept), 0)
        self.pass_on(100000, self.client, self.server, number=3)

    def test_a_release_by_reset_of_either_side(self):
        port = self.listen()
        listening = self.all_left()
        for ends, other in ((self.client, self.server), (self.server, self.client)):
            self.connect(port)
            self.assertEqual(ends.call("setsockopt", 2, SOL_SOCKET, SO_LINGER, "0100000000000000"), 0)  # for no time
            self.assertEqual(ends.transfer("send", 2, 1000), (1000, 0))
            self.assertEqual(ends.call("release", 2), 0)
            self.assertEqual(other.transfer("receive", 2, 1001), (1000, "ECONNRESET"))
            self.assertEqual(other.transfer("send", 2, 1), (0, "ECONNRESET"))
            self.assertEqual(other.call("release", 2), 0)
            self.wait_all(listening)

    def test_an_operator_closes_either_side(self):
        for number, domid in ((2, LISTENING), (3, CONNECTING)):
            if number == 2:
                port = self.listen()
            self.connect(port, number)
            serial = next(line.split()[1] for line in self.backends[domid].sockets() if " Connected " in line)
            self.backends[domid].ask(f"close {serial}")
            for frontend in (self.server, self.client):
                self.assertEqual(frontend.transfer("receive", number, 1), (0, "ECONNRESET"))
                self.assertEqual(frontend.call("release", number), 0)

    def test_an_operator_closes_before_the_other_backend_has_looked(self):
        """The connecting guest's port is then bound anew by its own backend, when the other one wants it."""
        port = self.listen()
        accept = self.server.request("accept", 1, 2, 4)
        self.assertFalse(self.server.is_answered(accept))
        os.kill(self.backends[LISTENING].pid(), signal.SIGSTOP)
        try:
            self.assertEqual(self.client.connect(2, port), 0)
            self.assertEqual(self.is_joined(CONNECTING), [True])
            self.backends[CONNECTING].ask(f"close {self.backends[CONNECTING].sockets()[0].split()[1]}")
        finally:
            os.kill(self.backends[LISTENING].pid(), signal.SIGCONT)
        self.assertEqual(self.server.result(accept), 0)
        for frontend in (self.server, self.client):
            self.assertEqual(frontend.transfer("receive", 2, 1), (0, "ECONNRESET"))
            self.assertEqual(frontend.call("release", 2), 0)


class Faults(Joined):
    def test_connecting_guest_is_destroyed(self):
        self.connected()
        self.client.process.write(f"send 2 {1 << 40}\n")
        self.server.transfer("receive", 2, MIB)
        self.xen.destroy(CONNECTING)
        self.assertEqual(self.backends[CONNECTING].process.wait().status, 0)
        while (moved := self.server.transfer("receive", 2, MIB))[1] == 0:  # what is in the ring comes first
            self.assertEqual(moved[0], MIB)
        self.assertIn(moved[1], ("ECONNRESET", "ENOTCONN"))
        for number in (2, 1):
            self.assertEqual(self.server.call("release", number), 0)
        self.wait_without(CONNECTING, 2)

    def test_listening_backend_is_killed(self):
        self.connected()
        self.pass_on(100000, self.client, self.server)
        os.kill(self.backends[LISTENING].pid(), signal.SIGKILL)
        self.assertEqual(self.client.transfer("receive", 2, 1), (0, "ECONNRESET"))
        self.assertEqual(self.client.transfer("send", 2, 1)[1], "ECONNRESET")
        self.assertEqual(self.client.call("release", 2), 0)
        self.wait_without(LISTENING, 1)

    def test_connecting_backend_is_killed(self):
        self.connected()
        self.pass_on(100000, self.client, self.server)
        os.kill(self.backends[CONNECTING].pid(), signal.SIGKILL)
        self.assertEqual(self.server.transfer("receive", 2, 1), (0, "ECONNRESET"))
        for number in (2, 1):
            self.assertEqual(self.server.call("release", number), 0)
        self.wait_without(CONNECTING, 1)

    def test_a_connecting_guest_that_lies_ends_its_socket_alone(self):
        port = self.connected()
        self.client.do("poke", 2, "out.prod", 1 << 30)
        for frontend in (self.server, self.client):
            self.assertNotEqual(frontend.transfer("receive", 2, 1)[1], 0)
        self.connect(port, 3)
        self.pass_on(1000, self.client, self.server, number=3)
        for frontend, numbers in ((self.client, (2, 3)), (self.server, (2, 3, 1))):
            for number in numbers:
                self.assertEqual(frontend.call("release", number), 0)
        self.wait_all(self.before)

    def test_a_listening_guest_that_lies_loses_its_device(self):
        self.connected()
        self.server.do("poke", 2, "out.prod", 1 << 30)
        self.server.do("wait-backend", 5)
        self.assertNotEqual(self.client.transfer("receive", 2, 1)[1], 0)
        self.assertEqual(self.client.call("release", 2), 0)
        self.wait_without(LISTENING, 1)

    def test_a_reader_that_does_not_read_holds_no_release(self):
        self.connected()
        self.assertEqual(self.client.transfer("send", 2, 32768), (32768, 0))
        self.assertEqual(self.client.transfer("send", 2, 32768), (32768, 0))  # both rings are full
        self.assertEqual(self.client.call("release", 2), 0)
        for number in (2, 1):
            self.assertEqual(self.server.call("release", number), 0)
        self.wait_all(self.before)


class Many(Joined):
    """A guest is destroyed with many joined sockets: the other one's backend has nothing left of them, nor of its guest's when they are released."""

    emulation = ("--limit", "shared-pages=4000", "--limit", "ports=5000")
    arguments = (("--join", JOIN, "--limit", "sockets=2000", "--limit", "sockets-per-second=100000"),) * 2
    deadline = 400

    def destroy(self, n, doomed, other, frontend):
        numbers = range(10, 10 + n)
        port = self.listen()
        for number in numbers:
            self.connect(port, number, order=1)
        for domid in (LISTENING, CONNECTING):
            self.assertTrue(all(self.is_joined(domid)))  # as far as one answer has them
            self.assertEqual(self.backends[domid].counters()["sockets.now"], len(numbers) + (domid == LISTENING))
        self.pass_on(5000, self.client, self.server, number=numbers[-1])
        self.xen.destroy(doomed)
        self.assertEqual(self.backends[doomed].process.wait(60).status, 0)
        for number in numbers[::20]:
            self.assertIn(frontend.transfer("receive", number, 1)[1], ("ECONNRESET", "ENOTCONN"))
        for number in numbers:
            self.assertEqual(frontend.call("release", number), 0)
        if other == LISTENING:
            self.assertEqual(frontend.call("release", 1), 0)
        self.wait_without(doomed, 2)

    def test_the_connecting_guest_is_destroyed_with_1000(self):
        self.destroy(1000, CONNECTING, LISTENING, self.server)

    def test_the_listening_guest_is_destroyed(self):
        self.destroy(100, LISTENING, CONNECTING, self.client)


class KilledAtEveryStep(Joined):
    """Either backend is killed at any step of what makes and ends a joined connection: the other guest is told, and nothing is left on its side."""

    def begin(self, frontend, *words):
        """A request that nobody waits for."""
        return lambda port: frontend.request(*[str(word).format(port) for word in words])

    def done(self, frontend, *words):
        return lambda port: self.assertEqual(frontend.call(*[str(word).format(port) for word in words]), 0, words)

    def steps(self):
        """What comes after listening. Each is done whole but the last, which is only begun."""
        both = lambda frontend, *words: (self.done(frontend, *words), self.begin(frontend, *words))
        return [
            both(self.client, "socket", 2),
            both(self.client, "connect", 2, "127.0.0.1", "{}", 1),
            (self.done(self.server, "accept", 1, 2, 1), self.begin(self.server, "accept", 1, 2, 1)),
            both(self.client, "getname", 2, PEER),
            (lambda port: self.pass_on(1000, self.client, self.server), lambda port: self.client.transfer("send", 2, 1000)),
            both(self.client, "shutdown", 2, WRITE),
            both(self.server, "shutdown", 2, BOTH),
        ]

    def run_to(self, n):
        port = self.listen()
        for number, (whole, begun) in enumerate(self.steps()[: n + 1]):
            (whole if number < n else begun)(port)

    def restart(self, domid):
        self.backends[domid] = self.stack.enter_context(
            Backend(self.xen, domid, ALLOW_LOOPBACK + "allow bind inet 0.0.0.0\n", self.arguments[domid - 1])
        )

    def attach(self, domid):
        self.frontends[domid].process.kill()
        self.frontends[domid] = self.stack.enter_context(Frontend(self.xen, domid))
        self.frontends[domid].attach(suppress=True)
        self.server, self.client = self.frontends[LISTENING], self.frontends[CONNECTING]

    def test_either(self):
        for n in range(len(self.steps())):
            for killed, other in ((LISTENING, CONNECTING), (CONNECTING, LISTENING)):
                with self.subTest(n=n, killed=killed):
                    self.run_to(n)
                    os.kill(self.backends[killed].pid(), signal.SIGKILL)
                    self.backends[killed].process.wait()
                    for number in (1, 2):  # the listener first: an id that waits there is released with it
                        self.assertEqual(self.frontends[other].call("release", number), 0)
                    self.assertEqual(self.backends[other].counters()["sockets.now"], 0)
                    self.restart(killed)
                    self.attach(killed)
                    self.wait_all(self.before)


class OutOfDescriptors(Joined):
    prefix = ("prlimit", "--nofile=48:48")

    def test_an_accept_is_told_and_the_listener_goes_on(self):
        port = self.listen()
        accept = self.server.request("accept", 1, 2, 1)
        self.assertFalse(self.server.is_answered(accept))
        filled = 0  # takes all descriptors that are left
        while self.server.call("socket", 100 + filled) or self.server.call("bind", 100 + filled, "127.0.0.1", 0) != "EMFILE":
            filled += 1
        self.assertEqual(self.client.connect(2, port), 0)
        self.assertEqual(self.server.result(accept), "EMFILE")
        for number in range(filled + 1):
            self.assertEqual(self.server.call("release", 100 + number), 0)
        self.assertEqual(self.server.call("accept", 1, 3, 1), 0)  # the connection has waited
        self.assertEqual(self.client.transfer("send", 2, 1000), (1000, 0))
        self.assertEqual(self.server.transfer("receive", 3, 1000), (1000, 0))
        for frontend, number in ((self.client, 2), (self.server, 3), (self.server, 1)):
            self.assertEqual(frontend.call("release", number), 0)
        self.wait_all(self.before)


class NotJoined(Joined):
    arguments = (("--join", "one"), ("--join", "another"))

    def test_others_have_tcp(self):
        self.connected()
        self.assertEqual((self.is_joined(LISTENING), self.is_joined(CONNECTING)), ([False], [False]))
        self.pass_on(100000, self.client, self.server)


class NotAllowed(Joined):
    def test_the_policy_is_asked_as_ever(self):
        port = self.listen()
        self.backends[CONNECTING].ask("policy\nallow connect inet 127.0.0.2\n")
        self.assertEqual(self.client.connect(2, port), "EACCES")

        # and a limit of bytes a second, which the other backend would not know of
        self.backends[CONNECTING].ask("policy\nallow connect inet\n")
        self.backends[CONNECTING].ask(f"limit bytes-per-second={MIB}")
        self.connect(port, 3)
        self.assertEqual((self.is_joined(LISTENING), self.is_joined(CONNECTING)), ([False], [False]))


del Joined, Counted
