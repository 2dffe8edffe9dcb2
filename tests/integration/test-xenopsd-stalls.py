# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that are moved or saved, and somebody who takes part stands still: lives, and does not go on. That has an end, which says who was waited for."""

import os
import socket

import xenopsdclient
from gi.repository import Gio, GLib
from qemucase import QemuTest
from xenopsdcase import MIB, VDI
from xenopsdclient import MANAGER, ROOT

STALL_MS = 2000
OTHER = "org.xen.xcp.xenopsd2"
TASK_PATH = ROOT + "/task/1"
INTERFACES = Gio.DBusNodeInfo.new_for_xml(f"""<node>
 <interface name="{MANAGER}"><method name="Receive"><arg type="a{{sv}}" direction="in"/><arg type="o" direction="out"/><arg type="h" direction="out"/></method></interface>
 <interface name="org.xen.xcp.Task1"><method name="Cancel"/><method name="Destroy"/></interface>
</node>""").interfaces


class Mute:
    """A manager that has guests sent to it, of each says what it is told to, and then stands still."""

    def __init__(self, address, says):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.connection.set_exit_on_close(False)
        self.says, self.sockets = says, []
        for interface, path in zip(INTERFACES, (ROOT, TASK_PATH)):
            self.connection.register_object(path, interface, self.on_call, None, None)
        self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                  GLib.Variant("(su)", (OTHER, 4)), None, Gio.DBusCallFlags.NONE, 60_000, None)

    def on_call(self, connection, sender, path, interface, method, arguments, invocation):
        if method != "Receive":
            invocation.return_value(None)
            return
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # no guest is so small
        ours.send(self.says)
        self.sockets.append(ours)
        fds = Gio.UnixFDList.new()
        fds.append(theirs.fileno())
        theirs.close()
        invocation.return_value_with_unix_fd_list(GLib.Variant("(oh)", (TASK_PATH, 0)), fds)

    def close(self):
        for ours in self.sockets:
            ours.close()
        self.connection.close_sync(None)


class Stalls(QemuTest):
    def setUp(self):
        os.environ["XCP_STALL_MS"] = str(STALL_MS)
        self.addCleanup(os.environ.pop, "XCP_STALL_MS", None)
        super().setUp()

    def mute(self, says=b""):
        mute = Mute(self.address, says)
        self.addCleanup(mute.close)
        return mute

    def stalled(self, task, *words):
        self.assertEqual(self.failed(task, "TimedOut", *words)["limit_ms"], STALL_MS)

    def noop(self):
        vm = self.caller.create("noop", backend="noop")
        self.done(vm.start())
        return vm

    def migrate(self, vm):
        return vm.begin("Migrate", "(sa{sv})", OTHER, {})

    def test_a_guest_of_qemu_that_nobody_takes(self):
        """Neither the other manager nor the file that it is saved to: it goes on."""
        self.mute()
        self.storage("full")
        vms = [self.booted(name) for name in ("moved", "saved")]
        tasks = [self.migrate(vms[0][0]), vms[1][0].begin("Save", "(o)", VDI + "full")]
        for task, who in zip(tasks, ("the other manager", "the file")):
            self.stalled(task, who, "to take more of")
        for vm, console in vms:
            self.assertEqual(vm.get("State"), "Running")
            console.say(b"z")
            console.hear(b"z")
            self.done(vm.begin("Destroy"))

    def test_a_manager_that_does_not_say_that_all_is_there(self):
        self.mute()
        vm = self.noop()
        self.stalled(self.migrate(vm), "to say that all of the guest is there")
        self.assertEqual(vm.get("State"), "Running")
        self.done(vm.begin("Destroy"))

    def test_a_manager_that_does_not_say_that_it_runs(self):
        """Nobody knows whether it does."""
        self.mute(b"R")
        vm = self.noop()
        self.stalled(self.migrate(vm), "to have the guest run")
        self.assertEqual(vm.get("State"), "Suspended")
        self.assertIn("may run elsewhere", vm.get("StateDetail"))
        self.done(vm.begin("Resume"))
        self.done(vm.begin("Destroy"))

    def receive(self, number, backend):
        spec = {"name": f"vm{number}", "uuid": f"00000000-0000-0000-0000-{number:012}", "backend": backend, "memory": 32 * MIB}
        (path, *_), fds = self.caller.call_fds(ROOT, MANAGER, "Receive", "(a{sv})", xenopsdclient.pack(xenopsdclient.VM_SPEC, spec))
        return self.caller.task(path), socket.socket(fileno=fds[0])

    def test_a_manager_that_sends_nothing_or_not_all(self):
        data = self.noop_stream()
        mute, first = self.receive(1, "qemu")
        half, second = self.receive(2, "qemu")
        second.send(b"xcp-qemu-stream 1 0000")
        halt, third = self.receive(3, "noop")
        third.send(data)
        self.stalled(mute, "to begin to send the guest")
        self.stalled(half, "to begin to send the guest")
        self.assertEqual(third.recv(1), b"R")
        self.stalled(halt, "to let go of the guest")
        for one in (first, second, third):
            one.close()
        self.assertEqual((self.caller.vm_paths(), self.leftovers()), ([], []))

    def noop_stream(self):
        """What a manager sends of a guest."""
        mute = self.mute()
        vm = self.noop()
        self.migrate(vm)
        self.caller.wait_until(lambda: mute.sockets, "the other manager to be asked")
        data = mute.sockets[0].recv(65536)
        self.done(vm.begin("Kill"))
        self.done(vm.begin("Destroy"))
        return data


del QemuTest
