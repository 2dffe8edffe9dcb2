# SPDX-License-Identifier: LGPL-2.1-or-later
"""The VM manager beside libvirtd with libvirt-dbus: the same VM, the same bus, the same caller."""

import itertools

from comparison import KIB, Compared, Row, compare, progress, pss, take_turns
from libvirt import NAME as LIBVIRT
from libvirtd import Libvirtd
from manager import NAME, Manager, timed

AHEAD = 1.0
CALLS = 100  # in a round
MACHINE = {"machine": "pc"}  # without ports, of which the two would have different numbers
GET = "org.freedesktop.DBus.Properties.Get"
STATE = GET, "('org.xen.xcp.xenopsd1.VM', 'State')"
QUERY = "org.xen.xcp.xenopsd1.VM.QueryState", "()"
GET_STATE = "org.libvirt.Domain.GetState", "(uint32 0,)"


def measure_creation(args, manager, libvirtd):
    metric = "a VM created"
    progress(metric)
    numbers = itertools.count()

    def ours():
        vm, seconds = timed(manager.create, f"created-{next(numbers)}", MACHINE)
        manager.destroy(vm)
        return seconds

    def peer():
        domain, seconds = timed(libvirtd.define, f"created-{next(numbers)}")
        libvirtd.undefine(domain)
        return seconds

    return compare(args.rounds, ours, peer).scaled(1e3).row(metric, "ms", "libvirt: DomainDefineXML()", at_most=AHEAD)


def measure_life(args, manager, libvirtd, vm, domain):
    progress("a VM started and switched off")
    pairs = take_turns(args.rounds, lambda: (manager.start(vm), manager.kill(vm)), lambda: (libvirtd.start(domain), libvirtd.kill(domain)))
    for i, (metric, peer) in enumerate((("a VM started", "Create()"), ("a VM switched off", "Destroy()"))):
        yield Compared.of((a[i], b[i]) for a, b in pairs).scaled(1e3).row(metric, "ms", f"libvirt: {peer}", at_most=AHEAD)


def measure_state(args, manager, libvirtd, vm, domain):
    """The guests stand still: one that runs takes a CPU."""
    manager.start(vm, paused=True)
    libvirtd.start(domain, paused=True)
    peer = manager.bus.caller(LIBVIRT, *GET_STATE, domain)
    for metric, method, goal in ("state of a VM", STATE, {"at_most": AHEAD}), ("  asked of QEMU at this moment", QUERY, {}):
        progress(metric.strip())
        ours = manager.bus.caller(NAME, *method, vm.path)
        compared = compare(args.rounds, lambda ours=ours: ours.round(CALLS) / CALLS, lambda: peer.round(CALLS) / CALLS)
        yield compared.scaled(1e6).row(metric, "µs", "libvirt: GetState()", **goal)
    manager.kill(vm)
    libvirtd.kill(domain)


def measure(args):
    with Manager() as manager:
        libvirtd = Libvirtd(manager)
        vm, domain = manager.create("one", MACHINE), libvirtd.define("one", manager.copy_image("libvirt"))
        yield measure_creation(args, manager, libvirtd)
        yield from measure_life(args, manager, libvirtd, vm, domain)
        yield from measure_state(args, manager, libvirtd, vm, domain)


def growth(manager, n, processes, create, start, kill):
    """Bytes of memory for each of n guests that stand still, beyond the first: with that comes what there is only once."""
    guests = [create(name, manager.copy_image(name)) for name in (f"guest-{i}" for i in range(n + 1))]
    start(guests[0], True)
    before = pss(process.pid for process in processes)
    for guest in guests[1:]:
        start(guest, True)
    after = pss(process.pid for process in processes)
    for guest in guests:
        kill(guest)
    return (after - before) / n


def measure_memory(args):
    metric = f"memory of the manager for each of {args.n_guests} guests"
    progress(metric)
    with Manager() as manager:
        libvirtd = Libvirtd(manager)
        n, peers = args.n_guests, [libvirtd.daemon, libvirtd.gateway]
        ours = growth(manager, n, [manager.process], lambda name, image: manager.create(name, MACHINE, image), manager.start, manager.kill)
        peer = growth(manager, n, peers, libvirtd.define, libvirtd.start, libvirtd.kill)
    yield Row(metric, "KiB", ours / KIB, "libvirtd with libvirt-dbus", peer / KIB, ours / peer, at_most=AHEAD)
