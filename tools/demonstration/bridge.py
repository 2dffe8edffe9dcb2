# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage in domain 1, used from domain 0 as if it were there: two buses joined over libxenvchan."""

import contextlib
import pathlib
import shutil
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests/integration"))

from dbuswire import Bus, CallFailed
from harness import wait_until
from harness.emulation import build_directory
from harness.process import run

from .services import STORAGE, Operator, bus
from .stage import echo, heading, say

BRIDGE = "bridge/xcp-bridge"
LINK = "/org/xen/xcp/bridge/link/"
CLIENT = "tests/clients/gio_client.py"
ROOT = "/org/xen/xcp/storage"
PYTHON = "/usr/bin/python3"  # Debian's, as python3-gi is for no other

POLICY = (
    "allow own {name} by {other}",
    "allow out any {name} to {other}",
    "allow in any {name} from {other}",
)
OTHERS = {"0": "name=dom1", "dom1": "id=0"}
NAMES = (STORAGE, f"{STORAGE}.*")  # the second for a service that stands by, and one that has handed over


@contextlib.contextmanager
def bridge(xen, domain):
    """xcp-bridge in a domain, with a policy of a few lines."""
    policy = xen.rundir / ("dom0" if domain == "0" else domain) / "demo.policy"
    policy.write_text("".join(line.format(name=name, other=OTHERS[domain]) + "\n" for name in NAMES for line in POLICY))
    say(policy.read_text())
    echo("xenemu", "exec", domain, "--", "xcp-bridge", "--policy", policy)
    with xen.start(domain, build_directory() / BRIDGE, "--policy", policy, "--ready-fd", "1") as process:
        process.wait_output(r"^\n", 30)
        yield


def is_up(xen, domid):
    state = run("busctl", f"--address=unix:path={xen.rundir}/dom0/bus", "get-property", "org.xen.xcp.bridge", f"{LINK}{domid}",
                "org.xen.xcp.bridge1.Link", "State", check=None)
    return state.stdout == 's "Up"\n'


class Load:
    """Clients in domain 0, each of which calls storage without a pause, until the block ends."""

    def __init__(self, xen, n=4):
        self._path = xen.rundir / "dom0/bus"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(n)]
        self.n_calls, self.failures, self.longest = [], [], []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.n_calls or self.failures, "a first answer")
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _call(self):
        with Bus(self._path) as client:
            longest = 0
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    client.call(STORAGE, ROOT, "org.xen.xcp.storage1.Manager", "ListSRs", deadline=60)
                except CallFailed as failed:
                    self.failures.append(failed)
                longest = max(longest, time.monotonic() - began)
                self.n_calls.append(1)
            self.longest.append(longest)


def move(xen, operator):
    heading("Storage moves to domain 0, while four clients call it without a pause")
    before = xen.rundir / "dom0/state/storage"  # of the storage that domain 0 had for itself: a service takes the place of no other
    echo("rm", "-r", before)
    shutil.rmtree(before)
    with Load(xen) as load:
        operator.xcpctl("service", "move", "storage", "--to", "0")
    say(f"{len(load.n_calls)} calls meanwhile, {len(load.failures)} of them failed; the longest took {max(load.longest) * 1000:.0f} ms")
    if load.failures:
        raise AssertionError(f"a call failed while storage was moved: {load.failures[0]}")
    operator.xcpctl("service", "domain", "storage")


def use(xen, operator, disks):
    heading("Storage starts in domain 1, with the first call to it, and its name is on domain 0's bus as well")
    directory = disks / "storage"
    directory.mkdir()
    address = f"unix:path={xen.rundir}/dom1/bus"
    argv = ("busctl", f"--address={address}", "call", STORAGE, ROOT, "org.freedesktop.DBus.Peer", "Ping")
    echo("xenemu", "exec", "dom1", "--", *argv)
    xen.run("dom1", *argv)
    wait_until(lambda: operator.owns(STORAGE), f"{STORAGE} on domain 0's bus")
    operator.xcpctl("services")
    operator.busctl("call", STORAGE, ROOT, "org.xen.xcp.storage1.Manager", "ListDrivers")
    heading("A program that knows nothing of it: the example for Python makes a disk there, and a VM here that has it")
    client = (build_directory().parent / CLIENT, operator.address, directory)
    echo(*client)
    say(run(PYTHON, *client, deadline=60).stdout)


def perform(xen, disks):
    heading("Domains 0 and 1 each have a bus. A bridge in each joins them, and lets pass what a policy allows")
    with bus(xen), bus(xen, "dom1"), bridge(xen, "0"), bridge(xen, "dom1"):
        wait_until(lambda: is_up(xen, 1), "the link to domain 1 to be up", 30)
        operator = Operator(xen)
        use(xen, operator, disks)
        move(xen, operator)
