# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls to a service in another domain, beside the same on the local bus, beside the least that a bridge can be (relay.c), and beside a bus
connection that is carried there whole."""

import contextlib
import os

from comparison import KIB, MIB, Compared, compare, on_cpu, progress, pss, take_turns
from costs import cpu_seconds
from joined import NAMES, Joined

HERE, THERE = f"{NAMES}.here", f"{NAMES}.there"
ECHO = "org.xen.xcp.bench1.Echo.EchoString"
TEXT = "('a string of a usual size',)"
PING = "org.freedesktop.DBus.Peer.Ping"
N_CALLS = 50  # in a round of calls one after another
N_PIPELINED, WINDOW = 500, 64
N_BODIES, BODY_WINDOW = 8, 4
N_SIGNALS, N_SUBSCRIBERS = 10, 20
N_GHOSTS = 200
FAR_CALL = "call of another domain"
FLOOR = "passed unread by two relays"
LOCAL = "the same on the local bus"
CARRIED = "connection by vchan-socket-proxy"
STDIO = "that, to systemd-stdio-bridge"


def microseconds(program, n):
    return lambda: program.round(n) / n * 1e6


def per_second(program, n):
    return lambda: n / program.round(n)


def cpu_by_group(caller, groups):
    """A function for take_turns: microseconds of CPU for a call, of everybody and then of each group of processes."""

    def one():
        before = [sum(map(cpu_seconds, pids)) for pids in groups]
        caller.round(N_CALLS)
        spent = [(sum(map(cpu_seconds, pids)) - start) / N_CALLS * 1e6 for pids, start in zip(groups, before)]
        return [sum(spent), *spent]

    return one


def cpu_beside_local(args, metric, ours, local, between, **goal):
    """Rows of what a call spends that crosses to the other domain. ours, local: as cpu_by_group makes them; between: what is between the brokers."""
    pairs = take_turns(args.rounds, ours, local)
    total, client, broker, _, service = (Compared.of((a[i], b[i]) for a, b in pairs if b[i] > 0) if i != 3 else None for i in range(5))
    yield total.row(f"{metric}, CPU time of all", "µs", LOCAL, **goal)
    yield client.row("  of which the client", "µs", LOCAL)
    yield broker.row("  of which the two brokers", "µs", "the one broker")
    yield service.row("  of which the service", "µs", LOCAL)
    yield Compared.of((a[3], b[0]) for a, b in pairs).row(f"  of which the {between}", "µs", "the whole local call")


def measure_cpu(args, world):
    """Everybody is on one CPU: what they spend is what a call takes if nothing else runs."""
    services = {HERE: world.echo(0, HERE), THERE: world.echo(1, THERE)}
    passed, passed_service, relays = world.passed("cpu", ECHO, TEXT)
    brokers, bridges = world.broker_pids(0, 1), world.bridge_pids()

    def way(caller, between, service):
        return cpu_by_group(caller, ([caller.pid], brokers, between, [service]))

    ours = way(world.caller(THERE, ECHO, TEXT), bridges, services[THERE].pid)
    local = way(world.caller(HERE, ECHO, TEXT), bridges, services[HERE].pid)
    floor = way(passed, relays, passed_service)
    yield from cpu_beside_local(args, FAR_CALL, ours, local, "bridges at both ends", at_most=2.2)
    yield from cpu_beside_local(args, FLOOR, floor, local, "two relays")
    pairs = take_turns(args.rounds, ours, floor)
    yield Compared.of((a[0], b[0]) for a, b in pairs).row(f"{FAR_CALL}, CPU time of all", "µs", FLOOR)
    yield Compared.of((a[3], b[3]) for a, b in pairs).row("  of which the bridges at both ends", "µs", "the two relays")


def measure_one_cpu(args):
    """Calls one after another, where everything shares a CPU, so that only what is done counts, and not who waits for a CPU."""
    progress("calls, all on one CPU")
    with on_cpu(min(os.sched_getaffinity(0))), Joined() as world:
        yield from measure_cpu(args, world)


def measure_against_local(args, world):
    for metric, unit, goal, method, arguments, options, value, n, floor in (
        (FAR_CALL, "µs", {"at_most": 2.2}, ECHO, TEXT, (), microseconds, N_CALLS, "one"),
        (f"calls, {WINDOW} on their way", "/s", {"at_least": 0.55}, ECHO, TEXT, ("--window", WINDOW), per_second, N_PIPELINED, "many"),
        ("bodies of 1 MiB", "/s", {"at_least": 0.5}, PING, "()", ("--window", BODY_WINDOW, "--bytes", MIB), per_second, N_BODIES, None),
    ):
        progress(metric)
        ours, peer = (world.caller(name, method, arguments, *options) for name in (THERE, HERE))
        yield compare(args.rounds, value(ours, n), value(peer, n)).row(metric, unit, LOCAL, **goal)
        if floor:
            passed, _, _ = world.passed(floor, method, arguments, *options)
            yield compare(args.rounds, value(passed, n), value(peer, n)).row(f"  {FLOOR}", unit, LOCAL)
            yield compare(args.rounds, value(ours, n), value(passed, n)).row(f"  {metric}", unit, FLOOR)


def measure_signals(args, world):
    metric = f"signal to {N_SUBSCRIBERS} subscribers in another domain"
    progress(metric)
    programs = []
    for domain in 1, 0:
        name = f"{NAMES}.signals{domain}"
        programs.append(world.program("bridge/bench-signal", world.address(domain), world.address(0), N_SUBSCRIBERS, name))
    # Its subscription crosses when the bridges know of the name; the first round, which is not counted, waits for that.
    yield compare(args.rounds, *(microseconds(program, N_SIGNALS) for program in programs)).row(metric, "µs", LOCAL)


def measure_carried(args, world):
    progress("calls over a connection that is carried whole")
    ours = world.caller(THERE, ECHO, TEXT)
    passed, _, _ = world.passed("carried", ECHO, TEXT)
    for label, target, peer in (("carried", lambda: world.bus(1), CARRIED), ("carried-stdio", world.stdio_bridge, STDIO)):
        address, _ = world.proxy(target(), label)  # not before it is needed: a bus does not wait long for who joins it to say who it is
        caller = world.carried_caller(address, THERE, ECHO, TEXT)
        compared = compare(args.rounds, microseconds(ours, N_CALLS), microseconds(caller, N_CALLS))
        yield compared.row(FAR_CALL, "µs", peer, at_most=1.2)
        compared = compare(args.rounds, microseconds(passed, N_CALLS), microseconds(caller, N_CALLS))
        yield compared.row(f"  {FLOOR}", "µs", peer)
        caller.kill()


def measure(args):
    yield from measure_one_cpu(args)
    with Joined() as world:
        for name, domain in ((HERE, 0), (THERE, 1)):
            world.echo(domain, name)
        yield from measure_against_local(args, world)
        yield from measure_signals(args, world)


def measure_peers(args):
    with Joined() as world:
        world.echo(1, THERE)
        yield from measure_carried(args, world)


def measure_memory(args):
    """A ghost is a client of domain 0 that has called the service: at both brokers, and in the bridges at both ends."""
    progress("memory of links and ghosts")
    with Joined() as world:
        world.echo(1, THERE)
        bridges = world.bridge_pids()
        link = pss(bridges)
        _, proxies = world.proxy(world.bus(1), "memory")
        proxy = pss(proxies)
        before = [pss(bridges), pss(world.broker_pids(1)), pss(world.broker_pids(0))]
        with contextlib.ExitStack() as stack:
            for _ in range(args.n_ghosts):
                stack.enter_context(world.caller(THERE, ECHO, TEXT)).round(1)
            after = [pss(bridges), pss(world.broker_pids(1)), pss(world.broker_pids(0))]
    each = [(b - a) / args.n_ghosts for a, b in zip(before, after)]
    yield Compared.of([(link, proxy)]).scaled(1 / KIB).row("memory of a link, both ends", "KiB", "a pair of vchan-socket-proxy")
    yield Compared.of([(each[0], proxy)]).scaled(1 / KIB).row(
        "memory of a ghost in the bridges", "KiB", "a pair of vchan-socket-proxy, for each client"
    )
    yield Compared.of([(each[1], each[2])]).scaled(1 / KIB).row("memory of a ghost in its broker", "KiB", "of the client in its own")
