#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes an object of every kind that a service has, and keeps them until its input ends.

    inhabitants.py ADDRESS SERVICE DIRECTORY            of the bus; such as org.xen.xcp.storage; an empty one, for disks

Says "ready" when they are there. A service that is new in the tree gets a function here.
"""

import functools
import http.server
import pathlib
import sys
import tempfile
import threading

from gi.repository import GLib

from gio_client import connect, follow, proxy


def images(bus, directory):
    name = "org.xen.xcp.images"
    manager = proxy(bus, name, "/org/xen/xcp/images", "org.xen.xcp.images1.Manager")
    served = tempfile.TemporaryDirectory(prefix="xcp-")  # goes with this process: directory has to stay empty
    (pathlib.Path(served.name) / "image").write_bytes(b"an image")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served.name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = f"http://127.0.0.1:{server.server_address[1]}/image"
    follow(bus, name, manager.Pull("(sa{sv})", source, {}))
    manager.Pull("(sa{sv})", source, {})  # a task, which stays while its caller does
    return served


def pvcalls(bus, directory):
    name = "org.xen.xcp.pvcalls"
    manager = proxy(bus, name, "/org/xen/xcp/pvcalls", "org.xen.xcp.pvcalls1.Manager")
    manager.Attach("(ua{sv})", 1, {"wait_ms": GLib.Variant("u", 600_000)})  # a task, which waits for a frontend
    follow(bus, name, manager.Attach("(ua{sv})", 2, {"wait_ms": GLib.Variant("u", 0)}))


def storage(bus, directory):
    name = "org.xen.xcp.storage"
    manager = proxy(bus, name, "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager")
    spec = {
        "name": GLib.Variant("s", "local"),
        "driver": GLib.Variant("s", "directory"),
        "config": GLib.Variant("a{ss}", {"path": directory}),
    }
    sr = proxy(bus, name, follow(bus, name, manager.CreateSR("(a{sv})", spec))["sr"], "org.xen.xcp.storage1.SR")
    spec = {"name": GLib.Variant("s", "root"), "size": GLib.Variant("t", 64 << 20)}
    follow(bus, name, sr.CreateVDI("(a{sv})", spec))
    sr.Scan()  # a task, which stays while its caller does


def xenopsd(bus, directory):
    name = "org.xen.xcp.xenopsd"
    manager = proxy(bus, name, "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager")
    spec = {
        "name": GLib.Variant("s", "web"),
        "backend": GLib.Variant("s", "noop"),
        "disks": GLib.Variant("aa{sv}", [{"kind": GLib.Variant("s", "CdRom")}]),
        "network_interfaces": GLib.Variant("aa{sv}", [{"network": GLib.Variant("s", "user")}]),
    }
    vm = proxy(bus, name, manager.Create("(a{sv})", spec), "org.xen.xcp.xenopsd1.VM")
    vm.Start("(b)", False)  # a task


def main(address, service, directory):
    kind = service.rpartition(".")[2]
    if kind not in globals():
        sys.exit(f"{__file__} does not know how to make the objects of {service}: give it a function {kind}()")
    bus = connect(address)
    kept = globals()[kind](bus, directory)  # what has to be there meanwhile
    print("ready", flush=True)
    sys.stdin.read()
    del kept


if __name__ == "__main__":
    main(*sys.argv[1:])
