# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VM manager on a bus of its own, and a caller that knows when a VM's state has changed."""

import contextlib
import os
import shutil
import time

from harness.process import survivors
from private_bus import PrivateBus
from qemucase import OPTIONS, assemble
from xenopsdclient import VM, Caller

NAME = "org.xen.xcp.xenopsd"
MIB = 1 << 20
MEMORY = 32 * MIB  # of a guest
DEADLINE = 60


def timed(function, *arguments):
    """Returns what it returns, and its seconds."""
    begun = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begun


class Manager(contextlib.ExitStack):
    """A context manager. At its end nothing is left of it or of its guests."""

    def __enter__(self):
        super().__enter__()
        try:
            self.bus = self.enter_context(PrivateBus())
            self.process = self.bus.service("xenopsd")
            self.caller = Caller(self.bus.address, NAME)
            self.callback(self.caller.close)
            self.callback(self._destroy_all)
            self.image = assemble(self.bus.directory)
            self.changes = []  # (when, path, state)
            self._listen()
        except BaseException:
            self.close()
            raise
        return self

    def _listen(self):
        def on_change(connection, sender, path, interface, member, arguments):
            self.changes.append((time.perf_counter(), path, arguments.unpack()[1]))

        connection = self.caller.connection
        subscription = connection.signal_subscribe(NAME, VM, "StateChanged", None, None, 0, on_change)
        self.callback(connection.signal_unsubscribe, subscription)

    def _destroy_all(self):
        for path in self.caller.vm_paths():
            self.destroy(self.caller.vm(path))

    def copy_image(self, name):
        """A disk for a guest that runs beside others: QEMU has it for itself."""
        return shutil.copy(self.image, self.bus.directory / f"{name}.img")

    def create(self, name, backend_options=None, image=None, **spec):
        disks = [{"path": str(image or self.image), "boot_index": 0}]
        return self.caller.create(name, {**OPTIONS, **(backend_options or {})}, backend="qemu", memory=MEMORY, disks=disks, **spec)

    def destroy(self, vm):
        self.finish(vm.begin("Destroy"))

    def finish(self, task):
        """Waits for a task, which must succeed."""
        state, _, error = task.wait()
        if state != "Succeeded":
            raise AssertionError(f"{task.path}: {state}: {error}")
        self.caller.forget()

    def change(self, vm, state, method, *arguments):
        """Calls a method that changes the state of a VM. Returns the seconds until it is heard that it has."""
        self.changes.clear()
        begun = time.perf_counter()
        task = vm.begin(method, *arguments)
        changed = self.wait_state(vm, state, task)
        self.finish(task)
        return changed - begun

    def wait_state(self, vm, state, task=None):
        """Waits for a change since the last change() began. Returns when it was heard of."""

        def changed():
            failed = task and [arguments for path, _, member, arguments in self.caller.signals
                               if (path, member) == (task.path, "Finished") and arguments[0] != "Succeeded"]
            if failed:
                raise AssertionError(f"{vm.path} does not become {state}: {failed[0][2]}")
            return next((when for when, path, new in self.changes if (path, new) == (vm.path, state)), None)

        return self.caller.wait_until(changed, lambda: f"{vm.path} to be {state}, in {self.changes}", DEADLINE)

    def start(self, vm, paused=False):
        return self.change(vm, "Suspended" if paused else "Running", "Start", "(b)", paused)

    def kill(self, vm):
        return self.change(vm, "Halted", "Kill")

    def qemu(self):
        """The process of the one guest that runs, by the directory it is in."""
        found = []
        for pid in survivors():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd").startswith(f"{self.bus.directory}/xenopsd-state/qemu/"):
                    found.append(pid)
        [pid] = found
        return pid
