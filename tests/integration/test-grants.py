# SPDX-License-Identifier: LGPL-2.1-or-later
"""Grants and event channels between domains, through the drop-in libraries, with the errors that Xen and Linux give."""

import contextlib
import signal

from harness import Emulation, TestCase, wait_until
from xenagent import Agent, Refused

A, B, C = 1, 2, 3


class TwoDomains(TestCase):
    """Domains A and B with an agent each, and C for a third party."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.xen = stack.enter_context(Emulation(domains=3))
        self.a, self.b, self.c = (stack.enter_context(Agent(self.xen, domid)) for domid in (A, B, C))

    def refused(self, errno, function, *arguments):
        with self.assertRaises(Refused, msg=f"expected {errno}") as caught:
            function(*arguments)
        self.assertEqual(str(caught.exception), errno)

    def use(self, domid):
        return next(domain for domain in self.xen.list() if domain["domid"] == domid)


class Grants(TwoDomains):
    def test_pages_map_contiguously_in_any_order_and_carry_data_both_ways(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        region, refs = self.a.share(shr, B, 17)
        single, more = self.a.share(shr, B, 1)
        mapped = self.b.map_refs(tab, [A] * 18, [*reversed(refs), *more])
        for page in range(17):
            self.a.poke(region, page * 4096 + page, f"page {page:2}")
        self.a.poke(single, 4095, "!")
        for page in range(17):
            self.assertEqual(self.b.peek(mapped, (16 - page) * 4096 + page, 7), f"page {page:2}")
        self.assertEqual(self.b.peek(mapped, 18 * 4096 - 1), "!")
        self.b.poke(mapped, 0, "back")
        self.assertEqual(self.a.peek(region, 16 * 4096, 4), "back")

    def test_more_pages_than_one_request_takes(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        region, refs = self.a.share(shr, B, 1000)
        mapped = self.b.map_refs(tab, [A] * 1000, refs)
        self.a.poke(region, 999 * 4096, "last")
        self.assertEqual(self.b.peek(mapped, 999 * 4096, 4), "last")
        self.b.unmap(mapped)
        self.assertEqual(self.use(B)["maptrack"]["used"], 0)

    def test_only_the_named_grantee_can_map(self):
        shr = self.a.open_handle("gntshr")
        _, refs = self.a.share(shr, B, 1)
        self.refused("EINVAL", self.c.map_refs, self.c.open_handle("gnttab"), [A], refs)
        self.b.map_refs(self.b.open_handle("gnttab"), [A], refs)

    def test_one_bad_page_refuses_the_whole_map(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        _, refs = self.a.share(shr, B, 200)
        self.refused("EINVAL", self.b.map_refs, tab, [A] * 201, [*refs, 9999])
        self.assertEqual(self.use(B)["maptrack"]["used"], 0)

    def test_stale_foreign_and_impossible_references(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        region, refs = self.a.share(shr, B, 1)
        self.a.unshare(region)
        for domid, ref in ((A, refs[0]), (A, 0), (A, 2**31), (C, 8), (77, 8), (0x7FF0, 8), (2**32 - 1, 8)):
            with self.subTest(domid=domid, ref=ref):
                self.refused("EINVAL", self.b.map_refs, tab, [domid], [ref])

    def test_a_page_lives_while_mapped_and_its_reference_ends_with_the_last_unmap(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        region, refs = self.a.share(shr, B, 1)
        self.a.poke(region, 0, "still here")
        mapped = self.b.map_refs(tab, [A], refs)
        self.a.unshare(region)
        self.assertEqual(self.b.peek(mapped, 0, 10), "still here")
        again = self.b.map_refs(tab, [A], refs)  # as in Xen: an entry in use cannot be taken back
        self.b.unmap(mapped)
        self.b.unmap(again)
        self.refused("EINVAL", self.b.map_refs, tab, [A], refs)

    def test_a_page_granted_for_reading_cannot_be_written(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        region, refs = self.a.share(shr, B, 1, False)
        self.refused("EINVAL", self.b.map_refs, tab, [A], refs, True)
        mapped = self.b.map_refs(tab, [A], refs, False)
        self.a.poke(region, 0, "read me")
        self.assertEqual(self.b.peek(mapped, 0, 7), "read me")
        self.refused("EACCES", self.b.make_writable, mapped)
        self.assertEqual(self.b.dies_of_writing(mapped), signal.SIGSEGV)

    def test_unmapping_takes_the_start_and_the_whole_of_a_mapping(self):
        shr, tab = self.a.open_handle("gntshr"), self.b.open_handle("gnttab")
        _, refs = self.a.share(shr, B, 2)
        mapped = self.b.map_refs(tab, [A, A], refs)
        self.refused("EINVAL", self.b.unmap, mapped, 1)
        self.b.unmap(mapped)

    def test_gntalloc_gives_a_domain_1024_pages(self):
        shr = self.a.open_handle("gntshr")
        self.a.share(shr, B, 1000)
        self.refused("ENOSPC", self.a.share, shr, B, 25)
        region, _ = self.a.share(shr, B, 24)
        self.refused("ENOSPC", self.a.share, self.a.open_handle("gntshr"), B, 1)
        self.a.unshare(region)
        self.a.share(shr, B, 24)


class Limits(TestCase):
    def test_limits_can_be_set_for_all_and_for_one(self):
        with Emulation(domains=1, arguments=["--limit", "shared-pages=4", "--limit", "ports=3"]) as xen:
            other = xen.create("--limit", "maptrack=2", "--limit", "handles=5")
            with Agent(xen, 1) as one, Agent(xen, other) as two:
                shr = one.open_handle("gntshr")
                _, refs = one.share(shr, other, 4)
                with self.assertRaisesRegex(Refused, "ENOSPC"):
                    one.share(shr, other, 1)
                events = one.open_handle("evtchn")
                one.alloc_unbound(events, other)  # the store's is the first of three
                one.alloc_unbound(events, other)
                with self.assertRaisesRegex(Refused, "ENOSPC"):
                    one.alloc_unbound(events, other)
                tab = two.open_handle("gnttab")
                with self.assertRaisesRegex(Refused, "EINVAL"):
                    two.map_refs(tab, [1] * 3, refs[:3])
                two.map_refs(tab, [1] * 2, refs[:2])
                for _ in range(4):
                    two.open_handle("evtchn")
                with self.assertRaisesRegex(Refused, "EMFILE"):
                    two.open_handle("evtchn")
            self.assertEqual(next(d for d in xen.list() if d["domid"] == 1)["ports"]["limit"], 3)


class Events(TwoDomains):
    def connect(self):
        """Returns A's handle and port and B's."""
        a, b = self.a.open_handle("evtchn"), self.b.open_handle("evtchn")
        port = self.a.alloc_unbound(a, B)
        bound = self.b.bind_interdomain(b, A, port)
        self.assertEqual(self.b.pending(b, 10), bound)  # Xen sets one when an end is bound
        self.b.unmask(b, bound)
        return a, port, b, bound

    def test_an_event_arrives_once_and_the_next_after_unmasking(self):
        a, port, b, bound = self.connect()
        self.a.notify(a, port)
        self.assertEqual(self.b.pending(b, 10), bound)
        self.a.notify(a, port)
        self.a.notify(a, port)
        self.assertEqual(self.b.pending(b, 0.1), 0)
        self.b.unmask(b, bound)
        self.assertEqual(self.b.pending(b, 10), bound)
        self.b.unmask(b, bound)
        self.assertEqual(self.b.pending(b, 0.1), 0)
        self.b.notify(b, bound)
        self.assertEqual(self.a.pending(a, 10), port)

    def test_who_may_bind(self):
        a, b, c = (agent.open_handle("evtchn") for agent in (self.a, self.b, self.c))
        port = self.a.alloc_unbound(a, B)
        self.refused("EINVAL", self.c.bind_interdomain, c, A, port)
        self.refused("EINVAL", self.b.bind_interdomain, b, A, port + 1)
        self.refused("ESRCH", self.b.bind_interdomain, b, 77, port)
        self.b.bind_interdomain(b, A, port)
        self.refused("EINVAL", self.b.bind_interdomain, b, A, port)

    def test_a_closed_port_is_not_connected(self):
        a, port, b, bound = self.connect()
        self.b.unbind(b, bound)
        self.refused("ENOTCONN", self.b.notify, b, bound)
        self.refused("ENOTCONN", self.b.unbind, b, bound)
        self.a.notify(a, port)  # the other end is unbound again: Xen drops the event
        again = self.b.bind_interdomain(b, A, port)
        self.assertEqual(self.b.pending(b, 10), again)
        self.b.unmask(b, again)
        self.a.notify(a, port)
        self.assertEqual(self.b.pending(b, 10), again)

    def test_a_port_belongs_to_the_handle_that_bound_it(self):
        a, port, b, bound = self.connect()
        self.refused("ENOTCONN", self.a.notify, self.a.open_handle("evtchn"), port)
        self.refused("ENOTCONN", self.a.unbind, self.a.open_handle("evtchn"), port)

    def test_a_virtual_interrupt_is_bound_once(self):
        a = self.a.open_handle("evtchn")
        self.a.bind_virq(a, 0)
        self.refused("EEXIST", self.a.bind_virq, a, 0)
        self.refused("EINVAL", self.a.bind_virq, a, 24)


class Death(TwoDomains):
    """However B ends, A finds the byte cleared and the event sent, and B's grants and ports gone."""

    def prepare(self):
        """B maps a page of A's and shares one of its own, each with a notification."""
        a, b = self.a.open_handle("evtchn"), self.b.open_handle("evtchn")
        self.ports = [self.a.alloc_unbound(a, B) for _ in range(2)]
        bound = [self.b.bind_interdomain(b, A, port) for port in self.ports]

        self.a_shr, self.a_tab = self.a.open_handle("gntshr"), self.a.open_handle("gnttab")
        self.page, refs = self.a.share(self.a_shr, B, 1)
        self.a.poke(self.page, 0, "live")
        self.b.map_notify(self.b.open_handle("gnttab"), A, refs[0], 2, bound[0])

        shared, self.ref = self.b.share_notify(self.b.open_handle("gntshr"), A, 1, bound[1])
        self.b.poke(shared, 0, "LIVE")
        self.b_page = self.a.map_refs(self.a_tab, [B], [self.ref])
        self.a_events = a

    def check(self):
        self.assertEqual({self.a.pending(self.a_events, 10) for _ in self.ports}, set(self.ports))
        self.assertEqual(self.a.peek(self.page, 0, 4), "li\0e")
        self.assertEqual(self.a.peek(self.b_page, 0, 4), "L\0VE")
        for port in self.ports:
            self.a.unmask(self.a_events, port)
            self.a.notify(self.a_events, port)  # dropped
        self.a.unmap(self.b_page)
        self.refused("EINVAL", self.a.map_refs, self.a_tab, [B], [self.ref])

    def check_domain_has_nothing(self):
        """But for the store's port and page. A process that dies closes its descriptors one after the other, in the kernel's order."""

        def used():
            b = self.use(B)
            return {what: b[what]["used"] for what in ("handles", "ports", "shared_pages", "grants", "maptrack")}

        nothing = {"handles": 0, "ports": 1, "shared_pages": 0, "grants": 1, "maptrack": 0}
        wait_until(lambda: used() == nothing, lambda: f"{nothing} in place of {used()}")

    def test_a_program_that_exits(self):
        self.prepare()
        self.b.leave()
        self.check()
        self.check_domain_has_nothing()

    def test_a_program_that_is_killed(self):
        self.prepare()
        self.xen.run(B, "kill", "-KILL", str(self.b.call("pid")))
        self.check()
        self.check_domain_has_nothing()

    def test_a_domain_that_is_destroyed(self):
        self.prepare()
        self.xen.destroy(B)
        self.check()
        self.assertNotIn(B, [domain["domid"] for domain in self.xen.list()])

    def test_a_dead_domain_keeps_its_number_while_its_page_is_mapped(self):
        self.prepare()
        self.xen.destroy(B)
        self.assertEqual(self.use(B)["state"], "dying")
        self.assertEqual(self.a.peek(self.b_page, 0, 4), "L\0VE")
        self.refused("EINVAL", self.a.map_refs, self.a_tab, [B], [self.ref])
        self.a.unmap(self.b_page)
        self.assertNotIn(B, [domain["domid"] for domain in self.xen.list()])
