# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs of the noop backend, created, started and stopped one after another: that the last of many cost what the first do."""

from comparison import Compared, progress, take_turns
from private_bus import PrivateBus, cpu_seconds

NAME, ROOT = "org.xen.xcp.xenopsd", "/org/xen/xcp/xenopsd"
LINEAR = 1.3  # what a VM may cost beside all others, by what one of the first costs
WINDOW = 64  # calls on their way at a time, for what is not measured
ROUND = 10  # VMs
STEPS = {"created": "create-vms", "started": "start-vms", "stopped": "stop-vms"}


class Filled:
    """A manager with some VMs that run, and the VMs that are measured beside them."""

    def __init__(self, bus, n):
        self._bus = bus
        self._service = bus.service("xenopsd")
        bus.batch(NAME, "create-destroy-vms", 1, ROOT).round(ROUND)  # with the first comes what there is only once
        if n > 0:
            bus.batch(NAME, STEPS["created"], WINDOW, ROOT).round(n)
            bus.batch(NAME, STEPS["started"], WINDOW, *self._list()).round(n)
        self._others = set(self._list())
        self._n_done = dict.fromkeys(STEPS, 0)

    def _list(self):
        return [vm[0] for vm in self._bus.call(NAME, ROOT, "org.xen.xcp.xenopsd1.Manager.ListVms")[0]]

    def do(self, step):
        """Does a step with the next VMs. Returns what it costs for each: seconds of the clock, and CPU seconds of the manager."""
        paths = [ROOT]
        if step != "created":
            mine = sorted(path for path in self._list() if path not in self._others)
            paths = mine[self._n_done[step]:][:ROUND]
        program = self._bus.batch(NAME, STEPS[step], 1, *paths)
        before = cpu_seconds(self._service.pid)
        seconds = program.round(ROUND)
        spent = cpu_seconds(self._service.pid) - before
        program.kill()
        self._n_done[step] += ROUND
        return seconds / ROUND, spent / ROUND


def measure(args):
    n = args.n_vms // 10
    with PrivateBus() as full, PrivateBus() as empty:
        progress(f"{args.n_vms} VMs of the noop backend")
        last, first = Filled(full, args.n_vms - n), Filled(empty, 0)
        for step in STEPS:
            pairs = take_turns(n // ROUND - 1, lambda step=step: last.do(step), lambda step=step: first.do(step))  # and one not counted
            for i, metric in enumerate((f"a noop VM {step}, of the last {n} of {args.n_vms}", "  of which the manager's CPU")):
                yield Compared.of((a[i], b[i]) for a, b in pairs).scaled(1e6).row(metric, "µs", f"of the first {n}", at_most=LINEAR)
