# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pause of a service move: storage goes to and fro between two domains while clients call it without a pause, of which no call may fail."""

import contextlib
import pathlib
import statistics
import tempfile
import threading

from comparison import Row, progress
from dbuswire import Bus
from harness import build_directory, wait_until
from joined import Joined

STORAGE = "org.xen.xcp.storage"
ROOT = "/org/xen/xcp/storage"
LIST = "org.xen.xcp.storage1.Manager.ListSRs"
HUB = ("org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager")
TASK = "org.xen.xcp.Task1"
POLICY = "".join(f"allow in any {name} from any\nallow out any {name} to any\nallow own {name} by any\n" for name in (STORAGE, f"{STORAGE}.*"))
N_CLIENTS, N_CALLS = 4, 20
GOAL_MS = 50
DEADLINE = 90


def finish(bus, service, task):
    """Waits for a task's end; its result."""
    properties = {}

    def ended():
        properties.update(bus.call(service, task, "org.freedesktop.DBus.Properties", "GetAll", "s", TASK)[0])
        return properties["State"][1] in ("Succeeded", "Failed", "Cancelled")

    wait_until(ended, f"the end of {task}", DEADLINE)
    if properties["State"][1] != "Succeeded":
        raise AssertionError(f"{task}: {properties['Error'][1][:2]}")
    bus.call(service, task, TASK, "Destroy")
    return {key: value for key, (_, value) in properties["Result"][1].items()}


@contextlib.contextmanager
def load(world):
    """Clients that call the service until the block ends. A client whose call fails ends, and then so does this, with an error."""
    stop, errors = threading.Event(), []

    def run(client):
        try:
            while not stop.is_set():
                client.round(N_CALLS)
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(world.caller(STORAGE, LIST, path=ROOT),)) for _ in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise AssertionError(f"a call failed while the service was moved: {errors[0]}")


def move(bus, domain):
    """Moves the service; milliseconds of its pause. Returns when the next move is possible."""
    result = finish(bus, HUB[0], bus.call(*HUB, "MoveService", "su", STORAGE, domain)[0])
    wait_until(lambda: not bus.owner(f"{STORAGE}.standby") and not bus.owner(f"{STORAGE}.handover"), "the old service to be gone", DEADLINE)
    return result["pause_us"] / 1000


def measure(args):
    progress("the pause of a service move")
    with tempfile.TemporaryDirectory(prefix="xcp-bench-") as shared, Joined(keep=shared, policy=POLICY) as world, Bus(world.bus(0)) as bus:
        state = world.xen.rundir / "dom0/state/storage"
        program = build_directory() / "services/storage/xcp-storage"
        world.ready(0, program, "--bus-address", world.address(0), "--state-dir", state, "--log-level", "warning")
        world.wait_link(bus, 1)
        (pathlib.Path(shared) / "sr").mkdir()
        spec = {"name": ("s", "bench"), "driver": ("s", "directory"), "config": ("a{ss}", {"path": f"{shared}/sr"})}
        finish(bus, STORAGE, bus.call(STORAGE, ROOT, "org.xen.xcp.storage1.Manager", "CreateSR", "a{sv}", spec)[0])
        with load(world):
            pauses = [move(bus, (i + 1) % 2) for i in range(args.n_moves)]
    for metric, value in (f"pause of a service move, median of {len(pauses)}", statistics.median(pauses)), ("  the longest", max(pauses)):
        yield Row(metric, "ms", value, "the goal", GOAL_MS, value / GOAL_MS, at_most=1.0)
