# SPDX-License-Identifier: LGPL-2.1-or-later
"""The storage service: one who writes to a disk at a time, whichever of two services with the same storage has let them."""

from harness import Bus, Process, build_directory, run
from storagecase import STORAGE, M, StorageTest, can_loop
from storageclient import MANAGER, ROOT, Client

CHECK = build_directory() / "vhost/check/xcp-vhost-check"


class TwoServices(StorageTest):
    """Two that have the same storage, and know nothing of each other, as services of two domains with a file system in common."""

    def setUp(self):
        super().setUp()
        self.start()
        self.sr = self.directory_sr()
        root = self.root / "other"
        root.mkdir()
        bus = Bus(root, "--domain-services-only")
        self.addCleanup(bus.kill)
        self.addCleanup(Process.ready([STORAGE, "--bus-address", bus.address, "--state-dir", root / "state"]).kill)
        self.other = Client(bus.address)
        self.addCleanup(self.other.close)

    def make(self, **spec):
        vdi = self.client.create(self.sr, size=M, **spec)
        if self.other.call(ROOT, MANAGER, "ListSRs"):
            self.other.sr(self.sr, "Scan")
        else:
            self.other.create_sr("d", "directory", introduce=True, path=self.root / "d")
        return vdi

    def attach(self, vdi, *readers):
        """Readers of each, called by the kinds of their data paths; and modes, after a blank."""
        for reader in readers:
            kind, _, mode = reader.partition(" ")
            for client in self.client, self.other:
                client.attach(vdi, reader, mode or "ReadWrite", kinds=(kind,))

    def assert_refused(self, client, vdi, reader):
        with self.refused("Busy") as caught:
            client.step(vdi, "Activate", reader)
        self.assertRegex(caught.exception.details["holder"], r"\Aprocess \d+ \((xcp-storage|xcp-vhost-blk|xcp-vhost-relay|qemu-storage-da.*)\)\Z")

    def assert_one_at_a_time(self, vdi, *kinds):
        self.attach(vdi, *kinds)
        for first in kinds:
            self.client.step(vdi, "Activate", first)
            for second in kinds:
                self.assert_refused(self.other, vdi, second)
            self.client.step(vdi, "Deactivate", first)
            self.other.step(vdi, "Activate", first)
            self.assert_refused(self.client, vdi, first)
            self.other.step(vdi, "Deactivate", first)

    def detach(self, vdi, *readers):
        for client in self.client, self.other:
            for reader in readers:
                client.step(vdi, "Detach", reader)

    def test_one_writes_by_whichever_data_paths(self):
        kinds = "File", "VhostUser", "Nbd", *(["XenBlock"] if can_loop(self.root) else [])
        vdi = self.make(name="a")
        self.addCleanup(self.detach, vdi, *kinds)  # loop devices outlive their service
        self.assert_one_at_a_time(vdi, *kinds)
        self.assert_one_at_a_time(self.make(name="b", format="Qcow2"), "File", "VhostUser", "Nbd", "XenBlock")

    def test_several_read_and_several_share(self):
        vdi = self.make(name="a")
        self.attach(vdi, "File", "VhostUser ReadOnly", "Nbd ReadOnly")
        self.client.step(vdi, "Activate", "VhostUser ReadOnly")
        self.other.step(vdi, "Activate", "Nbd ReadOnly")
        self.client.step(vdi, "Deactivate", "VhostUser ReadOnly")
        self.assert_refused(self.client, vdi, "File")
        shared = self.make(name="b", sharable=True)  # as this service has it: the other does not know of that
        self.attach(shared, "File", "VhostUser")
        for reader in ("File", "VhostUser"):
            self.client.step(shared, "Activate", reader)
        self.assert_refused(self.other, shared, "File")

    def test_it_is_taken_back_after_a_restart(self):
        vdi = self.make(name="a")
        self.attach(vdi, "File", "VhostUser")
        self.client.step(vdi, "Activate", "VhostUser")
        self.service.kill()
        self.start()
        self.client.wait_until(lambda: "xcp-vhost-blk" in self.children().values(), "the disk to be served again")
        path = self.client.attach(vdi, "VhostUser", kinds=("VhostUser",))["path"]
        run(CHECK, "--socket", path, "--timeout", "60000", "B-1")  # once it is served it is held
        self.assert_refused(self.other, vdi, "File")
