# SPDX-License-Identifier: LGPL-2.1-or-later
"""libxcp-pvcalls: a program on the library in a domain, the backend in domain 0, and servers and clients of the host."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

from harness import Emulation, build_directory, wait_until
from pvcalls import ALLOW_LOOPBACK, Backend, Counted, Server, echo, keep, make_device

DOM = 1
MIB = 1 << 20


class Served(Counted):
    """Domain 1 with a device, and a backend for it in domain 0."""

    limits = ()
    arguments = ()
    policy = ALLOW_LOOPBACK

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.xen = self.stack.enter_context(Emulation(domains=1, arguments=self.limits))
        make_device(self.xen, DOM)
        self.before = self.used()
        self.backend = self.stack.enter_context(Backend(self.xen, DOM, self.policy, self.arguments))
        self.descriptors = self.backend.descriptors()

    def used(self):
        """What both domains have of Xen."""
        return {domain["domid"]: {what: domain[what]["used"] for what in ("ports", "maptrack", "shared_pages")} for domain in self.xen.list()}

    def start(self, *words):
        return self.stack.enter_context(self.xen.start(DOM, build_directory() / "pvcalls/frontend/pvcalls-library-user", *map(str, words)))

    def run_to_end(self, *words):
        process = self.start(*words)
        result = process.wait(90).check()
        return result.stdout.split()

    def serve(self, handle=echo, address="127.0.0.1"):
        return self.stack.enter_context(Server(handle, address))

    def wait_tidy(self):
        """The frontend has ended: of it nothing is left on either side."""
        wait_until(lambda: self.used() == self.before, lambda: f"nothing to be left of {self.before}: {self.used()}")
        allowed = self.descriptors, self.descriptors + 1  # sd-event opens one for timers when it first needs it
        wait_until(lambda: self.backend.descriptors() in allowed, lambda: f"the backend to have {allowed} descriptors: {self.backend.descriptors()}")


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
        process.wait_output("error connect: ECONNREFUSED")

    def test_a_server(self):
        server = self.start("serve", "127.0.0.1", 0)
        port = int(server.wait_output(r"listening \S+ (\d+)").group(1))
        connections = [self.stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(30)]
        for i, connection in enumerate(connections):
            connection.sendall(b"%d" % i)
        for i, connection in enumerate(connections):
            self.assertEqual(connection.recv(10), b"%d" % i)
            server.wait_output(f"^accepted 127.0.0.1 {connection.getsockname()[1]}$")

    def test_a_backend_that_is_killed_and_comes_back(self):
        server = self.serve(keep)
        process = self.start("hold", "127.0.0.1", server.port)
        process.wait_output("connected 1")
        connected = self.left(self.backend)
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM) as backend:
            process.wait_output("ended ECONNRESET\nconnected 2")
            self.wait_left(connected, backend)

    def test_a_backend_that_ends_and_comes_back(self):
        server = self.serve(keep)
        process = self.start("hold", "127.0.0.1", server.port)
        process.wait_output("connected 1")
        connected = self.left(self.backend)
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        process.wait_output("ended ECONNRESET")
        with Backend(self.xen, DOM) as backend:
            process.wait_output("connected 2")
            self.wait_left(connected, backend)

    def test_a_listener_outlives_its_backend(self):
        server = self.start("serve", "127.0.0.1", 0)
        port = int(server.wait_output(r"listening \S+ (\d+)").group(1))
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM) as backend:
            wait_until(lambda: any(" Listening " in line for line in backend.sockets()), "the listener at the new backend")
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.sendall(b"again")
                self.assertEqual(connection.recv(10), b"again")

    def test_a_frontend_that_is_killed(self):
        server = self.serve(keep)
        first = self.start("hold", "127.0.0.1", server.port)
        first.wait_output("connected 1")
        connected = self.left(self.backend)
        first.kill()
        second = self.start("hold", "127.0.0.1", server.port)  # takes the device over
        second.wait_output("connected 1")
        server.wait_connections(2)
        self.wait_left(connected, self.backend)
        second.kill()


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
        port = int(server.wait_output(r"bound \S+ (\d+)").group(1))
        for i in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.settimeout(60)
                one.connect(("127.0.0.1", port))
                for size in (0, 1, 1400):
                    one.send(b"%d" % i * size)
                    self.assertEqual(one.recv(2000), b"%d" % i * size)
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        server.wait_output("error receive: ECONNRESET")

    def test_what_cannot_be_sent_is_told(self):
        port = self.serve_datagrams()
        self.start("ask", "127.0.0.1", port, 1, 65508, "attached").wait_output("error receive: EMSGSIZE")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as refusing:
            refusing.bind(("127.0.0.1", 0))
            port = refusing.getsockname()[1]
        self.start("ask", "127.0.0.1", port, 1, 100, "connected").wait_output("error receive: ECONNREFUSED")
        self.backend.ask("policy\ndeny\n")
        self.start("ask", "127.0.0.1", port, 1, 100, "attached").wait_output("error receive: EACCES")
        self.start("ask", "127.0.0.1", port, 1, 100, "connected").wait_output("error connect: EACCES")

    def test_a_backend_without(self):
        nodes = f"/local/domain/0/backend/pvcalls/{DOM}/0"
        wait_until(lambda: self.xen.run(0, "xenstore-read", f"{nodes}/state").stdout.strip() == "2", "the backend to have published what it offers")
        self.xen.run(0, "xenstore-write", f"{nodes}/feature-datagrams", "0")
        self.start("ask", "127.0.0.1", 9, 1, 100, "attached").wait_output("error attach: EOPNOTSUPP")


class Families(Served):
    """IPv6 and UNIX sockets, of streams and of datagrams."""

    policy = "allow inet6 ::1\nallow inet 127.0.0.1\n"

    def setUp(self):
        super().setUp()
        self.directory = self.temporary_directory()
        os.chmod(self.directory, 0o777)
        self.backend.ask(f"policy\n{self.policy}allow unix {self.directory}\nallow unix @xcp-library-{os.getpid()}\n")

    def serve_unix(self, path):
        """An echo server of the host at a path, or at an abstract name, which is its address with @ in front."""
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path if path[0] == "/" else "\0" + path[1:])
        if path[0] == "/":
            os.chmod(path, 0o777)
        listener.listen()
        listener.settimeout(60)

        def run():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        echo(connection)

        threading.Thread(target=run, daemon=True).start()
        self.stack.callback(listener.shutdown, socket.SHUT_RDWR)

    def answers(self, server, connection, peer):
        """Whether a server in the domain sends back what it gets, and knows from whom."""
        connection.settimeout(60)
        connection.sendall(b"there and back")
        self.assertEqual(connection.recv(100), b"there and back")
        server.wait_output(f"^accepted {peer}$")

    def test_ipv6(self):
        server = self.serve(address="::1")
        self.assertEqual(self.run_to_end("exchange", "::1", server.port, 3, 100000), ["ok", "3"])
        server = self.start("serve", "::1", 0)
        port = int(server.wait_output(r"listening ::1 (\d+)").group(1))
        with socket.create_connection(("::1", port), 60) as connection:
            self.answers(server, connection, f"::1 {connection.getsockname()[1]}")

    def test_datagrams_of_ipv6(self):
        server = self.start("answer", "::1", 0)
        port = int(server.wait_output(r"bound ::1 (\d+)").group(1))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.settimeout(60)
            one.sendto(b"query", ("::1", port))
            self.assertEqual(one.recvfrom(100), (b"query", ("::1", port, 0, 0)))

    def test_connections_to_unix_sockets_of_any_name(self):
        for path in (f"{self.directory}/s", f"{self.directory}/".ljust(26, "x"), f"{self.directory}/".ljust(27, "x"), f"{self.directory}/".ljust(107, "x"),
                     f"@xcp-library-{os.getpid()}"):
            with self.subTest(path):
                self.serve_unix(path)
                self.assertEqual(self.run_to_end("exchange", path, 0, 2, 100000), ["ok", "2"])
        self.start("churn", f"{self.directory}/nothing", 0, 1).wait_output("error connect: ENOENT")
        self.start("churn", "/etc/denied", 0, 1).wait_output("error connect: EACCES")

    def test_unix_datagrams_are_refused(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.bind(f"{self.directory}/datagrams")
            self.start("ask", f"{self.directory}/datagrams", 0, 1, 100, "connected").wait_output("error connect: EAFNOSUPPORT")
            self.start("ask", f"{self.directory}/datagrams", 0, 1, 100, "attached").wait_output("error attach: EAFNOSUPPORT")

    def test_unix_listeners(self):
        for name in ("s", "l" * 60):
            path = f"{self.directory}/{name}"
            server = self.start("serve", path, 0)
            server.wait_output(f"listening {path}")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                self.answers(server, connection, "@")
            with socket.socket(socket.AF_UNIX) as connection:  # one that has a name, which a response cannot hold
                own = f"{self.directory}/{name[0]}-client-".ljust(80, "x")
                connection.bind(own)
                connection.connect(path)
                self.answers(server, connection, own)
            server.kill()

    def test_a_listener_outlives_its_backend(self):
        path = f"{self.directory}/" + "l" * 60
        server = self.start("serve", path, 0)
        server.wait_output("listening")
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM, f"allow unix {self.directory}\n") as backend:
            wait_until(lambda: any(" Listening " in line for line in backend.sockets()), "the listener at the new backend")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                self.answers(server, connection, "@")

    def lacks(self, feature, address):
        nodes = f"/local/domain/0/backend/pvcalls/{DOM}/0"
        wait_until(lambda: self.xen.run(0, "xenstore-read", f"{nodes}/state").stdout.strip() == "2", "the backend to have published what it offers")
        self.xen.run(0, "xenstore-write", f"{nodes}/{feature}", "0")
        self.start("churn", address, 9, 1).wait_output("error connect: EAFNOSUPPORT")

    def test_a_backend_without_ipv6(self):
        self.lacks("feature-ipv6", "::1")

    def test_a_backend_without_unix_sockets(self):
        self.lacks("feature-unix", "/run/x")


class Refusals(Served):
    """A backend that has no sockets for more connections."""

    arguments = ("--limit", "sockets=3")

    def test_accepts_that_fail_are_not_tried_without_a_pause(self):
        server = self.start("serve", "127.0.0.1", 0)
        port = int(server.wait_output(r"listening \S+ (\d+)").group(1))
        connections = [self.stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(4)]
        server.wait_output("(accepted.*\n){2}")
        before, began = self.backend.counters()["commands"], time.monotonic()
        time.sleep(1)  # what is measured
        asked, seconds = self.backend.counters()["commands"] - before, time.monotonic() - began
        self.assertLess(asked, 50 * seconds)  # a listener that does not pause makes many thousands
        self.backend.ask("limit sockets=100")
        for connection in connections:
            connection.sendall(b"served")
            self.assertEqual(connection.recv(10), b"served")


class BackendDomains(Counted):
    """A backend in a domain of its own, which is destroyed; another takes its place, and the toolstack says so."""

    FIRST, SECOND = 2, 3

    SERVER = """
import socket
with socket.create_server(("127.0.0.1", 7777)) as listener:
    print("ready", flush=True)
    kept = []
    while True:
        kept.append(listener.accept()[0])
"""

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=3))

    def serve_in(self, domid):
        self.enterContext(self.xen.start(domid, sys.executable, "-c", self.SERVER)).wait_output("ready")
        make_device(self.xen, DOM, backend_domid=domid)
        return self.enterContext(Backend(self.xen, DOM, where=domid))

    def shared(self):
        domain = next(domain for domain in self.xen.list() if domain["domid"] == DOM)
        return domain["shared_pages"]["used"], domain["ports"]["used"]

    def test_one_that_is_destroyed_and_another_in_its_place(self):
        before = self.shared()
        first = self.serve_in(self.FIRST)
        process = self.enterContext(self.xen.start(DOM, build_directory() / "pvcalls/frontend/pvcalls-library-user", "hold", "127.0.0.1", "7777"))
        process.wait_output("connected 1")
        used, nodes, descriptors = self.shared(), self.nodes(), first.descriptors()
        self.xen.destroy(self.FIRST)
        first.process.wait(30)
        process.wait_output("ended (ECONNRESET|0)")  # 0: the server went before the backend
        self.xen.run(0, "xenstore-rm", f"/local/domain/{DOM}/device/pvcalls/0")  # as libxl does before it makes a device
        second = self.serve_in(self.SECOND)
        process.wait_output("connected 2")
        wait_until(lambda: self.shared() == used, lambda: f"{used} in use in place of {self.shared()}")
        gone, there = (f"/local/domain/{domid}/backend" for domid in (self.FIRST, self.SECOND))
        self.assertEqual({path.replace(there, gone) for path in self.nodes() if not path.startswith(gone)}, set(nodes))
        wait_until(lambda: second.descriptors() == descriptors, lambda: f"{descriptors} descriptors in place of {second.descriptors()}")
        process.kill()
        second.process.kill()
        wait_until(lambda: self.shared() == before, lambda: f"nothing to be left of {before}: {self.shared()}")


class FewPages(Served):
    """Sockets get smaller buffers when a domain can share no more pages."""

    limits = ("--limit", "shared-pages=100")

    def test_connections_at_once(self):
        server = self.serve()
        self.assertEqual(self.run_to_end("exchange", "127.0.0.1", server.port, 7, 300000), ["ok", "7"])
        self.wait_tidy()
