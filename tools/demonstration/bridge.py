# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage in domain 1, used from domain 0 as if it were there: two buses joined over libxenvchan."""

import contextlib

from harness import wait_until
from harness.emulation import build_directory
from harness.process import run

from .services import STORAGE, Operator, bus
from .stage import echo, heading, say

BRIDGE = "bridge/xcp-bridge"
LINK = "/org/xen/xcp/bridge/link/"
CLIENT = "tests/clients/gio_client.py"
PYTHON = "/usr/bin/python3"  # Debian's, as python3-gi is for no other

POLICIES = {
    "0": (
        f"allow own {STORAGE} by name=dom1",
        f"allow out call {STORAGE} to name=dom1",
        f"allow in signal {STORAGE} from name=dom1",
    ),
    "dom1": (
        f"allow in call {STORAGE} from id=0",
        f"allow out signal {STORAGE} to id=0",
    ),
}


@contextlib.contextmanager
def bridge(xen, domain):
    """xcp-bridge in a domain, with a policy of a few lines."""
    policy = xen.rundir / ("dom0" if domain == "0" else domain) / "demo.policy"
    policy.write_text("".join(f"{line}\n" for line in POLICIES[domain]))
    say(policy.read_text())
    echo("xenemu", "exec", domain, "--", "xcp-bridge", "--policy", policy)
    with xen.start(domain, build_directory() / BRIDGE, "--policy", policy, "--ready-fd", "1") as process:
        process.wait_output(r"^\n", 30)
        yield


def is_up(xen, domid):
    state = run("busctl", f"--address=unix:path={xen.rundir}/dom0/bus", "get-property", "org.xen.xcp.bridge", f"{LINK}{domid}",
                "org.xen.xcp.bridge1.Link", "State", check=None)
    return state.stdout == 's "Up"\n'


def use(xen, operator):
    heading("Storage starts in domain 1, with the first call to it, and its name is on domain 0's bus as well")
    xen.run("dom1", "mkdir", "/tmp/disks")
    address = f"unix:path={xen.rundir}/dom1/bus"
    argv = ("busctl", f"--address={address}", "call", STORAGE, "/org/xen/xcp/storage", "org.freedesktop.DBus.Peer", "Ping")
    echo("xenemu", "exec", "dom1", "--", *argv)
    xen.run("dom1", *argv)
    wait_until(lambda: operator.owns(STORAGE), f"{STORAGE} on domain 0's bus")
    operator.xcpctl("services")
    heading("A program that knows nothing of it: the example for Python makes a disk there, and a VM here that has it")
    client = (build_directory().parent / CLIENT, operator.address, "/tmp/disks")
    echo(*client)
    say(run(PYTHON, *client, deadline=60).stdout)


def perform(xen):
    heading("Domains 0 and 1 each have a bus. A bridge in each joins them, and lets pass what a policy allows")
    with bus(xen), bus(xen, "dom1"), bridge(xen, "0"), bridge(xen, "dom1"):
        wait_until(lambda: is_up(xen, 1), "the link to domain 1 to be up", 30)
        use(xen, Operator(xen))
