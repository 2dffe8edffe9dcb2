# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a VM manager whose guests are domains of real Xen, and the tiny guest of guests/tiny-xen.c: for the lab (docs/lab.md)."""

import base64
import contextlib
import ctypes
import functools
import os
import pathlib
import re
import secrets
import tempfile
import time

from harness import Bus, run
from qemucase import Console
from xenopsdcase import MIB, XenopsdTest

PRIVCMD = "/dev/xen/privcmd"
TINY = "/usr/local/bin/tiny-xen"
HVM = "/usr/local/bin/tiny-hvm"
MEMORY = 32 * MIB  # with 16, libxl finds no room for the pages that it shares with a PVH guest
BRIDGE, HOST, GUEST, MAC = "xcpbr0", "10.121.0.1", "10.121.0.2", "00:16:3e:00:00:02"
BOOT_SECONDS = 60  # times what makes up for an emulated processor


def is_there():
    """Whether this is the domain that manages Xen."""
    return os.path.exists(PRIVCMD)


class DomainInfo(ctypes.Structure):
    """xc_domaininfo_t of libxenctrl 4.17; what is asked for here has a name."""

    _fields_ = [("domid", ctypes.c_uint16), ("pad", ctypes.c_uint16), ("flags", ctypes.c_uint32), ("rest", ctypes.c_uint64 * 13)]


SHUTDOWN, PAUSED = 1 << 2, 1 << 3  # flags (xen/domctl.h)
DOMAINS_MAX = 64


@functools.cache
def control():
    """libxenctrl, and a handle of it. It is asked directly as xl, which would be started each time, takes half a second here."""
    library = ctypes.CDLL("libxenctrl.so.4.17")
    library.xc_interface_open.restype = ctypes.c_void_p
    return library, ctypes.c_void_p(library.xc_interface_open(None, None, 0))


def domains():
    """All domains that Xen has: their flags by number."""
    library, handle = control()
    infos = (DomainInfo * DOMAINS_MAX)()
    n = library.xc_domain_getinfolist(handle, 0, DOMAINS_MAX, infos)
    if n < 0:
        raise OSError("Xen does not say which domains there are")
    return {info.domid: info.flags for info in infos[:n]}


class XenBackend(XenopsdTest):
    """Guests that are told what to do on their consoles, a letter each.

    On an emulated processor it takes seconds to start another bus, so one is for all cases, and half the time to read signals that nobody asks for.
    """

    members = ("StateChanged", "Finished")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.shared_bus = Bus(directory.name, "--domain-services-only")
        cls.addClassCleanup(cls.shared_bus.kill)
        cls.others = set(domains())

    def start_bus(self):
        return self.shared_bus.address

    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_guests)

    def end_guests(self):
        """Domains that a test that failed has left."""
        for domid in set(domains()) - self.others:
            run("xl", "destroy", str(domid))

    def make(self, name="one", options=None, **spec):
        return self.create(name, **{"backend": "xen", "memory": MEMORY, "firmware": "Kernel", "kernel": TINY, **spec})

    def console(self, vm):
        console = Console(vm.caller, vm)
        self.addCleanup(console.close)
        return console

    banner = b"tiny\r\n"
    echoed = b"a"
    keys = {"echo": b"a", "poweroff": b"o", "reboot": b"r", "crash": b"p"}

    def begun(self, console):
        console.hear(self.banner)

    def tell(self, console, what):
        console.say(self.keys[what])

    losable = None

    @staticmethod
    def domid(vm):
        return vm.get("Domains")[0]

    def lose(self, vm):
        run("xl", "destroy", str(self.domid(vm)))

    def lost(self, vm):
        """xl pauses a domain before it destroys it, which the manager sees or not."""
        self.caller.wait_until(lambda: ("Failed", "BackendExited") in [change[1:] for change in vm.changes()],
                               lambda: f"the loss of the guest in {vm.changes()}")

    def tell_while_away(self, vm, console, what):
        domid = self.domid(vm)
        self.manager.kill()
        tty = run("xenstore-read", f"/local/domain/{domid}/console/tty").stdout.strip()
        pathlib.Path(tty).write_bytes(self.keys[what])
        self.caller.wait_until(lambda: domains()[domid] & SHUTDOWN, "the guest to have done it")
        self.manager = self.start()
        self.caller.forget()

    @staticmethod
    def vital(header):
        """Behind what the backend itself writes, libxl's part begins."""
        line = header.split(b"\n")[0] + b"\n"
        return len(line) + int(line.split()[2], 16)

    def stubborn(self):
        return self.make()

    def make_stubborn(self, console):
        console.say(b"i")
        console.hear(b"i")

    def leftovers(self):
        """What is left of guests: domains and files. A domain that was destroyed may take a moment to be gone."""
        until = time.monotonic() + 10
        while left := [f"domain {domid}" for domid in domains() if domid not in self.others]:
            if time.monotonic() > until:
                break
            time.sleep(0.01)
        return left + [str(path) for path in self.root.glob("*/xen/*")]


class Guest(XenBackend):
    """Guests of Linux that do what their consoles are told (tests/lab/agent), and what is left of their devices."""

    def begun(self, console):
        console.hear(b"\x1eready", BOOT_SECONDS)

    def tell_agent(self, console, script):
        """Under a name of its own, as the agent clears a job away after it has said that it has ended."""
        name = secrets.token_hex(4).encode()
        console.say(b"start " + name + b" " + base64.b64encode(script.encode()) + b"\n")
        return name

    def ask_agent(self, console, script):
        """What a script prints in the guest."""
        name = self.tell_agent(console, script)
        console.hear(b"\x1ebegin " + name + b"\n")
        said = console.hear(b"\n\x1eend " + name + b" ")
        self.assertEqual(console.hear(b"\n"), b"0", said)
        return said.decode()

    def network(self):
        """A bridge."""
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)

    def file(self, name, content):
        """A disk that begins with these bytes."""
        path = self.root / name
        path.write_bytes(content + bytes(MIB - len(content)))
        return str(path)

    def leftovers(self):
        """Besides domains and files: loop devices, ports of the bridge, and the nodes of back-ends in xenstore."""
        backends = run("xenstore-ls", "-f", "/local/domain/0/backend", check=None).stdout.splitlines()
        return super().leftovers() + run("losetup", "-a").stdout.splitlines() + os.listdir(f"/sys/class/net/{BRIDGE}/brif") + \
            [line for line in backends if re.search(r"backend/(vbd|vif|qdisk)/\d+/", line) and not self.is_others(line)]

    def is_others(self, node):
        return int(node.split("/")[6]) in self.others


class EmulatedGuest(Guest):
    """HVM guests, whose devices Xen's QEMU emulates. What they say is on their serial line."""

    def setUp(self):
        super().setUp()
        self.network()

    def begun(self, console):
        console.hear(self.banner, BOOT_SECONDS)

    def leftovers(self):
        """And the processes of QEMU."""
        return super().leftovers() + [name for name in self.processes() if "qemu" in name]

    @staticmethod
    def processes():
        for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):  # it has just ended
                yield path.read_text().strip()

    def wait_ports(self, names):
        """The bridge's."""
        def ports():
            return sorted(os.listdir(f"/sys/class/net/{BRIDGE}/brif"))

        self.caller.wait_until(lambda: ports() == names, lambda: f"the bridge's ports to be {names}, not {ports()}")

    def said(self, vm, what, times=1):
        """Also while nobody listened."""
        return bytes(vm.call("GetConsoleLog", "(su)", "serial0", 65536)[0]).count(what) >= times

    def all_gone(self):
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left: {self.leftovers()}")
