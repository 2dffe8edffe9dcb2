# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a generated method costs: a service that echoes, with generated code, beside one that is written by hand with sd-bus."""

import os

from comparison import Compared, on_cpu, progress, take_turns
from private_bus import PrivateBus, cpu_seconds

PATH = "/org/xen/xcp/bench"
ECHO = "org.xen.xcp.bench1.Echo"
CALLS = 50  # in a round
SERVICE_SHARE = "  of which the service"
UUID = "6b1f4d02-9c3e-4a53-8f0e-2a7d5c8b9e11"
KINDS = {
    "a string": (f"{ECHO}.EchoString", "('a string of a usual size',)"),
    "a structure": (f"{ECHO}.EchoStruct", f"(('{UUID}', 'disk-1', 'Qcow2', uint64 10737418240),)"),
    "a record": (f"{ECHO}.EchoRecord", "({'name': <'disk-1'>, 'size': <uint64 10737418240>, 'mode': <'Qcow2'>, 'sharable': <true>},)"),
    "no argument: a property's Get": ("org.freedesktop.DBus.Properties.Get", f"('{ECHO}', 'Name')"),
}


def rounds_by_cpu(bus, caller, service, calls):
    """A function for take_turns: CPU seconds of caller, broker and service together, and of the service alone, for a call."""
    pids = service.pid, caller.pid, bus.broker_pid

    def one():
        before = [cpu_seconds(pid) for pid in pids]
        caller.round(calls)
        spent = [(cpu_seconds(pid) - start) / calls for pid, start in zip(pids, before)]
        return sum(spent), spent[0]

    return one


def compare_by_cpu(args, bus, calls, ours, peer):
    """Compares services, each a pair (caller, service). What all spend on a call, what the service does, in seconds.

    Everybody has to be on one CPU. Then this is how long a call takes if nothing else runs there, and much the same if something does.
    """
    pairs = take_turns(args.rounds, rounds_by_cpu(bus, *ours, calls), rounds_by_cpu(bus, *peer, calls))
    return [Compared.of((a[i], b[i]) for a, b in pairs) for i in range(2)]


def measure(args):
    with on_cpu(min(os.sched_getaffinity(0))), PrivateBus() as bus:
        generated, plain = bus.echo("echo-generated"), bus.echo("echo-plain")
        for label, (method, arguments) in KINDS.items():
            metric = f"call of a generated method with {label}"
            progress(metric)
            ours = bus.caller("org.xen.xcp.bench.generated", method, arguments, PATH), generated
            peer = bus.caller("org.xen.xcp.bench.plain", method, arguments, PATH), plain
            call, service = compare_by_cpu(args, bus, CALLS, ours, peer)
            yield call.scaled(1e6).row(metric, "µs", "by hand, with sd-bus", at_most=1.1)
            yield service.scaled(1e6).row(SERVICE_SHARE, "µs", "by hand, with sd-bus", at_most=1.1)
