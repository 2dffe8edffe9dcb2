# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service moves while its disks are used: whoever uses one goes on, and the service in its new place still has a say."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import threading

from dbuswire import CallFailed
from handovercase import DRIVER, NAME, PROPERTIES, SR, VDI, XCPCTL, AcrossTest, HandoverTest
from harness import Process, run, wait_until
from nbdclient import Nbd
from storagecase import can_loop

LOSETUP = shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")

M = 1 << 20
BLOCK = 4096


class Writer:
    """Writes to an NBD disk round and round until it ends or is told to. What was acknowledged last, and where, is in .blocks."""

    N_BLOCKS = 64

    def __init__(self, path, flush=False):
        """flush: each write, which is acknowledged after that; without it, QEMU may have a part of an image in its memory."""
        self.blocks, self.n, self.problem = {}, 0, None
        self._flush = flush
        self._client = Nbd(path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                block, number = self.n % self.N_BLOCKS, self.n
                self._client.write(block * BLOCK, struct.pack(">Q", number) * (BLOCK // 8))
                if self._flush:
                    self._client.flush()
                self.blocks[block] = number
                self.n += 1
        except (OSError, AssertionError) as problem:
            self.problem = problem

    def wait_for_more(self):
        before = self.n
        wait_until(lambda: self.problem or self.n > before + self.N_BLOCKS, "an NBD client to get on")
        assert not self.problem, self.problem

    def wait_end(self):
        self._thread.join(60)
        assert not self._thread.is_alive() and self.problem, "the server has not gone"

    def end(self):
        self._stop.set()
        self._thread.join(60)
        self._client.close()

    def check(self, path):
        """Whether all of it is there for another. A write that was not answered may have been done."""
        client = Nbd(path)
        for block, number in self.blocks.items():
            found, = set(struct.unpack(f">{BLOCK // 8}Q", client.read(block * BLOCK, BLOCK)))
            assert found in (number, number + self.N_BLOCKS), f"block {block} has {found}, and {number} was acknowledged"
        client.close()


class Disks:
    """What both kinds of moves need."""

    def make(self, format_="Raw"):
        spec = {"name": ("s", format_), "size": ("t", 4 * M), "format": ("s", format_)}
        vdi = self.client.run(self.sr, SR, "CreateVDI", "a{sv}", spec)["vdi"]
        self.limit(vdi, 500)  # who writes as fast as he can leaves nothing of a small machine to the others
        return vdi

    def limit(self, vdi, iops):
        self.client.ask(vdi, PROPERTIES, "Set", "ssv", VDI, "IopsLimit", ("t", iops))

    def loops(self, vdi):
        """The loop devices before a raw disk."""
        return run(LOSETUP, "--associated", self.file_of(vdi), "--output", "NAME", "--noheadings").stdout.split()

    def file_of(self, vdi):
        return self.sr_directory / f"{vdi.rpartition('/')[2].replace('_', '-')}.raw"

    def open_loop(self, vdi):
        """A loop device before a disk, as a guest of Xen has one; what the service does not take away is taken away at the end."""
        self.addCleanup(lambda: [run(LOSETUP, "--detach", device) for device in self.loops(vdi)])
        return self.open(vdi, "XenBlock")

    def write_loop(self, vdi):
        """As its guest would, and not to the end: it is in the memory of the kernel."""
        device, = self.loops(vdi)
        with open(device, "r+b", buffering=0) as file:
            file.write(b"x" * BLOCK)

    def assert_written(self, vdi):
        self.assertEqual(self.loops(vdi), [])
        with open(self.file_of(vdi), "rb") as file:
            self.assertEqual(file.read(BLOCK), b"x" * BLOCK)

    def assert_fails(self, name, call, *arguments):
        with self.assertRaises(CallFailed) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.name, f"org.xen.xcp.Error.{name}")

    def step(self, vdi, step):
        self.client.run(vdi, VDI, step, "s", "vm")

    def open(self, vdi, kind):
        path = self.attach(vdi, kind)
        self.step(vdi, "Activate")
        return path

    def attach(self, vdi, kind):
        return self.client.run(vdi, VDI, "Attach", "ssas", "vm", "ReadWrite", [kind])["path"]

    def wait_served(self, path):
        """A socket has its name a moment before anybody can connect."""

        def can_connect():
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                return True
            return False

        wait_until(can_connect, f"{path} to be served where the service is")

    def drive(self, path):
        """A guest's driver that writes; it checks at its end that nothing that was acknowledged is lost."""
        driver = Process([DRIVER, path, "100000000"])
        self.addCleanup(driver.kill)
        driver.wait_output(r"\A200\n")
        return driver

    def check_goes_on(self, driver):
        written = driver.stdout.count("\n")
        driver.wait_output(rf"(?s)\A(?:\d+\n){{{written + 2}}}")  # no word of a new back-end, as there is none

    def write(self, path, flush=False):
        writer = Writer(path, flush)
        self.addCleanup(writer.end)
        writer.wait_for_more()
        return writer

    def check_driver(self, driver):
        driver.write("stop\n")
        self.assertRegex(driver.wait(60).check().stdout, r"\A(\d+\n)+right after \d+\n\Z")

    def state(self, vdi):
        return self.client.ask(vdi, PROPERTIES, "Get", "ss", VDI, "DataPaths")[0][1]

    def keepers(self, client):
        return [name for name in client.driver("ListNames")[0] if name.startswith(f"{NAME}.keeper.")]


class Moves(Disks, HandoverTest):
    @property
    def sr_directory(self):
        return self.root / "sr"

    def test_whoever_lets_go_makes_room(self):
        """What serves a disk stays where it is until its front-end has gone; then the new one's takes its place."""
        disks = [self.make("Raw"), self.make("Qcow2")]
        paths = [self.open(vdi, "VhostUser") for vdi in disks]
        drivers = [self.drive(path) for path in paths]
        unused = self.make("Qcow2")
        before = self.open(unused, "Nbd")
        self.assertEqual(self.move()[0], "moved")
        wait_until(lambda: self.client.owner(f"{NAME}.handover") is None, "the old one to pass nothing on any more")
        self.assertTrue(self.old.running())
        for vdi, driver, path in zip(disks, drivers, paths):
            self.check_goes_on(driver)
            found = self.attach(vdi, "VhostUser")
            self.assertNotEqual(found, path)
            self.assertFalse(pathlib.Path(found).exists())  # nobody is to connect to a disk that somebody writes to
            self.check_driver(driver)
            self.wait_served(found)
            self.check_driver(self.drive(found))
        self.assertNotEqual(self.attach(unused, "Nbd"), before)  # nobody was there: it was the new one's at once
        self.wait_served(self.attach(unused, "Nbd"))
        self.write(self.attach(unused, "Nbd")).end()
        self.assertEqual(self.old.wait().status, 0)
        for vdi in disks:
            self.step(vdi, "Detach")


    def test_loop_devices_are_kept(self):
        """For a guest of Xen, until its disk is detached, which fails while nobody is there who could do it."""
        if not can_loop(self.root):
            return
        disks = gone, kept = self.make(), self.make()
        for vdi in disks:
            self.open_loop(vdi)
        self.assertEqual(self.move()[0], "moved")
        self.assertEqual([len(self.loops(vdi)) for vdi in disks], [1, 1])
        self.assert_fails("Busy", self.attach, kept, "XenBlock")
        for vdi in disks:
            self.write_loop(vdi)
        self.step(gone, "Detach")
        self.assert_written(gone)
        self.step(kept, "Deactivate")
        self.step(kept, "Activate")
        self.assertEqual(len(self.loops(kept)), 1)
        os.kill(self.old.pid, signal.SIGKILL)
        self.old.wait()
        for step in "Deactivate", "Detach":
            self.assert_fails("Unreachable", self.step, kept, step)
        self.assertEqual((len(self.loops(kept)), self.state(kept)[0][1]), (1, "Activated"))
        self.attach(kept, "XenBlock")  # its reader has given up the other, which nobody can take away
        self.assertEqual(len(self.loops(kept)), 2)
        self.step(kept, "Detach")
        self.assertEqual(len(self.loops(kept)), 1)

    def test_the_keeper_dies(self):
        """QEMU dies with it, and a guest's own server stays for its guest. Both are served again where the service is, and what was flushed is there."""
        raw, qcow2 = self.make("Raw"), self.make("Qcow2")
        driver = self.drive(self.open(raw, "VhostUser"))
        writer = self.write(self.open(qcow2, "Nbd"), flush=True)
        self.assertEqual(self.move()[0], "moved")
        writer.wait_for_more()
        os.kill(self.old.pid, signal.SIGKILL)
        writer.wait_end()
        path = self.attach(qcow2, "Nbd")
        self.wait_served(path)
        writer.check(path)
        self.check_goes_on(driver)
        self.check_driver(driver)
        self.wait_served(self.attach(raw, "VhostUser"))
        self.check_driver(self.drive(self.attach(raw, "VhostUser")))


class Across(Disks, AcrossTest):
    domains = 1

    def setUp(self):
        super().setUp()
        self.old = self.start_storage(0)
        self.make_disks()

    @property
    def sr_directory(self):
        return self.shared / "sr"

    def test_a_loop_device(self):
        """It is in the domain where it was attached, and there it goes at Detach, written out, wherever the service is by then."""
        if not can_loop(self.shared):
            return
        vdi, home = self.make(), self.make()
        self.open_loop(vdi)
        self.open_loop(home)
        self.old.signal(signal.SIGTERM)  # started again where it is, the service finds it
        self.old.wait().check()
        self.old = self.start_storage(0)
        wait_until(self.is_attached, "the storage repository to be looked at")
        self.attach(vdi, "XenBlock")
        self.move(1)
        device, = self.loops(vdi)
        self.write_loop(vdi)
        self.client.run(vdi, VDI, "Resize", "t", 6 * M)
        wait_until(lambda: self.size_of(device) == 6 * M, "its guest to see that the disk is larger")
        self.step(vdi, "Deactivate")
        self.assertEqual(self.loops(vdi), [device])
        self.step(vdi, "Detach")
        self.assert_written(vdi)
        self.assertEqual(self.state(vdi), [])
        self.write_loop(home)
        self.step(home, "Deactivate")
        self.old.kill()
        self.step(home, "Deactivate")  # which it is already
        self.assert_fails("Unreachable", self.step, home, "Detach")
        self.move(0)  # home again, where the link to the device is
        self.step(home, "Detach")
        self.assert_written(home)

    def is_attached(self):
        try:
            return self.client.ask(self.sr, PROPERTIES, "Get", "ss", SR, "State")[0][1] == "Attached"
        except CallFailed:
            return False

    def size_of(self, device):
        with open(device, "rb") as file:
            return file.seek(0, os.SEEK_END)

    def test_disks_that_are_used(self):
        """By xcpctl, to another domain, and what the service says there is so: each disk's reader ends when it says."""
        disks = {"Raw": self.make("Raw"), "Qcow2": self.make("Qcow2"), "Nbd": self.make("Qcow2")}
        drivers = {name: self.drive(self.open(disks[name], "VhostUser")) for name in ("Raw", "Qcow2")}
        loop = self.make()
        if can_loop(self.shared):
            self.open_loop(loop)
        self.limit(disks["Nbd"], 50)
        writer = self.write(self.open(disks["Nbd"], "Nbd"))
        run(XCPCTL, "--address", f"unix:path={self.path(0)}", "service", "move", NAME, "--to", "1", deadline=90)
        self.assertEqual(self.bridge("GetServiceDomain", "s", NAME), (1, True))
        for driver in drivers.values():
            self.check_goes_on(driver)
        writer.wait_for_more()
        self.assertEqual([self.state(vdi)[0][1] for vdi in disks.values()], ["Activated"] * 3)
        keeper, = self.keepers(self.client)
        self.assertEqual(self.keepers(self.connect(1)), [keeper])

        with self.assertRaises(CallFailed) as caught:  # which knows no word
            self.client.ask("/org/xen/xcp/storage/keeper", "org.xen.xcp.storage1.Keeper", "End", "sss", "", "", "", destination=keeper)
        self.assertEqual(caught.exception.name, "org.xen.xcp.Error.InvalidArgument")

        self.limit(disks["Nbd"], 0)  # which reaches what serves it: else this would take more than a minute
        before = writer.n
        wait_until(lambda: writer.problem or writer.n > before + 4000, "the limit to be gone")
        with self.assertRaises(CallFailed) as caught:
            self.client.run(disks["Qcow2"], VDI, "Resize", "t", 6 * M)
        self.assertEqual(caught.exception.name, "org.xen.xcp.Error.Busy")
        self.client.run(disks["Raw"], VDI, "Resize", "t", 6 * M)
        self.step(disks["Nbd"], "Deactivate")
        writer.wait_end()
        self.step(disks["Nbd"], "Activate")
        writer.check(self.attach(disks["Nbd"], "Nbd"))
        self.check_driver(drivers["Qcow2"])
        self.step(disks["Raw"], "Detach")  # its guest is still there, and finds nobody
        drivers["Raw"].kill()
        self.assertEqual(self.state(disks["Raw"]), [])
        self.step(loop, "Detach")
        self.assertEqual(self.old.wait(90).status, 0)
        self.assertEqual(self.keepers(self.client), [])
        self.wait_served(self.attach(disks["Qcow2"], "VhostUser"))
        self.check_driver(self.drive(self.attach(disks["Qcow2"], "VhostUser")))
