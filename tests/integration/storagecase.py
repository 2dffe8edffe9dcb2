# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a bus, and the storage service on it."""

import contextlib
import os
import pathlib
import shutil
import signal

from harness import Bus, Process, TestCase, build_directory, run
from storageclient import Client, Refused

STORAGE = build_directory() / "services/storage/xcp-storage"

K, M = 1 << 10, 1 << 20
PATTERN = bytes(range(256)) * 256  # 64 KiB


def id_of(path):
    return path.rpartition("/")[2].replace("_", "-")


def can_mount():
    return os.geteuid() == 0 and run("unshare", "--mount", "true", check=None).status == 0


def can_loop(directory):
    """Whether there are loop devices here, of which a raw disk needs one before it for Xen's back-end: two, and one to spare. Not in each container."""
    losetup = shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or not losetup:
        return False
    file = directory / "loop"
    file.write_bytes(bytes(M))
    found = [run(losetup, "--find", "--show", file, check=None) for _ in range(3)]
    devices = [result.stdout.strip() for result in found if result.status == 0]
    for device in devices:
        run(losetup, "--detach", device)
    return len(devices) == len(found)


def feed(fd, data, times):
    """Writes data so many times to a descriptor, and closes it."""
    try:
        for _ in range(times):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


class StorageTest(TestCase):
    """A bus, with the storage service on it."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.state = self.root / "state"
        self.directory = self.root / "sr"
        self.file = self.root / "sr.img"
        bus = Bus(self.root, "--domain-services-only")
        self.addCleanup(bus.kill)
        self.address = bus.address
        self.service = None
        self.client = None

    def start(self, *before):
        self.service = Process.ready([*before, STORAGE, "--bus-address", self.address, "--state-dir", self.state])
        self.addCleanup(self.service.kill)
        if not self.client:
            self.client = Client(self.address)
            self.addCleanup(self.client.close)

    def stop(self):
        self.service.signal(signal.SIGTERM)
        return self.service.wait().check()

    def restart(self):
        self.stop()
        self.start()

    def directory_sr(self, name="d"):
        return self.client.create_sr(name, "directory", path=self.root / name)

    def file_sr(self, name="f", size="64M"):
        return self.client.create_sr(name, "file", path=self.root / f"{name}.img", size=size)

    def files(self, name="d"):
        return {path.name for path in (self.root / name).iterdir()} - {"xcp-sr"}

    @contextlib.contextmanager
    def refused(self, name):
        with self.assertRaises(Refused) as caught:
            yield caught
        self.assertEqual(caught.exception.name, name, caught.exception.message)

    def children(self):
        text = pathlib.Path(f"/proc/{self.service.pid}/task/{self.service.pid}/children").read_text()
        found = {}
        for pid in text.split():
            try:
                found[int(pid)] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def write(self, vdi, offset, data, reader="writer"):
        """Writes as a reader would, by the File that Attach() gives."""
        path = self.client.attach(vdi, reader)
        self.client.step(vdi, "Activate", reader)
        parameters = path["parameters"]
        if parameters["format"] == "qcow2":
            source = self.root / "data"
            source.write_bytes(data)
            run("qemu-io", "-f", "qcow2", "-c", f"write -s {source} {offset} {len(data)}", path["path"])
        else:
            with open(path["path"], "r+b") as file:
                file.seek(int(parameters.get("offset", 0)) + offset)
                file.write(data)
        self.client.step(vdi, "Deactivate", reader)
        self.client.step(vdi, "Detach", reader)

    def content(self, vdi):
        return self.client.content(vdi, self.root)
