# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operation costs each process on its way: CPU, how often it waits, and its system calls."""

import collections
import contextlib
import pathlib
import re
import signal
import tempfile
import time

from harness.process import Process

CALLS_SHOWN = 5


def cpu_seconds(pid):
    """The time that a process has used of all CPUs: its clock, as clock_getcpuclockid(3) makes its number."""
    return time.clock_gettime((~pid << 3) | 2)


def switches(pid):
    """How often a process has given up its CPU to wait for something."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def trace(program, pids, n):
    """The system calls of each process in a round of n operations: counters by pid."""
    with tempfile.TemporaryDirectory(prefix="xcp-bench-") as directory, contextlib.ExitStack() as stack:
        traces = {}
        for pid in pids:
            traces[pid] = pathlib.Path(directory) / str(pid)
            tracer = stack.enter_context(Process(["strace", "-o", traces[pid], "-p", str(pid)]))
            tracer.wait_output("attached", 30, stream="stderr")
            stack.callback(lambda tracer: (tracer.signal(signal.SIGINT), tracer.wait()), tracer)
        program.round(n)
        stack.close()
        return {pid: collections.Counter(re.findall(r"^(\w+)\(", path.read_text(), re.MULTILINE)) for pid, path in traces.items()}


def show(program, groups, n, n_traced, per_round=1):
    """Prints it. groups: the pids on an operation's way, by what they are. per_round: how many operations are in one of the program's."""
    before = {pid: (cpu_seconds(pid), switches(pid)) for pid in groups.values()}
    program.round(n)
    spent = {pid: (cpu_seconds(pid) - cpu, switches(pid) - waits) for pid, (cpu, waits) in before.items()}
    calls = trace(program, groups.values(), n_traced)
    n, n_traced = n * per_round, n_traced * per_round
    for what, pid in groups.items():
        cpu, waits = (value / n for value in spent[pid])
        shown = ", ".join(f"{name} {count / n_traced:.1f}" for name, count in calls[pid].most_common(CALLS_SHOWN) if count >= n_traced / 10)
        print(f"  {what:22} {cpu * 1e6:6.1f} µs CPU  {waits:4.1f} waits  {shown}")
    total = [sum(values[i] for values in spent.values()) / n for i in range(2)]
    print(f"  {'all':22} {total[0] * 1e6:6.1f} µs CPU  {total[1]:4.1f} waits")
