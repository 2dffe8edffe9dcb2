# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the VM manager, for tests: calls, the signals that came, and waiting for them. With GLib's D-Bus (python3-gi)."""

import socket

from gi.repository import Gio, GLib

from harness.wait import PATIENCE, Deadline

ROOT = "/org/xen/xcp/xenopsd"
MANAGER = "org.xen.xcp.xenopsd1.Manager"
VM = "org.xen.xcp.xenopsd1.VM"
DISK = "org.xen.xcp.xenopsd1.Disk"
NETWORK = "org.xen.xcp.xenopsd1.NetworkInterface"
TASK = "org.xen.xcp.Task1"
DIAGNOSTICS = "org.xen.xcp.Diagnostics1"
PROPERTIES = "org.freedesktop.DBus.Properties"

DISK_SPEC = {"name": "s", "vdi": "o", "path": "s", "kind": "s", "mode": "s", "rate_limit": "t", "iops_limit": "t",
             "boot_index": "u"}
NETWORK_SPEC = {"name": "s", "network": "s", "mac": "s", "mtu": "u", "carrier": "b", "rate_limit": "t", "boot_index": "u",
                "addresses": "as"}
VM_SPEC = {
    "name": "s", "uuid": "s", "description": "s", "backend": "s", "kind": "s", "memory": "t", "memory_max": "t", "vcpus": "u",
    "vcpus_max": "u", "firmware": "s", "kernel": "s", "initramfs": "s", "command_line": "s", "disks": DISK_SPEC,
    "network_interfaces": NETWORK_SPEC, "on_crash": "s", "on_reboot": "s", "autostart": "b", "autostart_order": "u",
    "autostart_delay_ms": "u", "labels": "a{ss}", "backend_options": "a{ss}",
}


def pack(types, values):
    """A record: the values of a dictionary, each with its type."""
    packed = {}
    for key, value in values.items():
        kind = types[key]
        if isinstance(kind, dict):
            packed[key] = GLib.Variant("aa{sv}", [pack(kind, item) for item in value])
        else:
            packed[key] = value if isinstance(value, GLib.Variant) else GLib.Variant(kind, value)
    return packed


# Between two looks at what has no descriptor to wait on. Looking takes its time, too, where there is only an emulated processor for all.
ASK_AGAIN_MS = int(20 * min(PATIENCE, 5))


class Refused(Exception):
    """The answer was an error; name is without the prefix that ours have."""

    def __init__(self, error):
        name = Gio.DBusError.get_remote_error(error) or "?"
        Gio.DBusError.strip_remote_error(error)
        super().__init__(f"{name}: {error.message}")
        self.name = name.removeprefix("org.xen.xcp.Error.")
        self.message = error.message


class Caller:
    """A connection of its own to the bus, which the tasks that it asks for belong to. members: the signals that it hears; None: all."""

    def __init__(self, address, name, members=None):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.connection.set_exit_on_close(False)
        self.unique = self.connection.get_unique_name()
        self.name = name
        self.signals = []  # (path, interface, member, arguments)
        self.record = True
        self.subscriptions = [self.connection.signal_subscribe(name, None, member, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)
                              for member in members or (None,)]

    def _on_signal(self, connection, sender, path, interface, member, arguments):
        if self.record:
            self.signals.append((path, interface, member, arguments.unpack()))

    def close(self):
        if not self.connection.is_closed():
            for subscription in self.subscriptions:
                self.connection.signal_unsubscribe(subscription)
            self.connection.close_sync(None)

    def forget(self):
        """The signals so far."""
        self.iterate()
        self.signals.clear()

    @staticmethod
    def iterate():
        context = GLib.MainContext.default()
        while context.iteration(False):
            pass

    def wait_until(self, predicate, what, deadline=60):
        until = Deadline(deadline)
        context = GLib.MainContext.default()
        while True:
            self.iterate()
            if value := predicate():
                return value
            until.check(what() if callable(what) else what)
            wake = GLib.timeout_add(ASK_AGAIN_MS, lambda: GLib.SOURCE_CONTINUE)
            context.iteration(True)
            GLib.source_remove(wake)

    def call_fds(self, path, interface, method, signature=None, *arguments):
        body = GLib.Variant(signature, arguments) if signature else None
        try:
            reply, fds = self.connection.call_with_unix_fd_list_sync(self.name, path, interface, method, body, None,
                                                                     Gio.DBusCallFlags.NONE, 60_000, None, None)
        except GLib.Error as error:
            raise Refused(error) from None
        values = reply.unpack()
        return values[: len(values) - 1] if fds else values, fds.steal_fds() if fds else []

    def call(self, path, interface, method, signature=None, *arguments):
        return self.call_fds(path, interface, method, signature, *arguments)[0]

    def call_all(self, calls, deadline=240):
        """Makes all calls at once. Returns their replies."""
        replies = [None] * len(calls)
        left = len(calls)

        def on_reply(connection, result, i):
            nonlocal left
            left -= 1
            try:
                replies[i] = connection.call_finish(result).unpack()
            except GLib.Error as error:
                replies[i] = Refused(error)

        for i, (path, interface, method, signature, *arguments) in enumerate(calls):
            body = GLib.Variant(signature, tuple(arguments)) if signature else None
            self.connection.call(self.name, path, interface, method, body, None, Gio.DBusCallFlags.NONE, 240_000, None, on_reply, i)
        self.wait_until(lambda: left == 0, "the answers to all calls", deadline)
        for reply in replies:
            if isinstance(reply, Refused):
                raise reply
        return replies

    def get(self, path, interface, name):
        return self.call(path, PROPERTIES, "Get", "(ss)", interface, name)[0]

    def set(self, path, interface, name, kind, value):
        self.call(path, PROPERTIES, "Set", "(ssv)", interface, name, GLib.Variant(kind, value))

    def counters(self):
        return self.call(ROOT, DIAGNOSTICS, "GetCounters")[0]

    def dump(self):
        """What a manager says of itself, without its log."""
        return "".join(text for title, text in self.call(ROOT, DIAGNOSTICS, "GetDump")[0] if "log" not in title.lower())

    def manager(self, method, *arguments):
        return self.call(ROOT, MANAGER, method, *arguments)

    def managed(self):
        return self.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]

    def vm_paths(self):
        return [vm[0] for vm in self.manager("ListVms")[0]]

    def properties_changed(self, path):
        self.iterate()
        return [arguments[1] for where, _, member, arguments in self.signals if where == path and member == "PropertiesChanged"]

    def create(self, name, options=None, **spec):
        if options:
            spec["backend_options"] = options
        return self.vm(self.manager("Create", "(a{sv})", pack(VM_SPEC, {"name": name, **spec}))[0])

    def vm(self, path):
        return Vm(self, path, VM)

    def object(self, path, interface):
        return Object(self, path, interface)

    def task(self, path):
        return Task(self, path, TASK)


class Object:
    def __init__(self, caller, path, interface):
        self.caller, self.path, self.interface = caller, path, interface
        self.tasks = []

    def call(self, method, *arguments):
        return self.caller.call(self.path, self.interface, method, *arguments)

    def begin(self, method, *arguments):
        """Calls a method that returns a task."""
        self.tasks.append(self.caller.task(self.call(method, *arguments)[0]))
        return self.tasks[-1]

    def get(self, name):
        return self.caller.get(self.path, self.interface, name)

    def set(self, name, kind, value):
        self.caller.set(self.path, self.interface, name, kind, value)

    def properties_changed(self):
        return self.caller.properties_changed(self.path)

    def wait_property(self, name, value):
        self.caller.wait_until(lambda: self.get(name) == value, f"{name} of {self.path} to be {value}")


class Vm(Object):
    def get_uuid(self):
        return self.path.rpartition("/")[2].replace("_", "-")

    def start(self, paused=False):
        return self.begin("Start", "(b)", paused)

    def stop(self, timeout_ms):
        return self.begin("Stop", "(u)", timeout_ms)

    def device(self, kind, name):
        return Object(self.caller, f"{self.path}/{kind}/{name.replace('-', '_')}", DISK if kind == "disk" else NETWORK)

    def open_port(self, port, network="net0"):
        _, fds = self.caller.call_fds(f"{self.path}/network/{network}", NETWORK, "OpenPort", "(q)", port)
        return socket.socket(fileno=fds[0])

    def changes(self):
        """The changes of its state so far: (old, new, reason)."""
        self.caller.iterate()
        return [arguments for path, _, member, arguments in self.caller.signals if path == self.path and member == "StateChanged"]

    def wait_change(self, old, new, reason):
        self.caller.wait_until(lambda: (old, new, reason) in self.changes(), lambda: f"{old} to {new}, {reason}, in {self.changes()}")

    def open_console(self, read_only=False, name="serial0"):
        _, fds = self.caller.call_fds(self.path, self.interface, "OpenConsole", "(sb)", name, read_only)
        return socket.socket(fileno=fds[0])


class Task(Object):
    def end(self):
        """Its end, if it has come: state, result and error."""
        for path, _, member, arguments in self.caller.signals:
            if path == self.path and member == "Finished":
                return arguments
        return None

    def wait(self):
        return self.caller.wait_until(self.end, f"the end of {self.path}")

    def cancel(self):
        self.call("Cancel")
