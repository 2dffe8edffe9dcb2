#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A storage service for tests of its users: fake-storage.py ADDRESS FILE NAME...

Each NAME is a VDI, whose data path is FILE or an NBD URI. What is done to them is on standard output, a line each. A VDI whose name begins
with busy cannot be attached, one with stuck never gets there, and one with sticky cannot be detached. One whose name begins with full takes
no more than a pipe does, FILE.pipe, from which nobody reads.
"""

import os
import sys

from gi.repository import Gio, GLib

ROOT = "/org/xen/xcp/storage"
XCP_ERROR = "org.xen.xcp.Error."

XML = """<node>
 <interface name="org.xen.xcp.storage1.VDI">
  <method name="Attach"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
   <arg type="o" direction="out"/></method>
  <method name="Activate"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
  <method name="Deactivate"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
  <method name="Detach"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
 </interface>
 <interface name="org.xen.xcp.Task1">
  <method name="Cancel"/><method name="Destroy"/>
  <signal name="Finished"><arg type="s"/><arg type="a{sv}"/><arg type="(ssa{sv})"/></signal>
 </interface>
</node>"""

VDI, TASK = Gio.DBusNodeInfo.new_for_xml(XML).interfaces


class Storage:
    def __init__(self, connection, file, names):
        self.connection = connection
        self.file = file
        self.n_tasks = 0
        self.tasks = {}
        self.readers = {name: {} for name in names}
        if any(name.startswith("full") for name in names):
            os.mkfifo(file + ".pipe")
        for name in names:
            connection.register_object(f"{ROOT}/vdi/{name}", VDI, self.on_vdi, None, None)

    def on_vdi(self, connection, sender, path, interface, method, arguments, invocation):
        name = path.rpartition("/")[2]
        reader, *rest = arguments.unpack()
        task = self.new_task()
        # The end may come before the reply or after it: users have to take both.
        early = self.n_tasks % 2
        if not early:
            invocation.return_value(GLib.Variant("(o)", (task,)))
        self.do(task, name, method, reader, rest)
        if early:
            invocation.return_value(GLib.Variant("(o)", (task,)))

    def do(self, task, name, method, reader, rest):
        readers = self.readers[name]
        if name.startswith("stuck") and method == "Attach":
            print("stuck", name, flush=True)
            return
        if (name.startswith("busy") and method == "Attach") or (name.startswith("sticky") and method == "Detach"):
            details = {key: GLib.Variant("s", value) for key, value in (("kind", "VDI"), ("id", name), ("holder", "vm-other"))}
            self.finish(task, "Failed", error=("Busy", f"The VDI '{name}' is in use by vm-other", details))
            return
        result = {}
        if method == "Attach":
            mode, kinds = rest
            readers[reader] = "attached"
            result = self.data_path(mode, kinds, name.startswith("full"))
        elif method == "Detach":
            readers.pop(reader, None)
        elif reader not in readers:
            self.finish(task, "Failed", error=("DoesNotExist", "There is no reader", {}))
            return
        elif method == "Activate" and any(state == "active" and other != reader for other, state in readers.items()):
            self.finish(task, "Failed", error=("Busy", f"The VDI '{name}' is in use by another reader", {}))
            return
        else:
            readers[reader] = "active" if method == "Activate" else "attached"
        print(method, name, reader, flush=True)
        self.finish(task, "Succeeded", result)

    def data_path(self, mode, kinds, is_full):
        path = {"mode": GLib.Variant("s", mode), "size": GLib.Variant("t", os.stat(self.file).st_size)}
        if is_full:
            return path | {"kind": GLib.Variant("s", "File"), "path": GLib.Variant("s", self.file + ".pipe")}
        if next(kind for kind in kinds if kind in ("Nbd", "File")) == "Nbd":
            return path | {"kind": GLib.Variant("s", "Nbd"), "uri": GLib.Variant("s", "nbd+unix:///x?socket=/none")}
        return path | {"kind": GLib.Variant("s", "File"), "path": GLib.Variant("s", self.file)}

    def new_task(self):
        self.n_tasks += 1
        path = f"{ROOT}/task/{self.n_tasks}"
        self.tasks[path] = self.connection.register_object(path, TASK, self.on_task, None, None)
        return path

    def finish(self, task, state, result=None, error=("", "", {})):
        name = XCP_ERROR + error[0] if error[0] else ""
        signal = GLib.Variant("(sa{sv}(ssa{sv}))", (state, result or {}, (name, *error[1:])))
        self.connection.emit_signal(None, task, "org.xen.xcp.Task1", "Finished", signal)

    def on_task(self, connection, sender, path, interface, method, arguments, invocation):
        invocation.return_value(None)
        if method == "Cancel":
            print("cancelled", flush=True)
            self.finish(path, "Cancelled", error=("Cancelled", "it was cancelled", {}))
        else:
            self.connection.unregister_object(self.tasks.pop(path))
            print("tasks", len(self.tasks), flush=True)


def main():
    address, file, *names = sys.argv[1:]
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    Storage(connection, file, names)
    loop = GLib.MainLoop()
    connection.connect("closed", lambda *_: loop.quit())
    Gio.bus_own_name_on_connection(connection, "org.xen.xcp.storage", Gio.BusNameOwnerFlags.NONE,
                                   lambda *_: print("ready", flush=True), None)
    loop.run()


main()
