# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services with many objects, beside the same with a tenth as many: what the objects cost, and that it grows linearly."""

import contextlib
import dataclasses

from comparison import KIB, MIB, Compared, compare, progress, pss
from harness import Process, wait_until
from private_bus import PrivateBus

MANAGED = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
TENTH = 10
FIRST = 10  # objects that come and go before any is counted: with them comes what there is only once
LINEAR = 1.3  # what ten times as many may cost, beside ten times the cost
WINDOW = 64  # calls on their way at a time
CHUNK = 500  # most objects created in a round, which has a deadline
CHANGED = 50  # objects that come and go in a round


@dataclasses.dataclass
class Loaded:
    """A service, and its objects."""

    bus: PrivateBus
    name: str
    process: Process
    creators: list  # paths of the objects whose methods create
    n: int = 0
    seconds: float = 0  # to create them
    bytes_each: float = 0  # of memory
    half_bytes_each: float = 0  # the same when there were half as many

    @property
    def root(self):
        return "/" + self.name.replace(".", "/")

    def fill(self, what, n):
        """Creates n objects: vms or vdis."""
        self.bus.batch(self.name, f"create-destroy-{what}", WINDOW, *self.creators).round(FIRST)
        batch = self.bus.batch(self.name, f"create-{what}", WINDOW, *self.creators)
        before = pss([self.process.pid])
        chunk = min(CHUNK, n // 4)
        for self.n in range(chunk, n + 1, chunk):
            self.seconds += batch.round(chunk)
            if self.n <= n // 2:
                self.half_bytes_each = (pss([self.process.pid]) - before) / self.n
        self.bytes_each = (pss([self.process.pid]) - before) / self.n


def storage(bus):
    """A storage service with one storage repository, which is empty."""
    name, root, manager = "org.xen.xcp.storage", "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager"
    process = bus.service("storage")
    directory = bus.directory / "sr"
    directory.mkdir()
    config = ["config", "a{ss}", 1, "path", directory]
    bus.call(name, root, f"{manager}.CreateSR", "a{sv}", 3, "name", "s", "bench", "driver", "s", "directory", *config)
    [sr] = wait_until(lambda: bus.call(name, root, f"{manager}.ListSRs")[0], "the storage repository", deadline=30)
    return Loaded(bus, name, process, [sr[0]])


def xenopsd(bus):
    """A VM manager without VMs."""
    process = bus.service("xenopsd")
    return Loaded(bus, "org.xen.xcp.xenopsd", process, ["/org/xen/xcp/xenopsd"])


@contextlib.contextmanager
def many_and_few(start, what, n):
    """The same service on two buses, with n objects and with a tenth."""
    with PrivateBus() as large, PrivateBus() as small:
        many, few = start(large), start(small)
        few.fill(what, n // TENTH)
        many.fill(what, n)
        yield many, few


def linear(rounds, metric, unit, many, few, cost):
    """Compares what something costs with many objects and with few, as if those were as many."""
    compared = compare(rounds, lambda: cost(many), lambda: cost(few) * TENTH)
    return compared.row(metric, unit, f"{TENTH} times that of {few.n}", at_most=LINEAR)


def measure_growth(args, what, many, few):
    """Time and bytes of GetManagedObjects, and memory."""
    metric = f"GetManagedObjects of {many.n} {what}"
    progress(metric)
    callers = {loaded.root + str(loaded.n): loaded.bus.caller(loaded.name, MANAGED, "()", loaded.root) for loaded in (many, few)}
    yield linear(args.rounds // 10, metric, "ms", many, few, lambda loaded: callers[loaded.root + str(loaded.n)].round(1) * 1e3)
    yield linear(1, "  its bytes", "MiB", many, few, lambda loaded: loaded.bus.reply_bytes(loaded.name, loaded.root)[1] / MIB)
    memory = Compared.of([(many.bytes_each, many.half_bytes_each)]).scaled(1 / KIB)
    yield memory.row(f"memory for each of {many.n} {what}", "KiB", f"each of {many.n // 2}", at_most=LINEAR)


def measure_creation(args, what, many, few):
    """Objects come, and come and go, beside many others and beside few. The first is measured once: it is for the rate."""
    made = Compared.of([(many.n / many.seconds, few.n / few.seconds)])
    yield made.row(f"{what} created, {many.n} in all", "/s", f"{few.n} in all")
    metric = f"{CHANGED} {what} created and destroyed beside {many.n}"
    progress(metric)
    batches = [loaded.bus.batch(loaded.name, f"create-destroy-{what.lower()}", WINDOW, *loaded.creators) for loaded in (many, few)]
    compared = compare(args.rounds // 5, *(lambda batch=batch: batch.round(CHANGED) * 1e3 for batch in batches))
    yield compared.row(metric, "ms", f"beside {few.n}", at_most=LINEAR)


def measure_disks(args):
    progress(f"{args.n_disks} VDIs")
    with many_and_few(storage, "vdis", args.n_disks) as (many, few):
        yield from measure_creation(args, "VDIs", many, few)
        yield from measure_growth(args, "VDIs", many, few)


def list_vms(loaded):
    return [vm[0] for vm in loaded.bus.call(loaded.name, loaded.root, "org.xen.xcp.xenopsd1.Manager.ListVms")[0]]


def measure_tasks(args, many, few):
    """All VMs are started at once, and when all run, switched off at once: a task for each."""
    metric = f"{many.n} tasks at once, twice: VMs start, VMs are killed"
    progress(metric)
    batches = {loaded.n: loaded.bus.batch(loaded.name, "start-kill-vms", loaded.n, *list_vms(loaded)) for loaded in (many, few)}
    yield linear(args.rounds // 20, metric, "ms", many, few, lambda loaded: batches[loaded.n].round(loaded.n) * 1e3)


def measure_vms(args):
    progress(f"{args.n_vms} VMs")
    with many_and_few(xenopsd, "vms", args.n_vms) as (many, few):
        yield from measure_creation(args, "VMs", many, few)
        yield from measure_growth(args, "VMs", many, few)
        yield from measure_tasks(args, many, few)
