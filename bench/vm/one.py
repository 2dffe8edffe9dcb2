# SPDX-License-Identifier: LGPL-2.1-or-later
"""One VM, beside the same QEMU without a manager: how long it takes until it runs, and until it stands still and goes on."""

import pathlib

from by_hand import ByHand
from comparison import Compared, compare, progress, take_turns
from manager import Manager, timed

BY_HAND = "QEMU by hand, with its QMP handshake"
PAUSES = 10  # in a round


def words_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def both(manager, **spec):
    """A VM, and the same by hand."""
    vm = manager.create("one", **spec)
    manager.start(vm)
    words = [word.replace(str(manager.image), str(manager.copy_image("by-hand"))) for word in words_of(manager.qemu())]
    by_hand = ByHand(words, manager.bus.directory / "by-hand")
    manager.kill(vm)
    return vm, by_hand


def measure_start(args):
    metric = "Start() of a VM until it is Running"
    progress(metric)
    with Manager() as manager:
        vm, by_hand = both(manager)

        def ours():
            seconds = manager.start(vm)
            manager.kill(vm)
            return seconds

        def peer():
            _, seconds = timed(by_hand.start)
            by_hand.end()
            return seconds

        yield compare(args.rounds, ours, peer).scaled(1e3).row(metric, "ms", BY_HAND, at_most=1.15)


def average(n, *actions):
    """Does them one after another, n times. Returns what seconds each takes."""
    spent = [0.0] * len(actions)
    for _ in range(n):
        for i, action in enumerate(actions):
            spent[i] += action()
    return [seconds / n for seconds in spent]


def measure_pause(args):
    """The guest that is not measured stands still: a guest that runs takes a CPU."""
    metrics = {"Resume() of a VM until it is Running": "cont", "Suspend() of a VM until it is Suspended": "stop"}
    progress(", ".join(metrics))
    with Manager() as manager:
        vm, by_hand = both(manager)
        by_hand.start()
        manager.callback(by_hand.end)
        by_hand.monitor.run("stop")
        manager.start(vm, paused=True)

        def ours():
            return average(PAUSES, lambda: manager.change(vm, "Running", "Resume"), lambda: manager.change(vm, "Suspended", "Suspend"))

        def peer():
            return average(PAUSES, *(lambda command=command: timed(by_hand.monitor.run, command)[1] for command in metrics.values()))

        pairs = take_turns(args.rounds, ours, peer)
    for i, (metric, command) in enumerate(metrics.items()):
        yield Compared.of((a[i], b[i]) for a, b in pairs).scaled(1e3).row(metric, "ms", f"QMP's {command} by hand")
