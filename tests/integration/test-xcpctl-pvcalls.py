# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl pvcalls: what an operator does with domains that have their sockets elsewhere."""

import json

from harness import build_directory, run
from pvcalls import keep
from pvcallscase import ControllerCase

XCPCTL = build_directory() / "tools/xcpctl/xcpctl"
DENIED = 4  # the exit status


class Commands(ControllerCase):
    def xcpctl(self, *arguments, **options):
        return run(XCPCTL, f"--address={self.address}", "pvcalls", *arguments, **options)

    def json(self, *arguments):
        return json.loads(self.xcpctl(*arguments, "--json").stdout)

    def test_a_domain_from_attach_to_detach(self):
        server = self.serve(keep)
        policy = self.xen.rundir / "policy"
        policy.write_text(f"# for the tests\nallow connect inet 127.0.0.0/8 port {server.port}\n")
        self.assertEqual(self.xcpctl("attach", "1", "--policy", policy, "--rule", "allow bind port 8080 to 127.0.0.1 port 18080 rate 7",
                                     "--limit", "sockets=5", "--limit", "bytes-per-second=1G", "--frontend-timeout", "0").stdout.strip(),
                         "domain/1")
        frontend = self.frontend()
        frontend.attach(suppress=True)
        self.controller.lookup(1).wait_state("Connected")
        self.assertEqual(self.xcpctl("policy", "1").stdout.splitlines(),
                         [f"allow connect inet 127.0.0.0/8 port {server.port}", "allow bind port 8080 to 127.0.0.1 port 18080 rate 7"])
        limits = self.json("policy", "1")["Limits"]
        self.assertEqual((limits["sockets"], limits["bytes_per_second"], limits["sockets_per_second"]), (5, 1 << 30, 1000))
        self.assertRegex(self.xcpctl("list").stdout, r"(?m)^ *1 +Connected +0 +- +2 +.*notification-suppression")
        self.assertEqual(self.json("list")[0]["State"], "Connected")

        self.assertEqual(frontend.connect(1, server.port), 0)
        self.assertEqual(frontend.connect(2, server.port), 0)
        self.assertRegex(self.xcpctl("sockets").stdout, rf"(?m)^ *1 +\d+ +Connected +127\.0\.0\.1:\d+ +127\.0\.0\.1:{server.port} +0 B")
        sockets = self.json("sockets", "1")
        self.assertEqual([socket["domain"] for socket in sockets], [1, 1])
        self.xcpctl("kill", "1", str(sockets[0]["id"]))
        self.assertEqual(self.xcpctl("kill", "1", "all").stdout.strip(), "1")
        self.assertRegex(self.xcpctl("top").stdout, r"(?m)^ *1 +Connected +\d+ +2 +0 ")
        self.assertEqual(self.json("top")[0]["counters"]["sockets.connected"], 2)

        self.assertIn(f"rule 0 says so: allow connect inet 127.0.0.0/8 port {server.port}",
                      self.xcpctl("check", "1", "Connect", "127.0.0.1", str(server.port)).stdout)
        self.assertIn("PORT: '70000' is no number", self.xcpctl("check", "1", "Connect", "127.0.0.1", "70000", check=2).stderr)
        self.assertIn("SOCKET: 'x' is no number", self.xcpctl("kill", "1", "x", check=2).stderr)
        self.xcpctl("policy", "1", "--deny-all", "--limit", "sockets=6")
        self.assertEqual(self.xcpctl("policy", "1").stdout, "# Nothing is allowed.\n")
        self.assertEqual(self.json("policy", "1")["Limits"]["sockets"], 6)
        self.assertEqual(self.json("policy", "1")["Limits"]["bytes_per_second"], 1 << 30)
        self.assertIn("no rule", self.xcpctl("check", "1", "Connect", "127.0.0.1", str(server.port), check=DENIED).stdout)
        self.assertEqual(frontend.connect(3, server.port), "EACCES")
        frontend.do("set-state", 6)
        self.xcpctl("detach", "1")
        self.assertEqual(self.json("list"), [])
        self.assert_nothing_left()

    def test_mistakes(self):
        for arguments, status, words in (
            (("attach", "1", "--rule", "permit all"), 2, "allow or deny"),
            (("attach", "1", "--rule", "allow port 9-8"), 1, "policy[0]"),
            (("attach", "1", "--limit", "sockets"), 2, "no limit"),
            (("attach", "1", "--limit", "sockets=-1"), 2, "--limit sockets: '-1'"),
            (("attach", "1", "--policy", "/nonexistent"), 1, "No such file"),
            (("attach", "77"), 1, "There is no domain '77'"),
            (("detach", "1"), 1, "attached domain"),
            (("policy", "1", "--deny-all", "--rule", "allow"), 1, "attached domain"),
            (("sockets", "1"), 1, "attached domain"),
            (("kill", "1", "all"), 1, "attached domain"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(words, self.xcpctl(*arguments, check=status).stderr)
        self.assert_nothing_left()

    def test_completion_knows_what_is_attached(self):
        self.done(self.controller.attach(1, wait_ms=0))
        offered = run(XCPCTL, "--complete", "--address", self.address, "pvcalls", "detach", "")
        self.assertIn("1", offered.stdout.split())
