# SPDX-License-Identifier: LGPL-2.1-or-later
"""Emulated Xen whose domains have each a bus and a bridge, and the programs that measure them."""

import contextlib
import pathlib
import sys

from comparison import ROUND_DEADLINE, Program, progress
from dbuswire import Bus, CallFailed
from harness import Emulation, Failed, TimedOut, build_directory, wait_until
from harness.process import survivors

NAMES = "org.xen.xcp.bench"
PASSED = "org.xen.xcp.passed"  # names that no bridge tells the other domain of
PATH = "/org/xen/xcp/bench"
POLICY = f"allow in any {NAMES}.* from any\nallow out any {NAMES}.* to any\nallow own {NAMES}.* by any\n"
JOIN_DEADLINE = 60.0
CARRIED_TRIES, CARRIED_DEADLINE = 12, 5.0
MARGIN = 20  # connections that may be made to domain 1's bus meanwhile

# libxenvchan leaves `blocking` as malloc(3) gave it, and vchan-socket-proxy relies on zeroes (tests/integration/test-vchan-proxy.py).
ZEROES = {"MALLOC_PERTURB_": "255", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
IMPOSTOR = pathlib.Path(__file__).resolve().parents[2] / "tests/integration/bridge-impostor.py"
PROXY = "/usr/lib/xen-4.17/bin/vchan-socket-proxy"


def find(program, *words):
    """The pids of processes that were started here, by a program's name and arguments."""
    found = []
    for pid in survivors():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            argv = pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
            if pathlib.Path(argv[0]).name == program and all(any(word in argument for argument in argv) for word in words):
                found.append(pid)
    return found


class Joined:
    """A context manager: domain 0 and others that are linked to it. Programs that measure run beside them, on the domains' buses."""

    def __init__(self, domains=1, policy=POLICY, keep=None, without=()):
        """keep: a directory that all domains see. without: domains that have no bus and no bridge."""
        self._n_domains = domains
        self._policy = policy
        self._without = without
        self._arguments = ("--keep", keep) if keep else ()
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.xen = stack.enter_context(Emulation(domains=self._n_domains, arguments=self._arguments))
            self._stack = stack
            for domain in sorted({*range(self._n_domains + 1)} - {*self._without}):
                self.ready(domain, "bus/xcp-bus-run", "--broker", "dbus-daemon")
                policy = self.xen.rundir / f"dom{domain}/bench.policy"  # of the run directory a domain sees only its own
                policy.write_text(self._policy)
                self.ready(domain, "bridge/xcp-bridge", "--policy", policy, "--log-level", "warning")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def ready(self, domain, program, *arguments):
        """Starts what has --ready-fd in a domain, and waits until it says that it is ready."""
        self._stack.callback(self.xen.start_ready(domain, build_directory() / program, *arguments).kill)

    def bus(self, domain):
        return self.xen.rundir / f"dom{domain}/bus"

    def address(self, domain):
        return f"unix:path={self.bus(domain)}"

    def program(self, name, *arguments, deadline=ROUND_DEADLINE):
        """Starts a measuring program, and waits until it is ready."""
        program = Program([build_directory() / "bench" / name, *arguments])
        self._stack.callback(program.kill)
        try:
            program.line("ready", deadline)
        except TimedOut:
            program.kill()
            raise
        return program

    def echo(self, domain, name, known_in=0):
        """A service in a domain, which another knows when this returns."""
        service = self.program("bus/echo-plain", self.address(domain), name)
        self.wait_name(known_in, name)
        return service

    def wait_name(self, domain, name):
        with Bus(self.bus(domain)) as bus:
            wait_until(lambda: bus.owner(name) is not None, f"{name} to come to domain {domain}", JOIN_DEADLINE)

    def caller(self, name, method, arguments="()", *options, address=None, path=PATH, deadline=ROUND_DEADLINE):
        """A measuring program that calls a method, INTERFACE.MEMBER: from domain 0's bus, or one at an address."""
        calling = address or self.address(0), name, *method.rsplit(".", 1), arguments, path
        return self.program("bus/call", *options, "--", *calling, deadline=deadline)

    def impostor(self, domain):
        """What the tests have in place of a bridge, in a domain that has none. It is linked to domain 0 when this returns."""
        process = self.xen.start(domain, sys.executable, IMPOSTOR)
        self._stack.callback(process.kill)
        process.write("meet\n")
        process.wait_output("^met$", JOIN_DEADLINE)
        return process

    def carried_caller(self, address, name, method, arguments):
        """A measuring program as caller() gives it, whose connection vchan-socket-proxy carries.

        That proxy's server takes the event that tells of a client, connects, and sleeps in select() before it looks at the ring. If it was
        not woken at once, as on a machine with other work, the client's first bytes have come with that same event: nobody tells of them again, and
        bus and client wait for each other. When the client closes the connection both proxies wake up, and the next one has its chance.
        """
        for left in reversed(range(CARRIED_TRIES)):
            try:
                return self.caller(name, method, arguments, address=address, deadline=CARRIED_DEADLINE)
            except TimedOut:
                if not left:
                    raise
                progress(f"again: vchan-socket-proxy slept over the first bytes for {CARRIED_DEADLINE:g} s")

    def passed(self, label, method, arguments="()", *options):
        """A service in domain 1, a measuring program that calls it from domain 0, and the relays (relay.c) that pass bytes between the two buses.

        Returns the program, and the pids of service and relays.
        """
        name, path = f"{PASSED}.{label}", f"data/passed-{label}"
        service = self.program("bus/echo-plain", self.address(1), name)
        self._get_ahead()
        caller = self.caller(name, method, arguments, *options)
        self._relay(1, "serve", 0, path, self.address(1), self._unique(caller.pid))
        self._relay(0, "connect", 1, f"/local/domain/1/{path}", self.address(0), name)
        return caller, service.pid, find("bench-relay", path)

    def _relay(self, domain, *arguments):
        relay = self.xen.start(domain, build_directory() / "bench/bridge/bench-relay", *arguments)
        self._stack.callback(relay.kill)
        relay.wait_output("ready", ROUND_DEADLINE)

    def _get_ahead(self):
        """Sees to it that who joins domain 0's bus next gets a unique name that nobody of domain 1's bus has had: buses count their connections."""

        def next_number(domain):
            with Bus(self.bus(domain)) as bus:
                return int(bus.unique.rpartition(".")[2])

        reached = next_number(1) + MARGIN
        while next_number(0) < reached:
            pass

    def _unique(self, pid):
        """The unique name of a program on domain 0's bus."""
        with Bus(self.bus(0)) as bus:
            for name in bus.driver("ListNames")[0]:
                if name.startswith(":") and bus.driver("GetConnectionUnixProcessID", "s", name)[0] == pid:
                    return name
        raise Failed(f"process {pid} is not on domain 0's bus")

    def wait_link(self, bus, domain):
        """Waits until domain 0 is linked to another. bus: a connection to its bus."""

        def is_up():
            link = f"/org/xen/xcp/bridge/link/{domain}", "org.freedesktop.DBus.Properties", "Get", "ss", "org.xen.xcp.bridge1.Link", "State"
            with contextlib.suppress(CallFailed):
                return bus.call("org.xen.xcp.bridge", *link)[0][1] == "Up"

        wait_until(is_up, f"the link to domain {domain}", JOIN_DEADLINE)

    def broker_pids(self, *domains):
        return [pid for domain in domains for pid in find("dbus-daemon", f"{self.xen.rundir}/dom{domain}/")]

    def bridge_pids(self):
        """The processes of all links, at both ends of each."""
        return find("xcp-bridge", "--peer")

    def proxy(self, target, name):
        """A vchan between domains 1 and 0 that Debian's vchan-socket-proxy carries a stream over, to a socket in domain 1.

        Returns the socket's path in domain 0, and the pids of both proxies. It carries one connection at a time.
        """
        entry = self.xen.rundir / f"dom0/{name}"
        vchan = f"data/{name}"
        self._proxy(1, "-m", "server", "-s", f"data/{name}-state", "0", vchan, target)
        self._proxy(0, "-m", "client", "-s", f"data/{name}-state", "1", f"/local/domain/1/{vchan}", entry)
        return f"unix:path={entry}", find("vchan-socket-proxy", vchan)

    def _proxy(self, domain, *arguments):
        process = self.xen.start(domain, "env", *(f"{key}={value}" for key, value in ZEROES.items()), PROXY, *arguments)
        self._stack.callback(process.kill)
        self.xen.wait_store(0, f"/local/domain/{domain}/{arguments[3]}", lambda state: state == "running")

    def stdio_bridge(self):
        """A socket in domain 1, each of whose connections systemd-stdio-bridge joins to the bus there, as `busctl --host` would have it."""
        path = self.xen.rundir / "dom1/stdio"
        bridge = ["/usr/bin/systemd-stdio-bridge", "--bus-path", self.address(1)]
        process = self.xen.start(1, "systemd-socket-activate", "--accept", "--inetd", "--listen", path, *bridge)
        self._stack.callback(process.kill)
        wait_until(path.exists, f"{path}", JOIN_DEADLINE)
        return path
