# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bridge: buses of several domains, joined."""

import os
import pathlib
import signal
import sys
import threading

from bridgecase import echo
from dbuswire import CALL, ERROR, NO_AUTO_START, NO_REPLY, RETURN, SIGNAL, Bus, CallFailed, Service
from harness import Emulation, TestCase, build_directory, run, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = build_directory()
BRIDGE = BUILD / "bridge/xcp-bridge"
BUS_RUN = BUILD / "bus/xcp-bus-run"
EXAMPLE = BUILD / "services/example/xcp-example"

MANAGER = ("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager")
PROPERTIES = "org.freedesktop.DBus.Properties"
ECHO = "org.example.Echo"
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNKNOWN = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")  # what brokers say
NO_ANSWER = "org.freedesktop.DBus.Error.NoReply"

POLICY = """\
allow in call org.example.* from any
allow in call unnamed interface org.example.Agent from any
allow in signal org.example.* from any
allow out call org.example.* to any
allow out call unnamed interface org.example.Agent to any
allow out signal org.example.* to any
allow own org.example.* by any
"""
ALLOW_EXAMPLE = """\
allow in any org.xen.xcp.example from any
allow out any org.xen.xcp.example to any
allow own org.xen.xcp.example by any
"""


def start_ready(xen, domain, *argv):
    """Starts a program with --ready-fd, and returns it when it is ready."""
    reader, writer = os.pipe()
    process = xen.start(domain, *argv, "--ready-fd", "0", stdin=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as ready:
        if ready.read(1) != b"\n":
            raise AssertionError(f"did not become ready: {process.wait()}")
    return process


class BridgeTest(TestCase):
    """Domains 0, 1 and, if domains is 2, 2: each with a bus and a bridge. Clients and services are threads of the test."""

    deadline = 120
    domains = 1
    broker = "dbus-daemon"
    policy = POLICY

    def setUp(self):
        self.xen = self.enterContext(Emulation(domains=self.domains))
        self.buses, self.bridges = {}, {}
        for domain in range(self.domains + 1):
            self.bring_up(domain)
        for domain in range(1, self.domains + 1):
            self.wait_link(domain)

    def bring_up(self, domain):
        self.start_bus(domain)
        self.start_bridge(domain)

    def policy_of(self, domain):
        return self.policy

    def start_bus(self, domain):
        policies = self.directory(domain) / "bus.d"
        policies.mkdir(mode=0o755, exist_ok=True)
        (policies / "test.policy").write_text("allow own org.example.* to owner domains\n")
        bus = start_ready(self.xen, domain, BUS_RUN, "--broker", self.broker)
        self.addCleanup(bus.kill)
        self.buses[domain] = bus

    def directory(self, domain):
        return self.xen.rundir / f"dom{domain}"

    def write_policy(self, domain, text):
        (self.directory(domain) / "test.policy").write_text(text)

    def show_log(self, domain, bridge):
        """Of a test that failed, what the bridge had to say."""
        if getattr(self._outcome.result, "_errors", None):
            print(f"--- bridge of domain {domain}\n{bridge.stderr[-3000:]}", file=sys.stderr)

    def start_bridge(self, domain, *arguments):
        self.write_policy(domain, self.policy_of(domain))
        bridge = start_ready(self.xen, domain, BRIDGE, "--policy", self.directory(domain) / "test.policy", *arguments)
        self.addCleanup(self.show_log, domain, bridge)
        self.addCleanup(self.end, bridge)
        self.bridges[domain] = bridge

    def end(self, bridge):
        """Ends it as it should be ended, and sees that nothing that a sanitizer complains of has happened all the time."""
        if bridge.running():
            bridge.signal(signal.SIGTERM)
            status = bridge.wait(deadline=10).status
            self.assertIn(status, (0, 137))  # 137: its domain was destroyed meanwhile
        self.assertNotRegex(bridge.stderr, "Sanitizer|runtime error")

    def path(self, domain):
        return self.directory(domain) / "bus"

    def bus(self, domain):
        bus = Bus(self.path(domain))
        self.addCleanup(bus.close)
        return bus

    def service(self, domain, name=ECHO, handle=echo):
        service = Service(self.path(domain), name, handle)
        self.addCleanup(service.close)
        return service

    def link(self, domain, at=0):
        return f"/org/xen/xcp/bridge/link/{domain}"

    def link_property(self, domain, name, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], self.link(domain), PROPERTIES, "Get", "ss", "org.xen.xcp.bridge1.Link", name)[0][1]

    def counters(self, domain, at=0):
        with Bus(self.path(at)) as bus:
            return bus.call(MANAGER[0], self.link(domain), "org.xen.xcp.bridge1.Link", "GetCounters")[0]

    def is_up(self, domain, at=0):
        try:
            return self.link_property(domain, "State", at) == "Up"
        except CallFailed:
            return False

    def wait_link(self, domain, at=0):
        wait_until(lambda: self.is_up(domain, at), f"the link of domain {at} to domain {domain}", deadline=20)

    def wait_name(self, domain, name=ECHO, there=True):
        """Waits until the name has an owner on the domain's bus, or none; returns the owner."""
        bus = Bus(self.path(domain))
        self.addCleanup(bus.close)
        wait_until(lambda: (bus.owner(name) is not None) == there, f"{name} to {'come to' if there else 'leave'} domain {domain}", deadline=20)
        return bus.owner(name)

    def error(self, call, *arguments, **options):
        with self.assertRaises(CallFailed) as caught:
            call(*arguments, **options)
        return caught.exception


class Calls(BridgeTest):
    def test_both_ways(self):
        for here, there in ((0, 1), (1, 0)):
            with self.subTest(here=here):
                service = self.service(there)
                self.wait_name(here)
                bus = self.bus(here)
                self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "sas", "hello", ["a", "b"]), ("hello", ["a", "b"]))
                self.assertEqual(bus.call(ECHO, "/", "org.freedesktop.DBus.Introspectable", "Introspect")[0][:6], "<node>")
                self.assertEqual(service.calls[0].destination, ECHO)
                service.close()
                self.wait_name(here, there=False)

    def test_errors_come_as_they_are(self):
        self.service(1)
        self.wait_name(0)
        failed = self.error(self.bus(0).call, ECHO, "/", ECHO, "Fail")
        self.assertEqual((failed.name, failed.text), ("org.example.Error.Failed", "as you asked"))

    def test_big_endian_messages_pass(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serial = bus.call_async(ECHO, "/", ECHO, "Echo", "xs", -5, "hello", big_endian=True)
        self.assertEqual(bus.answer(serial), (-5, "hello"))

    def test_a_call_without_reply_is_delivered_and_not_answered(self):
        service = self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        bus.call_async(ECHO, "/", ECHO, "Echo", "s", "quiet", flags=NO_REPLY)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "loud"), ("loud",))
        self.assertEqual([call.body for call in service.calls], [("quiet",), ("loud",)])
        self.assertEqual(bus.queue and [m for m in bus.queue if m.type in (RETURN, ERROR)], [])

    def test_order_is_kept_and_each_answer_comes_once(self):
        service = self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serials = [bus.call_async(ECHO, "/", ECHO, "Echo", "u", number) for number in range(500)]
        for number, serial in enumerate(serials):
            self.assertEqual(bus.answer(serial), (number,))
        self.assertEqual([call.body[0] for call in service.calls], list(range(500)))
        bus.call(ECHO, "/", ECHO, "Echo")
        self.assertEqual([m for m in bus.queue if m.type in (RETURN, ERROR)], [])

    def test_clients_at_the_same_time(self):
        service = self.service(1)
        self.wait_name(0)
        wrong = []

        def client(number):
            with Bus(self.path(0)) as bus:
                for i in range(100):
                    if bus.call(ECHO, "/", ECHO, "Echo", "uu", number, i) != (number, i):
                        wrong.append((number, i))

        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(len({call.sender for call in service.calls}), 4)  # each of them is somebody there
        self.assertEqual(len(service.calls), 400)

    def test_callers_come_and_go(self):
        service = self.service(1)
        self.wait_name(0)
        watcher = self.bus(1)
        watcher.match("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'")
        client = self.bus(0)
        client.call(ECHO, "/", ECHO, "Echo")
        ghost = service.calls[0].sender
        domain = watcher.call(*MANAGER, "GetConnectionDomain", "s", ghost)
        self.assertEqual((domain[0], domain[3]), (0, client.unique))
        client.close()
        gone = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ghost and not m.body[2], "the end of the ghost")
        self.assertEqual(gone.body, (ghost, ghost, ""))

    def test_who_has_left_before_he_was_known_is_not_kept(self):
        service = self.service(1)
        self.wait_name(0)
        for number in range(50):
            with Bus(self.path(0)) as bus:
                bus.call_async(ECHO, "/", ECHO, "Echo", "u", number, flags=NO_REPLY)
        wait_until(lambda: len(service.calls) == 50, lambda: f"50 calls: there are {len(service.calls)}")
        wait_until(lambda: self.counters(1)["peers.local"] == 0 and self.counters(0, at=1)["peers"] == 0, "the callers to be forgotten")

    def test_where_a_name_is(self):
        service = self.service(1)
        owner = self.wait_name(0)
        uuid = next(d["uuid"] for d in self.xen.list() if d["domid"] == 1)
        bus = self.bus(0)
        for name in (ECHO, owner):
            domain, found, epoch, remote = bus.call(*MANAGER, "GetConnectionDomain", "s", name)
            self.assertEqual((domain, found, remote), (1, uuid, service.bus.unique))
            self.assertEqual(epoch, self.link_property(1, "Epoch"))
        self.assertEqual(bus.call(*MANAGER, "GetConnectionDomain", "s", bus.unique)[0::2], (0, 0))
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", ECHO), (1, True))
        self.assertEqual(self.error(bus.call, *MANAGER, "GetServiceDomain", "s", "org.example.None").name, "org.xen.xcp.Error.DoesNotExist")
        self.assertEqual(self.link_property(1, "Names"), [ECHO])

    def test_an_agent_is_called_back(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        serial = bus.call_async(ECHO, "/", ECHO, "CallMeBack")
        asked = bus.receive(lambda m: m.type == CALL and m.member == "Ask", "the question")
        bus.answer_to(asked, "s", "that")
        self.assertEqual(bus.answer(serial), ("that",))

    def test_the_bus_of_another_domain_cannot_be_called(self):
        self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        for member in ("ListNames", "Hello", "GetId"):
            # Answered by this bus, whoever it is sent to: the interface is any service's own business.
            self.assertEqual(bus.call(owner, "/org/freedesktop/DBus", "org.freedesktop.DBus", member, "s", "x"), ("x",))


class Signals(BridgeTest):
    def test_signals_come_before_the_answer_that_follows_them(self):
        self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        for _ in range(20):
            serial = bus.call_async(ECHO, "/", ECHO, "Signals", "u", 5)
            bus.answer(serial)
            ticks = [m for m in bus.queue if m.type == SIGNAL and m.member == "Tick"]
            self.assertEqual([m.body[0] for m in ticks], [0, 1, 2, 3, 4])
            self.assertEqual({m.sender for m in ticks}, {owner})
            bus.queue.clear()

    def test_one_signal_crosses_once_for_many(self):
        service = self.service(1)
        self.wait_name(0)
        listeners = [self.bus(0) for _ in range(20)]
        for bus in listeners:
            bus.match(f"type='signal',sender='{ECHO}'")
            bus.match("type='signal',interface='org.example.Echo'")
        before = self.counters(1)["signals.in"]
        service.bus.signal("/a/b", ECHO, "Tick", "u", 7)
        for bus in listeners:
            self.assertEqual(bus.receive(lambda m: m.member == "Tick", "the signal").body, (7,))
        self.assertEqual(self.counters(1)["signals.in"] - before, 1)

    def test_a_signal_for_one_is_for_nobody_else(self):
        self.service(1)
        self.wait_name(0)
        bus, other = self.bus(0), self.bus(0)
        other.match(f"type='signal',sender='{ECHO}'")
        bus.call(ECHO, "/", ECHO, "Tell")
        self.assertEqual([m.body for m in bus.queue if m.member == "Told"], [("only you",)])
        other.driver("GetId")
        self.assertEqual([m for m in other.queue if m.member == "Told"], [])


class Order(BridgeTest):
    """Signals and answers come to the bridge over two connections. dbus-daemon writes to both in the order in which it handles what it has;
    dbus-broker does not if much is on its way (docs/bridge.md)."""

    def test_signals_come_before_their_answers_when_many_are_on_their_way(self):
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{ECHO}',member='Tick'")
        bus.call(ECHO, "/", ECHO, "Signals", "u", 1)
        bus.queue.clear()
        serials = [bus.call_async(ECHO, "/", ECHO, "Signals", "u", 2) for _ in range(300)]
        wait_until(lambda: sum(m.type == RETURN for m in bus.queue) == len(serials) or not bus.pump(10), "all answers")
        ticks = [m.body[0] for m in bus.queue if m.member == "Tick"]
        self.assertEqual(ticks, [0, 1] * len(serials))
        came, late = 0, []  # signals, and those answers that came before theirs
        for message in bus.queue:
            came += message.member == "Tick"
            if message.type == RETURN and came < 2 * (serials.index(message.reply_serial) + 1):
                late.append((message.reply_serial, came))
        self.assertEqual(late, [])


class Contract(BridgeTest):
    def test_introspection_is_the_xml(self):
        for path, interface in ((MANAGER[1], MANAGER[2]), (self.link(1), "org.xen.xcp.bridge1.Link")):
            xml = self.bus(0).call(MANAGER[0], path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]
            run(SOURCE / "idl/xcp-idl-compare", *SOURCE.glob("idl/*.xml"), "--expect", interface, input=xml)


class Names(BridgeTest):
    def test_names_come_and_go_once_and_in_order(self):
        watcher = self.bus(0)
        watcher.match("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'")
        service = Service(self.path(1), ECHO, echo)
        came = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ECHO, "the name")
        service.close()
        went = watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body[0] == ECHO, "the name's end")
        ghost = came.body[2]
        self.assertEqual(came.body, (ECHO, "", ghost))
        self.assertEqual(went.body, (ECHO, ghost, ""))
        watcher.receive(lambda m: m.member == "NameOwnerChanged" and m.body == (ghost, ghost, ""), "the ghost's end")
        self.assertIn(self.error(watcher.call, ECHO, "/", ECHO, "Echo", flags=NO_AUTO_START).name, UNKNOWN)

    def test_a_name_that_changes_hands_does_so_once(self):
        first = Bus(self.path(1))
        self.addCleanup(first.close)
        first.own(ECHO, 1)
        self.wait_name(0)
        watcher = self.bus(0)
        watcher.match(f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{ECHO}'")
        second = Bus(self.path(1))
        self.addCleanup(second.close)
        self.assertEqual(second.own(ECHO, 2), 1)
        changed = watcher.receive(lambda m: m.member == "NameOwnerChanged", "the change")
        self.assertTrue(changed.body[1] and changed.body[2])
        self.assertEqual(watcher.call(*MANAGER, "GetConnectionDomain", "s", ECHO)[3], second.unique)
        watcher.driver("GetId")
        self.assertEqual([m for m in watcher.queue if m.member == "NameOwnerChanged"], [])


class Taken(BridgeTest):
    """A name that both domains have. Only domain 0 would take it from the other."""

    def policy_of(self, domain):
        return self.policy if domain == 0 else self.policy.replace("allow own", "deny own")

    def test_a_name_that_somebody_has_here_is_not_taken(self):
        local = self.service(0)
        self.service(1)
        wait_until(lambda: self.counters(1)["names.refused"] == 1, "the refusal")
        bus = self.bus(0)
        self.assertEqual(bus.owner(ECHO), local.bus.unique)
        local.close()
        wait_until(lambda: bus.owner(ECHO) not in (None, local.bus.unique), "the name to go to the other domain's")


class Large(BridgeTest):
    deadline = 240

    def test_pings_pass_a_large_message(self):
        """While 64 MiB are on their way, a hundred small calls of others are answered."""
        size = 64 << 20
        got = []

        def handle(bus, message):
            if message.type == CALL and message.member == "Big":
                got.append(len(message.body[0]))
                bus.answer_to(message)
            else:
                echo(bus, message)

        self.service(1, "org.example.Big", handle)
        self.service(1)
        self.wait_name(0, "org.example.Big")
        self.wait_name(0)
        big, small = self.bus(0), self.bus(0)
        done = threading.Event()

        def send():
            big.call("org.example.Big", "/", "org.example.Big", "Big", "ay", bytes(size), deadline=120)
            done.set()

        before = self.counters(1)["bytes.out"]
        thread = threading.Thread(target=send)
        thread.start()
        wait_until(lambda: self.counters(1)["bytes.out"] - before > 1 << 20, "the large message to be on its way", deadline=60)
        n_before = 0
        while not done.is_set() and n_before < 100:
            small.call(ECHO, "/", ECHO, "Echo")
            n_before += 1
        during = self.counters(1)["bytes.out"] - before
        thread.join()
        self.assertEqual(got, [size])
        self.assertGreater(n_before, 3, f"only {n_before} calls were answered while {size} bytes were on their way ({during} had gone)")

    def test_a_message_that_needs_the_whole_window_after_small_ones(self):
        """What is given back of the window in large pieces only is given back in time."""
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        for size in (20 << 10, 120 << 10, 30 << 10, 1 << 10, 127 << 10):
            self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "ay", bytes(size)), (bytes(size),))

    def test_what_d_bus_allows_passes(self):
        self.service(1)
        self.wait_name(0)
        body = os.urandom(9 << 20)
        self.assertEqual(self.bus(0).call(ECHO, "/", ECHO, "Echo", "ay", body, deadline=60)[0], body)


class Deaths(BridgeTest):
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
                wait_until(lambda: self.is_up(1) and self.link_property(1, "Epoch") > epoch, "a new link", deadline=30)
                self.wait_name(0)
                self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))
                self.assertEqual([call.member for call in service.calls], ["Silent"] * 3 + ["Echo"])  # nothing came twice
                service.close()
                self.wait_name(0, there=False)

    def test_hub_killed_and_started_again(self):
        for side in (0, 1):
            with self.subTest(side=side):
                bus, serials, service = self.outstanding()
                self.bridges[side].kill()
                self.assert_all_fail(bus, serials)
                self.start_bridge(side)
                self.wait_link(1)
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
        wait_until(lambda: self.link_property(1, "Epoch") != epoch, "a new link", deadline=30)
        self.wait_link(1)
        self.wait_name(0)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))


class Hub(BridgeTest):
    domains = 2

    def test_two_guests_by_way_of_domain_0(self):
        service = self.service(1)
        self.wait_name(2)
        bus = self.bus(2)
        bus.match(f"type='signal',sender='{ECHO}'")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "far"), ("far",))
        service.bus.signal("/", ECHO, "Tick", "u", 3)
        self.assertEqual(bus.receive(lambda m: m.member == "Tick", "the signal").body, (3,))
        self.assertEqual(self.bus(1).owner(ECHO), service.bus.unique)  # and it did not come back to where it is
        service.close()
        self.wait_name(2, there=False)
        self.wait_name(1, there=False)


class Activation(BridgeTest):
    def bring_up(self, domain):
        if domain == 1:
            services = self.directory(1) / "services"
            services.mkdir(mode=0o755, exist_ok=True)
            state = self.directory(1) / "example-state"
            (services / "org.xen.xcp.example.service").write_text(
                f"[D-BUS Service]\nName=org.xen.xcp.example\nExec=\"{EXAMPLE}\" --state-dir {state}\n")
        super().bring_up(domain)

    policy = POLICY + ALLOW_EXAMPLE
    call = ("org.xen.xcp.example", "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")

    def test_a_call_starts_the_service_in_its_domain(self):
        bus = self.bus(0)
        wait_until(lambda: "org.xen.xcp.example" in bus.driver("ListActivatableNames")[0], "the name to be activatable", deadline=20)
        self.assertIsNone(bus.owner("org.xen.xcp.example"))
        self.assertIn(self.error(bus.call, *self.call, flags=NO_AUTO_START).name, UNKNOWN)
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", "org.xen.xcp.example"), (1, False))
        self.assertIn("ObjectManager", bus.call(*self.call)[0])
        self.assertEqual(bus.call(*MANAGER, "GetServiceDomain", "s", "org.xen.xcp.example"), (1, True))
        self.xen.destroy(1)
        wait_until(lambda: "org.xen.xcp.example" not in bus.driver("ListActivatableNames")[0], "the name to go", deadline=20)


class Activatable(BridgeTest):
    """Services that are installed and removed while links are up."""

    domains = 2
    policy = POLICY + ALLOW_EXAMPLE
    NAME = "org.xen.xcp.example"

    def install(self, domain, there=True):
        """Installs it in a domain, or removes it; and has the bus look."""
        services = self.directory(domain) / "services"
        services.mkdir(mode=0o755, exist_ok=True)
        file = services / f"{self.NAME}.service"
        if there:
            file.write_text(f"[D-BUS Service]\nName={self.NAME}\nExec=\"{EXAMPLE}\" --state-dir {self.directory(domain) / 'example-state'}\n")
        else:
            file.unlink()
        self.bus(domain).driver("ReloadConfig")

    def wait_listed(self, domain, there=True):
        bus = self.bus(domain)
        wait_until(lambda: (self.NAME in bus.driver("ListActivatableNames")[0]) == there,
                   f"{self.NAME} to {'become' if there else 'be no longer'} activatable in domain {domain}", deadline=60)

    def test_one_comes_and_goes(self):
        self.install(1)
        for domain in (0, 2):
            self.wait_listed(domain)
        self.assertEqual(self.bus(0).call(*MANAGER, "GetServiceDomain", "s", self.NAME), (1, False))
        self.assertIn("ObjectManager", self.bus(2).call(self.NAME, "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")[0])
        self.assertIsNotNone(self.bus(1).owner(self.NAME))
        self.assertNotIn("xcp-bridge", (self.directory(1) / f"services/{self.NAME}.service").read_text())  # nobody has offered it back
        self.install(1, there=False)
        for domain in (0, 2):
            self.wait_listed(domain, there=False)
        self.assertEqual([list(self.directory(domain).glob("services/*.service")) for domain in range(3)], [[], [], []])

    def test_of_two_that_have_one_either_does(self):
        where = (*MANAGER, "GetServiceDomain", "s", self.NAME)
        for domain in (1, 2):
            self.install(domain)
        self.wait_listed(0)
        first, runs = self.bus(0).call(*where)
        self.assertFalse(runs)
        other = 3 - first
        bus = self.bus(0)
        self.install(first, there=False)

        def is_others():
            try:
                return bus.call(*where) == (other, False)
            except CallFailed:  # it had not been told of that yet
                return False

        wait_until(is_others, "the other domain's to be the one", deadline=60)
        self.assertIn("ObjectManager", bus.call(self.NAME, "/org/xen/xcp/example", "org.freedesktop.DBus.Introspectable", "Introspect")[0])
        self.assertIsNotNone(self.bus(other).owner(self.NAME))
        self.wait_listed(first)  # by way of domain 0, as it has none of its own any longer


    def test_policy_decides_anew(self):
        """The names that may be owned in the one domain, and those that may be called in the other."""
        self.install(1)
        for domain in (0, 1):
            self.wait_listed(0)
            for policy, there in ((POLICY, False), (self.policy, True)):
                self.write_policy(domain, policy)
                self.bus(domain).call(*MANAGER, "ReloadPolicy")
                self.wait_listed(0, there)


class ActivatableOnDbusBroker(Activatable):
    broker = "dbus-broker"


class Objects(BridgeTest):
    """The service of docs/writing-a-service.md, which knows nothing of bridges, as somebody in another domain sees it."""

    policy = POLICY + ALLOW_EXAMPLE
    NAME, ROOT = "org.xen.xcp.example", "/org/xen/xcp/example"

    def test_properties_objects_and_tasks(self):
        example = start_ready(self.xen, 1, EXAMPLE, "--bus-address", f"unix:path={self.path(1)}", "--state-dir", self.directory(1) / "state")
        self.addCleanup(example.kill)
        self.wait_name(0, self.NAME)
        bus = self.bus(0)
        bus.match(f"type='signal',sender='{self.NAME}'")
        [path] = bus.call(self.NAME, self.ROOT, "org.xen.xcp.example1.Manager", "CreateCounter", "s", "one")
        self.assertEqual([m.body[0] for m in bus.queue if m.member == "InterfacesAdded"], [path])
        self.assertIn(path, bus.call(self.NAME, self.ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0])
        [task] = bus.call(self.NAME, path, "org.xen.xcp.example1.Counter", "Count", "uu", 3, 1)
        bus.receive(lambda m: m.member == "Finished" and m.path == task, "the end of the task")
        changed = [m for m in bus.queue if m.member == "PropertiesChanged" and m.path == path]
        self.assertEqual(changed[-1].body[1]["Value"], ("t", 3))
        self.assertEqual(bus.call(self.NAME, path, PROPERTIES, "Get", "ss", "org.xen.xcp.example1.Counter", "Value"), (("t", 3),))
        bus.call(self.NAME, path, "org.freedesktop.DBus.Peer", "Ping")
        tree = self.xen.run(0, "busctl", f"--address=unix:path={self.path(0)}", "tree", self.NAME).stdout
        self.assertIn(path, tree)


class Policy(BridgeTest):
    policy = """\
deny in call org.example.Echo member Secret from any
allow in call org.example.Echo interface org.example.Echo from any
allow in signal org.example.* from any
allow out any org.example.* to any
allow own org.example.Echo by any
"""

    def test_denied_calls_get_an_error_at_once_and_are_recorded(self):
        service = self.service(1)
        self.wait_name(0)
        bus, watcher = self.bus(0), self.bus(1)
        watcher.match("type='signal',member='Denied'")
        self.assertEqual(self.error(bus.call, ECHO, "/", ECHO, "Secret").name, ACCESS_DENIED)
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "fine"), ("fine",))
        # A rule that asks for an interface matches no message without one, and no other interface.
        self.assertEqual(self.error(bus.call, ECHO, "/", None, "Echo").name, ACCESS_DENIED)
        self.assertEqual(self.error(bus.call, ECHO, "/", "org.example.Other", "Echo").name, ACCESS_DENIED)
        self.assertEqual([call.body for call in service.calls], [("fine",)])
        denied = watcher.receive(lambda m: m.member == "Denied", "the signal")
        self.assertEqual({key: value[1] for key, value in denied.body[0].items()},
                         {"domain": 0, "direction": "In", "kind": "MethodCall", "destination": ECHO, "path": "/", "interface": ECHO,
                          "member": "Secret"})
        self.assertRegex(denied.body[1], r"test\.policy:1$")
        self.assertRegex(self.bridges[1].stderr, r"Denied .*XCP_MEMBER=Secret XCP_RULE=.*test\.policy:1")
        self.assertEqual(self.counters(0, at=1)["denied.in"], 3)

    def test_what_a_policy_would_say(self):
        bus = self.bus(0)

        def ask(**message):
            given = {key: ("u" if key == "domain" else "o" if key == "path" else "s", value) for key, value in message.items()}
            return bus.call(*MANAGER, "CheckPolicy", "a{sv}", given)

        action, rule = ask(domain=1, direction="In", destination=ECHO, interface=ECHO, member="Secret")
        self.assertEqual((action, rule.rpartition(":")[2]), ("Deny", "1"))
        action, rule = ask(domain=1, direction="In", destination=ECHO, interface=ECHO, member="Other")
        self.assertEqual((action, rule.rpartition(":")[2]), ("Allow", "2"))
        self.assertEqual(ask(domain=1, direction="In", destination="org.example.None", interface=ECHO, member="Other"), ("Deny", ""))
        self.assertEqual(ask(domain=1, direction="In", owns=ECHO)[0], "Allow")
        self.assertEqual(ask(domain=1, direction="In", owns="org.xen.xcp.storage"), ("Deny", ""))

    def test_a_name_that_a_domain_may_not_own(self):
        self.service(1, "org.example.Other")
        self.service(1)
        self.wait_name(0)
        self.assertIsNone(self.bus(0).owner("org.example.Other"))
        self.assertRegex(self.bridges[0].stderr, "Denied to domain 1: own")

    def test_limits(self):
        self.write_policy(1, self.policy + "limit calls 2 for any\nlimit peers 2 for any\nlimit message-bytes 1000 for any\n")
        self.bus(1).call(*MANAGER, "ReloadPolicy")
        self.service(1)
        self.wait_name(0)
        first, second, third = (self.bus(0) for _ in range(3))
        exceeded = "org.freedesktop.DBus.Error.LimitsExceeded"
        self.assertEqual(self.error(first.call, ECHO, "/", ECHO, "Echo", "ay", bytes(1000)).name, exceeded)
        for _ in range(2):
            first.call_async(ECHO, "/", ECHO, "Silent")
        failed = self.error(first.call, ECHO, "/", ECHO, "Echo")
        self.assertEqual((failed.name, failed.text), (exceeded, "2 calls of domain 0 are not answered, and 2 may be"))
        first.close()
        wait_until(lambda: self.counters(0, at=1)["calls.waiting.in"] == 0, "the calls of who has left to be forgotten")
        self.assertEqual(second.call(ECHO, "/", ECHO, "Echo", "s", "one"), ("one",))
        fourth = self.bus(0)
        self.assertEqual(third.call(ECHO, "/", ECHO, "Echo", "s", "two"), ("two",))
        self.assertEqual(self.error(fourth.call, ECHO, "/", ECHO, "Echo").name, exceeded)
        second.close()
        wait_until(lambda: self.counters(0, at=1)["peers"] == 1, "the ghost of who has left to go")
        self.assertEqual(fourth.call(ECHO, "/", ECHO, "Echo", "s", "three"), ("three",))

    def test_the_limit_of_a_message_holds_for_answers_and_signals(self):
        everything = POLICY
        for domain, limit in ((0, "limit message-bytes 1000 for any\n"), (1, "")):
            self.write_policy(domain, everything + limit)
            self.bus(domain).call(*MANAGER, "ReloadPolicy")
        self.service(1)
        loud = self.bus(1)
        loud.own("org.example.Loud")
        for name in (ECHO, "org.example.Loud"):
            self.wait_name(0, name)
        bus = self.bus(0)
        failed = self.error(bus.call, ECHO, "/", ECHO, "Echo", "ay", bytes(1000))
        self.assertEqual(failed.name, "org.freedesktop.DBus.Error.LimitsExceeded")
        self.assertRegex(failed.text, r"and may have 1000 \(limit message-bytes\)")
        bus.match("type='signal',sender='org.example.Loud'")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "ay", bytes(10)), (bytes(10),))
        for n in (1000, 10):
            loud.signal("/", ECHO, "Heard", "ay", bytes(n))
        self.assertEqual(bus.receive(lambda m: m.member == "Heard", "the signal").body, (bytes(10),))
        self.assertEqual(self.counters(1)["signals.dropped"], 1)

    def test_reload(self):
        service = self.service(1)
        owner = self.wait_name(0)
        bus = self.bus(0)
        self.write_policy(0, "nonsense\n")
        failed = self.error(bus.call, *MANAGER, "ReloadPolicy")
        self.assertEqual(failed.name, "org.xen.xcp.Error.InvalidArgument")
        self.assertRegex(failed.text, r"test\.policy:1:1")
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "as before"), ("as before",))
        self.write_policy(0, "")
        bus.call(*MANAGER, "ReloadPolicy")
        self.wait_name(0, there=False)
        self.assertEqual(self.error(bus.call, owner, "/", ECHO, "Echo").name, ACCESS_DENIED)
        self.write_policy(0, self.policy)
        bus.call(*MANAGER, "ReloadPolicy")
        self.assertEqual(self.wait_name(0), owner)      # the link has been up all the time
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "again"), ("again",))
        self.assertEqual(len(service.calls), 2)

    def test_what_is_in_force_is_what_was_read_last(self):
        """Not what has been written to the files since: for what the bridge says, and for new links."""
        self.service(1)
        self.wait_name(0)
        bus = self.bus(0)
        message = {"domain": ("u", 1), "direction": ("s", "In"), "owns": ("s", ECHO)}
        for text in ("nonsense\n", ""):
            self.write_policy(0, text)
            self.assertEqual(bus.call(*MANAGER, "CheckPolicy", "a{sv}", message)[0], "Allow")
        epoch = self.link_property(1, "Epoch")
        bus.call(MANAGER[0], self.link(1), "org.xen.xcp.bridge1.Link", "Reconnect")
        wait_until(lambda: self.link_property(1, "Epoch") != epoch, "a new link")
        self.wait_name(0)
        bus.call(*MANAGER, "ReloadPolicy")
        self.assertEqual(bus.call(*MANAGER, "CheckPolicy", "a{sv}", message)[0], "Deny")
        self.wait_name(0, there=False)


class CallsOnDbusBroker(Calls):
    broker = "dbus-broker"


class SignalsOnDbusBroker(Signals):
    broker = "dbus-broker"


class NamesOnDbusBroker(Names):
    broker = "dbus-broker"


class DeathsOnDbusBroker(Deaths):
    broker = "dbus-broker"


class ActivationOnDbusBroker(Activation):
    broker = "dbus-broker"
