# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many domains linked at once, each called once a second."""

import re
import time

from comparison import Compared, progress
from harness import build_directory, run
from costs import cpu_seconds
from joined import NAMES, Joined

LINE = r"sent (\d+) answered (\d+) failed (\d+) median (\d+) p99 (\d+) max (\d+)"


def pace(world, rate, seconds, names):
    """Calls the services in turn. Returns median and 99th percentile in microseconds; every call has to be answered."""
    argv = [build_directory() / "bench/bridge/bench-pace", world.address(0), rate, seconds, *names]
    result = run(*map(str, argv), deadline=seconds + 60)
    sent, answered, failed, median, p99, _ = map(int, re.fullmatch(LINE, result.stdout.strip()).groups())
    if (answered, failed) != (sent, 0):
        raise AssertionError(f"of {sent} calls {answered} were answered and {failed} failed: {result}")
    return median, p99


def measure(args):
    n = args.n_domains
    progress(f"{n} domains linked at once")
    began = time.monotonic()
    with Joined(n) as world:
        names = [f"{NAMES}.far{domain}" for domain in range(1, n + 1)]
        for domain, name in enumerate(names, 1):
            world.echo(domain, name)
        near = f"{NAMES}.near"
        world.echo(0, near)
        progress(f"{n} domains were up and linked after {time.monotonic() - began:.0f} s")
        pace(world, n, 2, names)  # not counted
        bridges = world.bridge_pids()
        before = sum(map(cpu_seconds, bridges)), time.monotonic()
        far = [pace(world, n, args.pace_seconds, names) for _ in range(args.pace_rounds)]
        spent, passed = (after - start for after, start in zip((sum(map(cpu_seconds, bridges)), time.monotonic()), before))
        local = [pace(world, n, args.pace_seconds, [near]) for _ in range(args.pace_rounds)]
    median, p99 = (Compared.of((a[i], b[i]) for a, b in zip(far, local)) for i in range(2))
    peer = f"{n} calls a second of one local service"
    yield median.row(f"a call a second of each of {n} domains, median", "µs", peer)
    yield p99.row("  99th percentile", "µs", peer)
    yield Compared.of([(spent / passed * 100, 100)]).row("  CPU of all bridges", "%", "one CPU")
