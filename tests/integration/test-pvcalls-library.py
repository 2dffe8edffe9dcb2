# SPDX-License-Identifier: LGPL-2.1-or-later
"""libxcp-pvcalls: a program on the library in a domain, the backend in domain 0, and servers and clients of the host."""

import contextlib
import os
import signal
import socket
import threading

from harness import Emulation, TestCase, build_directory, wait_until
from pvcalls import Backend, Server, echo, keep, make_device

DOM = 1
MIB = 1 << 20


class Served(TestCase):
    """Domain 1 with a device, and a backend for it in domain 0."""

    limits = ()
    arguments = ()
    deadline = 120

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.xen = self.stack.enter_context(Emulation(domains=1, arguments=self.limits))
        make_device(self.xen, DOM)
        self.before = self.used()
        self.backend = self.stack.enter_context(Backend(self.xen, DOM, arguments=self.arguments))

    def used(self):
        """What both domains have of Xen."""
        return {domain["domid"]: {what: domain[what]["used"] for what in ("ports", "maptrack", "shared_pages")} for domain in self.xen.list()}

    def start(self, *words):
        return self.stack.enter_context(self.xen.start(DOM, build_directory() / "pvcalls/frontend/pvcalls-library-user", *map(str, words)))

    def run_to_end(self, *words):
        process = self.start(*words)
        result = process.wait(90).check()
        return result.stdout.split()

    def serve(self, handle=echo):
        return self.stack.enter_context(Server(handle))

    def wait_tidy(self):
        wait_until(lambda: self.used() == self.before, lambda: f"nothing to be left of {self.before}: {self.used()}")


class Library(Served):
    def test_connections_at_once_with_a_thread_and_descriptors(self):
        server = self.serve()
        self.assertEqual(self.run_to_end("exchange", "127.0.0.1", server.port, 20, 300000), ["ok", "20"])
        self.wait_tidy()

    def test_every_ring_order(self):
        server = self.serve()
        for order in (1, 5, 9):
            self.assertEqual(self.run_to_end("exchange", "127.0.0.1", server.port, 1, 2 * MIB + 1, order), ["ok", "1"])

    def test_one_after_the_other(self):
        server = self.serve()
        self.assertEqual(self.run_to_end("churn", "127.0.0.1", server.port, 300), ["ok", "300"])
        server.wait_connections(300)
        self.wait_tidy()

    def test_connection_refused(self):
        refusing = self.stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))
        process = self.start("churn", "127.0.0.1", refusing.getsockname()[1], 1)
        process.wait_output("error connect: ECONNREFUSED", 30)

    def test_a_server(self):
        server = self.start("serve", "127.0.0.1", 0)
        port = int(server.wait_output(r"listening (\d+)", 30).group(1))
        connections = [self.stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(30)]
        for i, connection in enumerate(connections):
            connection.sendall(b"%d" % i)
        for i, connection in enumerate(connections):
            self.assertEqual(connection.recv(10), b"%d" % i)
            server.wait_output(f"^accepted 127.0.0.1 {connection.getsockname()[1]}$", 30)

    def test_a_backend_that_is_killed_and_comes_back(self):
        server = self.serve(keep)
        process = self.start("hold", "127.0.0.1", server.port)
        process.wait_output("connected 1", 30)
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM):
            process.wait_output("ended ECONNRESET\nconnected 2", 30)

    def test_a_backend_that_ends_and_comes_back(self):
        server = self.serve(keep)
        process = self.start("hold", "127.0.0.1", server.port)
        process.wait_output("connected 1", 30)
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        process.wait_output("ended ECONNRESET", 30)
        with Backend(self.xen, DOM):
            process.wait_output("connected 2", 30)

    def test_a_listener_outlives_its_backend(self):
        server = self.start("serve", "127.0.0.1", 0)
        port = int(server.wait_output(r"listening (\d+)", 30).group(1))
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM) as backend:
            wait_until(lambda: any(" Listening " in line for line in backend.sockets()), "the listener at the new backend")
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                connection.sendall(b"again")
                self.assertEqual(connection.recv(10), b"again")

    def test_a_frontend_that_is_killed(self):
        server = self.serve(keep)
        self.start("hold", "127.0.0.1", server.port).wait_output("connected 1", 30)
        self.stack.enter_context(self.start("hold", "127.0.0.1", server.port))  # takes the device over
        server.wait_connections(2)


class Datagrams(Served):
    def serve_datagrams(self):
        """A UDP server of the host that sends back what it gets; returns its port."""
        server = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        self.answer(server)
        return server.getsockname()[1]

    def answer(self, server):
        def run():
            while True:
                data, address = server.recvfrom(65536)
                if data == b"end":
                    return
                server.sendto(data, address)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", server.getsockname())
            thread.join(20)

        self.stack.callback(end)

    def test_to_an_address_and_connected(self):
        port = self.serve_datagrams()
        for how in ("attached", "connected"):
            with self.subTest(how=how):
                self.assertEqual(self.run_to_end("ask", "127.0.0.1", port, 30, 65507, how), ["ok", "30"])
        self.wait_tidy()

    def test_a_server(self):
        server = self.start("answer", "127.0.0.1", 0)
        port = int(server.wait_output(r"bound (\d+)", 30).group(1))
        for i in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.settimeout(20)
                one.connect(("127.0.0.1", port))
                for size in (0, 1, 1400):
                    one.send(b"%d" % i * size)
                    self.assertEqual(one.recv(2000), b"%d" % i * size)
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        server.wait_output("error receive: ECONNRESET", 30)

    def test_what_cannot_be_sent_is_told(self):
        port = self.serve_datagrams()
        self.start("ask", "127.0.0.1", port, 1, 65508, "attached").wait_output("error receive: EMSGSIZE", 30)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as refusing:
            refusing.bind(("127.0.0.1", 0))
            port = refusing.getsockname()[1]
        self.start("ask", "127.0.0.1", port, 1, 100, "connected").wait_output("error receive: ECONNREFUSED", 30)
        self.backend.ask("policy\ndeny\n")
        self.start("ask", "127.0.0.1", port, 1, 100, "attached").wait_output("error receive: EACCES", 30)
        self.start("ask", "127.0.0.1", port, 1, 100, "connected").wait_output("error connect: EACCES", 30)

    def test_a_backend_without(self):
        nodes = f"/local/domain/0/backend/pvcalls/{DOM}/0"
        wait_until(lambda: self.xen.run(0, "xenstore-read", f"{nodes}/state").stdout.strip() == "2", "the backend to have published what it offers")
        self.xen.run(0, "xenstore-write", f"{nodes}/feature-datagrams", "0")
        self.start("ask", "127.0.0.1", 9, 1, 100, "attached").wait_output("error attach: EOPNOTSUPP", 30)


class FewPages(Served):
    """Sockets get smaller buffers when a domain can share no more pages."""

    limits = ("--limit", "shared-pages=100")

    def test_connections_at_once(self):
        server = self.serve()
        self.assertEqual(self.run_to_end("exchange", "127.0.0.1", server.port, 7, 300000), ["ok", "7"])
        self.wait_tidy()
