# SPDX-License-Identifier: LGPL-2.1-or-later
"""Descriptors in messages that cross the bridge."""

import fcntl
import os
import pathlib
import random
import select
import signal
import socket
import struct
import threading
import tty

from dbuswire import Bus
from descriptorcase import EXCEEDED, K, KEEP, M, NOT_SUPPORTED, SEALS, DescriptorTest, memfd, n_descriptors
from harness import wait_until
from linkcase import ECHO, MANAGER


class Kinds(DescriptorTest):
    def test_the_reading_end_of_a_pipe(self):
        for way, name in self.ways():
            with self.subTest(name):
                reader, writer = os.pipe()
                [arrived] = way(reader)
                os.write(writer, b"hello")
                self.assertEqual(self.read(arrived, 5), b"hello")
                os.write(writer, b"last")
                os.close(writer)
                self.assertEqual(self.read(arrived, 4), b"last")
                self.assert_end(arrived)
                os.close(arrived)

    def test_the_writing_end_of_a_pipe(self):
        for way, name in self.ways():
            with self.subTest(name):
                reader, writer = os.pipe()
                [arrived] = way(writer)
                os.write(arrived, b"hello")
                self.assertEqual(self.read(reader, 5), b"hello")
                os.close(arrived)
                self.assert_end(reader)
                os.close(reader)

    def test_who_writes_to_a_pipe_that_nobody_reads_is_told(self):
        reader, writer = os.pipe()
        [arrived] = self.give(reader)
        os.close(arrived)

        def is_broken():
            try:
                os.write(writer, b"x")
                return False
            except BrokenPipeError:
                return True

        wait_until(is_broken, "the writer to be told")
        os.close(writer)

    def test_a_pipe_is_as_it_was_for_who_has_it_too(self):
        reader, writer = os.pipe()
        kept = self.own(os.dup(reader))
        [arrived] = self.give(reader)
        os.write(writer, b"x")
        self.read(arrived, 1)
        self.assertTrue(os.get_blocking(kept))
        os.close(writer)
        os.close(arrived)

    def test_a_socket_both_ways_with_half_close(self):
        for way, name in self.ways():
            with self.subTest(name):
                here, passed = socket.socketpair()
                [arrived] = way(passed.detach())
                there = socket.socket(fileno=arrived)
                self.assertEqual(there.type, socket.SOCK_STREAM)
                here.sendall(b"question")
                self.assertEqual(self.read(there.fileno(), 8), b"question")
                here.shutdown(socket.SHUT_WR)
                self.assert_end(there.fileno())
                there.sendall(b"answer")
                self.assertEqual(self.read(here.fileno(), 6), b"answer")
                there.close()
                self.assert_end(here.fileno())
                here.close()

    def test_a_socket_of_tcp(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            passed = socket.create_connection(server.getsockname())
            here, _ = server.accept()
        with here:
            [arrived] = self.give(passed.detach())
            here.sendall(b"ping")
            self.assertEqual(self.read(arrived, 4), b"ping")
            os.write(arrived, b"pong")
            self.assertEqual(self.read(here.fileno(), 4), b"pong")
            os.close(arrived)
            self.assert_end(here.fileno())

    def test_packets_keep_their_bounds(self):
        here, passed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        [arrived] = self.give(passed.detach())
        there = socket.socket(fileno=arrived)
        with here, there:
            self.assertEqual(there.type, socket.SOCK_SEQPACKET)
            packets = [b"one", b"two" * 1000, bytes(32 * K)] + [b"%d" % n for n in range(2000)]
            sender = threading.Thread(target=lambda: [here.send(packet) for packet in packets])
            sender.start()
            there.settimeout(60)
            for packet in packets:
                self.assertEqual(there.recv(64 * K), packet)
            sender.join()
            there.send(b"back")
            here.settimeout(60)
            self.assertEqual(here.recv(100), b"back")

    def test_a_terminal(self):
        for which in (0, 1):
            with self.subTest(("master", "slave")[which]):
                ends = os.openpty()
                tty.setraw(ends[1])
                here, passed = ends[1 - which], ends[which]
                [arrived] = self.give(passed)
                self.assertTrue(os.isatty(arrived))
                os.write(here, b"login: ")
                self.assertEqual(self.read(arrived, 7), b"login: ")
                os.write(arrived, b"root\n")
                self.assertEqual(self.read(here, 5), b"root\n")
                os.close(arrived)
                self.assert_end(here)
                os.close(here)

    def test_a_sealed_memfd_is_copied(self):
        data = random.randbytes(3 * M + 17)
        for way, name in self.ways():
            with self.subTest(name):
                [arrived] = way(memfd(data))
                self.assertEqual(os.fstat(arrived).st_size, len(data))
                self.assertEqual(os.pread(arrived, len(data), 0), data)
                self.assertEqual(fcntl.fcntl(arrived, fcntl.F_GET_SEALS) & SEALS, SEALS)
                os.close(arrived)
        [empty] = self.give(memfd(b""))
        self.assertEqual(os.fstat(empty).st_size, 0)
        os.close(empty)

    def test_a_file_is_copied_with_its_place(self):
        path = pathlib.Path(self.temporary_directory()) / "file"
        path.write_bytes(b"0123456789")
        fd = os.open(path, os.O_RDONLY)
        os.lseek(fd, 4, os.SEEK_SET)
        [arrived] = self.give(fd)
        self.assertEqual(os.read(arrived, 100), b"456789")
        with self.assertRaises(OSError):
            os.write(arrived, b"x")
        os.close(arrived)

    def test_order_is_kept_behind_a_copy(self):
        data = random.randbytes(2 * M)
        self.passing(memfd(data), flags=1)
        for _ in range(10):
            self.client.call_async(KEEP, "/", KEEP, "Keep", flags=1)
        self.passing(memfd(b"small"), flags=1)
        self.client.driver("GetId")
        self.client.close()  # what the bus has handled arrives all the same
        taken = [self.keeper.take() for _ in range(12)]
        self.assertEqual([len(fds) for fds in taken], [1] + 10 * [0] + [1])
        self.assertEqual(os.pread(taken[0][0], len(data), 0), data)
        self.assertEqual(os.pread(taken[-1][0], 100, 0), b"small")
        for fds in taken:
            for fd in fds:
                os.close(fd)

    def test_several_of_all_kinds_in_one_message(self):
        reader, writer = os.pipe()
        here, passed = socket.socketpair()
        arrived = self.give(memfd(b"copied"), reader, passed.detach(), memfd(b"too"))
        self.assertEqual(os.read(arrived[0], 10), b"copied")
        self.assertEqual(os.read(arrived[3], 10), b"too")
        os.write(writer, b"pipe")
        self.assertEqual(self.read(arrived[1], 4), b"pipe")
        here.sendall(b"socket")
        self.assertEqual(self.read(arrived[2], 6), b"socket")
        for fd in (writer, *arrived):
            os.close(fd)
        here.close()

    def test_what_cannot_be_carried_is_refused_by_its_kind(self):
        directory = self.temporary_directory()
        path = pathlib.Path(directory) / "file"
        path.write_bytes(b"x")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"{directory}/socket")
        listening.listen()
        epoll = select.epoll()
        kinds = {
            "a directory": os.open(directory, os.O_RDONLY),
            "one of epoll": os.dup(epoll.fileno()),
            "one of eventfd": os.eventfd(0),
            "a device": os.open("/dev/null", os.O_RDWR),
            "a file that is open for writing": os.open(path, os.O_RDWR),
            "a memfd that is not sealed": memfd(b"x", seals=0),
            "a datagram socket": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(),
            "a listening socket": listening.detach(),
            "a socket that is not connected": socket.socket(socket.AF_UNIX).detach(),
            "a place in a file system": os.open(path, os.O_PATH),
            "of a file system that bytes": os.open("/proc/self/status", os.O_RDONLY),
            "one of pidfd": os.pidfd_open(os.getpid()),
        }
        for what, fd in kinds.items():
            for way, name in ((self.passing, "call"), (self.get, "answer")):
                with self.subTest(what, way=name):
                    refused = self.error(way, os.dup(fd))
                    self.assertEqual(refused.name, NOT_SUPPORTED)
                    self.assertIn(what, refused.text)
            os.close(fd)
        reader, writer = os.pipe()
        self.assertEqual(self.error(self.passing, reader, os.open("/dev/zero", os.O_RDONLY)).name, NOT_SUPPORTED)
        with self.assertRaises(BrokenPipeError):  # nothing of it has crossed, and nobody has kept it
            os.write(writer, b"x")
        os.close(writer)
        too_large = os.memfd_create("large", os.MFD_ALLOW_SEALING)
        os.ftruncate(too_large, 64 * M + 1)
        fcntl.fcntl(too_large, fcntl.F_ADD_SEALS, SEALS)
        self.assertEqual(self.error(self.passing, too_large).name, EXCEEDED)
        self.assertEqual(self.keeper.given, [])
        wait_until(lambda: self.counters(1)["descriptors"] == 0, "all of them to be forgotten")


class Flow(DescriptorTest):
    def test_what_is_not_read_stops_nothing_else(self):
        reader, writer = os.pipe()
        [stalled] = self.give(reader)
        os.set_blocking(writer, False)
        n = 0

        def is_full():
            nonlocal n
            try:
                while True:
                    n += os.write(writer, bytes(64 * K))
            except BlockingIOError:
                return n >= 64 * K

        wait_until(is_full, "the pipe to be full")
        for _ in range(20):
            self.assertEqual(self.passing(), (0,))
            self.keeper.take()
        other_reader, other_writer = os.pipe()
        [other] = self.give(other_reader)
        data = random.randbytes(8 * M)
        threading.Thread(target=lambda: (self.write_all(other_writer, data), os.close(other_writer))).start()
        self.assertEqual(self.read(other, len(data)), data)
        wait_until(is_full, "the pipe to be full")
        self.assertLess(n, 1 * M)  # what two pipes and a window hold
        for fd in (stalled, other, writer):
            os.close(fd)

    def write_all(self, fd, data):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]

    def test_many_at_once_and_none_is_left(self):
        self.passing()  # the caller has its ghost
        self.keeper.take()
        before = [n_descriptors(pid) for pid in self.bridges_of()]
        for _ in range(3):
            pairs = [os.pipe() for _ in range(100)]
            arrived = self.give(*(reader for reader, _ in pairs))
            for number, (_, writer) in enumerate(pairs):
                os.write(writer, struct.pack("I", number))
                os.close(writer)
            for number, fd in enumerate(arrived):
                self.assertEqual(struct.unpack("I", self.read(fd, 4))[0], number)
                self.assert_end(fd)
                os.close(fd)
        wait_until(lambda: [n_descriptors(pid) for pid in self.bridges_of()] == before,
                   lambda: f"the descriptors to be {before} again: {[n_descriptors(pid) for pid in self.bridges_of()]}")
        for domain, at in ((1, 0), (0, 1)):
            wait_until(lambda: self.counters(domain, at=at)["descriptors"] == 0, "none to be counted")

    def test_those_for_who_takes_none_are_closed(self):
        service = self.service(1)  # has not told its bus that it can be passed any
        self.wait_name(0, ECHO)
        self.passing()  # the caller has its ghost
        before = [n_descriptors(pid) for pid in self.bridges_of()]
        reader, writer = os.pipe()
        serial = self.client.call_async(ECHO, "/", ECHO, "Echo", "h", 0, fds=[reader])
        os.close(reader)
        self.assertTrue(self.client.reply_to(serial).error)
        wait_until(lambda: [n_descriptors(pid) for pid in self.bridges_of()] == before, "the descriptors to be closed")
        with self.assertRaises(BrokenPipeError):
            os.write(writer, b"x")
        os.close(writer)
        service.close()


class Signals(DescriptorTest):
    def tell(self, member, *fds, clients=()):
        """Passes them in a signal; what each client has got before the answer to the call that caused it."""
        self.keeper.gives = list(fds)
        self.client.call(KEEP, "/", KEEP, member)
        for client in clients[1:]:
            client.call(KEEP, "/", KEEP, "Keep")
        return [client.receive(lambda m: m.member == "Given", "the signal").fds for client in clients]

    def test_to_one(self):
        reader, writer = os.pipe()
        data = random.randbytes(M)
        [(pipe, copy)] = self.tell("Tell", reader, memfd(data), clients=[self.client])
        self.assertEqual([m.member for m in self.client.queue if m.member == "Given"], [])
        os.write(writer, b"hello")
        self.assertEqual(self.read(pipe, 5), b"hello")
        self.assertEqual(os.pread(copy, M + 1, 0), data)
        os.close(pipe)
        os.close(copy)
        wait_until(lambda: self.is_broken(writer), "the writer to be told that nobody reads")
        os.close(writer)

    def is_broken(self, writer):
        try:
            os.write(writer, b"x")
        except BrokenPipeError:
            return True
        return False

    def test_to_all_who_want_to_hear(self):
        """Each gets the same, as on one bus: what one reads is gone for the others, and the end is when all have closed theirs."""
        other = Bus(self.path(0), passes_fds=True)
        self.addCleanup(other.close)
        for client in (self.client, other):
            client.match(f"type='signal',sender='{KEEP}',member='Given'")
        here, passed = socket.socketpair()
        (one, copy), (two, too) = self.tell("Shout", passed.detach(), memfd(b"copied"), clients=[self.client, other])
        for fd in (copy, too):
            self.assertEqual(os.pread(fd, 10, 0), b"copied")
            os.close(fd)
        here.sendall(b"ab")
        self.assertEqual(self.read(one, 1) + self.read(two, 1), b"ab")
        os.close(one)
        os.write(two, b"still there")
        self.assertEqual(self.read(here.fileno(), 11), b"still there")
        os.close(two)
        self.assert_end(here.fileno())
        here.close()
        self.assertEqual(self.counters(1)["signals.in"], 1)
        wait_until(lambda: self.counters(1)["descriptors"] == 0, "all of them to be forgotten")

    def test_what_cannot_be_carried_is_dropped_with_its_signal(self):
        """And recorded: nobody waits for an answer who could be told."""
        self.client.match(f"type='signal',sender='{KEEP}'")
        for member in ("Tell", "Shout"):
            reader, writer = os.pipe()
            self.tell(member, reader, os.eventfd(0))
            wait_until(lambda: self.is_broken(writer), "what is not carried to be closed")
            os.close(writer)
        self.tell("Tell", memfd(b"after"), clients=[self.client])
        self.assertEqual([m.member for m in self.client.queue if m.member == "Given"], [])
        wait_until(lambda: self.counters(0, at=1)["signals.dropped"] == 2, "both to be counted")
        self.bridges[1].wait_output("A signal to domain 0 was dropped: Descriptor 2 of 2 is one of eventfd", stream="stderr")


class Limits(DescriptorTest):
    def limit(self, domain, line):
        self.write_policy(domain, self.policy + line + "\n")
        with Bus(self.path(domain)) as bus:
            bus.call(*MANAGER, "ReloadPolicy")

    def pipes(self, n):
        pairs = [os.pipe() for _ in range(n)]
        self.addCleanup(lambda: [self.close(writer) for _, writer in pairs])
        return [reader for reader, _ in pairs]

    def test_a_thousand(self):
        kept = []
        for _ in range(8):
            kept += self.give(*self.pipes(125))
        self.assertEqual(len(kept), 1000)
        self.assertEqual(self.counters(1)["descriptors"], 1000)
        failed = self.error(self.passing, *self.pipes(25))
        self.assertEqual(failed.name, EXCEEDED)
        self.assertRegex(failed.text, "25 descriptors, 1000 are carried already, and 1024 may be")
        kept += self.give(*self.pipes(24))
        for fd in kept:
            os.close(fd)

    def test_of_a_domain(self):
        self.limit(1, "limit fds 3 for any")  # where they arrive
        kept = self.give(*self.pipes(2))
        failed = self.error(self.passing, *self.pipes(2))
        self.assertEqual((failed.name, "and 3 may be (limit fds)" in failed.text), (EXCEEDED, True))
        kept += self.give(*self.pipes(1))
        self.limit(0, "limit fds 4 for any")  # where they are passed
        self.assertEqual(self.error(self.passing, *self.pipes(2)).name, EXCEEDED)
        for fd in kept:
            os.close(fd)
        wait_until(lambda: self.counters(0, at=1)["descriptors"] == 0, "those to be forgotten")
        for fd in self.give(*self.pipes(3)):
            os.close(fd)

    def test_bytes_that_wait(self):
        self.limit(1, "limit queued-bytes 128K for any")
        kept = self.give(*self.pipes(2))  # 64 KiB each
        failed = self.error(self.passing, *self.pipes(1))
        self.assertEqual((failed.name, "limit queued-bytes" in failed.text), (EXCEEDED, True))
        self.assertEqual(self.error(self.passing, memfd(bytes(100))).name, EXCEEDED)
        large = self.error(self.client.call, KEEP, "/", KEEP, "Keep", "ay", bytes(200 * K))
        self.assertEqual((large.name, "limit queued-bytes" in large.text), (EXCEEDED, True))
        self.assertEqual(self.passing(), (0,))
        for fd in kept:
            os.close(fd)
        self.limit(0, "limit queued-bytes 1K for any")
        out = self.error(self.client.call, KEEP, "/", KEEP, "Keep", "ay", bytes(2 * K))
        self.assertEqual((out.name, "limit queued-bytes" in out.text), (EXCEEDED, True))

    def test_what_the_other_side_said_that_it_takes(self):
        self.limit(1, "limit queued-bytes 1M for any")
        before = self.link_property(1, "Epoch")
        self.client.call("org.xen.xcp.bridge", self.link(1), "org.xen.xcp.bridge1.Link", "Reconnect")
        wait_until(lambda: self.is_up(1) and self.link_property(1, "Epoch") != before, "another link")
        self.wait_name(0, KEEP)
        failed = self.error(self.client.call, KEEP, "/", KEEP, "Keep", "ay", bytes(M))
        self.assertEqual((failed.name, failed.text.endswith(f"and domain 1 takes {M}")), (EXCEEDED, True), failed)
        self.assertEqual(self.client.call(KEEP, "/", KEEP, "Keep", "ay", bytes(512 * K)), (0,))


class Deaths(DescriptorTest):
    def test_a_bridge_killed_on_either_side(self):
        for domain, other in ((0, 1), (1, 0)):
            with self.subTest(domain=domain):
                self.wait_link(1)
                self.wait_name(0, KEEP)
                here, passed = socket.socketpair()
                reader, writer = os.pipe()
                arrived = self.give(passed.detach(), reader)
                here.sendall(b"x")
                self.read(arrived[0], 1)
                epoch = self.link_property(1, "Epoch")
                victim, others = self.process_of(domain, other), self.process_of(other, domain)
                os.kill(victim, signal.SIGKILL)
                self.assert_end(here.fileno())
                self.assert_end(arrived[0])
                self.assert_end(arrived[1])
                wait_until(lambda: not pathlib.Path(f"/proc/{others}/fd").exists(), "the other process to end")
                with self.assertRaises(BrokenPipeError):
                    os.write(writer, b"x")
                here.close()
                for fd in (writer, *arrived):
                    os.close(fd)
                wait_until(lambda: self.is_up(1) and self.link_property(1, "Epoch") != epoch, "another link")

    def test_a_domain_destroyed(self):
        here, passed = socket.socketpair()
        self.give(passed.detach())
        self.xen.destroy(1)
        self.assert_end(here.fileno())
        here.close()


class KindsOnDbusBroker(Kinds):
    broker = "dbus-broker"


class SignalsOnDbusBroker(Signals):
    broker = "dbus-broker"
