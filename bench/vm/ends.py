# SPDX-License-Identifier: LGPL-2.1-or-later
"""How soon it is heard that a guest has ended: after it has switched itself off, and after the end of its process can be seen."""

import os
import time

from gi.repository import GLib

from comparison import Compared, progress, take_turns
from manager import DEADLINE, Manager
from one import both
from qemucase import Console

OFF = b"o"  # what the guest of tests/integration/guests/tiny.S is told on its console
HELLO = b"tiny\r\n"
OFF_GOAL_MS, KILLED_GOAL_MS = 5, 10


class End:
    """Looks for the end of a process in the same loop that the signals come from."""

    def __init__(self, pid):
        self._pid = pid
        self._when = None
        self._fd = os.pidfd_open(pid)
        GLib.io_add_watch(self._fd, GLib.PRIORITY_HIGH, GLib.IO_IN, self._seen)

    def _seen(self, *_):
        self._when = time.perf_counter()
        os.close(self._fd)
        return GLib.SOURCE_REMOVE

    def wait(self, manager):
        """Returns when it was seen."""
        return manager.caller.wait_until(lambda: self._when, f"the end of QEMU, pid {self._pid}", DEADLINE)


def switch_off(manager, vm):
    """Seconds to the signal that the guest is off: from when it is told, and from the end of its process; 0 if that comes later."""
    manager.start(vm, paused=True)
    end = End(manager.qemu())
    console = Console(manager.caller, vm)
    manager.change(vm, "Running", "Resume")
    console.hear(HELLO, DEADLINE)
    told = time.perf_counter()
    console.say(OFF)
    halted = manager.wait_state(vm, "Halted")
    ended = end.wait(manager)
    console.close()
    manager.caller.forget()
    return halted - told, max(halted - ended, 0)


def switch_off_by_hand(by_hand):
    """Seconds from when it is told until QMP says that it is off."""
    by_hand.start()
    with by_hand.console.makefile("rb") as lines:
        while lines.readline() != HELLO:
            pass
    told = time.perf_counter()
    by_hand.console.send(OFF)
    by_hand.monitor.wait_event("SHUTDOWN")
    seconds = time.perf_counter() - told
    by_hand.end()
    return seconds


def measure_switching_off(args, manager, vm, by_hand):
    metric = "a guest switches itself off, until it is Halted"
    progress(metric)
    pairs = take_turns(args.rounds, lambda: switch_off(manager, vm), lambda: switch_off_by_hand(by_hand))
    yield Compared.of((ours[0], peer) for ours, peer in pairs).scaled(1e3).row(metric, "ms", "QMP's SHUTDOWN by hand")
    after = Compared.of((ours[1] * 1e3, OFF_GOAL_MS) for ours, _ in pairs)
    yield after.row("  after the end of its process; 0 is before it", "ms", "the goal", at_most=1.0)


def measure_killed(args, manager, vm):
    metric = "the end of a process that is killed, until its VM is Failed"
    progress(metric)

    def one():
        manager.start(vm)
        pid = manager.qemu()
        end = End(pid)
        os.kill(pid, 9)
        failed = manager.wait_state(vm, "Failed")
        seconds = failed - end.wait(manager)
        manager.kill(vm)
        return seconds

    pairs = [(one() * 1e3, KILLED_GOAL_MS) for _ in range(args.rounds)]
    yield Compared.of(pairs).row(metric, "ms", "the goal", at_most=1.0)


def measure(args):
    with Manager() as manager:
        vm, by_hand = both(manager, on_crash="Preserve")
        yield from measure_switching_off(args, manager, vm, by_hand)
        yield from measure_killed(args, manager, vm)
