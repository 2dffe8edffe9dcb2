# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: full disks, damage, whatever goes away, and a service that is killed at any moment."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import threading
import time
import uuid

from harness import build_directory, run, wait_until
from storagecase import K, M, PATTERN, StorageTest, can_mount, feed, id_of
from storageclient import DIAGNOSTICS, MANAGER, ROOT, SR, TASK, VDI, VDI_SPEC, Refused, pack

IO = build_directory() / "services/storage/xcp-storage-io"


class Trouble(StorageTest):
    def test_a_restart_in_the_middle_of_a_task(self):
        self.start()
        sr = self.directory_sr()
        vdi = self.client.create(sr, name="kept", size=M)
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, name="a", size=64 * M)
        os.write(writer, PATTERN)
        wait_until(lambda: any(name.endswith(".tmp") for name in self.files()), "the import to begin")
        self.service.kill()
        self.start()
        self.assertEqual(self.client.get(task, TASK, "State"), "Failed")
        self.assertEqual(self.client.get(task, TASK, "Error")[0], "org.xen.xcp.Error.Interrupted")
        self.client.call(sr, SR, "GetSpace")  # answered when all is recovered from
        self.assertEqual(self.files(), {f"{id_of(vdi)}.raw"})
        self.assertEqual(self.client.disks(sr), {"kept": vdi})
        os.close(reader)
        os.close(writer)

    def test_a_stop_with_a_task_that_hangs(self):
        self.start()
        sr = self.directory_sr()
        reader, writer = os.pipe()
        task = self.client.begin_import(sr, reader, name="a", size=64 * M)
        os.write(writer, PATTERN)
        wait_until(lambda: any(name.endswith(".tmp") for name in self.files()), "the import to begin")
        self.restart()
        self.assertEqual(self.client.get(task, TASK, "State"), "Cancelled")
        self.assertEqual(self.files(), set())
        os.close(reader)
        os.close(writer)

    def mounted(self, script):
        """Starts the service where a script has mounted something over self.directory, with no effect on anybody else."""
        if not can_mount():
            self.skipTest("mount namespaces cannot be made here")
        self.directory.mkdir(exist_ok=True)
        self.start("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', str(self.directory))

    def test_a_full_disk(self):
        self.mounted('mount -t tmpfs -o size=16m none "$0"')
        client = self.client
        sr = client.create_sr("small", "directory", path=self.directory)
        source = self.root / "source"
        source.write_bytes(random.Random(3).randbytes(M) * 32)
        vdi = client.create(sr, name="a", size=M)
        self.write_inside(vdi)
        space = client.call(sr, SR, "GetSpace")
        self.assertEqual(space["total"], 16 * M)
        for format in ("Raw", "Qcow2"):
            with open(source, "rb") as file, self.refused("NotEnoughSpace") as caught:
                client.import_vdi(sr, file.fileno(), name="b", format=format)
            self.assertGreaterEqual(caught.exception.details["needed"], 15 * M)
            self.assertLess(caught.exception.details["free"], 16 * M)
            self.assertGreater(caught.exception.details["free"], 8 * M)
        with open(source, "rb") as file:
            big = client.import_vdi(self.directory_sr("big"), file.fileno(), name="big")
        with self.refused("NotEnoughSpace"):
            client.vdi(big, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": "c"}))
        self.assertEqual(client.disks(sr), {"a": vdi})
        self.assertLess(abs(client.call(sr, SR, "GetSpace")["free"] - space["free"]), 64 * K)
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def write_inside(self, vdi):
        """Writes through the service itself: the mount is seen by nobody else."""
        path = self.client.attach(vdi)
        self.client.step(vdi, "Activate")
        with open(f"/proc/{self.service.pid}/root{path['path']}", "r+b") as file:
            file.write(PATTERN)
        self.client.step(vdi, "Detach")

    def test_a_read_only_storage_repository(self):
        self.start()
        sr = self.client.create_sr("ro", "directory", path=self.directory)
        vdi = self.client.create(sr, name="a", size=M)
        self.write(vdi, 0, PATTERN)
        self.stop()
        self.mounted('mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')
        client = self.client
        client.call(sr, SR, "GetSpace")
        self.assertTrue(client.get(sr, SR, "ReadOnly"))
        with self.refused("ReadOnly"):
            client.create(sr, name="b", size=M)
        for method, arguments in (("Destroy", ()), ("Resize", ("(t)", 2 * M)), ("Snapshot", ("(s)", "x")), ("Clone", ("(s)", "x"))):
            with self.refused("ReadOnly"):
                client.vdi(vdi, method, *arguments)
        with self.refused("ReadOnly"):
            client.attach(vdi)
        client.attach(vdi, mode="ReadOnly")
        client.step(vdi, "Activate")
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def test_a_storage_repository_that_is_said_to_be_read_only(self):
        self.start()
        sr = self.directory_sr()
        self.client.create(sr, name="a", size=M)
        self.client.sr(sr, "Detach")
        self.client.sr(sr, "Forget")
        sr = self.client.create_sr("again", "directory", introduce=True, path=self.root / "d", **{"read-only": "yes"})
        with self.refused("ReadOnly"):
            self.client.create(sr, name="b", size=M)

    def test_one_that_goes_and_comes_back(self):
        self.start()
        client = self.client
        directory, file = self.directory_sr(), self.file_sr()
        vdi = client.create(directory, name="a", size=M)
        client.create(file, name="a", size=M)
        self.stop()
        (self.root / "d").rename(self.root / "away")
        (self.root / "f.img").rename(self.root / "away.img")
        self.start()
        for sr in (directory, file):
            client.wait_until(lambda: client.get(sr, SR, "State") == "Unreachable", "it to be unreachable")
            self.assertNotEqual(client.get(sr, SR, "StateReason"), "")
            with self.refused("Unreachable"):
                client.create(sr, name="b", size=M)
        self.assertEqual(client.get(ROOT, DIAGNOSTICS, "Health"), "Degraded")
        with self.refused("Unreachable"):
            client.sr(directory, "Attach")
        (self.root / "away").rename(self.root / "d")
        (self.root / "away.img").rename(self.root / "f.img")
        for sr in (directory, file):
            with contextlib.suppress(Refused):  # the service may have noticed by itself
                client.sr(sr, "Attach")
            client.wait_until(lambda: client.get(sr, SR, "State") == "Attached", "it to be attached")
            client.create(sr, name="b", size=M)
        self.assertEqual(client.get(ROOT, DIAGNOSTICS, "Health"), "Good")
        (self.root / "d").rename(self.root / "away")
        with self.refused("Unreachable"):
            client.create(directory, name="c", size=M)
        self.assertEqual(client.get(directory, SR, "State"), "Unreachable")
        (self.root / "away").rename(self.root / "d")
        client.wait_until(lambda: client.get(directory, SR, "State") == "Attached", "the service to notice")
        self.assertEqual(self.content(vdi), bytes(M))

    def test_qemu_img_is_killed(self):
        self.start()
        sr = self.directory_sr()
        with open(self.root / "source", "w+b") as file:
            feed(os.dup(file.fileno()), random.Random(4).randbytes(M), 192)
            file.seek(0)
            vdi = self.client.import_vdi(sr, file.fileno(), name="a")
        files = self.files()
        with self.refused("BackendFailed") as caught:
            for _ in range(50):
                task = self.client.call(vdi, VDI, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": "b", "format": "Qcow2"}))
                self.client.wait_until(lambda t=task: t in self.client.ends or self.kill_qemu_img(files), "qemu-img to copy")
                self.client.vdi(self.client.wait(task)["vdi"], "Destroy")  # it was faster than who looks for it: once more
        self.assertEqual(caught.exception.details["backend"], "qemu-img")
        self.assertIn("killed by signal 9", caught.exception.message)
        self.assertEqual((self.files(), self.client.disks(sr)), (files, {"a": vdi}))

    def kill_qemu_img(self, before):
        """If it is there, and in the middle of it. Returns whether it was."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if any((self.root / "d" / name).stat().st_size > M for name in self.files() - before if name.endswith(".tmp")):
                for pid, name in self.children().items():
                    if name == "qemu-img":
                        os.kill(pid, signal.SIGKILL)
                        return True
        return False

    def test_disks_that_are_links(self):
        self.start()
        sr = self.directory_sr()
        vdi, image = (self.client.create(sr, name=format, size=M, format=format) for format in ("Raw", "Qcow2"))
        victim = self.root / "victim"
        victim.write_bytes(b"victim" * 1000)
        for path in (self.root / "d" / f"{id_of(vdi)}.raw", self.root / "d" / f"{id_of(image)}.qcow2"):
            path.unlink()
            path.symlink_to(victim)
        with self.refused("Corrupt"):
            self.client.vdi(vdi, "Resize", "(t)", 2 * M)
        with self.refused("Corrupt"):
            self.content(vdi)
        self.assertEqual(set(self.client.sr(sr, "Scan")["missing"]), {vdi, image})
        with self.refused("BadState"):
            self.client.vdi(image, "Snapshot", "(s)", "x")
        self.client.vdi(vdi, "Destroy")
        self.assertEqual(victim.read_bytes(), b"victim" * 1000)

    def test_a_table_that_is_damaged(self):
        self.start()
        sr = self.file_sr()
        vdi = self.client.create(sr, name="a", size=M)
        self.write(vdi, 0, PATTERN)
        self.stop()
        path = self.root / "f.img"
        good = path.read_bytes()
        with open(path, "r+b") as file:  # one copy of the page is enough
            file.seek(12 * K)
            file.write(b"x" * 4 * K)
        self.start()
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)
        self.stop()
        with open(path, "r+b") as file:  # both are not
            file.seek(8 * K)
            file.write(b"x" * 8 * K)
        self.start()
        self.client.wait_until(lambda: self.client.get(sr, SR, "State") == "Unreachable", "it to be unreachable")
        self.assertIn("damaged", self.client.get(sr, SR, "StateReason"))
        self.stop()
        path.write_bytes(good)
        self.start()
        self.assertEqual(self.content(vdi)[: 64 * K], PATTERN)

    def test_ten_thousand_calls(self):
        self.start()
        client, sr = self.client, self.directory_sr()
        spec = pack(VDI_SPEC, {"name": "a", "size": M})
        replies = client.call_all([(sr, SR, "CreateVDI", "(a{sv})", spec)] * 10_000)
        tasks = [reply for reply in replies if isinstance(reply, str)]
        refusals = {reply.name for reply in replies if not isinstance(reply, str)}
        self.assertEqual(refusals, {"LimitExceeded"})
        self.assertGreaterEqual(len(tasks), 1000)
        client.wait_until(lambda: all(task in client.ends for task in tasks), "the tasks to end")
        self.assertEqual({client.ends[task][0] for task in tasks}, {"Succeeded"})
        self.assertEqual(len(self.files()), len(tasks))
        self.assertEqual(len(client.call(sr, SR, "ListVDIs")), len(tasks))
        memory = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{self.service.pid}/status").read_text())[1])
        self.assertLess(memory, 256 * K)
        self.assertGreaterEqual(client.counters()["CreateVDI.done"], len(tasks))
        self.assertIn(f"{len(tasks)} disks", str(client.call(ROOT, DIAGNOSTICS, "GetDump")))


class Crashes(StorageTest):
    """The service is killed at some moment, again and again. After each time, everything is as it was, or as it should have become."""

    rounds = 10

    def some_operation(self, chance, srs, base):
        client = self.client
        disks = [path for sr in srs for name, path in client.disks(sr).items() if path not in base]
        sr = chance.choice(srs)
        name = f"n{chance.randrange(1 << 30)}"
        kind = chance.choice(("create", "create", "snapshot", "clone", "destroy", "destroy", "resize", "copy", "import"))
        target = chance.choice(disks + base)
        if kind == "create":
            format = chance.choice(("Raw", "Qcow2")) if sr == srs[0] else "Raw"
            client.begin_create(sr, name=name, size=chance.randrange(1, 5) * M, format=format)
        elif kind == "import":
            with open(self.root / "source", "rb") as file:
                client.begin_import(sr, file.fileno(), name=name)
        elif kind == "copy":
            client.call(target, VDI, "Copy", "(oa{sv})", sr, pack(VDI_SPEC, {"name": name}))
        elif kind in ("snapshot", "clone"):
            client.call(target, VDI, kind.capitalize(), "(s)", name)
        elif kind == "resize" and target not in base:
            client.call(target, VDI, "Resize", "(t)", client.get(target, VDI, "Size") + M)
        elif kind == "destroy" and disks:
            client.call(chance.choice(disks), VDI, "Destroy")

    def crash(self, chance, srs, base):
        """Has the service killed while operations keep coming."""
        killer = threading.Timer(chance.uniform(0.02, 0.5), os.kill, (self.service.pid, signal.SIGKILL))
        killer.start()
        try:
            while True:
                with contextlib.suppress(Refused):
                    self.some_operation(chance, srs, base)
                if not self.service.running():
                    break
        finally:
            killer.join()
        self.service.wait()

    def check_directory(self, rows):
        expected = {f"{row['uuid']}.{row['format'].lower()}": row for row in rows}
        self.assertEqual(self.files(), set(expected))
        for name, row in expected.items():
            path = self.root / "d" / name
            if row["format"] == "Raw":
                self.assertEqual(path.stat().st_size, row["size"], name)
                continue
            info = json.loads(run("qemu-img", "info", "-f", "qcow2", "--output=json", path).stdout)
            self.assertEqual(info["virtual-size"], row["size"], name)
            self.assertEqual(info.get("backing-filename"), f"{row['parent']}.qcow2" if row["parent"] else None)
            run("qemu-img", "check", "-q", "-f", "qcow2", path)

    def check_file(self, rows):
        found = {}
        for line in run(IO, "file-scan", self.root, "f.img", "-").stdout.splitlines():
            if line.startswith("entry "):
                _, id, _, _, _, size, *_ = line.split()
                found[id] = int(size)
        self.assertEqual(found, {row["uuid"]: row["size"] for row in rows})

    def check(self, directory, file):
        database = sqlite3.connect(f"file:{self.state}/storage.db?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        with contextlib.closing(database):
            rows = database.execute("SELECT * FROM vdi").fetchall()
            self.assertEqual(database.execute("SELECT COUNT(*) FROM intent").fetchone()[0], 0)
        self.check_directory([row for row in rows if row["sr"] == id_of(directory)])
        self.check_file([row for row in rows if row["sr"] == id_of(file)])

    def test_killed_at_any_moment(self):
        seed = int(os.environ.get("XCP_TEST_SEED", random.randrange(1 << 30)))
        chance = random.Random(seed)
        print(f"XCP_TEST_SEED={seed}")
        (self.root / "source").write_bytes(random.Random(5).randbytes(M))
        self.start()
        directory, file = self.directory_sr(), self.file_sr(size="1G")
        base = [
            self.client.create(directory, name="raw", size=2 * M),
            self.client.create(directory, name="qcow2", size=2 * M, format="Qcow2"),
            self.client.create(file, name="file", size=2 * M),
        ]
        for vdi in base:
            self.write(vdi, M, PATTERN)
        expected = bytes(M) + PATTERN + bytes(M - 64 * K)
        for _ in range(self.rounds):
            self.crash(chance, [directory, file], base)
            self.start()
            for sr in (directory, file):
                self.client.call(sr, SR, "GetSpace")
            for vdi in base:
                self.assertEqual(self.content(vdi), expected)
            self.stop()
            self.check(directory, file)
            self.start()


class Creation(StorageTest):
    """CreateSR() and Destroy() of a storage repository, killed at some moment."""

    def test_killed_while_it_is_made_or_destroyed(self):
        chance = random.Random(6)
        self.start()
        for i in range(8):
            kinds = ("directory", {"path": self.root / "d"}), ("file", {"path": self.root / "f.img", "size": "32M"})
            driver, config = kinds[i % 2]
            killer = threading.Timer(chance.uniform(0, 0.1), os.kill, (self.service.pid, signal.SIGKILL))
            killer.start()
            with contextlib.suppress(Refused):
                while True:
                    sr = self.client.create_sr("x", driver, **config)
                    self.client.create(sr, name="a", size=M)
                    self.client.sr(sr, "Destroy")
            killer.join()
            self.service.wait()
            self.start()
            self.client.wait_until(self.is_settled, "what was begun to be ended")
            for sr, *_ in self.client.call(ROOT, MANAGER, "ListSRs"):
                self.client.call(sr, SR, "GetSpace")
                self.client.sr(sr, "Destroy")
            self.client.sr(self.client.create_sr("x", driver, **config), "Destroy")

    def is_settled(self):
        """No storage repository that is half made or half destroyed is left."""
        lines = self.client.call(ROOT, DIAGNOSTICS, "GetDump")
        return "0 operations, " in str(lines)


del StorageTest
