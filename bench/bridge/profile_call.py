# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of one call goes: CPU, changes of process and system calls of everybody on its way, of a call to another domain and a local one."""

import collections
import contextlib
import os
import pathlib
import re
import signal
import tempfile

from calls import ECHO, HERE, TEXT, THERE
from comparison import on_cpu, progress
from harness.process import Process
from joined import Joined, cpu_seconds

N_CALLS, N_TRACED = 5000, 200
CALLS_SHOWN = 5


def switches(pid):
    """How often a process has given up its CPU to wait for something."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def trace(caller, pids):
    """The system calls of each process in some calls: counters by pid."""
    with tempfile.TemporaryDirectory(prefix="xcp-bench-") as directory, contextlib.ExitStack() as stack:
        traces = {}
        for pid in pids:
            traces[pid] = pathlib.Path(directory) / str(pid)
            tracer = stack.enter_context(Process(["strace", "-o", traces[pid], "-p", str(pid)]))
            tracer.wait_output("attached", 30, stream="stderr")
            stack.callback(lambda tracer: (tracer.signal(signal.SIGINT), tracer.wait()), tracer)
        caller.round(N_TRACED)
        stack.close()
        return {pid: collections.Counter(re.findall(r"^(\w+)\(", path.read_text(), re.MULTILINE)) for pid, path in traces.items()}


def show_call(caller, groups):
    """groups: the pids on a call's way, by what they are."""
    before = {pid: (cpu_seconds(pid), switches(pid)) for pid in groups.values()}
    caller.round(N_CALLS)
    spent = {pid: (cpu_seconds(pid) - cpu, switches(pid) - n) for pid, (cpu, n) in before.items()}
    calls = trace(caller, groups.values())
    for what, pid in groups.items():
        cpu, n = (value / N_CALLS for value in spent[pid])
        shown = ", ".join(f"{name} {count / N_TRACED:.1f}" for name, count in calls[pid].most_common(CALLS_SHOWN) if count >= N_TRACED / 10)
        print(f"  {what:22} {cpu * 1e6:6.1f} µs CPU  {n:4.1f} waits  {shown}")
    total = [sum(values[i] for values in spent.values()) / N_CALLS for i in range(2)]
    print(f"  {'all':22} {total[0] * 1e6:6.1f} µs CPU  {total[1]:4.1f} waits")


def show(args):
    progress("nothing; counting what one call needs, with all on one CPU")
    with on_cpu(min(os.sched_getaffinity(0))), Joined() as world:
        services = {HERE: world.echo(0, HERE), THERE: world.echo(1, THERE)}
        [near], [far] = world.broker_pids(0), world.broker_pids(1)
        print("A call on the local bus:")
        caller = world.caller(HERE, ECHO, TEXT)
        caller.round(N_CALLS // 10)
        show_call(caller, {"client": caller.pid, "broker": near, "service": services[HERE].pid})
        print("A call to another domain:")
        caller = world.caller(THERE, ECHO, TEXT)
        caller.round(N_CALLS // 10)
        bridges = world.bridge_pids()
        groups = {"client": caller.pid, "broker of domain 0": near, "a bridge's process": bridges[0], "the other's": bridges[1],
                  "broker of domain 1": far, "service": services[THERE].pid}
        show_call(caller, groups)
