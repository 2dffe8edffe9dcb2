# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: data paths that are sockets, and what serves them."""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import sqlite3
import struct
import time

from harness import Process, build_directory, run, wait_until
from nbdclient import Nbd
from storagecase import M, StorageTest
from storageclient import VDI

DRIVER = build_directory() / "vhost/blk/vhost-toy-driver"
CHECK = build_directory() / "vhost/check/xcp-vhost-check"


def take(connection, n):
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            raise ConnectionResetError("the other end has gone")
        data += more
    return data


def connections(path):
    """To a socket with this path."""
    lines = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
    return sum(1 for line in lines if line[-1] == path and line[3] == "00000000")


class Servers(StorageTest):
    """Data paths that are sockets."""

    def open(self, vdi, kind, reader="vm", mode="ReadWrite"):
        path = self.client.attach(vdi, reader, mode, kinds=(kind,))
        self.assertEqual(path["kind"], kind)
        self.assertIn(path.get("parameters"), (None, {"standby": "yes"}))
        self.client.step(vdi, "Activate", reader)
        return path

    def server_of(self, program):
        """The process that serves, of this test's service: its child, or that one's."""
        return next(iter(self.servers(program)), None)

    def below(self, pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
                yield child
                yield from self.below(child)

    def servers(self, *programs):
        """The processes that serve disks, of this test's service."""
        pids = []
        for pid in self.below(self.service.pid):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) in (programs or ("xcp-vhost-blk", "xcp-vhost-relay", "qemu-storage-daemon")):
                    pids.append(pid)
        return pids

    def end(self, pid):
        """Kills one that serves. Who connects while it still has its sockets is cut off: they are closed when it is a zombie, and its memory is gone before."""
        with contextlib.closing(os.fdopen(os.pidfd_open(pid))) as end:
            os.kill(pid, signal.SIGKILL)
            self.client.wait_until(lambda: select.select([end], [], [], 0)[0], lambda: f"the end of {pid}")

    def check(self, path, *clauses):
        run(CHECK, "--socket", path["path"], "--timeout", "60000", *clauses)

    def assert_passes(self, kind_of_sr, format_, server):
        vdi = self.client.create(kind_of_sr(), name="a", size=4 * M, format=format_)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B", "M-1", "R-5")
        self.assertIsNotNone(self.server_of(server))
        self.assertEqual(self.client.get(vdi, VDI, "DataPaths"), [("vm", "Activated", "VhostUser", "ReadWrite")])
        self.client.step(vdi, "Deactivate", "vm")
        self.assertFalse(os.path.exists(path["path"]))
        self.assertIsNone(self.server_of(server))
        self.client.step(vdi, "Activate", "vm")
        self.check(path, "R-1")
        self.client.step(vdi, "Detach", "vm")
        self.assertFalse(os.path.exists(path["path"]))
        self.client.vdi(vdi, "Destroy")

    def test_vhost_user_of_raw_and_qcow2_disks(self):
        self.start()
        self.assert_passes(self.directory_sr, "Raw", "xcp-vhost-blk")
        self.assert_passes(lambda: self.directory_sr("e"), "Qcow2", "qemu-storage-daemon")
        self.assert_passes(self.file_sr, "Raw", "xcp-vhost-blk")

    def test_nbd(self):
        self.start()
        sr = self.directory_sr()
        for format_ in ("Raw", "Qcow2"):
            vdi = self.client.create(sr, name="a", size=4 * M, format=format_)
            uri = self.open(vdi, "Nbd")["uri"]
            run("qemu-io", "-f", "raw", "-c", "write -P 7 64k 64k", "-c", "flush", uri)
            self.assertEqual(json.loads(run("qemu-img", "info", "--output=json", "-f", "raw", uri).stdout)["virtual-size"], 4 * M)
            self.client.step(vdi, "Deactivate", "vm")
            self.client.step(vdi, "Detach", "vm")
            uri = self.open(vdi, "Nbd", mode="ReadOnly")["uri"]
            self.assertNotIn("failed", run("qemu-io", "-r", "-f", "raw", "-c", "read -P 7 64k 64k", uri).stdout)
            self.assertNotEqual(run("qemu-io", "-f", "raw", "-c", "write 0 512", uri, check=None).status, 0)
            self.client.step(vdi, "Detach", "vm")

    def test_one_that_dies_is_started_again(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B-1")
        before = self.server_of("xcp-vhost-blk")
        os.kill(before, signal.SIGKILL)
        self.check(path, "B-1")  # it waits in the socket's queue until there is one again
        self.assertNotIn(self.server_of("xcp-vhost-blk"), (None, before))

    def test_they_outlive_the_service(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.check(path, "B-1")
        self.service.kill()
        self.start()
        self.client.wait_until(lambda: self.server_of("xcp-vhost-blk"), "the disk to be served again")
        self.assertEqual(self.client.attach(vdi, "vm", kinds=("VhostUser",)), path)
        self.check(path, "B-1")
        self.client.step(vdi, "Detach", "vm")

    def test_one_that_takes_over(self):
        """Beside the one whose disk it is, another is answered before it is its turn, and served when it is."""
        self.start()
        directory = self.directory_sr()
        for sr, format_ in ((directory, "Raw"), (self.file_sr(), "Raw"), (directory, "Qcow2")):
            vdi = self.client.create(sr, name="a", size=4 * M, format=format_)
            here = self.open(vdi, "VhostUser", "here")
            there = self.client.attach(vdi, "there", kinds=("VhostUser",))
            self.assertEqual(there["parameters"], {"standby": "yes"})
            self.check(there, "M-1", "M-3")
            with self.refused("Busy"):
                self.client.step(vdi, "Activate", "there")
            with self.refused("BadState" if format_ == "Raw" else "NotSupported"):
                self.client.call(vdi, VDI, "GetStatistics", "(s)", "there")
            self.check(here, "B-1")
            if format_ == "Qcow2":      # who stands by has said how large it is
                with self.refused("Busy"):
                    self.client.vdi(vdi, "Resize", "(t)", 6 * M)
            self.client.step(vdi, "Deactivate", "here")
            self.check(there, "M-1")
            self.client.step(vdi, "Activate", "there")
            self.check(there, "B-1")
            self.assertEqual(self.client.attach(vdi, "there", kinds=("VhostUser",))["path"], there["path"])
            for reader in "here", "there":
                self.client.step(vdi, "Detach", reader)
            self.assertEqual([os.path.exists(path["path"]) for path in (here, there)], [False, False])
            self.assertEqual(self.servers(), [])

    def test_one_that_stands_by_and_dies_or_is_not_needed(self):
        self.start()
        sr = self.directory_sr()
        for format_, program in (("Raw", "xcp-vhost-blk"), ("Qcow2", "xcp-vhost-relay"), ("Qcow2", "qemu-storage-daemon")):
            vdi = self.client.create(sr, name="a", size=4 * M, format=format_)
            self.check(self.open(vdi, "VhostUser", "here"), "M-1")
            here = self.servers()
            there = self.client.attach(vdi, "there", kinds=("VhostUser",))
            self.check(there, "M-1")
            with socket.socket(socket.AF_UNIX) as gone:  # one that waits for its ring, and goes, keeps nobody waiting
                gone.connect(there["path"])
                gone.sendall(struct.pack("=III", 1, 1, 0) + struct.pack("=5I", 8, 1, 8, 0, 128))  # GET_FEATURES; SET_VRING_NUM
                self.assertEqual(len(gone.recv(20, socket.MSG_WAITALL)), 20)
            self.check(there, "M-1")
            self.end(next(pid for pid in self.servers(program) if pid not in here))
            self.check(there, "M-1")  # it waits in the socket's queue until there is one again
            self.client.step(vdi, "Detach", "there")
            self.assertFalse(os.path.exists(there["path"]))
            self.client.wait_until(lambda: self.servers() == here, lambda: f"only one to be left in {self.servers()}")
            self.client.step(vdi, "Detach", "here")
            self.client.wait_until(lambda: self.servers() == [], lambda: f"none to be left in {self.servers()}")
        self.assertEqual(os.listdir(self.state / "paths"), [])

    def test_one_that_takes_over_and_dies(self):
        """The process before the disk is told of it, and nobody else has it meanwhile; the next has the disk from its beginning on."""
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        self.open(vdi, "VhostUser", "here")
        there = self.client.attach(vdi, "there", kinds=("VhostUser",))
        self.client.step(vdi, "Deactivate", "here")
        self.client.step(vdi, "Activate", "there")
        self.check(there, "B-1")
        for program in "qemu-storage-daemon", "xcp-vhost-relay":
            self.end(self.server_of(program))
            self.check(there, "B-1")
        self.restart()
        self.client.wait_until(lambda: self.server_of("qemu-storage-daemon"), "the disk to be served again")
        self.check(there, "B-1")
        for reader in "here", "there":
            self.client.step(vdi, "Detach", reader)
        self.assertEqual(self.servers(), [])

    def test_one_writes_or_several_read(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.open(vdi, "VhostUser", "writer")
        self.client.attach(vdi, "reader", "ReadOnly", kinds=("VhostUser",))
        with self.refused("Busy"):
            self.client.step(vdi, "Activate", "reader")
        self.client.step(vdi, "Detach", "writer")
        paths = [self.open(vdi, "VhostUser", reader, "ReadOnly") for reader in ("reader", "another")]
        self.assertNotEqual(paths[0]["path"], paths[1]["path"])
        for path in paths:
            self.check(path, "B-5")

    def arguments_of(self, program):
        arguments = []

        def found():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the last one has just ended: it has none any more
                arguments[:] = pathlib.Path(f"/proc/{self.server_of(program)}/cmdline").read_text().split("\0")
            return any(arguments)

        wait_until(found, f"{program} to be there")
        return arguments

    def set_limits(self, vdi, **limits):
        for name, value in limits.items():
            self.client.set(vdi, VDI, name, "t", value)
            self.assertEqual(self.client.get(vdi, VDI, name), value)

    def test_limits_hold_at_once_for_who_uses_a_disk(self):
        """At a byte a second nobody gets on, and whoever waits gets on when there is no limit."""
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        path = self.open(vdi, "VhostUser")
        self.set_limits(vdi, RateLimit=1)
        driver = Process([DRIVER, path["path"], "60"])
        self.addCleanup(driver.kill)
        self.client.wait_until(lambda: self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm").get("writes"), "the first write")
        self.assertTrue(driver.running())
        self.set_limits(vdi, RateLimit=0)
        driver.wait(60).check()
        self.assertGreater(self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")["writes"], 1)

    def test_limits_that_cannot_be(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        for name, value in (("IopsLimit", 10**6), ("RateLimit", 10**12)):
            with self.refused("InvalidArgument"):
                self.client.set(vdi, VDI, name, "t", value + 1)
            self.set_limits(vdi, **{name: value})
        self.check(self.open(vdi, "VhostUser"), "B-1")

    def test_limits_outlive_servers_and_the_service(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.set_limits(vdi, IopsLimit=100000, RateLimit=10**9)
        path = self.open(vdi, "VhostUser")
        self.assertLess({"--iops=100000", "--bandwidth=1000000000"}, set(self.arguments_of("xcp-vhost-blk")))
        self.restart()
        self.client.wait_until(lambda: self.server_of("xcp-vhost-blk"), "the disk to be served again")
        self.assertLess({"--iops=100000", "--bandwidth=1000000000"}, set(self.arguments_of("xcp-vhost-blk")))
        self.check(path, "B-1")
        self.assertEqual((self.client.get(vdi, VDI, "IopsLimit"), self.client.get(vdi, VDI, "RateLimit")), (100000, 10**9))

    def test_limits_of_a_qcow2_disk_hold_from_its_activation_on(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        self.set_limits(vdi, IopsLimit=100000, RateLimit=10**9)
        for mode, clauses in (("ReadWrite", ("B-1", "B-8", "B-11")), ("ReadOnly", ("B-5",))):
            path = self.open(vdi, "VhostUser", mode=mode)
            self.assertIn("throttle-group,id=limits,limits.iops-total=100000,limits.bps-total=1000000000", self.arguments_of("qemu-storage-daemon"))
            self.check(path, *clauses)
            with self.refused("NotSupported"):
                self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")
            self.client.step(vdi, "Detach", "vm")

    def test_limits_of_a_qcow2_disk_change_while_it_is_used(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        path = self.open(vdi, "VhostUser")
        self.check(path, "B-1")
        server = self.server_of("qemu-storage-daemon")
        for limit in range(50, 53):  # what QEMU answers is taken, too
            self.set_limits(vdi, IopsLimit=limit)

        def is_slow():
            began = time.monotonic()
            self.check(path, "B")  # some 60 requests, of which five are free
            return time.monotonic() - began > 0.4

        wait_until(is_slow, "a limit to hold", 40)
        self.set_limits(vdi, IopsLimit=0)
        self.check(path, "B-1")
        self.assertEqual(self.server_of("qemu-storage-daemon"), server)
        self.client.step(vdi, "Detach", "vm")

    def test_statistics(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)

        def statistics():
            return self.client.call(vdi, VDI, "GetStatistics", "(s)", "vm")

        with self.refused("DoesNotExist"):
            statistics()
        self.client.attach(vdi, "vm", kinds=("VhostUser",))
        with self.refused("BadState"):
            statistics()
        path = self.open(vdi, "VhostUser")
        self.assertEqual(set(statistics().values()), {0})
        self.check(path, "B-1", "B-2", "B-4")
        first = statistics()
        self.assertEqual((first["reads"], first["writes"], first["flushes"], first["errors"]), (5, 5, 1, 1))
        self.assertEqual((first["read_bytes"], first["read_bytes"] > 0), (first["written_bytes"], True))
        os.kill(self.server_of("xcp-vhost-blk"), signal.SIGKILL)
        self.check(path, "B-1", "B-2", "B-4")
        self.assertEqual(statistics(), {name: 2 * value for name, value in first.items()})
        self.client.step(vdi, "Deactivate", "vm")
        with self.refused("BadState"):
            statistics()

    def test_a_database_of_before_there_were_limits(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M)
        self.stop()
        database = sqlite3.connect(self.state / "storage.db")
        for column in ("iops_limit", "rate_limit"):
            database.execute(f"ALTER TABLE vdi DROP COLUMN {column}")
        database.execute("ALTER TABLE data_path DROP COLUMN keeper")
        database.execute("PRAGMA user_version = 1")
        database.commit()
        database.close()
        self.start()
        self.assertEqual((self.client.get(vdi, VDI, "IopsLimit"), self.client.get(vdi, VDI, "RateLimit")), (0, 0))
        self.set_limits(vdi, IopsLimit=7)

    def test_a_disk_that_grows(self):
        self.start()
        for sr in self.directory_sr(), self.file_sr():
            vdi = self.client.create(sr, name="a", size=4 * M)
            path = self.open(vdi, "VhostUser")
            self.check(path, "B-5")
            self.client.vdi(vdi, "Resize", "(t)", 6 * M)
            wait_until(lambda p=path: self.capacity(p) == 6 * M, "the capacity to be the new one")
            self.check(path, "B-5")

    def shown(self, path):
        """The size that whoever connects now is told."""
        if path["kind"] == "VhostUser":
            return self.capacity(path)
        with contextlib.closing(Nbd(path["path"])) as client:
            return client.size

    def connect(self, path):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(path["path"])
        if path["kind"] == "VhostUser":
            client.sendall(struct.pack("=III", 1, 1, 0))  # GET_FEATURES
            take(client, 20)
        else:
            take(client, 18)
        return client

    def assert_shows(self, path, size):
        def is_so():
            with contextlib.suppress(OSError):  # it is being started again
                return self.shown(path) == size

        wait_until(is_so, f"{path} to be {size} bytes")

    def test_a_disk_that_grows_and_that_qemu_serves(self):
        """Nobody is cut off: QEMU shows another size to who connects when nobody else is."""
        self.start()
        sr = self.directory_sr()
        for format_, kind in (("Raw", "Nbd"), ("Qcow2", "Nbd"), ("Qcow2", "VhostUser")):
            with self.subTest(format=format_, kind=kind):
                vdi = self.client.create(sr, name="a", size=4 * M, format=format_)
                path = self.open(vdi, kind)
                self.assertEqual(self.shown(path), 4 * M)
                wait_until(lambda p=path: connections(p["path"]) == 0, "the client to be gone")
                self.client.vdi(vdi, "Resize", "(t)", 6 * M)
                self.assert_shows(path, 6 * M)
                client = self.connect(path)
                server = self.server_of("qemu-storage-daemon")
                if (format_, kind) == ("Qcow2", "Nbd"):  # of which QEMU makes none larger that it serves
                    with self.refused("Busy") as caught:
                        self.client.vdi(vdi, "Resize", "(t)", 8 * M)
                    self.assertIn("in use by vm", caught.exception.message)
                else:
                    self.client.vdi(vdi, "Resize", "(t)", 8 * M)
                self.assertEqual(self.server_of("qemu-storage-daemon"), server)
                client.close()
                self.assert_shows(path, 6 * M if (format_, kind) == ("Qcow2", "Nbd") else 8 * M)
                self.client.step(vdi, "Detach", "vm")
                self.client.vdi(vdi, "Resize", "(t)", 9 * M)
                self.assertEqual(len(self.content(vdi)), 9 * M)
                self.client.vdi(vdi, "Destroy")

    def test_an_image_that_others_have_open(self):
        self.start()
        vdi = self.client.create(self.directory_sr(), name="a", size=4 * M, format="Qcow2")
        self.client.attach(vdi, "vm")
        self.client.step(vdi, "Activate", "vm")
        with self.refused("Busy"):
            self.client.vdi(vdi, "Resize", "(t)", 6 * M)

    def capacity(self, path):
        """As a front-end is told."""
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.settimeout(60)
            front_end.connect(path["path"])
            front_end.sendall(struct.pack("=IIIQ", 16, 1, 8, 1 << 9))  # SET_PROTOCOL_FEATURES: CONFIG
            front_end.sendall(struct.pack("=IIIIIIQ", 24, 1, 20, 0, 8, 0, 0))  # GET_CONFIG
            reply = take(front_end, 32)
        return struct.unpack("=Q", reply[24:])[0] * 512
