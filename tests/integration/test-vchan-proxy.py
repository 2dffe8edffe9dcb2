# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libxenvchan program that no one here wrote: Debian's vchan-socket-proxy carries streams between two domains."""

import contextlib
import pathlib
import signal
import sys

from harness import Emulation, TestCase, wait_until

# libxenvchan leaves `blocking` as malloc(3) gave it. What it gives is zeroes with this (mallopt(3), M_PERTURB: the complement of the
# byte); with others, as in `meson test`, both proxies may write into full rings at once and wait for each other for ever. The cache of
# each thread gives memory back as it was, so it is switched off.
PROXY = ("env", "MALLOC_PERTURB_=255", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0", "/usr/lib/xen-4.17/bin/vchan-socket-proxy")
PEER = pathlib.Path(__file__).with_name("socket-peer.py")
MIB = 1 << 20


class VchanSocketProxy(TestCase):
    """The server's end in dom1, the client's in dom2. Their sockets are in /tmp, which each domain has for itself."""

    deadline = 600

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.xen = stack.enter_context(Emulation(domains=2))
        self.stack = stack

    def start(self, domain, *argv):
        return self.stack.enter_context(self.xen.start(domain, *argv))

    def proxies(self):
        server = self.start("dom1", *PROXY, "-m", "server", "-s", "data/server", "2", "data/vchan/2/1", "/tmp/server")
        self.xen.wait_store(0, "/local/domain/1/data/server", lambda state: state == "running")
        client = self.start("dom2", *PROXY, "-m", "client", "-s", "data/client", "1", "/local/domain/1/data/vchan/2/1", "/tmp/client")
        self.xen.wait_store(0, "/local/domain/2/data/client", lambda state: state == "running")
        return server, client

    def serve(self, size):
        peer = self.start("dom1", sys.executable, PEER, "serve", "/tmp/server", size, 1)
        peer.wait_output("listening")
        return peer

    def connect(self, size, seed):
        return self.xen.run("dom2", sys.executable, PEER, "connect", "/tmp/client", size, seed, deadline=400).stdout.split()

    def pages_in_use(self):
        return {domain["name"]: (domain["shared_pages"]["used"], domain["maptrack"]["used"]) for domain in self.xen.list()}

    def test_100_mib_both_ways_arrive_whole(self):
        peer = self.serve(100 * MIB)
        self.proxies()
        _, sent, _, received = self.connect(100 * MIB, 2)
        match = peer.wait_output("sent (.*) received (.*)")
        self.assertEqual((match[1], match[2]), (received, sent))
        self.assertNotEqual(sent, received)

    def test_one_connection_after_another(self):
        peer = self.serve(MIB)
        self.proxies()
        for n in range(5):
            _, sent, _, received = self.connect(MIB, 10 + n)
            match = peer.wait_output(rf"(?s)(?:closed.*){{{n}}}sent (\S+) received (\S+)\nclosed")
            self.assertEqual((match[1], match[2]), (received, sent))

    def test_the_client_killed_in_the_middle(self):
        peer = self.serve(1000 * MIB)
        _, client = self.proxies()
        victim = self.start("dom2", sys.executable, PEER, "connect", "/tmp/client", 1000 * MIB, 3)
        peer.wait_output("connected")
        self.assertGreater(self.pages_in_use()["dom2"][1], 0)
        client.signal(signal.SIGKILL)
        peer.wait_output("lost: (closed with|.*reset by peer|.*Broken pipe)")
        victim.wait()
        wait_until(lambda: self.pages_in_use()["dom2"] == (0, 0), "the client's mappings to end")

    def test_the_server_killed_in_the_middle(self):
        self.serve(1000 * MIB)
        server, client = self.proxies()
        victim = self.start("dom2", sys.executable, PEER, "connect", "/tmp/client", 1000 * MIB, 3)
        wait_until(lambda: self.pages_in_use()["dom2"][1] > 0, "the client to connect")
        server.signal(signal.SIGKILL)
        self.assertRegex(victim.wait().stderr, "closed with|reset by peer|Broken pipe")
        wait_until(lambda: self.pages_in_use()["dom1"] == (0, 0), "the server's shares to end")

    def test_the_servers_domain_destroyed_in_the_middle(self):
        self.serve(1000 * MIB)
        self.proxies()
        victim = self.start("dom2", sys.executable, PEER, "connect", "/tmp/client", 1000 * MIB, 3)
        wait_until(lambda: self.pages_in_use()["dom2"][1] > 0, "the client to connect")
        self.xen.destroy("dom1")
        self.assertRegex(victim.wait().stderr, "closed with|reset by peer|Broken pipe")
        wait_until(lambda: len(self.xen.list()) == 2, "the dead domain's last page to be unmapped")
