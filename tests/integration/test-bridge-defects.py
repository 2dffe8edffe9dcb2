# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others who joined buses of Xen domains got wrong, each a test of ours: Ghaf's dbus-proxy, and OpenXT's rpc-proxy, dbusbouncer and
rpc-broker. docs/bridge-faults.md says of each what it was and what the bridge does instead.

Domain 0 and guest 2 are joined; guest 1 is what a test has it be. They are started once, and policies change from test to test."""

import os
import signal

from bridgecase import ECHO, MANAGER, POLICY, echo
from bridgewire import NAME_GONE, frame, hello, message, name, peer
from dbuswire import CALL, ERROR, RETURN, SIGNAL, Bus, Message, encode
from harness import build_directory, run, wait_until
from impostorcase import SOURCE, ImpostorCase

XCPCTL = build_directory() / "tools/xcpctl/xcpctl"
DBUS = "org.freedesktop.DBus"
ACCESS_DENIED = f"{DBUS}.Error.AccessDenied"
NO_ANSWER = f"{DBUS}.Error.NoReply"
PROPERTIES = f"{DBUS}.Properties"
SHIPPED = SOURCE / "dbus-policy/bridge.d/50-default.policy"

OTHERS = """\
allow out any org.example.* to any
allow in signal org.example.* from any
allow own org.example.* by any
"""


class DefectCase(ImpostorCase):
    lasting = True  # the links' processes come and go

    @classmethod
    def setUpClass(cls):
        world = cls.world = cls("set_up_world")
        world.addCleanup, world.enterContext = cls.addClassCleanup, cls.enterClassContext
        world.set_up_world()

    def set_up_world(self):
        super().setUp()

    def before_bridges(self):
        for domain, kind in ((1, "pv"), (2, "pvh")):
            self.xen.run(0, "xenstore-write", f"/libxl/{domain}/type", kind)

    def setUp(self):
        self.xen, self.bridges, self.impostor = self.world.xen, self.world.bridges, self.world.impostor
        self.use_policy()
        self.addCleanup(self.show_logs)

    def show_logs(self):
        for domain, bridge in self.bridges.items():
            self.show_log(domain, bridge)

    def use_policy(self, of_0=POLICY, of_2=POLICY):
        """From here on, what comes is decided by these."""
        for domain, text in ((0, of_0), (2, of_2)):
            self.policy_file(domain).write_text(text)
            self.bus(domain).call(*MANAGER, "ReloadPolicy")

    def calls(self, **changes):
        """A call of domain 1's peer 1 to ECHO, as a message."""
        return encode(Message(CALL, 1, **{"path": "/", "interface": ECHO, "member": "Echo", "destination": ECHO, **changes}))

    def assert_lives(self):
        """Neither the hubs nor their processes have ended since the world was made, and calls pass between domains 0 and 2."""
        for bridge in self.bridges.values():
            self.assertTrue(bridge.running(), str(bridge))
            self.assertNotRegex(bridge.stderr, "Sanitizer|runtime error")
        self.assertEqual(self.link_property(2, "State"), "Up")
        service = self.service(2, echo, "org.example.Lives")
        self.wait_name(0, "org.example.Lives")
        self.assertEqual(self.bus(0).call("org.example.Lives", "/", ECHO, "Echo", "s", "yes"), ("yes",))
        service.close()
        self.wait_name(0, "org.example.Lives", there=False)


class Ghaf(DefectCase):
    """The defects that its commit 0000dbb mends: all could be reached from a program on one of the two buses."""

    policy = POLICY

    def forge(self, domain, *bodies):
        """Somebody on a domain's bus says to everybody there, to each alone and to all, what only the bus may say."""
        with Bus(self.path(domain)) as forger:
            for receiver in (None, *(n for n in forger.driver("ListNames")[0] if n.startswith(":") and n != forger.unique)):
                for signature, *body in bodies:
                    forger.signal("/org/freedesktop/DBus", DBUS, "NameOwnerChanged", signature, *body, destination=receiver)
            forger.driver("GetId")

    def ask(self, agent):
        """The agent registers with domain 2's service, which asks it for a secret."""
        return agent.call_async(ECHO, "/", ECHO, "CallMeBack")

    def test_1_a_forged_end_evicts_no_agent(self):
        self.use_policy(POLICY_OF_AGENTS, POLICY_OF_AGENTS)
        self.service(2, echo)
        owner = self.wait_name(0)
        agent = self.bus(0)
        agent.call(ECHO, "/", ECHO, "Echo")
        [ghost] = [n for n in self.bus(2).driver("ListNames")[0] if n.startswith(":") and self.is_ghost_of(n, agent.unique)]
        gone = [("sss", n, n, "") for n in (owner, agent.unique, ghost)] + [("sss", ECHO, owner, "")]
        self.meet(hello(), peer(1, ":1.1"), *(message(1, encode(Message(SIGNAL, 1, path="/org/freedesktop/DBus", interface=DBUS,
                                                                         member="NameOwnerChanged", signature=signature, body=body)))
                                              for signature, *body in gone))
        self.wait_handled()
        for domain in (0, 2):
            self.forge(domain, *gone)
        serial = self.ask(agent)
        asked = agent.receive(lambda m: m.type == CALL and m.member == "Ask", "the question")
        self.assertEqual(asked.sender, owner)
        agent.answer_to(asked, "s", "secret")
        self.assertEqual(agent.answer(serial), ("secret",))

    def is_ghost_of(self, unique, remote):
        return self.bus(2).call(*MANAGER, "GetConnectionDomain", "s", unique)[3] == remote

    def test_2_nobody_answers_or_hears_for_an_agent(self):
        self.use_policy(POLICY_OF_AGENTS, POLICY_OF_AGENTS)
        self.service(2, echo)
        owner = self.wait_name(0)
        agent, thief = self.bus(0), self.bus(0)
        thief.match("eavesdrop='true'" if self.broker == "dbus-daemon" else "type='method_call'")  # dbus-broker knows no eavesdroppers
        thief.call(ECHO, "/", ECHO, "Echo")
        thief.queue.clear()
        serial = self.ask(agent)
        asked = agent.receive(lambda m: m.type == CALL and m.member == "Ask", "the question")
        for guess in range(1, 200):
            thief.send(Message(RETURN, 0, 1, reply_serial=guess, destination=owner, signature="s", body=("stolen",)))
        thief.send(Message(RETURN, 0, 1, reply_serial=asked.serial, destination=owner, signature="s", body=("stolen",)))
        thief.driver("GetId")
        agent.answer_to(asked, "s", "secret")
        self.assertEqual(agent.answer(serial), ("secret",))
        thief.driver("GetId")
        self.assertEqual([m for m in thief.queue if m.member == "Ask" or m.body == ("secret",)], [])

    def test_3_signals_whose_body_is_another(self):
        self.service(2, echo)
        owner = self.wait_name(0)
        bodies = [("",), ("u", 7), ("s", ECHO), ("ss", ECHO, owner), ("as", [ECHO, owner, ""]), ("v", ("s", ECHO)), ("ssss", ECHO, owner, "", ""),
                  ("uss", 1, owner, ""), ("sso", ECHO, owner, "/"), ("ggg", "s", "s", "s"), ("sss", "", "", ""), ("sss", "no name", ":", "::")]
        for domain in (0, 2):
            self.forge(domain, *bodies)
        self.meet(hello(), peer(1, ":1.1"), *(message(1, encode(Message(SIGNAL, 1, path="/", interface=PROPERTIES, member="PropertiesChanged",
                                                                         signature=signature, body=body))) for signature, *body in bodies))
        self.wait_handled()
        self.assert_lives()

    def test_4_variants_of_another_type(self):
        bus = self.bus(0)
        kinds = [("u", 1), ("s", "x"), ("as", []), ("v", ("u", 1)), ("a{sv}", {}), ("(ss)", ("", "")), ("d", 0.5), ("o", "/"), ("g", "")]
        right = {"domain": "u", "direction": "s", "destination": "s", "interface": "s", "member": "s", "path": "o", "owns": "s"}
        for key, kind in right.items():
            for value in kinds:
                with self.subTest(key=key, value=value):
                    serial = bus.call_async(*MANAGER, "CheckPolicy", "a{sv}", {"domain": ("u", 1), "direction": ("s", "In"), key: value})
                    reply = bus.reply_to(serial)
                    if value[0] != kind:
                        self.assertEqual((reply.type, reply.error), (ERROR, "org.xen.xcp.Error.InvalidArgument"))
        for signature, *body in (("",), ("u", 1), ("as", []), ("v", ("s", ECHO)), ("a{sv}", {})):
            self.assertEqual(self.error(bus.call, *MANAGER, "GetConnectionDomain", signature, *body).name, f"{DBUS}.Error.InvalidArgs")
        self.assert_lives()

    def test_5_a_guest_owns_no_name_but_its_own(self):
        self.use_policy("allow own org.example.Mine by id=1\n")
        coveted = ["org.freedesktop.systemd1", "org.freedesktop.login1", "org.xen.xcp.bridge", "org.xen.xcp.storage", "org.example.Minetoo",
                   "org.example.Mine.too"]
        self.meet(hello(), peer(1, ":1.1"), *(name(1, text) for text in coveted), name(1, "org.example.Mine"))
        ghost = self.wait_name(0, "org.example.Mine")
        bus = self.bus(0)
        self.assertEqual([text for text in coveted if bus.owner(text) == ghost], [])
        wait_until(lambda: self.link_property(1, "Names") == ["org.example.Mine"], lambda: f"no other name than one in {self.link_property(1, 'Names')}")
        self.meet(hello(), peer(1, ":1.1"), name(1, DBUS))
        self.wait_handled()
        self.assertEqual(bus.owner(DBUS), DBUS)
        self.meet(hello(), peer(1, ":1.1"), name(1, ":1.7"))
        self.wait_end()

    def test_6_a_name_is_its_owners(self):
        """Neither a program here nor another guest loses one, to whom says that it is his or that it is nobody's."""
        local = self.service(0, echo, "org.example.Local")
        self.service(2, echo)
        owner = self.wait_name(0)
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Local"), name(1, ECHO))
        wait_until(lambda: self.counters(1)["names.refused"] == 2, "both to be refused")
        self.send(*(frame(NAME_GONE, len(text).to_bytes(2, "little") + b"\0\0" + text.encode()) for text in ("org.example.Local", ECHO)))
        self.wait_handled()
        bus = self.bus(0)
        self.assertEqual((bus.owner("org.example.Local"), bus.owner(ECHO)), (local.bus.unique, owner))
        self.assertEqual(bus.call(ECHO, "/", ECHO, "Echo", "s", "still"), ("still",))


POLICY_OF_AGENTS = POLICY + """\
allow in call unnamed interface org.example.Agent from any
allow out call unnamed interface org.example.Agent to any
"""


class OpenXT(DefectCase):
    """In the order of the list in docs/bridge-faults.md."""

    def serve(self, of_0):
        """ECHO is in domain 0, whose policy this is; a client is in domain 2."""
        self.use_policy(of_0)
        service = self.service(0, echo)
        self.wait_name(2)
        return service, self.bus(2)

    def test_01_all_that_a_rule_says_is_asked(self):
        service, client = self.serve(f"allow in call {ECHO} path /a interface {ECHO} member Echo from type=pvh,id=2\n" + OTHERS)
        self.assertEqual(client.call(ECHO, "/a", ECHO, "Echo", "s", "fine"), ("fine",))
        for path, interface, member in (("/a", "org.example.Other", "Echo"), ("/a", None, "Echo"), ("/a", ECHO, "Other"), ("/b", ECHO, "Echo"),
                                        ("/a", PROPERTIES, "Get"), ("/a", PROPERTIES, "Echo")):
            with self.subTest(path=path, interface=interface, member=member):
                self.assertEqual(self.error(client.call, ECHO, path, interface, member, "ss", ECHO, "Echo").name, ACCESS_DENIED)
        self.meet(hello(), peer(1, ":1.1"), message(1, self.calls(path="/a"), call=1), message(1, self.calls(path="/a", destination=None), call=2))
        for number in (1, 2):
            self.assertIn(ACCESS_DENIED.encode(), self.wait_refusal(number))
        self.assertEqual([call.body for call in service.calls], [("fine",)])

    def test_02_no_message_passes_for_where_it_was_cut(self):
        service, _ = self.serve(f"deny in call {ECHO} member Secret from any\nallow in call {ECHO} from any\n" + OTHERS)

        def call(member, number, first=None):
            data = self.calls(member=member, signature="u", body=(number,))
            if first is None:
                return message(1, data, call=number)
            return message(1, data[:first], call=number, size=len(data)) + b"".join(
                frame(12, (1).to_bytes(4, "little") + data[at:at + 7]) for at in range(first, len(data), 7))

        pieces = [call("Secret", 1) + call("Echo", 2) + call("Secret", 3), call("Secret", 4, 1), call("Echo", 5, 20), call("Secret", 6, 20)]
        self.meet(hello(), peer(1, ":1.1"), *pieces)
        for byte in call("Secret", 7) + call("Echo", 8):
            self.send(bytes([byte]))
        for number in (1, 3, 4, 6, 7):
            self.assertIn(ACCESS_DENIED.encode(), self.wait_refusal(number))
        wait_until(lambda: len(service.calls) >= 3, "what is allowed to come")
        self.assertEqual([(call.member, call.body) for call in service.calls], [("Echo", (n,)) for n in (2, 5, 8)])

    def test_03_domain_0_is_a_domain_like_others(self):
        service = self.service(2, echo)
        self.use_policy(of_2=f"allow in call {ECHO} member Other from any\n" + OTHERS)
        self.wait_name(0)
        self.assertEqual(self.error(self.bus(0).call, ECHO, "/", ECHO, "Echo").name, ACCESS_DENIED)
        self.assertEqual(service.calls, [])
        service.close()
        self.wait_name(0, there=False)
        service, _ = self.serve(f"allow in call {ECHO} from id=0\nallow in call {ECHO} member Never from any\n" + OTHERS)
        self.meet(hello(domain=0), peer(1, ":1.1"), message(1, self.calls(), call=1))
        self.assertIn(ACCESS_DENIED.encode(), self.wait_refusal(1))
        self.assertEqual(service.calls, [])

    def test_04_types_are_looked_at_and_so_is_every_rule(self):
        many = "".join(f"deny in call {ECHO} member Not{number} from type=pv\n" for number in range(3900))
        service, client = self.serve(f"{many}allow in call {ECHO} from type=pvh\n" + OTHERS)
        self.assertEqual(client.call(ECHO, "/", ECHO, "Echo", "s", "of pvh"), ("of pvh",))
        self.meet(hello(), peer(1, ":1.1"), message(1, self.calls(), call=1))
        self.assertIn(ACCESS_DENIED.encode(), self.wait_refusal(1))
        self.use_policy(f"{many}allow in call {ECHO} from type=pv\nallow in call {ECHO} member Never from any\n" + OTHERS)
        descriptors = self.descriptors(2)
        for _ in range(50):
            self.assertEqual(self.error(client.call, ECHO, "/", ECHO, "Echo").name, ACCESS_DENIED)
        self.assertLessEqual(self.descriptors(2), descriptors)  # it may have been reading the policy yet
        self.send(message(1, self.calls(signature="s", body=("of pv",)), call=2))
        wait_until(lambda: len(service.calls) == 2, "the call of domain 1")
        self.assertEqual([call.body for call in service.calls], [("of pvh",), ("of pv",)])

    def descriptors(self, domain):
        return len(os.listdir(f"/proc/{self.process_of(0, domain)}/fd"))

    def test_05_who_is_denied_hears_of_it(self):
        service, client = self.serve(f"deny in call {ECHO} member Secret from any\nallow in call {ECHO} from any\n" + OTHERS)
        denied = self.counters(2)["denied.in"]
        serials = [client.call_async(ECHO, "/", ECHO, "Secret") for _ in range(50)]
        self.assertEqual({client.reply_to(serial).error for serial in serials}, {ACCESS_DENIED})
        self.assertEqual(self.counters(2)["denied.in"] - denied, 50)
        self.bridges[0].wait_output(r"Denied .*XCP_MEMBER=Secret XCP_RULE=.*test\.policy:1", stream="stderr")
        self.assertEqual(service.calls, [])

    def test_06_what_is_revoked_is_revoked_for_who_is_connected(self):
        allowing = f"allow in call {ECHO} from any\n" + OTHERS
        service, client = self.serve(allowing)
        epoch = self.link_property(2, "Epoch")
        for round_number in range(3):
            self.use_policy(allowing)
            self.assertEqual(client.call(ECHO, "/", ECHO, "Echo", "u", round_number), (round_number,))
            self.use_policy(f"deny in call {ECHO} member Echo from any\n{allowing}")
            self.assertEqual(self.error(client.call, ECHO, "/", ECHO, "Echo", "u", 99).name, ACCESS_DENIED)
        self.assertEqual([call.body[0] for call in service.calls], [0, 1, 2])
        self.assertEqual(self.link_property(2, "Epoch"), epoch)

    def test_08_nothing_is_open_unless_a_line_opens_it(self):
        self.use_policy(SHIPPED.read_text(), SHIPPED.read_text())
        self.service(2, echo)
        service = self.service(0, echo, "org.example.Here")
        self.meet(hello(), peer(1, ":1.1"), name(1, "org.example.Mine"), message(1, self.calls(destination="org.example.Here"), call=1),
                  message(1, self.calls(destination="org.xen.xcp.bridge"), call=2))
        for number in (1, 2):
            self.assertIn(ACCESS_DENIED.encode(), self.wait_refusal(number))
        self.wait_link(1)
        bus = self.bus(0)
        epoch = self.link_property(2, "Epoch")
        bus.call(MANAGER[0], "/org/xen/xcp/bridge/link/2", "org.xen.xcp.bridge1.Link", "Reconnect")
        self.wait_link(2, after=epoch)
        self.wait_link(0, at=2)
        self.assertEqual([n for n in bus.driver("ListNames")[0] if n.startswith("org.example.")], ["org.example.Here"])
        self.assertEqual((self.link_property(1, "Names"), self.link_property(2, "Names"), service.calls), ([], [], []))

    def test_09_kinds_of_messages_that_nobody_knows(self):
        service, client = self.serve(f"allow in call {ECHO} from any\n" + OTHERS)
        strange = [self.calls()[:1] + bytes([kind]) + self.calls()[2:] for kind in (5, 77, 255)]
        self.meet(hello(), peer(1, ":1.1"), *(message(1, data, call=number + 1) for number, data in enumerate(strange)),
                  message(1, self.calls(signature="s", body=("known",)), call=9))
        wait_until(lambda: service.calls, "what is known")
        for big_endian in (True, False):                                # what is rewritten stays in its sender's byte order
            client.answer(client.call_async(ECHO, "/", ECHO, "Echo", "s", str(big_endian), big_endian=big_endian))
        self.assertEqual([(call.body, call.big_endian) for call in service.calls],
                         [(("known",), False), (("True",), True), (("False",), False)])
        self.assertEqual(self.link_property(1, "State"), "Up")

    def test_10_values_within_values_come_as_they_are(self):
        service, client = self.serve(f"allow in call {ECHO} from any\n" + OTHERS)
        deep = ("s", "the end")
        for _ in range(30):
            deep = ("v", deep)
        signature = "a{sv}(ya(sa{ss})v)aavadgo"
        body = ({"one": ("as", ["a", ""]), "two": ("a{sv}", {"x": ("(yt)", (1, 2**64 - 1)), "": ("ai", [])})},
                (255, [("s", {"k": "v"}), ("", {})], ("a(ii)", [(1, -1)])), [[("b", True)], [], [deep]], [0.5, -0.0], "a{s(ii)}", "/a/b")
        for big_endian in (False, True):
            serial = client.call_async(ECHO, "/", ECHO, "Echo", signature, *body, big_endian=big_endian)
            self.assertEqual(client.answer(serial), body)
        self.assertEqual([call.body for call in service.calls], [body, body])

    def test_11_short_writes_are_gone_on_with_and_stopping_is_told(self):
        slow = self.bus(0)                                                      # and reads nothing until all that can be is sent
        slow.own(ECHO)
        self.wait_name(2)
        client = self.bus(2)
        body = os.urandom(6 << 20)
        before = self.counters(2)["bytes.in"]
        serial = client.call_async(ECHO, "/", ECHO, "Echo", "ay", body)
        wait_until(lambda: self.counters(2)["bytes.in"] - before > len(body), "it to cross the link")
        self.assertEqual(slow.receive(lambda m: m.type == CALL, "the call").body[0], body)
        bridge = self.bridges[2]
        bridge.signal(signal.SIGTERM)
        self.assertEqual(client.reply_to(serial).error, NO_ANSWER)
        self.assertEqual(bridge.wait().status, 0)
        self.world.start_bridge(2)
        self.wait_link(2)

    def test_12_properties_are_opened_one_by_one(self):
        service, client = self.serve(f"allow in call {ECHO} path /open interface {PROPERTIES} member Get from any\n" + OTHERS)
        self.assertEqual(client.call(ECHO, "/open", PROPERTIES, "Get", "ss", "a.b", "C"), ("a.b", "C"))
        for path, member in (("/open", "Set"), ("/open", "GetAll"), ("/", "Get"), ("/open/below", "Get")):
            self.assertEqual(self.error(client.call, ECHO, path, PROPERTIES, member, "ss", "a.b", "C").name, ACCESS_DENIED)
        self.assertEqual(len(service.calls), 1)

    def test_13_what_connecting_takes_needs_no_rule(self):
        """And rules that nobody needs, or that can never decide, are told of."""
        service, client = self.serve(f"allow in call {ECHO} member Echo from any\n" + OTHERS)
        self.assertIn(ECHO, client.driver("ListNames")[0])
        client.match(f"sender='{ECHO}'")
        self.assertIsNotNone(client.owner(ECHO))
        self.assertEqual(client.call(ECHO, "/", ECHO, "Echo", "s", "through"), ("through",))
        self.assertEqual(len(service.calls), 1)
        rotten = self.directory(0) / "rotten.policy"
        rotten.write_text(f"allow in call {DBUS} from any\ndeny in call {ECHO} from any\nallow in call {ECHO} member Echo from id=2\n")
        lint = run(XCPCTL, "policy", "lint", rotten, check=None)
        for line in (1, 3):
            self.assertIn(f"rotten.policy:{line}:", lint.stdout + lint.stderr)
