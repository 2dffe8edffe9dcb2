# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a VM manager whose guests are QEMU's, in software emulation, and the tiny guest of guests/tiny.S."""

import contextlib
import json
import os
import pathlib
import shutil

from harness import run
from xenopsdcase import MIB, SOURCE, XenopsdTest

TINY_SOURCE = SOURCE / "tests/integration/guests/tiny.S"
TINY_SIZE = MIB  # a BIOS boots no disk that is much smaller
OPTIONS = {"accelerator": "tcg"}
STATUS = '{"return": {"status": "%s", "singlestep": false, "running": false}, "id": %%ID%%}'  # of fake-qemu.py


def assemble(directory):
    """The disk that tiny.S is in."""
    directory = pathlib.Path(directory)
    run("as", "--32", TINY_SOURCE, "-o", directory / "tiny.o")
    run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", directory / "tiny.o", "-o", directory / "tiny.img")
    os.truncate(directory / "tiny.img", TINY_SIZE)
    return directory / "tiny.img"


class Console:
    """A console of a VM, read until something is there."""

    def __init__(self, caller, vm):
        self.caller = caller
        self.socket = vm.open_console()
        self.socket.setblocking(False)
        self.heard = b""

    def read(self):
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return None
        self.heard += data
        return data

    def hear(self, what, deadline=60):
        """Waits until it is said. Returns what came before."""
        def heard():
            self.read()
            return what in self.heard

        self.caller.wait_until(heard, lambda: f"{what} on the console, in {self.heard}", deadline)
        before, _, self.heard = self.heard.partition(what)
        return before

    def say(self, what):
        self.socket.send(what)

    def wait_end(self):
        self.caller.wait_until(lambda: self.read() == b"", "the end of the console")

    def close(self):
        self.socket.close()


class QemuTest(XenopsdTest):
    """A bus, a VM manager, and a disk to boot from."""

    def setUp(self):
        super().setUp()
        self.image = assemble(self.root)
        self.addCleanup(self.end_guests)

    def end_guests(self):
        """All of QEMU that a manager of this test started, by the records of its guests."""
        for pid in self.qemu_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def qemu_pids(self):
        """The processes of QEMU that run in a guest's directory of this test."""
        pids = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                directory = os.readlink(process / "cwd")
            except OSError:
                continue
            if directory.startswith(f"{self.root}/") and "/qemu/" in directory:
                pids.append(int(process.name))
        return pids

    def leftovers(self):
        """What is left of guests: processes and directories."""
        return self.qemu_pids() + [str(path) for path in self.root.glob("*/qemu/*-*")]

    def disk(self, name):
        """A disk of its own to boot from."""
        return {"path": str(shutil.copy(self.image, self.root / f"{name}.img")), "boot_index": 0}

    def create(self, name="one", options=None, **more):
        spec = {"backend": "qemu", "memory": 32 * MIB, **more}
        if "disks" not in spec:
            spec["disks"] = [self.disk(name)]
        return super().create(name, {**OPTIONS, **(options or {})}, **spec)

    def console(self, vm):
        console = Console(self.caller, vm)
        self.addCleanup(console.close)
        return console

    def booted(self, name="one", **more):
        """A VM that has said so on its console."""
        vm = self.create(name, **more)
        self.done(vm.begin("Prepare"))
        console = self.console(vm)
        self.done(vm.start())
        console.hear(b"tiny\r\n")
        return vm, console

    def let_go(self, console, unplugging):
        """A guest's kernel lets go of a device when it is told; this one when it is told on its console."""
        def asked():
            console.say(b"e")
            console.hear(b"E")
            self.caller.iterate()
            return any(path == unplugging.path and member == "Finished" for path, _, member, _ in self.caller.signals)

        self.caller.wait_until(asked, "the guest to let go of the device")
        self.done(unplugging)


class FakeQemuTest(QemuTest):
    """The same with fake-qemu.py, which says what it likes: the manager is started when the first script is there."""

    autostarted = False
    prepared = {"query-status": STATUS % "prelaunch"}

    def setUp(self):
        self.addCleanup(os.environ.pop, "XCP_QEMU", None)
        super().setUp()
        self.program = self.root / "fake-qemu"
        shutil.copy(SOURCE / "tests/integration/fake-qemu.py", self.program)
        self.script({})

    def script(self, script):
        """At once: it may be looked at at any time."""
        (self.root / "fake-script.new").write_text(json.dumps(script))
        (self.root / "fake-script.new").rename(self.root / "fake-script")

    def begin(self, script=None):
        os.environ["XCP_QEMU"] = str(self.program)
        self.script(script or {})
        self.manager = self.start()
        self.caller = self.connect()

    def told(self):
        """The commands that were given to it so far, each with the first of what it is about."""
        lines = (self.root / "fake-log").read_text().splitlines()
        return [(command["execute"], next(iter(command.get("arguments", {}).values()), None)) for command in map(json.loads, lines)]

    def wait_told(self, *command):
        self.caller.wait_until(lambda: command in self.told(), lambda: f"{command} in {self.told()}")
