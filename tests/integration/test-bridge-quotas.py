# SPDX-License-Identifier: LGPL-2.1-or-later
"""What links take of a guest's quotas in Xen: docs/bridge-protocol.md, "Setting up a link", says as much and no more."""

import contextlib
import signal

from bridgecase import BRIDGE, ECHO, BridgeCase
from dbuswire import CALL
from harness import wait_until
from xsclient import DIRECTORY, WATCH, StoreClient, StoreError

PAGES = 33  # granted by a link's server: 16 for each direction, and one
NODES = {1: 1 + 6 + 2, 2: 1 + 6 + 5}  # of all links; of that to domain 0, as its server; of that of the two, as its client and its server
TRANSACTIONS = 11  # of a guest at once: xenstored 4.17 counts one more than the 10 that it is told


class Quotas(BridgeCase):
    """Domain 2 is the server of its link to domain 1, and domain 1 the client; both are servers of theirs to domain 0."""

    domains = 2

    def start_bridge(self, domain):
        self.policy_file(domain).write_text(self.policy)
        others = [] if domain == 0 else ["--link", str(3 - domain)]
        bridge = self.xen.start_ready(domain, BRIDGE, "--policy", self.policy_file(domain), *others)
        self.addCleanup(self.show_log, domain, bridge)
        self.addCleanup(self.end, bridge)
        self.bridges[domain] = bridge

    def setUp(self):
        super().setUp()
        self.wait_link(2, at=1)
        self.wait_link(1, at=2)

    def stop(self, domain):
        self.bridges[domain].signal(signal.SIGTERM)
        self.assertEqual(self.bridges[domain].wait().status, 0)

    def store(self, domain):
        return StoreClient(self.xen.rundir / f"dom{domain}/xenbus")

    def nodes(self, client, path):
        """How many there are at and below a path."""
        try:
            names = client.call(DIRECTORY, path)
        except StoreError:
            return 0
        return 1 + sum(self.nodes(client, f"{path}/{name}") for name in names.split("\0") if name)

    def used(self, domain):
        """Of a guest's quotas: granted pages, event channels, nodes, and how many watches somebody else could still have."""
        xen = next(d for d in self.xen.list() if d["domid"] == domain)
        with self.store(domain) as client:
            nodes, watches = self.nodes(client, "data/xcp-bridge"), 0
            with contextlib.suppress(StoreError):
                while True:
                    client.call(WATCH, f"data/none-{watches}", "token")
                    watches += 1
        return {"pages": xen["shared_pages"]["used"], "channels": xen["ports"]["used"], "nodes": nodes, "watches": -watches}

    def test_what_a_guest_has_taken(self):
        with_links = {domain: self.used(domain) for domain in (1, 2)}
        for domain in (1, 2):
            self.stop(domain)
        for domain, pages in ((1, PAGES), (2, 2 * PAGES)):
            expected = {"pages": pages, "channels": 2, "watches": 2, "nodes": NODES[domain]}

            def taken():
                without = self.used(domain)
                self.assertLessEqual(without["nodes"], 1, "what is left of it in the store")
                return {kind: with_links[domain][kind] - (without[kind] if kind != "nodes" else 0) for kind in without}

            # Pages are given back when the other end has let go of them too.
            wait_until(lambda: taken() == expected, lambda: f"{expected} to have been taken by domain {domain}, not {taken()}")

    def test_one_transaction_is_enough(self):
        with self.store(2) as client:
            started = [client.start() for _ in range(TRANSACTIONS - 1)]
            epoch = self.link_property(2, "Epoch")
            self.bus(0).call("org.xen.xcp.bridge", "/org/xen/xcp/bridge/link/2", "org.xen.xcp.bridge1.Link", "Reconnect")
            wait_until(lambda: self.link_property(2, "Epoch") != epoch, "a new link")
            self.wait_link(2)
            started.append(client.start())  # and it is free again
            with self.assertRaises(StoreError):
                client.start()

    def test_a_direct_link_does_without_domain_0(self):
        service = self.service(2, lambda bus, call: call.type == CALL and bus.answer_to(call, "s", call.sender))
        bus = self.bus(1)

        def is_direct():
            owner = bus.owner(ECHO)
            return owner and bus.call("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "GetConnectionDomain", "s", owner)[0] == 2

        wait_until(is_direct, "the name to come over the link of the two, though domain 0 may have been faster")
        owner = bus.owner(ECHO)
        ghost, = bus.call(ECHO, "/", ECHO, "Echo")
        where = bus.call("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "GetConnectionDomain", "s", owner)
        self.assertEqual((where[0], where[3]), (2, service.bus.unique))
        where = self.bus(2).call("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "GetConnectionDomain", "s", ghost)
        self.assertEqual((where[0], where[3]), (1, bus.unique))
        self.stop(0)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo"), (ghost,))
