# SPDX-License-Identifier: LGPL-2.1-or-later
"""What benchmarks have in common: two that take turns in short rounds, a result, and its table.

As they take turns, what else happens on the machine meets both. A value is the median of its rounds; a ratio is the median of the
ratios of neighbouring rounds, and so steadier than the values beside it.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys

from harness.process import Process, adopt_orphans, end_survivors

TREE = pathlib.Path(__file__).resolve().parents[1]
ROUND_DEADLINE = 60.0
KIB = 1 << 10
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the result. ratio is ours by the peer's; less is better for times and memory, more for rates."""

    metric: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    at_most: float | None = None  # goals for the ratio
    at_least: float | None = None
    spread: tuple | None = None  # between which two values half of the rounds' ratios are

    def met(self):
        """Whether the goal is met; None if there is none."""
        if self.at_most is not None:
            return self.ratio <= self.at_most
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None

    def goal(self):
        if self.met() is None:
            return ""
        goal = f"at most {self.at_most}" if self.at_most is not None else f"at least {self.at_least}"
        return goal + (", met" if self.met() else ", missed")


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the two ends of something run."""

    label: str
    cpus: tuple  # of the side that measures, and of the other


def placements():
    cpus = sorted(os.sched_getaffinity(0))
    together = Placement("both on one CPU", (cpus[0], cpus[0]))
    return [Placement("one CPU each", (cpus[0], cpus[-1])), together] if len(cpus) > 1 else [together]


@contextlib.contextmanager
def on_cpu(cpu):
    """What is started in this block runs on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def progress(text):
    print(f"measuring {text}", file=sys.stderr, flush=True)


class Program(Process):
    """A measuring program (bench/rounds.h)."""

    def __init__(self, argv, **options):
        super().__init__([str(argument) for argument in argv], **options)
        self._lines = 0

    def line(self, pattern, deadline=ROUND_DEADLINE):
        """Waits for its next line of output, which must be as the pattern says. Returns the match."""
        match = self.wait_output(rf"\A(?:.*\n){{{self._lines}}}(.*)\n", deadline)
        self._lines += 1
        if not (fields := re.fullmatch(pattern, match[1])):
            raise AssertionError(f"{self} says {match[1]!r}")
        return fields

    def round(self, n):
        """Lets it do its operation n times. Returns the seconds that took."""
        self.write(f"{n}\n")
        return int(self.line(r"took (\d+)")[1]) / 1e9


@dataclasses.dataclass(frozen=True)
class Compared:
    """Medians of two values and of their ratio, and the quartiles of the ratio."""

    ours: float
    peer: float
    ratio: float
    spread: tuple | None

    @classmethod
    def of(cls, pairs):
        pairs = list(pairs)
        ratios = [value / other for value, other in pairs]
        quartiles = statistics.quantiles(ratios, method="inclusive") if len(ratios) > 1 else None
        spread = (quartiles[0], quartiles[2]) if quartiles else None
        return cls(statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), statistics.median(ratios), spread)

    def scaled(self, factor):
        """The values in another unit."""
        return dataclasses.replace(self, ours=self.ours * factor, peer=self.peer * factor)

    def row(self, metric, unit, peer, **goal):
        return Row(metric, unit, self.ours, peer, self.peer, self.ratio, spread=self.spread, **goal)


def take_turns(rounds, ours, peer):
    """Lets two functions take turns. Returns what they returned, in pairs."""
    ours(), peer()  # not counted: page faults, caches
    return [(ours(), peer()) if i % 2 == 0 else (peer(), ours())[::-1] for i in range(rounds)]


def compare(rounds, ours, peer):
    """Lets two functions, which return a value, take turns."""
    return Compared.of(take_turns(rounds, ours, peer))


def compare_programs(args, ours, peer, n, value):
    """Compares two measuring programs in rounds of n operations; value makes a figure of the seconds for n."""
    ours.line("ready")
    peer.line("ready")
    return compare(args.rounds, lambda: value(ours.round(n)), lambda: value(peer.round(n)))


def pss(pids):
    """Proportional set size of processes, in bytes: what they map, shared pages by equal parts."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss: +(\d+) kB$", text, re.MULTILINE)[1]) * KIB
    return total


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def print_table(rows):
    lines = [("metric", "ours", "peer", "peer's value", "ratio", "half within", "goal")]
    for r in rows:
        ours, peer = f"{number(r.ours)} {r.unit}", f"{number(r.peer_value)} {r.unit}"
        spread = f"{r.spread[0]:.2f} - {r.spread[1]:.2f}" if r.spread else ""
        lines.append((r.metric, ours, r.peer, peer, f"{r.ratio:.2f}", spread, r.goal()))
    widths = [max(map(len, column)) for column in zip(*lines)]
    adjust = [str.ljust, str.rjust, str.ljust, str.rjust, str.rjust, str.ljust, str.ljust]
    for line in lines:
        print("  ".join(a(cell, width) for a, cell, width in zip(adjust, line, widths)).rstrip())


def print_json(rows):
    print(json.dumps([dataclasses.asdict(r) | {"met": r.met()} for r in rows], indent=2, ensure_ascii=False))


def options(doc, epilog, quick):
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0], epilog=epilog)
    flag = {"action": "store_true"}
    parser.add_argument("--json", **flag, help="print an array of {metric, unit, ours, peer, peer_value, ratio, ...}")
    parser.add_argument("--quick", **flag, help=quick)
    parser.add_argument("--build", type=pathlib.Path, default=TREE / "build", metavar="DIR", help="default: build/")
    return parser


def main(name, parser, args, program, measure, show=None):
    """Runs a benchmark and prints its result. program: one that it needs, in the build directory. measure: yields rows. show: does all instead."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, so that everything started is ended
    os.environ["XCP_BUILDDIR"] = str(args.build.resolve())
    if not (args.build / program).exists():
        parser.error(f"nothing is built in {args.build}; ./dev bench {name} builds first")
    try:
        adopt_orphans()
        rows = show(args) if show else list(measure(args))
        end_survivors()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"bench {name}: {error}", file=sys.stderr)
        sys.exit(1)
    if not show:
        (print_json if args.json else print_table)(rows)
