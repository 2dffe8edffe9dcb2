# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the storage service, for tests: calls, tasks and their ends. With GLib's D-Bus (python3-gi)."""

import os

from gi.repository import Gio, GLib

from harness.wait import Deadline

NAME = "org.xen.xcp.storage"
ROOT = "/org/xen/xcp/storage"
MANAGER = "org.xen.xcp.storage1.Manager"
SR = "org.xen.xcp.storage1.SR"
VDI = "org.xen.xcp.storage1.VDI"
TASK = "org.xen.xcp.Task1"
DIAGNOSTICS = "org.xen.xcp.Diagnostics1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
XCP_ERROR = "org.xen.xcp.Error."
FINAL = ("Succeeded", "Failed", "Cancelled")

SR_SPEC = {"name": "s", "driver": "s", "config": "a{ss}", "uuid": "s", "description": "s"}
VDI_SPEC = {"name": "s", "size": "t", "uuid": "s", "description": "s", "format": "s", "sharable": "b", "labels": "a{ss}"}


def pack(types, values):
    return {key: GLib.Variant(types[key], value) for key, value in values.items()}


class Refused(Exception):
    """An error, of a call or a task. name is without the prefix that ours have; details: a task's."""

    def __init__(self, name, message, details=None):
        super().__init__(f"{name}: {message}")
        self.name = name.removeprefix(XCP_ERROR)
        self.message = message
        self.details = details or {}


def refused(error):
    name = Gio.DBusError.get_remote_error(error) or "?"
    Gio.DBusError.strip_remote_error(error)
    return Refused(name, error.message)


class Client:
    """A connection to the bus of its own."""

    def __init__(self, address):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.connection.set_exit_on_close(False)
        self.ends = {}  # task: (state, result, error)
        self.progress = {}  # task: what was said of it
        self.changed = []  # (path, properties)
        self.connection.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)

    def close(self):
        self.connection.close_sync(None)

    def _on_signal(self, connection, sender, path, interface, member, arguments):
        if interface == TASK and member == "Finished":
            self.ends[path] = arguments.unpack()
        elif interface == PROPERTIES and member == "PropertiesChanged":
            properties = arguments.unpack()[1]
            self.changed.append((path, properties))
            if "Progress" in properties:
                self.progress.setdefault(path, []).append(properties["Progress"])

    def wait_until(self, predicate, what, deadline=60):
        until = Deadline(deadline)
        context = GLib.MainContext.default()
        while True:
            while context.iteration(False):
                pass
            if value := predicate():
                return value
            until.check(what() if callable(what) else what)
            wake = GLib.timeout_add(10, lambda: GLib.SOURCE_CONTINUE)
            context.iteration(True)
            GLib.source_remove(wake)

    def call(self, path, interface, method, signature=None, *arguments, fds=()):
        body = GLib.Variant(signature, arguments) if signature else None
        passed = Gio.UnixFDList.new()
        for fd in fds:
            passed.append(fd)
        try:
            reply, _ = self.connection.call_with_unix_fd_list_sync(
                NAME, path, interface, method, body, None, Gio.DBusCallFlags.NONE, 60_000, passed, None
            )
        except GLib.Error as error:
            raise refused(error) from None
        values = reply.unpack()
        return values[0] if values else None

    def call_all(self, calls, deadline=240):
        """Makes all calls at once. Returns their first results, or errors."""
        replies = [None] * len(calls)
        left = len(calls)

        def on_reply(connection, result, i):
            nonlocal left
            left -= 1
            try:
                replies[i] = connection.call_finish(result).unpack()[0]
            except GLib.Error as error:
                replies[i] = refused(error)

        for i, (path, interface, method, signature, *arguments) in enumerate(calls):
            body = GLib.Variant(signature, tuple(arguments)) if signature else None
            self.connection.call(NAME, path, interface, method, body, None, Gio.DBusCallFlags.NONE, 240_000, None, on_reply, i)
        self.wait_until(lambda: left == 0, lambda: f"{left} of {len(calls)} answers", deadline)
        return replies

    def get(self, path, interface, name):
        return self.call(path, PROPERTIES, "Get", "(ss)", interface, name)

    def set(self, path, interface, name, kind, value):
        self.call(path, PROPERTIES, "Set", "(ssv)", interface, name, GLib.Variant(kind, value))

    def managed(self):
        return self.call(ROOT, OBJECT_MANAGER, "GetManagedObjects")

    def counters(self):
        return self.call(ROOT, DIAGNOSTICS, "GetCounters")

    # Tasks

    def wait(self, task, deadline=60):
        """Its result. Raises what it failed with, Cancelled included."""

        def ended():
            if task in self.ends:
                return self.ends[task]
            return None

        state, result, error = self.wait_until(ended, lambda: f"the end of {self.get(task, TASK, 'Description')}", deadline)
        if state != "Succeeded":
            raise Refused(*error)
        return result

    def run(self, path, interface, method, signature=None, *arguments, fds=()):
        """Calls a method that returns a task, and waits for that. Its result is returned, and the task destroyed."""
        task = self.call(path, interface, method, signature, *arguments, fds=fds)
        try:
            return self.wait(task)
        finally:
            if task in self.ends:
                self.call(task, TASK, "Destroy")

    # Storage

    def create_sr(self, name, driver, introduce=False, **config):
        spec = pack(SR_SPEC, {"name": name, "driver": driver, "config": {key: str(value) for key, value in config.items()}})
        return self.run(ROOT, MANAGER, "IntroduceSR" if introduce else "CreateSR", "(a{sv})", spec)["sr"]

    def begin_create(self, sr, **spec):
        return self.call(sr, SR, "CreateVDI", "(a{sv})", pack(VDI_SPEC, spec))

    def create(self, sr, **spec):
        return self.wait(self.begin_create(sr, **spec))["vdi"]

    def begin_import(self, sr, fd, source_format="Raw", **spec):
        return self.call(sr, SR, "ImportVDI", "(a{sv}hs)", pack(VDI_SPEC, spec), 0, source_format, fds=[fd])

    def import_vdi(self, sr, fd, source_format="Raw", **spec):
        return self.wait(self.begin_import(sr, fd, source_format, **spec))["vdi"]

    def begin_export(self, vdi, fd, format="Raw"):
        return self.call(vdi, VDI, "Export", "(hs)", 0, format, fds=[fd])

    def content(self, vdi, directory):
        """What a reader would read, all of it."""
        path = os.path.join(directory, "exported")
        with open(path, "w+b") as file:
            self.wait(self.begin_export(vdi, file.fileno()))
            file.seek(0)
            return file.read()

    def attach(self, vdi, reader="r", mode="ReadWrite", kinds=("File",)):
        return self.run(vdi, VDI, "Attach", "(ssas)", reader, mode, list(kinds))

    def step(self, vdi, step, reader="r"):
        return self.run(vdi, VDI, step, "(s)", reader)

    def vdi(self, vdi, method, signature=None, *arguments):
        return self.run(vdi, VDI, method, signature, *arguments)

    def sr(self, sr, method):
        return self.run(sr, SR, method)

    def disks(self, sr):
        """Paths, by name."""
        return {name: path for path, _, name, _ in self.call(sr, SR, "ListVDIs")}
