# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domain 0's bus and its services: a storage repository, disks in it, VMs of the noop backend that have them, and one with a kernel.

The first call to a service starts it. xcpctl is the operator's command; busctl stands for whatever else speaks D-Bus.
"""

import contextlib
import json
import signal

from harness.emulation import build_directory
from harness.process import Process, run

from . import guest
from .stage import echo, heading, say

BUS_RUN = "bus/xcp-bus-run"
XCPCTL = "tools/xcpctl/xcpctl"
XENOPSD = "org.xen.xcp.xenopsd"
STORAGE = "org.xen.xcp.storage"
VM = "org.xen.xcp.xenopsd1.VM"


class Operator:
    """Somebody in domain 0 who types commands."""

    def __init__(self, xen):
        self.environment = {"XCP_RUNDIR": str(xen.rundir)}
        self.address = f"unix:path={xen.rundir}/dom0/bus"

    def xcpctl(self, *arguments, status=0):
        """Types an xcpctl command, and prints what it says."""
        echo("xcpctl", *arguments)
        result = run(build_directory() / XCPCTL, *arguments, env=self.environment, check=status, deadline=120)
        say(result.stdout + result.stderr)

    def log_in(self, vm, user):
        """Types a name at a VM's console, and leaves when there is an answer."""
        argv = ("vm", "console", vm)
        echo("xcpctl", *argv)
        with Process([build_directory() / XCPCTL, *argv], env=self.environment) as console:
            console.write(f"{user}\n")
            console.wait_output(f"Welcome, {user}")
            say(console.stdout)

    def busctl(self, *arguments):
        echo("busctl", f"--address={self.address}", *arguments)
        say(run("busctl", f"--address={self.address}", *arguments).stdout)

    def owns(self, name):
        """Whether a name has an owner on domain 0's bus."""
        return run("busctl", f"--address={self.address}", "status", name, check=None).status == 0

    def vm_path(self, name):
        vms = json.loads(run(build_directory() / XCPCTL, "--json", "vm", "list", env=self.environment).stdout)
        return next(vm["vm"] for vm in vms if vm["name"] == name)


@contextlib.contextmanager
def bus(xen, domain="0"):
    echo("xenemu", "exec", domain, "--", "xcp-bus-run")
    with xen.start(domain, build_directory() / BUS_RUN, "--ready-fd", "1") as process:
        process.wait_output("^\n", 30)
        yield process
        process.signal(signal.SIGTERM)
        process.wait(30)


def disks(operator, directory):
    operator.xcpctl("sr", "create", "local", "directory", "--config", f"path={directory}")
    operator.xcpctl("vdi", "create", "local", "debian", "2GiB", "--format", "Qcow2")
    operator.xcpctl("vdi", "snapshot", "debian", "golden")
    operator.xcpctl("vdi", "clone", "golden", "web-root")
    operator.xcpctl("vdi", "create", "local", "web-data", "8GiB", "--format", "Raw")
    operator.xcpctl("vdi", "list")
    operator.xcpctl("sr", "space", "local")


def vms(operator):
    operator.xcpctl("vm", "create", "web", "--backend", "noop", "--memory", "512MiB", "--vcpus", "2", "--disk", "web-root",
                    "--disk", "web-data", "--nic", "xenbr0")
    operator.xcpctl("vm", "create", "stubborn", "--backend", "noop", "--backend-option", "shutdown=ignore")
    operator.xcpctl("vm", "start", "web")
    operator.xcpctl("vm", "start", "stubborn")
    operator.xcpctl("vm", "list")
    operator.log_in("web", "root")


def dbus(operator):
    operator.busctl("tree", XENOPSD)
    operator.busctl("get-property", XENOPSD, operator.vm_path("web"), VM, "State", "Addresses")
    operator.busctl("call", STORAGE, "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager", "ListSRs")


def refusals(operator):
    operator.xcpctl("vdi", "destroy", "web-root", status=1)
    operator.xcpctl("vm", "start", "web", status=1)


def end(operator):
    operator.xcpctl("vm", "stop", "web")
    operator.xcpctl("vm", "stop", "stubborn", "--grace", "500ms")
    operator.xcpctl("vm", "list")
    operator.xcpctl("services")
    operator.xcpctl("vm", "destroy", "web")
    operator.xcpctl("vm", "destroy", "stubborn")


def perform(xen):
    heading("Domain 0 has a D-Bus of its own. Nothing runs on it yet: the first call to a service starts it")
    with bus(xen):
        operator = Operator(xen)
        operator.xcpctl("services")
        heading("A storage repository, and disks in it")
        directory = xen.rundir / "disks"
        directory.mkdir()
        disks(operator, directory)
        heading("VMs of the noop backend, which has everything that guests have but a kernel: a console, addresses, bad habits")
        vms(operator)
        heading("The same for any other program that speaks D-Bus")
        dbus(operator)
        heading("What cannot be done says so at once, and why")
        refusals(operator)
        heading("One guest powers down when it is asked to, the other is switched off when its time is up")
        end(operator)
        guest.perform(operator, directory)
