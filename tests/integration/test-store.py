# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's xenstored, unmodified: permissions, quotas, watches and transactions are per domain and real."""

import contextlib
import os
import pathlib
import signal

from harness import Emulation, TestCase
from harness.process import survivors
from xsclient import DIRECTORY, HEADER, MKDIR, READ, RM, TRANSACTION_END, WATCH, StoreClient, StoreError

TEST_XENSTORE = "/usr/lib/xen-4.17/bin/test-xenstore"


class Store(TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.xen = stack.enter_context(Emulation(domains=2))
        self.stack = stack

    def client(self, domid):
        return self.stack.enter_context(StoreClient(self.xen.rundir / f"dom{domid}/xenbus"))

    def refused(self, error, function, *arguments, **options):
        with self.assertRaises(StoreError) as caught:
            function(*arguments, **options)
        self.assertEqual(str(caught.exception), error)


class Tools(Store):
    def read(self, domain, path):
        result = self.xen.run(domain, "xenstore-read", path, check=None)
        return result.stdout.rstrip("\n") if result.status == 0 else None

    def test_a_relative_path_is_the_domains_own(self):
        self.xen.run("dom1", "xenstore-write", "data/a", "one")
        self.xen.run("dom2", "xenstore-write", "data/a", "two")
        self.assertEqual([self.read(domain, "data/a") for domain in ("dom1", "dom2")], ["one", "two"])
        self.assertEqual(self.read(0, "/local/domain/2/data/a"), "two")
        self.assertEqual(self.read("dom1", "domid"), "1")

    def test_a_guest_sees_only_what_it_may(self):
        self.xen.run("dom1", "xenstore-write", "data/secret", "x")
        self.assertIsNone(self.read("dom2", "/local/domain/1/data/secret"))
        listing = self.xen.run("dom2", "xenstore-ls", "/local/domain/1", check=None)
        self.assertNotEqual(listing.status, 0)
        self.assertIn("Permission denied", listing.stderr)
        self.xen.run("dom1", "xenstore-chmod", "data/secret", "n1", "r2")
        self.assertEqual(self.read("dom2", "/local/domain/1/data/secret"), "x")
        self.assertNotEqual(self.xen.run("dom2", "xenstore-write", "/local/domain/1/data/secret", "y", check=None).status, 0)
        self.xen.run("dom1", "xenstore-chmod", "data/secret", "n1", "b2")
        self.xen.run("dom2", "xenstore-write", "/local/domain/1/data/secret", "y")
        self.assertEqual(self.read("dom1", "data/secret"), "y")
        for forbidden in ("name", "/local/domain/0/name", "/local/domain/2/data/x", "/tool/x"):
            self.assertNotEqual(self.xen.run("dom1", "xenstore-write", forbidden, "x", check=None).status, 0, forbidden)

    def test_a_watch_of_one_domain_sees_the_writes_of_another(self):
        self.xen.run("dom1", "xenstore-write", "data/seen", "1")
        self.xen.run("dom1", "xenstore-chmod", "data/seen", "n1", "r2")
        with self.xen.start("dom2", "xenstore-watch", "-n", "2", "/local/domain/1/data/seen") as watch:
            watch.wait_output(r"\A/local/domain/1/data/seen\n")
            self.xen.run("dom1", "xenstore-write", "data/seen", "2")
            self.assertEqual(watch.wait().stdout.splitlines(), ["/local/domain/1/data/seen"] * 2)

    def test_the_watch_quota_shows_in_the_tool(self):
        paths = [f"data/{n}" for n in range(140)]
        result = self.xen.run("dom1", "xenstore-watch", *paths, check=None)
        self.assertIn("Unable to add watch", result.stderr)

    def test_debians_own_test_runs_in_domain_0_and_in_a_guest(self):
        self.xen.run(0, "xenstore-write", "/local/domain/1/xenstore-test", "")
        self.xen.run(0, "xenstore-chmod", "/local/domain/1/xenstore-test", "n1")
        for domain in (0, "dom1"):
            result = self.xen.run(domain, TEST_XENSTORE)
            self.assertRegex(result.stdout, r"ta rmw x +: +\d+ ns")
            self.assertNotIn("failed", result.stdout + result.stderr)


class Quotas(Store):
    """DESIGN of xenstored 4.17: 10 transactions, 128 watches, 1000 nodes, 2048 bytes a node; each limit counts one more than it says."""

    def test_transactions(self):
        one, other = self.client(1), self.client(1)
        started = [one.start() for _ in range(6)] + [other.start() for _ in range(5)]
        self.assertEqual(len(set(started)), 11)
        self.refused("ENOSPC", other.start)
        self.client(2).start()  # another domain has its own
        one.call(TRANSACTION_END, "F", transaction=started[0])
        other.start()

    def test_watches(self):
        client = self.client(1)
        for n in range(129):
            client.call(WATCH, f"data/{n}", f"token {n}")
        self.refused("E2BIG", client.call, WATCH, "data/more", "token")
        self.refused("E2BIG", self.client(1).call, WATCH, "data/more", "token")
        self.client(2).call(WATCH, "data/more", "token")

    def test_nodes(self):
        client = self.client(1)
        with self.assertRaises(StoreError) as caught:
            for n in range(1100):
                client.call(MKDIR, f"data/{n // 100}/{n % 100}")  # names of children count towards a node's size
        self.assertEqual(str(caught.exception), "ENOSPC")
        self.assertGreater(n, 970)  # nodes between, and those that the toolstack gave it, count too
        client.call(RM, "data/1/1")
        client.call(MKDIR, "data/1/another")

    def test_size_of_a_node(self):
        client = self.client(1)
        client.write("data/big", "x" * 1900)
        self.refused("ENOSPC", client.write, "data/big", "x" * 2100)


class Clients(Store):
    """Several clients of one domain over its one ring, as with Linux's xenbus device node."""

    def test_answers_and_events_go_to_who_asked(self):
        clients = [self.client(1) for _ in range(20)]
        for n, client in enumerate(clients):
            client.call(WATCH, "data/shared", f"token {n}")
            self.assertEqual(client.next_event(), ["data/shared", f"token {n}"])
            client.write(f"data/of-{n}", str(n))
        for n, client in enumerate(clients):
            client.send(READ, f"data/of-{n}", request=n)  # all at once
        for n, client in enumerate(clients):
            kind, request, _, payload = client.receive()
            self.assertEqual((kind, request, payload), (READ, n, str(n).encode()))
        clients[0].write("data/shared", "changed")
        for n, client in enumerate(clients):
            self.assertEqual(client.next_event(), ["data/shared", f"token {n}"])

    def test_a_transaction_of_another_client_is_none(self):
        one, other = self.client(1), self.client(1)
        number = one.start()
        self.refused("ENOENT", other.call, READ, "domid", transaction=number)
        self.assertEqual(one.call(READ, "domid", transaction=number), "1")

    def test_what_a_client_leaves_behind_is_cleaned_up(self):
        for _ in range(3):
            client = StoreClient(self.xen.rundir / "dom1/xenbus")
            for n in range(10):
                client.start()
            for n in range(100):
                client.call(WATCH, f"data/{n}", "t")
            client.close()
        client = self.client(1)
        for n in range(10):
            client.start()
        for n in range(120):
            client.call(WATCH, f"data/{n}", "t")

    def test_a_killed_program_leaves_no_watch_behind(self):
        watch = self.xen.start("dom1", "xenstore-watch", *(f"data/{n}" for n in range(100)))
        watch.wait_output(r"(?:.*\n){100}")
        watch.kill()
        again = self.xen.start("dom1", "xenstore-watch", *(f"data/{n}" for n in range(100)))
        again.wait_output(r"(?:.*\n){100}")
        again.kill()

    def test_garbage_ends_only_its_sender(self):
        good, bad = self.client(1), self.client(1)
        bad.send_raw(HEADER.pack(READ, 1, 0, 0xFFFFFFFF) + b"x" * 100)
        with self.assertRaises(ConnectionError):
            while True:
                bad.receive()
        self.assertEqual(good.call(READ, "domid"), "1")
        self.assertEqual(self.client(1).call(READ, "domid"), "1")


class Death(Store):
    def watch_release(self):
        client = self.client(0)
        client.call(WATCH, "@releaseDomain", "gone")
        client.next_event()
        return client

    def check_gone(self, client):
        self.assertEqual(client.next_event(), ["@releaseDomain", "gone"])
        self.xen.wait_store(0, "/local/domain/1/name", lambda name: name is None)
        self.assertEqual([domain["domid"] for domain in self.xen.list()], [0, 2])
        self.refused("ENOENT", client.call, DIRECTORY, "/local/domain/1")

    def test_destroying_a_domain_fires_release_domain(self):
        client = self.watch_release()
        self.xen.destroy(1)
        self.check_gone(client)

    def test_killing_its_kernel_fires_release_domain(self):
        client = self.watch_release()
        os.kill(self.kernels()[0], signal.SIGKILL)
        self.check_gone(client)

    def kernels(self):
        """The pids of the guests' kernels, oldest first."""
        found = []
        for pid in survivors():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name, _, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")
                if name.endswith("(xenemu-guest"):
                    found.append((int(rest.split()[19]), pid))  # proc(5): starttime
        return [pid for _, pid in sorted(found)]
