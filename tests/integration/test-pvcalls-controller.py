# SPDX-License-Identifier: LGPL-2.1-or-later
"""The controller of PV Calls: devices attached and detached, policies, sockets, faults, restarts; and what is left of all that."""

import os
import signal

from harness import run, wait_until
from pvcalls import keep, make_device
from pvcallscase import ControllerCase, backends

DENY_ALL = {"action": "Deny"}
FRONT, BACK = "/local/domain/1/device/pvcalls/0", "/local/domain/0/backend/pvcalls/1/0"
LONG = 600_000  # ms: longer than any test


def rule(action, **more):
    """A rule as it is told: with what is not said."""
    return {"action": action, "call": "Any", "family": "Any", "type": "Any", "port_first": 0, "port_last": 65535, **more}


class Attaching(ControllerCase):
    domains = 2

    def read(self, path):
        return self.xen.run(0, "xenstore-read", path).stdout.strip()

    def test_attach_and_detach(self):
        domain, frontend = self.attach()
        for path, text in ((f"{FRONT}/backend", BACK), (f"{FRONT}/backend-id", "0"), (f"{BACK}/frontend", FRONT),
                           (f"{BACK}/frontend-id", "1"), (f"{BACK}/online", "1"), (f"{BACK}/state", "4")):
            self.assertEqual(self.read(path), text, path)
        listing = self.xen.run(0, "xenstore-ls", "-p", "-f", "/local/domain").stdout
        for path in (FRONT, f"{FRONT}/backend", f"{FRONT}/state"):
            self.assertRegex(listing, rf"(?m)^{path} = .*\(n1,r0\)")
        for path in (BACK, f"{BACK}/online", f"{BACK}/state"):
            self.assertRegex(listing, rf"(?m)^{path} = .*\(n0,r1\)")
        self.assertEqual((domain.get("State"), domain.get("Domain"), domain.get("BackendDomain")), ("Connected", 1, 0))
        self.assertEqual(domain.get("Policy"), [rule("Allow")])
        self.assertEqual(len(backends(self.state)), 1)

        task = domain.detach()
        frontend.do("wait-backend", 5)
        self.assertEqual(self.refused("BadState", domain.detach).split()[-2:], ["for", "this"])
        frontend.do("set-state", 6)
        self.done(task)
        self.assert_nothing_left()

    def test_two_domains_have_a_backend_each(self):
        first, _ = self.attach(1)
        second, _ = self.attach(2)
        self.assertEqual(len(backends(self.state)), 2)
        self.xen.destroy(1)
        wait_until(lambda: len(backends(self.state)) == 1 and len(self.controller.domains()) == 1, "one domain to be left")
        self.assertEqual(second.get("State"), "Connected")
        self.xen.destroy(2)
        wait_until(lambda: self.controller.domains() == [], "no domain to be left")
        self.assert_nothing_left()

    def test_a_device_that_a_toolstack_made_is_used_and_left(self):
        make_device(self.xen, 1)
        made = self.left()
        domain, _ = self.attach()
        self.done(domain.detach())
        self.assertEqual([path for path in self.left() if path in made], made)
        self.assertEqual(backends(self.state), [])

    def test_features_are_what_both_sides_have(self):
        self.done(self.controller.attach(1, wait_ms=0))
        domain = self.controller.lookup(1)
        self.assertEqual((domain.get("State"), domain.get("Features")), ("Waiting", []))
        frontend = self.frontend()
        frontend.attach(suppress=True)
        domain.wait_state("Connected")
        self.assertIn("notification-suppression", domain.get("Features"))
        frontend.do("set-state", 6)
        domain.wait_state("Waiting")  # for the next

    def test_a_network_namespace(self):
        """Its loopback is down: nothing there can be reached, although the policy allows it."""
        if os.geteuid() != 0:
            self.refused("DoesNotExist", self.controller.attach, 1, network_namespace="xcp-none")
            return
        name = f"xcp-test-{os.getpid()}"
        os.makedirs("/run/netns", exist_ok=True)
        with open(f"/run/netns/{name}", "x", encoding="ascii"):
            pass
        self.addCleanup(os.unlink, f"/run/netns/{name}")
        self.addCleanup(run, "umount", f"/run/netns/{name}", check=None)
        run("unshare", f"--net=/run/netns/{name}", "true")
        server = self.serve()
        domain, frontend = self.attach(network_namespace=name)
        self.assertEqual(domain.get("NetworkNamespace"), name)
        self.assertNotEqual(frontend.connect(1, server.port), 0)
        self.assertEqual(os.stat(f"/proc/{backends(self.state)[0]}/ns/net").st_ino, os.stat(f"/run/netns/{name}").st_ino)


class Policies(ControllerCase):
    def test_what_a_policy_does_to_sockets(self):
        server = self.serve()
        domain, frontend = self.attach(policy=())
        self.assertEqual(frontend.connect(1, server.port), "EACCES")
        self.controller.wait_until(domain.denials, "a denial")
        self.assertEqual(domain.denials()[0][:5], ("Connect", "Inet", "127.0.0.1", server.port, -1))

        domain.set_policy({"action": "Allow", "prefix": "127.0.0.0/8", "port_first": server.port, "port_last": server.port})
        self.assertEqual(domain.check("Connect", "127.0.0.1", server.port), ("Allow", 0))
        self.assertEqual(domain.check("Connect", "127.0.0.1", server.port + 1), ("Deny", -1))
        self.assertEqual(frontend.connect(2, server.port), 0)
        self.assertEqual(frontend.transfer("echo", 2, 100_000), (100_000, 0))
        [socket] = [socket for socket in domain.sockets() if socket["state"] == "Connected"]
        self.assertEqual((socket["family"], socket["remote_address"], socket["remote_port"]), ("Inet", "127.0.0.1", server.port))
        self.assertEqual((socket["sent_bytes"], socket["received_bytes"]), (100_000, 100_000))
        self.assertEqual(domain.counters()["bytes.sent"], 100_000)

        domain.set_policy({"action": "Deny", "prefix": "127.0.0.0/8"}, {"action": "Allow"})
        domain.counters()
        self.assertEqual([socket for socket in domain.sockets() if socket["state"] == "Connected"], [])
        moved, error = frontend.transfer("echo", 2, 10)
        self.assertNotEqual(error, 0)
        self.assertEqual(domain.get("Policy"), [rule("Deny", prefix="127.0.0.0/8"), rule("Allow")])
        for action in ("attach", "policy"):
            self.service.wait_output(rf"XCP_AUDIT={action} XCP_DOMAIN=1 XCP_CALLER={self.controller.unique}", stream="stderr")
        for action in ("attached", "denied"):
            self.service.wait_output(rf"XCP_AUDIT={action} XCP_DOMAIN=1", stream="stderr")

    def test_ports_are_mapped_and_rates_kept(self):
        server = self.serve()
        domain, frontend = self.attach(policy=({"action": "Allow", "call": "Connect", "prefix": "10.1.2.3", "port_first": 80,
                                                "port_last": 80, "to_address": "127.0.0.1", "to_port": server.port, "per_second": 1},))
        self.assertEqual(frontend.connect(1, 80, address="10.1.2.3"), 0)
        self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))
        self.assertIn("ENOBUFS", [frontend.connect(number, 80, address="10.1.2.3") for number in range(2, 12)])

    def test_sockets_are_killed(self):
        server = self.serve(keep)
        domain, frontend = self.attach()
        for number in range(1, 4):
            self.assertEqual(frontend.connect(number, server.port), 0)
        first = domain.sockets()[0]["id"]
        domain.call("CloseSocket", "(t)", first)
        self.assertNotIn(first, [socket["id"] for socket in domain.sockets() if socket["state"] == "Connected"])
        self.refused("DoesNotExist", domain.call, "CloseSocket", "(t)", 1 << 60)
        self.assertEqual(domain.call("CloseAllSockets")[0], 2)
        for words in (("socket", 10), ("bind", 10, "127.0.0.1", 0), ("listen", 10, 5)):
            self.assertEqual(frontend.call(*words), 0)
        self.assertFalse(frontend.is_answered(frontend.request("accept", 10, 11, 1)))
        states = [socket["state"] for socket in domain.sockets()]
        self.assertEqual([state for state in states if state in ("Listening", "Accepting")], ["Listening", "Accepting"])

    def test_limits_change_while_it_runs(self):
        server = self.serve(keep)
        domain, frontend = self.attach(limits={"sockets": 1})
        self.assertEqual(frontend.connect(1, server.port), 0)
        self.assertEqual(frontend.call("socket", 2), "EMFILE")
        domain.set_limits(sockets=2)
        self.assertEqual(domain.get("Limits")["sockets"], 2)
        domain.counters()  # the backend has the limits when it has answered that
        self.assertEqual(frontend.call("socket", 2), 0)
        self.refused("InvalidArgument", domain.set_limits, sockets_per_second=0)
        self.refused("InvalidArgument", domain.set_limits, max_page_order=10)


class Mistakes(ControllerCase):
    domains = 2

    def test_each_has_a_name_and_leaves_nothing(self):
        attach = self.controller.attach
        for error, domain, options in (
            ("DoesNotExist", 77, {}),
            ("InvalidArgument", 1 << 31, {}),
            ("InvalidArgument", 0, {}),
            ("DoesNotExist", 1, {"backend_domain": 77}),
            ("InvalidArgument", 1, {"backend_domain": 1}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "prefix": "10.0.0.0/33"}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "prefix": "10.0.0.1/8"}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "prefix": "x" * 10_000}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "prefix": "10.0.0.0/8\nallow"}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "prefix": ""}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "port_first": 90, "port_last": 80}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "per_second": 0}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Deny", "per_second": 1}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "to_address": "nowhere"}]}),
            ("InvalidArgument", 1, {"policy": [{"action": "Allow", "port_first": 1, "to_port": 65535}]}),
            ("LimitExceeded", 1, {"policy": [{"action": "Allow"}] * 1025}),
            ("InvalidArgument", 1, {"limits": {"max_page_order": 0}}),
            ("InvalidArgument", 1, {"limits": {"sockets": 1 << 20}}),
            ("DoesNotExist", 1, {"network_namespace": "xcp-test-none"}),
            ("InvalidArgument", 1, {"network_namespace": "../../etc/passwd"}),
            ("InvalidArgument", 1, {"network_namespace": "n" * 10_000}),
        ):
            with self.subTest(error=error, domain=domain, options=str(options)[:80]):
                self.refused(error, attach, domain, **options)
        self.refused("DoesNotExist", self.controller.lookup, 1)
        self.refused("org.freedesktop.DBus.Error.UnknownObject", self.controller.domain(1).detach)
        self.assert_nothing_left()

    def test_a_mistake_in_a_new_policy_changes_nothing(self):
        domain, frontend = self.attach()
        server = self.serve()
        message = self.refused("InvalidArgument", domain.set_policy, DENY_ALL, {"action": "Allow", "port_first": 9, "port_last": 8})
        self.assertIn("policy[1]", message)
        self.refused("LimitExceeded", domain.set_policy, *[DENY_ALL] * 1025)
        self.refused("InvalidArgument", domain.check, "Any", "127.0.0.1", 1)
        self.refused("InvalidArgument", domain.check, "Bind", "localhost", 1)
        self.assertEqual(domain.get("Policy"), [rule("Allow")])
        self.assertEqual(frontend.connect(1, server.port), 0)

    def test_attach_twice(self):
        first = self.controller.attach(1, wait_ms=LONG)
        self.refused("AlreadyExists", self.controller.attach, 1)
        first.cancel()
        self.failed(first, "Cancelled", state="Cancelled")
        self.attach()
        self.refused("AlreadyExists", self.controller.attach, 1)
        self.refused("AlreadyExists", self.controller.attach, 1, backend_domain=2)

    def test_a_frontend_that_does_not_come(self):
        self.failed(self.controller.attach(1, wait_ms=300), "TimedOut", "domain 1")
        self.assert_nothing_left()

    def test_cancel_while_it_waits_for_the_frontend(self):
        task = self.controller.attach(1, wait_ms=LONG)
        self.xen.wait_store(0, f"{BACK}/state", lambda value: value == "2")
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.assert_nothing_left()

    def test_cancel_at_once(self):
        task = self.controller.attach(1, wait_ms=LONG)
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.assert_nothing_left()

    def test_the_domain_is_destroyed_meanwhile(self):
        task = self.controller.attach(1, wait_ms=LONG)
        self.xen.wait_store(0, f"{BACK}/state", lambda value: value == "2")
        self.xen.destroy(1)
        self.failed(task, "DoesNotExist", "domain '1'")
        self.assert_nothing_left()

    def test_a_driver_domain_without_a_controller(self):
        self.failed(self.controller.attach(1, backend_domain=2), "Unreachable")
        self.assert_nothing_left()


class Backends(ControllerCase):
    def test_one_that_dies_at_once(self):
        self.service.kill()
        self.service = self.start("env", "XCP_PVCALLS_BACKEND=/bin/false")
        self.failed(self.controller.attach(1), "BackendFailed", "ended with status 1")
        self.assert_nothing_left()

    def test_one_that_is_not_there(self):
        self.service.kill()
        self.service = self.start("env", "XCP_PVCALLS_BACKEND=/nonexistent/backend")
        self.failed(self.controller.attach(1), "BackendFailed", "No such file")
        self.assert_nothing_left()

    def test_one_that_is_killed_is_started_again_with_its_policy(self):
        server = self.serve()
        domain, frontend = self.attach(policy=({"action": "Allow", "port_first": server.port, "port_last": server.port},))
        [pid] = backends(self.state)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: backends(self.state) not in ([], [pid]), "another backend")
        frontend.do("wait-backend", 5)
        frontend.do("set-state", 6)
        frontend.do("set-state", 1)
        frontend.attach()
        domain.wait_state("Connected")
        self.assertEqual(frontend.connect(7, server.port), 0)
        self.assertEqual(frontend.connect(8, server.port + 1), "EACCES")


class Restarts(ControllerCase):
    domains = 2

    def test_connections_outlive_the_controller(self):
        server = self.serve()
        domain, frontend = self.attach(policy=({"action": "Allow", "port_first": server.port, "port_last": server.port, "per_second": 9},),
                                       limits={"sockets": 7, "bytes_per_second": 1 << 30})
        running = backends(self.state)
        self.assertEqual(frontend.connect(1, server.port), 0)
        policy, limits = domain.get("Policy"), domain.get("Limits")
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.restart(how, lambda: self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0)))
            self.assertEqual(backends(self.state), running)
            domain.wait_state("Connected")
            self.assertEqual((domain.get("Policy"), domain.get("Limits")), (policy, limits))
            self.assertEqual([socket["state"] for socket in domain.sockets()], ["Connected"])
            self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))
        task = domain.detach()
        frontend.do("wait-backend", 5)
        frontend.do("set-state", 6)
        self.done(task)
        self.assert_nothing_left()

    def test_what_died_meanwhile(self):
        """The backend of one domain, and another domain, while nobody looks."""
        first, frontend = self.attach(1)
        self.attach(2)
        [pid] = [pid for pid in backends(self.state) if "--domain\0001\0" in open(f"/proc/{pid}/cmdline", encoding="ascii").read()]

        def die():
            os.kill(pid, signal.SIGKILL)
            self.xen.destroy(2)

        self.restart(meanwhile=die)
        wait_until(lambda: self.controller.domains() == [first.path], lambda: f"one domain in place of {self.controller.domains()}")
        wait_until(lambda: len(backends(self.state)) == 1, "one backend")
        self.assertEqual([path for path in self.left() if "/2" in path.replace("/local/domain/0", "")], [])
        self.xen.destroy(1)
        wait_until(lambda: self.controller.domains() == [], "no domain")
        self.assert_nothing_left()

    def test_an_attach_that_was_interrupted_is_undone(self):
        self.controller.attach(1, wait_ms=LONG)
        self.xen.wait_store(0, f"{BACK}/state", lambda value: value == "2")
        self.restart()
        wait_until(lambda: self.left() == self.before, "the nodes to go")
        self.assert_nothing_left()
        self.attach()
