# SPDX-License-Identifier: LGPL-2.1-or-later
"""qcow2 disks that become larger while they are used over vhost-user: QEMU, without a guest, and other front-ends see it at once."""

import contextlib
import os
import pathlib
import signal
import socket
import struct

from harness import wait_until
from qtest import Machine
from storagecase import M, StorageTest
from storageclient import VDI
from virtioblk import CAPACITY, IOERR, OK, SLOT, Disk

GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, SET_BACKEND_REQ_FD, GET_CONFIG = 15, 16, 21, 24
REPLY_ACK, BACKEND_REQ, CONFIG = 1 << 3, 1 << 5, 1 << 9
NEED_REPLY = 8
TEST = b"TEST".ljust(512, b"\0")


class FrontEnd:
    """One that asks, and begins no ring."""

    def __init__(self, path, protocol_features):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.send(SET_PROTOCOL_FEATURES, struct.pack("=Q", protocol_features))

    def send(self, request, payload=b"", flags=0, fds=()):
        socket.send_fds(self.socket, [struct.pack("=III", request, 1 | flags, len(payload)) + payload], fds)

    def ask(self, request, payload=b"", **how):
        self.send(request, payload, **how)
        header = self.socket.recv(12, socket.MSG_WAITALL)
        assert len(header) == 12, "the other end has gone"
        return self.socket.recv(struct.unpack("=III", header)[2], socket.MSG_WAITALL)

    def number(self, request, **how):
        return struct.unpack("=Q", self.ask(request, **how))[0]

    def config(self):
        return self.ask(GET_CONFIG, struct.pack("=III", 0, 60, 0) + bytes(60))[12:]

    def size(self):
        return struct.unpack("<Q", self.config()[:8])[0] * 512

    def close(self):
        self.socket.close()


class Grow(StorageTest):
    def setUp(self):
        super().setUp()
        self.start()
        self.vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        self.path = self.client.attach(self.vdi, "vm", kinds=("VhostUser",))["path"]
        self.client.step(self.vdi, "Activate", "vm")

    def connect(self, protocol_features, path=None):
        return self.enterContext(contextlib.closing(FrontEnd(path or self.path, protocol_features)))

    def resize(self, size):
        self.client.vdi(self.vdi, "Resize", "(t)", size)

    def relay(self):
        """The process before what serves the disk."""
        return next((pid for pid, name in self.children().items() if name == "xcp-vhost-relay"), None)

    def daemon(self):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return pathlib.Path(f"/proc/{self.relay()}/task/{self.relay()}/children").read_text()

    def test_one_that_hears_of_nothing(self):
        """It asks, on the connection that it has, or on the next; and so does who stands by to take over, and has the disk then."""
        front_end = self.connect(CONFIG)
        before, daemon = front_end.config(), self.daemon()
        self.assertEqual(front_end.size(), 4 * M)
        self.resize(6 * M)
        wait_until(lambda: front_end.size() == 6 * M, "the capacity to be the new one")
        self.assertEqual(front_end.config()[8:], before[8:])
        front_end.close()
        self.assertEqual(self.connect(CONFIG).size(), 6 * M)
        self.assertEqual(self.daemon(), daemon)
        there = self.connect(CONFIG, self.client.attach(self.vdi, "there", kinds=("VhostUser",))["path"])
        self.assertEqual(there.size(), 6 * M)
        with self.refused("Busy"):
            self.resize(8 * M)
        self.client.step(self.vdi, "Deactivate", "vm")
        self.client.step(self.vdi, "Activate", "there")
        self.assertEqual(there.size(), 6 * M)
        self.resize(8 * M)
        wait_until(lambda: there.size() == 8 * M, "the capacity to be the new one")

    def test_one_that_does_not_read_what_it_is_sent(self):
        """Its channel is the relay's, which waits for nobody; and nothing is sent before a ring runs."""
        front_end = self.connect(CONFIG | BACKEND_REQ | REPLY_ACK)
        self.assertEqual(front_end.number(GET_PROTOCOL_FEATURES) & BACKEND_REQ, BACKEND_REQ)
        ours, theirs = socket.socketpair()
        self.enterContext(ours)
        with theirs:
            self.assertEqual(front_end.number(SET_BACKEND_REQ_FD, flags=NEED_REPLY, fds=(theirs.fileno(),)), 0)
        self.resize(6 * M)
        wait_until(lambda: front_end.size() == 6 * M, "the capacity to be the new one")
        ours.setblocking(False)
        with self.assertRaises(BlockingIOError):
            ours.recv(1)
        ours.close()
        self.resize(8 * M)
        wait_until(lambda: front_end.size() == 8 * M, "the capacity to be the new one")

    def assert_grown(self, disk, size):
        """Its driver has been told, by an interrupt, and what is new is there, and nothing behind it."""
        wait_until(lambda: disk.device.config(*CAPACITY) == size // 512, "QEMU to show the new capacity")
        self.assertTrue(disk.pci.message(0))
        self.assertEqual(disk.write(size // 512 - 1, TEST), OK)
        self.assertEqual(disk.read(size // 512 - 1), (OK, TEST))
        self.assertEqual(disk.write(size // 512, TEST), IOERR)

    def test_qemu(self):
        disk = Disk(Machine(self, self.root, "-chardev", f"socket,id=c0,path={self.path},reconnect=1", "-device",
                            f"vhost-user-blk-pci,chardev=c0,addr={SLOT},num-queues=1"), vectors=True)
        self.assertEqual(disk.device.config(*CAPACITY), 4 * M // 512)
        self.assertEqual(disk.write(4 * M // 512, TEST), IOERR)
        daemon = self.daemon()
        self.resize(6 * M)
        self.assert_grown(disk, 6 * M)
        self.assertEqual(self.daemon(), daemon)

        # It grows while QEMU is not connected, which asks nothing when it connects again.
        relay, qemu = self.relay(), disk.machine.process
        qemu.signal(signal.SIGSTOP)
        os.kill(relay, signal.SIGKILL)
        wait_until(lambda: self.relay() not in (None, relay), "another relay")
        self.resize(8 * M)
        qemu.signal(signal.SIGCONT)
        self.assert_grown(disk, 8 * M)
        self.resize(9 * M)
        self.assert_grown(disk, 9 * M)
