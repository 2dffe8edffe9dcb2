# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ./dev bench pvcalls does with programs that people have: each through xcp-pvcalls-run, beside itself on the host."""

import contextlib
import json
import random
import re
import socket
import tempfile

import comparison
from comparison import MIB, progress
from harness import build_directory, run, wait_until
from pvcalls import Backend, make_device

DOM = 3
NATIVE = "itself, native"
NGINX = """
daemon off; worker_processes 1; user root; pid {directory}/pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
        server {{ listen {address}:8080; root {directory}; }} }}
"""
SETUP = "mkdir -p {directory} && cat > {directory}/conf && head -c 4096 /dev/zero > {directory}/page"


class Programs:
    """A domain whose programs are carried, and addresses of the loopback at which nobody else listens."""

    def __init__(self, bench, stack):
        self.xen, self.args, self.stack = bench.xen, bench.args, stack
        make_device(self.xen, DOM)
        stack.enter_context(Backend(self.xen, DOM, "allow inet\n", ("--limit", "sockets-per-second=1000000", *bench.args.backend)))
        network = "127.{}.{}".format(*(random.randrange(1, 255) for _ in range(2)))
        self.carried_address, self.native_address = f"{network}.1", f"{network}.2"

    def command(self, carried):
        """Where a program runs: the domain, and what is before its name."""
        return (DOM, build_directory() / "pvcalls/run/xcp-pvcalls-run", "--all", "--") if carried else (0,)

    @contextlib.contextmanager
    def both(self, make_argv, port):
        """Starts a server twice, carried and native, of what make_argv makes of an address. Waits until they answer."""
        addresses = self.carried_address, self.native_address
        with contextlib.ExitStack() as stack:
            for address in addresses:
                argv = make_argv(address)
                stack.enter_context(self.xen.start(*self.command(address == self.carried_address), *argv))
                wait_until(lambda: answers(address, port), f"{argv[0]} to listen at {address}:{port}", deadline=30)
            yield addresses

    def compare(self, measure, carried, native):
        rounds = 2 if self.args.quick else 7
        return comparison.compare(rounds, lambda: measure(carried), lambda: measure(native))


def answers(address, port):
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False


def measure_iperf3(programs):
    """A client sends to a server of the host's; each client has its own, so that one is never asked while it still ends another test."""
    progress("iperf3")
    n = "64M" if programs.args.quick else "512M"
    for address in (programs.carried_address, programs.native_address):
        server = programs.stack.enter_context(programs.xen.start(0, "iperf3", "--server", "--bind", address, "--forceflush"))
        server.wait_output("Server listening", 20)

    def send(address):
        command = programs.command(address == programs.carried_address)
        said = json.loads(programs.xen.run(*command, "iperf3", "--client", address, "--bytes", n, "--json", deadline=60).stdout)
        return said["end"]["sum_received"]["bits_per_second"] / 8 / MIB

    yield programs.compare(send, programs.carried_address, programs.native_address).row("iperf3, its client carried", "MiB/s", NATIVE)


def measure_redis(programs):
    n = 5000 if programs.args.quick else 30000
    words = ("--port", "6379", "--save", "", "--protected-mode", "no", "--dir", "/tmp")
    with programs.both(lambda address: ("redis-server", "--bind", address, *words), 6379) as addresses:
        for name in ("SET", "GET"):
            progress(f"redis-benchmark, {name}")

            def ask(address):
                said = run("redis-benchmark", "-h", address, "-n", str(n), "-c", "50", "-t", name.lower(), "--csv", deadline=60).stdout
                return float(re.search(rf'^"{name}","([0-9.]+)"', said, re.MULTILINE)[1])

            yield programs.compare(ask, *addresses).row(f"redis-benchmark {name}, 50 connections, server carried", "/s", NATIVE)


def measure_nginx(programs):
    progress("nginx with wrk")
    seconds = 1 if programs.args.quick else 3
    directory = programs.stack.enter_context(tempfile.TemporaryDirectory(prefix="xcp-bench-"))  # in the domain, the same name in its own /tmp

    def make(address):
        domain = DOM if address == programs.carried_address else 0
        programs.xen.run(domain, "sh", "-c", SETUP.format(directory=directory), input=NGINX.format(directory=directory, address=address))
        return "nginx", "-e", "stderr", "-c", f"{directory}/conf"

    with programs.both(make, 8080) as addresses:
        for words, what in (((), "kept"), (("--header", "Connection: close"), "new for each")):

            def ask(address):
                said = run("wrk", "--threads", "1", "--connections", "32", "--duration", f"{seconds}s", *words, f"http://{address}:8080/page", deadline=60).stdout
                if "Non-2xx" in said:
                    raise AssertionError(said)
                return float(re.search(r"Requests/sec: +([0-9.]+)", said)[1])

            yield programs.compare(ask, *addresses).row(f"nginx and wrk, 32 connections, {what}, server carried", "/s", NATIVE)


def measure_programs(bench):
    with contextlib.ExitStack() as stack:
        programs = Programs(bench, stack)
        for measure in (measure_iperf3, measure_redis, measure_nginx):
            yield from measure(programs)
