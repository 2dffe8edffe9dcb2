# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bridges, buses and domains that end while calls wait, and are there again."""

import os
import pathlib
import signal

from dbuswire import ERROR, Bus
from harness import wait_until
from linkcase import ECHO, MANAGER, NO_ANSWER, LinkCase


class Deaths(LinkCase):
    def outstanding(self, n=3):
        """Calls from domain 0 that a service in domain 1 does not answer."""
        service = self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serials = [bus.call_async(ECHO, "/", ECHO, "Silent") for _ in range(n)]
        wait_until(lambda: len(service.calls) == n, "the calls to arrive")
        return bus, serials, service

    def assert_all_fail(self, bus, serials):
        for serial in serials:
            reply = bus.reply_to(serial)
            self.assertEqual((reply.type, reply.error), (ERROR, NO_ANSWER))

    def test_domain_destroyed(self):
        bus, serials, _ = self.outstanding()
        self.xen.destroy(1)
        self.assert_all_fail(bus, serials)
        self.wait_name(0, there=False)
        with Bus(self.path(0)) as other:
            wait_until(lambda: "link/1" not in str(other.call(MANAGER[0], MANAGER[1], "org.freedesktop.DBus.ObjectManager",
                                                              "GetManagedObjects")), "the link to go")

    def test_service_dies(self):
        bus, serials, service = self.outstanding()
        service.close()
        self.assert_all_fail(bus, serials)

    def kill_process_of(self, domain):
        """Kills the bridge's process for the link, as it runs in that domain."""
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and b"--peer" in self.cmdline(p) and
                str(self.directory(domain)).encode() in self.cmdline(p)]
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)

    def cmdline(self, pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return b""

    def test_bridge_killed_on_either_side(self):
        for side in (0, 1):
            with self.subTest(side=side):
                bus, serials, service = self.outstanding()
                epoch = self.link_property(1, "Epoch")
                self.kill_process_of(side)
                self.assert_all_fail(bus, serials)
                wait_until(lambda: self.is_up(1) and self.link_property(1, "Epoch") > epoch, "a new link")
                self.wait_name(0)
                self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))
                self.assertEqual([call.member for call in service.calls], ["Silent"] * 3 + ["Echo"])  # nothing came twice
                service.close()
                self.wait_name(0, there=False)

    def test_hub_killed_and_started_again(self):
        for side in (0, 1):
            with self.subTest(side=side):
                bus, serials, service = self.outstanding()
                epoch = self.link_property(1, "Epoch")
                self.bridges[side].kill()
                self.assert_all_fail(bus, serials)
                self.start_bridge(side)
                wait_until(lambda: self.is_up(1) and self.link_property(1, "Epoch") != epoch, "a new link")
                self.wait_name(0)
                self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))
                service.close()
                self.wait_name(0, there=False)

    def test_a_domain_that_gets_the_id_of_another_inherits_nothing(self):
        bus, serials, _ = self.outstanding()
        ghost = bus.owner(ECHO)
        self.xen.destroy(1)
        self.assert_all_fail(bus, serials)
        again = self.xen.create("--name", "again")
        self.bring_up(again)
        self.wait_link(again)
        self.assertIsNone(bus.owner(ECHO))
        self.service(again)
        self.assertNotEqual(self.wait_name(0), ghost)
        self.assertEqual(bus.call(*MANAGER, "GetConnectionDomain", "s", ECHO)[0], again)

    def test_reconnect_on_request(self):
        bus, serials, _ = self.outstanding()
        epoch = self.link_property(1, "Epoch")
        bus.call(MANAGER[0], self.link(1), "org.xen.xcp.bridge1.Link", "Reconnect")
        self.assert_all_fail(bus, serials)
        wait_until(lambda: self.link_property(1, "Epoch") != epoch, "a new link")
        self.wait_link(1)
        self.wait_name(0)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))


class DeathsOnDbusBroker(Deaths):
    broker = "dbus-broker"
