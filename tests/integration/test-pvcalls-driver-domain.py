# SPDX-License-Identifier: LGPL-2.1-or-later
"""PV Calls with frontend and backend each in a domain of their own: the controller of domain 0 has that of domain 1 run the backend."""

import contextlib
import signal

from bridgecase import BridgeCase
from harness import build_directory, run, wait_until
from pvcalls import Frontend
from pvcallscase import PROGRAM, ControllerCase
from pvcallsclient import NAME, ROOT, Controller

ECHO_SERVER = """
import socket, sys, threading
def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""


class DriverDomain(BridgeCase):
    """Domain 1 has the backend, domain 2 the frontend. Only domain 1 may own such a name, and only it and domain 0 talk of sockets."""

    domains = 2
    policy = """\
deny own org.xen.xcp.pvcalls by any
allow own org.xen.xcp.pvcalls.* by id=1 id=3
allow out call org.xen.xcp.pvcalls.* to id=1 id=3
allow in signal org.xen.xcp.pvcalls.* from id=1 id=3
allow in call org.xen.xcp.pvcalls.* from id=0
allow out signal org.xen.xcp.pvcalls.* to id=0
"""  # 3 is what domain 1 is when it has restarted

    done, failed, left, refused = ControllerCase.done, ControllerCase.failed, ControllerCase.left, ControllerCase.refused

    def setUp(self):
        super().setUp()
        self.before, self.there = self.left(), self.used_there()
        self.state = self.xen.rundir / "state"
        self.host = self.start_host()
        self.service = self.start_controller()
        self.wait_name(0, f"{NAME}.domain1")
        self.controller = Controller(f"unix:path={self.path(0)}")
        self.addCleanup(self.controller.close)
        self.port = self.start_server(1)

    def start_server(self, domain, port=0):
        server = self.xen.start(domain, "/usr/bin/python3", "-c", ECHO_SERVER, str(port))
        self.addCleanup(server.kill)
        return int(server.wait_output(r"^(\d+)$").group(1))

    def start_service(self, domain, name):
        process = self.xen.start_ready(domain, PROGRAM, "--bus-address", f"unix:path={self.path(domain)}", "--bus-name", name,
                              "--state-dir", self.directory(domain) / "state")
        self.addCleanup(self.end_service, process)
        return process

    def start_host(self):
        return self.start_service(1, f"{NAME}.domain1")

    def start_controller(self):
        return self.start_service(0, NAME)

    def end_service(self, process):
        said = process.stderr
        process.kill()
        self.assertNotRegex(said, "Sanitizer|runtime error|please report")

    def attach(self, **options):
        task = self.controller.attach(2, backend_domain=1, **options)
        self.xen.wait_store(0, "/local/domain/2/device/pvcalls/0/backend-id")
        frontend = self.enterContext(Frontend(self.xen, 2))
        frontend.attach()
        self.done(task)
        return self.controller.lookup(2), frontend

    def assert_nothing_left(self):
        """Neither here nor there."""
        self.assertEqual(self.left(), self.before)
        self.assertEqual(self.controller.domains(), [])
        host = Controller(f"unix:path={self.path(1)}")
        host.name = f"{NAME}.domain1"
        with contextlib.closing(host):
            wait_until(lambda: host.domains() == [], lambda: f"domain 1 to let go of {host.domains()}")
        wait_until(lambda: self.n_backends() == 0, "the end of the backend")
        wait_until(lambda: self.used_there() == self.there, lambda: f"domain 1 to use {self.there} in place of {self.used_there()}")

    def used_there(self):
        """What domain 1 has of Xen."""
        [there] = [domain for domain in self.xen.list() if domain["domid"] == 1]
        return {what: there[what]["used"] for what in ("ports", "maptrack")}

    def n_backends(self):
        return self.xen.run(1, "ps", "-e", "-o", "args").stdout.count("xcp-pvcalls-backend ")

    def test_sockets_are_in_the_driver_domain(self):
        domain, frontend = self.attach(policy=({"action": "Allow", "port_first": self.port, "port_last": self.port},))
        self.assertEqual((domain.get("State"), domain.get("BackendDomain"), self.n_backends()), ("Connected", 1, 1))
        listing = self.xen.run(0, "xenstore-ls", "-p", "-f", "/local/domain").stdout
        self.assertRegex(listing, r"(?m)^/local/domain/2/device/pvcalls/0/state = .*\(n2,r1\)")
        self.assertRegex(listing, r"(?m)^/local/domain/1/backend/pvcalls/2/0/state = .*\(n1,r2\)")
        self.assertEqual(frontend.connect(1, self.port), 0)
        self.assertEqual(frontend.transfer("echo", 1, 1_000_000), (1_000_000, 0))
        self.assertEqual([socket["sent_bytes"] for socket in domain.sockets()], [1_000_000])
        self.assertEqual(domain.counters()["bytes.sent"], 1_000_000)
        self.assertEqual(frontend.connect(2, self.port + 1), "EACCES")
        self.controller.wait_until(domain.denials, "a denial")
        self.assertEqual(domain.denials()[0][2:4], ("127.0.0.1", self.port + 1))
        self.assertEqual(frontend.call("release", 2), 0)
        self.controller_is_killed(domain, frontend)
        domain.set_policy()
        domain.counters()
        self.assertEqual([socket for socket in domain.sockets() if socket["state"] == "Connected"], [])
        self.assertEqual(frontend.connect(3, self.port), "EACCES")
        task = domain.detach()
        frontend.do("wait-backend", 5)
        frontend.do("set-state", 6)
        self.done(task)
        self.assert_nothing_left()

    def controller_is_killed(self, domain, frontend):
        """Either, and then the other: the connection goes on, and what the domain may do is known again."""
        policy = domain.get("Policy")
        self.service.kill()
        self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))
        self.service = self.start_controller()
        domain.wait_state("Connected")
        self.host.kill()
        domain.wait_state("Failed")
        self.assertIn("domain 2", str(self.controller.get(ROOT, "org.xen.xcp.Diagnostics1", "HealthReasons")))
        self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))
        self.host = self.start_host()
        domain.wait_state("Connected")
        self.assertEqual(self.controller.get(ROOT, "org.xen.xcp.Diagnostics1", "Health"), "Good")
        self.assertEqual((domain.get("Policy"), len(domain.sockets())), (policy, 1))
        self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))

    def test_neither_controller_can_be_moved(self):
        """docs/pvcalls.md says why. Nothing is started for it anywhere, and nobody notices."""
        domain, frontend = self.attach(policy=({"action": "Allow"},))
        self.assertEqual(frontend.connect(1, self.port), 0)
        for name, to in (("pvcalls", 1), (NAME, 2), (f"{NAME}.domain1", 0)):
            with self.subTest(f"{name} to {to}"):
                result = run(build_directory() / "tools/xcpctl/xcpctl", "--address", f"unix:path={self.path(0)}", "service", "move", name, "--to", str(to),
                             check=None)
                self.assertNotEqual(result.status, 0)
                self.assertIn("org.xen.xcp.Error.NotSupported", result.stderr)
                self.assertIn("stays", result.stderr)
        self.assertEqual(frontend.transfer("echo", 1, 1000), (1000, 0))
        self.assertEqual((domain.get("State"), self.n_backends()), ("Connected", 1))
        names = run("busctl", f"--address=unix:path={self.path(0)}", "list", "--no-legend").stdout
        self.assertNotRegex(names, r"pvcalls\S*\.(standby|handover)")

    def test_mistakes_have_names_there_too(self):
        self.failed(self.controller.attach(2, backend_domain=1, network_namespace="xcp-test-none"), "DoesNotExist", "network namespace")
        self.failed(self.controller.attach(2, backend_domain=1, wait_ms=300), "TimedOut")
        task = self.controller.attach(2, backend_domain=1)
        task.cancel()
        self.failed(task, "Cancelled", state="Cancelled")
        self.assert_nothing_left()

    def test_domains_that_are_destroyed(self):
        domain, frontend = self.attach(policy=({"action": "Allow"},))
        self.xen.destroy(2)
        self.controller.wait_until(lambda: self.controller.domains() == [], "the domain to go")
        self.assert_nothing_left()
        self.host.signal(signal.SIGTERM)
        self.host.wait().check()

    def nodes(self):
        return [path for path in self.left() if "pvcalls/2" in path or "/2/device/pvcalls" in path]

    def destroy_driver_domain(self):
        """Returns its UUID, and what is on its disk."""
        [uuid] = [domain["uuid"] for domain in self.xen.list() if domain["domid"] == 1]
        self.host.kill()
        files = {path.name: path.read_bytes() for path in (self.directory(1) / "state").glob("*.db*")}
        self.xen.destroy(1)
        return uuid, files

    def start_driver_domain(self, uuid, files):
        again = self.xen.create("--name", "again", "--uuid", uuid)
        self.assertEqual(again, 3)
        self.start_bus(again)
        self.start_bridge(again)
        self.wait_link(again)
        self.wait_link(0, at=again)
        self.assertEqual(self.start_server(again, self.port), self.port)
        (self.directory(again) / "state").mkdir(exist_ok=True)
        self.assertIn("pvcalls.db", files)
        for name, data in files.items():
            (self.directory(again) / "state" / name).write_bytes(data)
        self.start_service(again, f"{NAME}.domain{again}")

    def test_a_driver_domain_that_restarts(self):
        """Under another id: the device waits for it, also in a controller that is restarted meanwhile, and a program in the frontend's domain goes on."""
        task = self.controller.attach(2, backend_domain=1, policy=({"action": "Allow", "port_first": self.port, "port_last": self.port},))
        program = self.enterContext(self.xen.start(2, build_directory() / "pvcalls/frontend/pvcalls-library-user", "hold", "127.0.0.1", str(self.port)))
        self.done(task)
        program.wait_output("connected 1")
        domain = self.controller.lookup(2)
        what_it_is = self.destroy_driver_domain()
        self.controller.wait_until(lambda: "domain 1, which has its sockets, is gone" in domain.get("StateReason"), "the domain to be missed")
        self.assertEqual(domain.get("State"), "Failed")
        self.assertEqual(self.nodes(), [])
        program.wait_output("ended (ECONNRESET|0)")  # 0: the server went before the backend
        self.refused("Unreachable", domain.sockets)
        self.service.kill()
        self.service = self.start_controller()
        domain.wait_state("Failed")
        self.start_driver_domain(*what_it_is)
        domain.wait_state("Connected")
        program.wait_output("connected 2")
        self.assertEqual((domain.get("BackendDomain"), [socket["state"] for socket in domain.sockets()]), (3, ["Connected"]))
        self.assertEqual([rule["port_first"] for rule in domain.get("Policy")], [self.port])
        self.xen.destroy(3)
        domain.wait_state("Failed")
        self.done(domain.detach())
        self.assertEqual((self.controller.domains(), self.nodes()), ([], []))

    def test_both_domains_are_destroyed(self):
        self.attach(policy=({"action": "Allow"},))
        self.xen.destroy(1)
        self.controller.domain(2).wait_state("Failed")
        self.xen.destroy(2)
        self.controller.wait_until(lambda: self.controller.domains() == [], "the domain to go")
        self.assertEqual(self.nodes(), [])
