#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk, a VM that has it, and what can go wrong: a client with dbus-python.

    dbus_client.py ADDRESS DIRECTORY        of the bus; an empty one, for the disk

Debian: python3-dbus, and python3-gi for the main loop that signals need.
"""

import sys

import dbus
import dbus.bus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

STORAGE = "org.xen.xcp.storage"
XENOPSD = "org.xen.xcp.xenopsd"
TASK = "org.xen.xcp.Task1"
PROPERTIES = "org.freedesktop.DBus.Properties"
FINAL = ("Succeeded", "Failed", "Cancelled")


def proxy(bus, service, path, interface):
    """An object that keeps its service's name: without follow_name_owner_changes it would be that process's, and end with it."""
    return dbus.Interface(bus.get_object(service, path, follow_name_owner_changes=True), interface)


def follow(bus, service, path):
    """Waits for the end of a task. Returns its result; raises its error as if the method had failed with it."""
    state = {}

    def changed(interface, values, invalidated):
        state.update(values)
        print(f"{state['Description']}: {state['Progress']:4.0%} {state['State']}")

    watch = bus.add_signal_receiver(changed, "PropertiesChanged", PROPERTIES, service, path)
    changed(TASK, proxy(bus, service, path, PROPERTIES).GetAll(TASK), [])  # after the watch began: nothing is missed
    context = GLib.MainContext.default()
    while context.pending() or state["State"] not in FINAL:  # pending: signals, of others too, that came before the end was known
        context.iteration(True)
    watch.remove()
    proxy(bus, service, path, TASK).Destroy()
    if state["State"] != "Succeeded":
        name, message, details = state["Error"]
        raise dbus.DBusException(message, name=name)
    return state["Result"]


def main(address, directory):
    bus = dbus.bus.BusConnection(address, mainloop=DBusGMainLoop())
    for name in sorted({*bus.list_names(), *bus.list_activatable_names()}):
        if name.startswith("org.xen.xcp."):
            print("Service", name)

    # Integers in an a{sv} are sent as int32 unless they say what they are.
    storage = proxy(bus, STORAGE, "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager")
    task = storage.CreateSR({"name": "local", "driver": "directory", "config": {"path": directory}})
    sr = follow(bus, STORAGE, task)["sr"]
    sr = proxy(bus, STORAGE, sr, "org.xen.xcp.storage1.SR")
    vdi = follow(bus, STORAGE, sr.CreateVDI({"name": "root", "size": dbus.UInt64(64 << 20)}))["vdi"]
    for path, uuid, name, size in sr.ListVDIs():
        print("Disk", name, size)

    xenopsd = proxy(bus, XENOPSD, "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager")
    disks = dbus.Array([{"vdi": vdi}], signature="a{sv}")  # or it would be taken for an aa{so}
    vm = xenopsd.Create({"name": "web", "backend": "noop", "backend_options": {"start": "1000"}, "disks": disks})
    vm = proxy(bus, XENOPSD, vm, "org.xen.xcp.xenopsd1.VM")
    vm.connect_to_signal("StateChanged", lambda old, new, reason: print(f"VM web: {old} -> {new} ({reason})"))
    follow(bus, XENOPSD, vm.Start(False))
    for path, uuid, name, state, backend in xenopsd.ListVms():
        print("VM", name, state)

    try:
        follow(bus, XENOPSD, vm.Start(False))
    except dbus.DBusException as error:
        print(error.get_dbus_name(), error.get_dbus_message())
    try:
        xenopsd.LookupByName("nobody")
    except dbus.DBusException as error:
        print(error.get_dbus_name(), error.get_dbus_message())

    follow(bus, XENOPSD, vm.Stop(1000))
    follow(bus, XENOPSD, vm.Destroy())
    follow(bus, STORAGE, proxy(bus, STORAGE, vdi, "org.xen.xcp.storage1.VDI").Destroy())
    follow(bus, STORAGE, sr.Destroy())


if __name__ == "__main__":
    main(*sys.argv[1:])
