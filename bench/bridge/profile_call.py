# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of one call goes: CPU, changes of process and system calls of everybody on its way, of a local call and one to another domain."""

import os

import costs
from calls import ECHO, FLOOR, HERE, TEXT, THERE
from comparison import on_cpu, progress
from joined import Joined

N_CALLS, N_TRACED = 5000, 200


def show_way(what, caller, groups):
    print(f"{what}:")
    caller.round(N_CALLS // 10)
    costs.show(caller, {"client": caller.pid} | groups, N_CALLS, N_TRACED)


def show(args):
    progress("nothing; counting what one call needs, with all on one CPU")
    with on_cpu(min(os.sched_getaffinity(0))), Joined() as world:
        here, there = world.echo(0, HERE), world.echo(1, THERE)
        passed, passed_service, relays = world.passed("profile", ECHO, TEXT)
        [near], [far], bridges = world.broker_pids(0), world.broker_pids(1), world.bridge_pids()
        show_way("A call on the local bus", world.caller(HERE, ECHO, TEXT), {"broker": near, "service": here.pid})
        for what, caller, between, others, service in (
            ("A call to another domain", world.caller(THERE, ECHO, TEXT), "bridge's process", bridges, there.pid),
            (f"The same, {FLOOR}", passed, "relay", relays, passed_service),
        ):
            groups = {f"a {between}": others[0], "the other's": others[1]}
            show_way(what, caller, {"broker of domain 0": near} | groups | {"broker of domain 1": far, "service": service})
