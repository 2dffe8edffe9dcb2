#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk, a VM that has it, and what can go wrong: a client with GDBus from Python.

    gio_client.py ADDRESS DIRECTORY         of the bus; an empty one, for the disk

Debian: python3-gi.
"""

import sys

from gi.repository import Gio, GLib

STORAGE = "org.xen.xcp.storage"
XENOPSD = "org.xen.xcp.xenopsd"
FINAL = ("Succeeded", "Failed", "Cancelled")


class TaskFailed(Exception):
    """name, message, details: as in the task's Error."""


def connect(address):
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    return Gio.DBusConnection.new_for_address_sync(address, flags, None, None)


def proxy(bus, service, path, interface):
    return Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.NONE, None, service, path, interface, None)


def follow(bus, service, path):
    """Waits for the end of a task. Returns its result, or raises TaskFailed."""
    task = proxy(bus, service, path, "org.xen.xcp.Task1")  # from here on it knows the properties, and hears of changes

    def get(name):
        return task.get_cached_property(name).unpack()

    def changed(task, values, invalidated):
        print(f"{get('Description')}: {get('Progress'):4.0%} {get('State')}")

    task.connect("g-properties-changed", changed)
    changed(task, None, None)
    context = GLib.MainContext.default()
    while context.pending() or get("State") not in FINAL:  # pending: signals, of others too, that came before the end was known
        context.iteration(True)
    task.Destroy()
    if get("State") != "Succeeded":
        raise TaskFailed(*get("Error"))
    return get("Result")


def main(address, directory):
    bus = connect(address)
    driver = proxy(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    for name in sorted({*driver.ListNames(), *driver.ListActivatableNames()}):
        if name.startswith("org.xen.xcp."):
            print("Service", name)

    # The values of a{sv} are variants, and say their types. The first argument is the signature of the others.
    storage = proxy(bus, STORAGE, "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager")
    config = GLib.Variant("a{ss}", {"path": directory})
    spec = {"name": GLib.Variant("s", "local"), "driver": GLib.Variant("s", "directory"), "config": config}
    sr = proxy(bus, STORAGE, follow(bus, STORAGE, storage.CreateSR("(a{sv})", spec))["sr"], "org.xen.xcp.storage1.SR")
    spec = {"name": GLib.Variant("s", "root"), "size": GLib.Variant("t", 64 << 20)}
    vdi = follow(bus, STORAGE, sr.CreateVDI("(a{sv})", spec))["vdi"]
    for path, uuid, name, size in sr.ListVDIs():
        print("Disk", name, size)

    # An object manager holds all objects of a service with all their properties, and keeps them up to date.
    flags = Gio.DBusObjectManagerClientFlags.NONE
    objects = Gio.DBusObjectManagerClient.new_sync(bus, flags, XENOPSD, "/org/xen/xcp/xenopsd", None, None, None)
    objects.connect("object-added", lambda objects, object: print("New:", object.get_object_path()))

    xenopsd = proxy(bus, XENOPSD, "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager")
    spec = {
        "name": GLib.Variant("s", "web"),
        "backend": GLib.Variant("s", "noop"),
        "backend_options": GLib.Variant("a{ss}", {"start": "1000"}),
        "disks": GLib.Variant("aa{sv}", [{"vdi": GLib.Variant("o", vdi)}]),
    }
    vm = proxy(bus, XENOPSD, xenopsd.Create("(a{sv})", spec), "org.xen.xcp.xenopsd1.VM")
    vm.connect("g-signal", lambda vm, sender, signal, arguments: print("VM web:", signal, *arguments))
    follow(bus, XENOPSD, vm.Start("(b)", False))
    for object in objects.get_objects():
        if found := object.get_interface("org.xen.xcp.xenopsd1.VM"):
            print("VM", found.get_cached_property("Name").unpack(), found.get_cached_property("State").unpack())

    try:
        follow(bus, XENOPSD, vm.Start("(b)", False))
    except TaskFailed as error:
        print(*error.args)
    try:
        xenopsd.LookupByName("(s)", "nobody")
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error)
        print(name, error.message.removeprefix(f"GDBus.Error:{name}: "))

    follow(bus, XENOPSD, vm.Stop("(u)", 1000))
    follow(bus, XENOPSD, vm.Destroy())
    follow(bus, STORAGE, proxy(bus, STORAGE, vdi, "org.xen.xcp.storage1.VDI").Destroy())
    follow(bus, STORAGE, sr.Destroy())


if __name__ == "__main__":
    main(*sys.argv[1:])
