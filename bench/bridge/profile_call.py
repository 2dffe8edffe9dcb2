# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of one call goes: CPU, changes of process and system calls of everybody on its way, of a call to another domain and a local one."""

import os

import costs
from calls import ECHO, HERE, TEXT, THERE
from comparison import on_cpu, progress
from joined import Joined

N_CALLS, N_TRACED = 5000, 200


def show(args):
    progress("nothing; counting what one call needs, with all on one CPU")
    with on_cpu(min(os.sched_getaffinity(0))), Joined() as world:
        services = {HERE: world.echo(0, HERE), THERE: world.echo(1, THERE)}
        [near], [far] = world.broker_pids(0), world.broker_pids(1)
        print("A call on the local bus:")
        caller = world.caller(HERE, ECHO, TEXT)
        caller.round(N_CALLS // 10)
        costs.show(caller, {"client": caller.pid, "broker": near, "service": services[HERE].pid}, N_CALLS, N_TRACED)
        print("A call to another domain:")
        caller = world.caller(THERE, ECHO, TEXT)
        caller.round(N_CALLS // 10)
        bridges = world.bridge_pids()
        groups = {"client": caller.pid, "broker of domain 0": near, "a bridge's process": bridges[0], "the other's": bridges[1],
                  "broker of domain 1": far, "service": services[THERE].pid}
        costs.show(caller, groups, N_CALLS, N_TRACED)
