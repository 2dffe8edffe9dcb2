# SPDX-License-Identifier: LGPL-2.1-or-later
"""xenopsd with its noop backend beside libvirt-dbus with its test driver: as many VMs, the same client, the same bus."""

import os
import shutil

from comparison import on_cpu, progress
from harness import build_directory, run, wait_until
from objects import WINDOW, list_vms, xenopsd
from overhead import SERVICE_SHARE, compare_by_cpu
from private_bus import PrivateBus

CALLS = 100  # in a round
THREE_TIMES_AS_FAST = round(1 / 3, 3)
GET = "org.freedesktop.DBus.Properties.Get"
NAME, TEST = "org.libvirt", "/org/libvirt/Test"
CONNECT = "org.libvirt.Connect"
VM_STATE = GET, "('org.xen.xcp.xenopsd1.VM', 'State')"
DOMAIN_STATES = {
    "GetState()": ("org.libvirt.Domain.GetState", "(uint32 0,)"),
    "Get(Active)": (GET, "('org.libvirt.Domain', 'Active')"),
}
VM_LIST = "org.xen.xcp.xenopsd1.Manager.ListVms", "()"
DOMAIN_LIST = f"{CONNECT}.GetAllDomainStats", "(uint32 1, uint32 0)"  # VIR_DOMAIN_STATS_STATE, of all


def unpack():
    """Debian's libvirt-dbus, unpacked in the build directory: to install it is to have libvirtd start with the machine."""
    directory = build_directory() / "bench/bus/libvirt-dbus"
    if not (directory / "usr/sbin/libvirt-dbus").exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "libvirt-dbus", cwd=directory, deadline=120)
        run("dpkg-deb", "--extract", next(directory.glob("*.deb")), directory)
    return directory


def start_libvirt(bus, n):
    """libvirt-dbus on a bus with n running domains. Returns its process."""
    directory = unpack()
    env = {
        "DBUS_SESSION_BUS_ADDRESS": bus.address,
        "HOME": str(bus.directory),
        "XDG_RUNTIME_DIR": str(bus.directory),
        "VIRT_DBUS_INTERFACES_DIR": str(directory / "usr/share/dbus-1/interfaces"),
    }
    process = bus.start([directory / "usr/sbin/libvirt-dbus", "--session"], env=env)

    def owned():
        [names] = bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames")
        return NAME in names

    wait_until(owned, f"{NAME} on the bus", deadline=30)
    bus.batch(NAME, "create-domains", WINDOW, TEST).round(n - 1)  # the test driver brings one
    return process


def start_vms(bus, n):
    """xenopsd on a bus with n running VMs."""
    loaded = xenopsd(bus)
    loaded.fill("vms", n)
    bus.batch(loaded.name, "start-vms", WINDOW, *list_vms(loaded)).round(n)
    return loaded


def measure_queries(args, broker, bus, ours, process, domains):
    caller = bus.caller(ours.name, *VM_STATE, *list_vms(ours)), ours.process
    for label, method in DOMAIN_STATES.items():
        metric = f"state of a VM by {broker}"
        progress(f"{metric}, {label}")
        query, service = compare_by_cpu(args, bus, CALLS, caller, (bus.caller(NAME, *method, *domains), process))
        yield query.scaled(1e6).row(metric, "µs", f"libvirt-dbus: {label}", at_most=THREE_TIMES_AS_FAST)
        yield service.scaled(1e6).row(SERVICE_SHARE, "µs", f"libvirt-dbus: {label}")


def measure_list(args, broker, bus, ours, process):
    metric = f"states of {ours.n} VMs in one call by {broker}"
    progress(metric)
    peer = bus.caller(NAME, *DOMAIN_LIST, TEST), process
    query, _ = compare_by_cpu(args, bus, 1, (bus.caller(ours.name, *VM_LIST, ours.root), ours.process), peer)
    return query.scaled(1e3).row(metric, "ms", "libvirt-dbus: GetAllDomainStats()", at_most=THREE_TIMES_AS_FAST)


def measure(args):
    for broker in "dbus-daemon", "dbus-broker":
        with on_cpu(min(os.sched_getaffinity(0))), PrivateBus(broker) as bus:
            process = start_libvirt(bus, args.n_vms)
            [domains] = bus.call(NAME, TEST, f"{CONNECT}.ListDomains", "u", 0)
            if len(domains) != args.n_vms:
                raise AssertionError(f"libvirt-dbus has {len(domains)} domains, not {args.n_vms}")
            ours = start_vms(bus, args.n_vms)
            yield from measure_queries(args, broker, bus, ours, process, domains)
            yield measure_list(args, broker, bus, ours, process)
