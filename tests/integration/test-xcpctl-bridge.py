# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl's commands for the bridge: policy, with and without one, and the links of one that runs."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from bridgecase import BRIDGE, ECHO, BridgeCase
from dbuswire import CALL, NO_REPLY
from harness import Process, TestCase, build_directory, run, wait_until

XCPCTL = build_directory() / "tools/xcpctl/xcpctl"
DENIED = 4  # the exit status

POLICY = """\
# for the tests
log in call org.example.Echo member Noted from any
deny in call org.example.Echo member Secret from any
allow in any org.example.* from type=pvh,name=web*
allow in any org.example.* from id=1
allow out any org.example.* to any
allow own org.example.* by id=1
"""


def answer(bus, call):
    """A service that answers everything with nothing, but for what it is told to be silent about."""
    if call.type == CALL and not call.flags & NO_REPLY and call.member != "Silent":
        bus.answer_to(call)


class WithoutBus(TestCase):
    """Needs no bus, and no Xen."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def xcpctl(self, *arguments, **options):
        return run(XCPCTL, *arguments, env={"XCP_RUNDIR": str(self.root / "none")}, **options)


class Lint(WithoutBus):
    def test_a_good_policy(self):
        path = self.write("good.policy", "allow out call a.b to type=pvh\nallow own a.b by type=pvh\n")
        self.assertEqual(self.xcpctl("policy", "lint", path).stdout, "")
        self.assertEqual(json.loads(self.xcpctl("policy", "lint", "--json", path).stdout), [])

    def test_what_is_shipped_is_good(self):
        self.assertEqual(self.xcpctl("policy", "lint").stdout, "")

    def test_warnings_name_their_line(self):
        path = self.write("a.policy", "allow out call a.b to any\n\nallow out call a.b member M to any\nallow own a.b by uuid="
                                      "00000000-0000-0000-0000-000000000001\n")
        result = self.xcpctl("policy", "lint", path, check=DENIED)
        self.assertEqual(result.stdout, f"{path}:3: warning: it never decides: {path}, line 1, does before it\n"
                                        "        allow out call a.b member M to any\n")
        self.assertEqual(result.stderr, "")
        [found] = json.loads(self.xcpctl("policy", "lint", path, "--json", check=DENIED).stdout)
        self.assertEqual({key: found[key] for key in ("file", "line", "severity", "text")},
                         {"file": str(path), "line": 3, "severity": "warning", "text": "allow out call a.b member M to any"})

    def test_notes_are_no_failure(self):
        path = self.write("a.policy", "allow in signal a.b from id=7\nallow own a.b by id=7\n")
        self.assertRegex(self.xcpctl("policy", "lint", path).stdout, rf"\A{path}:1: note: .*\n +allow in signal")

    def test_several_files_are_one_policy(self):
        first = self.write("d/10.policy", "allow out call a.b to any\n")
        self.write("d/not-this-one", "nonsense\n")
        self.write("d/20.policy", "allow own a.b by type=pvh\n")
        second = self.write("other.policy", "deny out call a.b to id=0\n")
        self.assertIn(f"{second}:1: warning: it never decides: {first}, line 1", self.xcpctl("policy", "lint", self.root / "d", second,
                                                                                             check=DENIED).stdout)
        self.assertEqual(self.xcpctl("policy", "lint", second, self.root / "d").stdout, "")

    def test_what_is_no_policy(self):
        path = self.write("bad.policy", "allow out call a.b to any\nallow in call a from any\n")
        result = self.xcpctl("policy", "lint", path, check=1)
        self.assertEqual((result.stdout, result.stderr), ("", f"xcpctl: {path}:2:15: 'a' is not a bus name, * or unnamed\n"))
        error = json.loads(self.xcpctl("policy", "lint", "--json", path, check=1).stderr)["error"]
        self.assertIn(":2:15:", error["message"])

    def test_what_is_not_there(self):
        self.assertIn("No such file", self.xcpctl("policy", "lint", self.root / "none", check=1).stderr)
        self.assertIn("No such file", self.xcpctl("policy", "check", "1", "In", "--policy", self.root / "none", check=1).stderr)


class OnFiles(WithoutBus):
    """check and explain on a policy that no bridge has."""

    def setUp(self):
        super().setUp()
        self.path = self.write("test.policy", POLICY)

    def ask(self, *arguments, command="check", check=0):
        return self.xcpctl("policy", command, *arguments, "--policy", self.path, check=check).stdout

    def test_check(self):
        self.assertEqual(self.ask("1", "In", "--destination", ECHO, "--member", "Any"),
                         f"Allow: {self.path}:5: allow in any org.example.* from id=1\n")
        self.assertEqual(self.ask("1", "In", "--destination", ECHO, "--member", "Secret", check=DENIED),
                         f"Deny: {self.path}:3: deny in call org.example.Echo member Secret from any\n")
        self.assertEqual(self.ask("2", "In", "--destination", ECHO, "--member", "Any", check=DENIED), "Deny: no rule matches\n")
        self.assertEqual(json.loads(self.ask("2", "In", "--json", "--member", "Any", check=DENIED)), {"action": "Deny", "rule": "", "text": None})

    def test_words_as_a_policy_has_them(self):
        self.assertIn("Allow:", self.ask("1", "in", "--kind", "signal", "--destination", ECHO, "--member", "Any"))

    def test_what_no_message_has(self):
        """Denied would be true of it, and mislead whoever has mistyped something."""
        for option, value in (("destination", "org..example"), ("interface", "one"), ("member", "a b"), ("owns", ":1.5")):
            self.assertIn(f"--{option}: '{value}' is not ",
                          self.xcpctl("policy", "check", "1", "In", f"--{option}", value, "--policy", self.path, check=2).stderr)

    def test_kinds(self):
        self.assertIn(":5:", self.ask("1", "In", "--kind", "Signal", "--destination", ECHO, "--member", "Secret"))
        self.assertIn(":7:", self.ask("1", "In", "--owns", ECHO))
        self.assertIn("no rule", self.ask("2", "In", "--owns", ECHO, check=DENIED))
        self.assertIn("--kind", self.xcpctl("policy", "check", "1", "In", "--kind", "Any", "--policy", self.path, check=2).stderr)

    def test_what_is_known_of_the_domain(self):
        known = ("--domain-type", "pvh", "--domain-name", "web1")
        self.assertIn(":4:", self.ask("9", "In", "--destination", ECHO, "--member", "Any", *known))
        self.assertIn("no rule", self.ask("9", "In", "--destination", ECHO, "--member", "Any", *known[:2], check=DENIED))

    def test_explain(self):
        lines = self.ask("1", "In", "--destination", ECHO, "--member", "Noted", command="explain").splitlines()
        self.assertRegex(lines[0], r"^RULE +MATCHES +WHY NOT +TEXT$")
        self.assertRegex(lines[1], rf"^{self.path}:2 +yes +- +log in call")
        self.assertRegex(lines[2], rf"^{self.path}:3 +no +\w.+ +deny in call")
        self.assertRegex(lines[3], rf"^{self.path}:4 +no +\w.+ +allow in any")
        self.assertRegex(lines[4], rf"^{self.path}:5 +yes +- ")
        self.assertEqual(lines[5:], [f"Allow: {self.path}:5: allow in any org.example.* from id=1"])
        # Denied, too, is an explanation.
        found = json.loads(self.ask("3", "In", "--destination", ECHO, "--member", "Any", "--json", command="explain"))
        self.assertEqual((found["action"], found["rule"], len(found["rules"])), ("Deny", "", 6))
        self.assertEqual([rule["matches"] for rule in found["rules"]], [False] * 6)
        self.assertTrue(all(rule["why"] for rule in found["rules"]))

    def test_options_that_the_bridge_knows_better(self):
        self.assertIn("--domain-name goes with --policy", self.xcpctl("policy", "check", "1", "In", "--domain-name", "x", check=2).stderr)


class XcpctlOnBridge(BridgeCase):
    policy = POLICY.replace("id=1", "any")

    def setUp(self):
        super().setUp()
        self.env = {"XCP_RUNDIR": str(self.xen.rundir), "TERM": "xterm", "NO_COLOR": "1"}

    def xcpctl(self, *arguments, **options):
        return run(XCPCTL, *arguments, env=self.env, **options)

    def json(self, *arguments, **options):
        return json.loads(self.xcpctl("--json", *arguments, **options).stdout)


class OnBridge(XcpctlOnBridge):
    def test_check_and_explain(self):
        path = self.policy_file(0)
        secret = ("1", "In", "--destination", ECHO, "--member", "Secret")
        self.assertEqual(self.xcpctl("policy", "check", *secret, check=DENIED).stdout,
                         f"Deny: {path}:3: deny in call org.example.Echo member Secret from any\n")
        self.assertEqual(self.json("policy", "explain", *secret)["rule"], f"{path}:3")
        self.assertIn(f"Allow: {path}:7:", self.xcpctl("policy", "check", "1", "In", "--owns", ECHO).stdout)
        self.assertIn("DoesNotExist", self.xcpctl("policy", "check", "99", "In", check=1).stderr)
        self.assertIn("message.destination: 'a..b' is not a well-known name",
                      self.xcpctl("policy", "check", "1", "In", "--destination", "a..b", check=1).stderr)

    def test_reload(self):
        self.assertEqual(self.json("bridge", "status")["PolicyGeneration"], 1)
        self.xcpctl("policy", "reload")
        self.assertEqual(self.json("bridge", "status")["PolicyGeneration"], 2)
        self.policy_file(0).write_text("allow nonsense\n")
        self.assertRegex(self.xcpctl("policy", "reload", check=1).stderr, r"InvalidArgument.*test\.policy:1:7")
        self.assertEqual(self.json("bridge", "status")["PolicyGeneration"], 2)

    def test_status_and_links(self):
        status = self.json("bridge", "status")
        self.assertEqual((status["Domain"], status["Links"], status["LinksUp"], status["LinksStalled"]), (0, 1, 1, 0))
        self.assertRegex(self.xcpctl("bridge", "status").stdout, r"LinksUp +1\n")
        self.assertEqual(self.json("bridge", "status", "--domain", "1")["Domain"], 1)
        self.service(1, answer)
        wait_until(lambda: self.link_property(1, "Names") == [ECHO], "the link to be told of the name")
        [link] = self.json("bridge", "links")
        self.assertEqual((link["Domain"], link["State"], link["Names"]), (1, "Up", [ECHO]))
        self.assertRegex(self.xcpctl("bridge", "links").stdout, rf"\ADOMAIN +STATE .*\n +1 +Up .* {ECHO} +-\n\Z")

    def test_peers(self):
        service = self.service(1, answer)
        client = self.bus(0)
        self.wait_name(0)
        client.call(ECHO, "/", ECHO, "Ping")
        client.call_async(ECHO, "/", ECHO, "Silent")
        wait_until(lambda: len(service.calls) == 2, "the silent call")
        wait_until(lambda: self.json("bridge", "peers")[0]["outstanding_calls"] == 1, "the call among the peers' figures")
        [peer] = self.json("bridge", "peers", "1")
        self.assertEqual((peer["domain"], peer["local_name"], peer["remote_name"], peer["names"]),
                         (1, self.wait_name(0), service.bus.unique, [ECHO]))
        self.assertRegex(self.xcpctl("bridge", "peers").stdout, rf"\ADOMAIN +HERE .*\n +1 +:\S+ +{service.bus.unique} +1 .* {ECHO}\n\Z")
        self.assertIn(client.unique, [peer["remote_name"] for peer in self.json("bridge", "peers", "--domain", "1")])
        self.assertIn("'7'", self.xcpctl("bridge", "peers", "7", check=1).stderr)

    def test_where_a_service_is(self):
        service = self.service(1, answer)
        owner = self.wait_name(0)
        found = self.json("service", "domain", ECHO)
        self.assertEqual((found["domain"], found["running"], found["remote_name"]), (1, True, service.bus.unique))
        self.assertEqual(self.json("service", "domain", owner)["remote_name"], service.bus.unique)
        self.assertEqual(self.json("service", "domain", "bridge")["domain"], 0)
        self.assertRegex(self.xcpctl("service", "domain", ECHO).stdout, r"domain +1\n")
        self.assertIn("DoesNotExist", self.xcpctl("service", "domain", "org.example.Nobody", check=1).stderr)

    def test_reconnect(self):
        epoch = self.link_property(1, "Epoch")
        self.xcpctl("bridge", "reconnect", "1")
        wait_until(lambda: self.link_property(1, "Epoch") != epoch and self.link_property(1, "State") == "Up", "a new link")
        self.assertRegex(self.xcpctl("bridge", "reconnect", "9", check=1).stderr, "no link|'9'")

    def test_reconnect_where_the_other_side_is_gone(self):
        """The hub waits longer each time; who asks for the link need not."""
        self.bridges[1].kill()
        wait_until(lambda: self.link_property(1, "State") == "Connecting", "the end of the link")
        self.xcpctl("bridge", "reconnect", "1")
        self.start_bridge(1)
        self.wait_link(1)

    def test_pause_is_checked(self):
        for pause in ("49", "60001", "1s", "-1", ""):
            ended = subprocess.run([BRIDGE, "--pause-max", pause], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((ended.returncode, ended.stderr), (2, f"xcp-bridge: --pause-max '{pause}': a number of milliseconds from 50 to 60000\n"))

    def test_completion(self):
        offered = self.xcpctl("--complete", "bridge", "reconnect", "").stdout
        self.assertEqual([line.split("\t")[0] for line in offered.splitlines()], ["1"])
        self.assertIn("Out\t", self.xcpctl("--complete", "policy", "check", "1", "").stdout)
        self.assertEqual(self.xcpctl("--complete", "policy", "lint", "").stdout, ":files\n")

    def test_without_a_bridge(self):
        self.end(self.bridges[0])
        for words in (("bridge", "links"), ("bridge", "top", "--once"), ("policy", "reload")):
            self.assertRegex(self.xcpctl(*words, check=1).stderr, "ServiceUnknown|NameHasNoOwner")


class Top(XcpctlOnBridge):
    def test_once(self):
        self.service(1, answer)
        self.wait_name(0)
        client = self.bus(0)
        for _ in range(7):
            client.call(ECHO, "/", ECHO, "Ping")
        [link] = self.json("bridge", "top")
        self.assertEqual((link["domain"], link["state"], link["counters"]["calls.out"]), (1, "Up", 7))
        for words in (("bridge", "top"), ("bridge", "top", "--once")):
            header, row = self.xcpctl(*words).stdout.splitlines()
            self.assertRegex(header, "^DOMAIN +STATE +PEERS +CALLS IN +CALLS OUT")
            self.assertRegex(row, r"^ +1 +Up +\d+ +\d+ +7 ")

    def test_live(self):
        self.service(1, answer)
        self.wait_name(0)
        client = self.bus(0)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
        top = Process([XCPCTL, "bridge", "top"], env=self.env, stdout=theirs)
        self.addCleanup(top.kill)
        os.close(theirs)
        shown = []

        def look(pattern):
            while select.select([ours], [], [], 0)[0]:
                shown.append(os.read(ours, 65536).decode(errors="replace"))
            return re.search(pattern, "".join(shown))

        wait_until(lambda: look(r"\033\[H[^\0]* 1 +Up +\d+ +- +- "), "the first table", fds=(ours,))
        wait_until(lambda: look(r"1 +Up +\d+ +0 +0 "), "a second in which nobody calls", fds=(ours,))

        def called():
            client.call(ECHO, "/", ECHO, "Ping")
            return look(r"1 +Up +\d+ +0 +[1-9]\d* ")

        wait_until(called, "calls of one second")
        wait_until(lambda: look(r"1 +Up +\d+ +0 +[1-9]\d* [^\0]*1 +Up +\d+ +0 +0 "), "a second in which nobody calls any longer", fds=(ours,))
        top.signal(signal.SIGINT)
        top.wait().check(0)
