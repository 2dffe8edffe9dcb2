# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the lab, on real Xen: PV Calls by our backend, beside netfront and beside Linux's pvcalls-back, in the same boot."""

import re
import statistics
import subprocess
import sys

from comparison import TREE, Compared

TEST = "pvcalls-measured"  # tests/domains/ has it

# What its guest measures: the name in its output, and what a round's seconds mean.
METRICS = {
    "stream-65536": ("stream of 64 KiB writes", "MiB/s", lambda seconds: 256 * 64 / 1024 / seconds, {"at_least": 1.0}),
    "echo-64": ("request and response of 64 bytes", "ms", lambda seconds: seconds / 50 * 1e3, {"at_most": 1.0}),
    "connect": ("new connections, 8 at once", "/s", lambda seconds: 8 * 8 / seconds, {"at_least": 1.0}),
    "connect-reuse": ("new connections, 8 at once, with reuse", "/s", lambda seconds: 8 * 8 / seconds, {"at_least": 1.0}),
}


def run(build):
    """Boots, measures, powers off. Returns the guest's output. What the lab says goes to standard error: the result alone is on standard output."""
    done = subprocess.run([TREE / "tests/lab/lab", "run", "--build", build, TEST], stdout=sys.stderr, check=False)
    if done.returncode:
        raise AssertionError("the lab has failed, and says why above")
    return sorted((build / "lab/latest").glob(f"boot-*/{TEST}/guest.log"))[-1].read_text()


def parse(text):
    """Seconds by metric and by what carried it: all rounds of all turns, without the first of each turn, in order."""
    seconds = {}
    for metric, by, took in re.findall(r"^measured ([\w-]+) ([\w-]+)((?: \d+)+) ?\r?$", text, re.MULTILINE):
        seconds.setdefault((metric, by), []).extend(int(value) / 1e9 for value in took.split()[1:])
    return seconds


def compare_apart(ours, near_ours, peers, near_peers):
    """Of two that were not measured in turns with each other, but each with a third: the ratio is that of their ratios to it."""
    ratios = [a / b / (c / d) for a, b, c, d in zip(ours, near_ours, peers, near_peers)]
    quartiles = statistics.quantiles(ratios, method="inclusive")
    return Compared(statistics.median(ours), statistics.median(peers), statistics.median(ratios), (quartiles[0], quartiles[2]))


def measure(args):
    seconds = parse(run(args.build))
    for metric, (name, unit, value, goal) in METRICS.items():
        ours, linux, near_ours, near_linux = (list(map(value, seconds[metric, by])) for by in ("ours", "linux", "netfront-ours", "netfront-linux"))
        yield Compared.of(zip(ours, near_ours)).row(name, unit, "TCP by netfront and netback", **goal)
        yield compare_apart(ours, near_ours, linux, near_linux).row(name, unit, "Linux's pvcalls-back", **goal)
