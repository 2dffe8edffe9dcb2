# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services of ours that pass descriptors, called from another domain."""

import hashlib
import os
import random

from descriptorcase import M
from harness import build_directory
from linkcase import LinkCase
from storageclient import Client
from xenopsdclient import Caller

XENOPSD = build_directory() / "services/xenopsd/xcp-xenopsd"
STORAGE = build_directory() / "services/storage/xcp-storage"


class Services(LinkCase):
    """Ours, in another domain."""

    policy = """\
allow in any org.xen.xcp.storage from any
allow in any org.xen.xcp.xenopsd from any
allow out any org.xen.xcp.storage to any
allow out any org.xen.xcp.xenopsd to any
allow own org.xen.xcp.storage by any
allow own org.xen.xcp.xenopsd by any
"""

    def start_service(self, program, name):
        process = self.xen.start_ready(1, program, "--bus-address", f"unix:path={self.path(1)}", "--state-dir",
                                     self.directory(1) / "state")
        self.addCleanup(process.kill)
        self.wait_name(0, name)

    def address(self):
        return f"unix:path={self.path(0)}"

    def test_a_console(self):
        self.start_service(XENOPSD, "org.xen.xcp.xenopsd")
        caller = Caller(self.address(), "org.xen.xcp.xenopsd")
        self.addCleanup(caller.close)
        vm = caller.create("one", {"boot-ms": "10"})
        self.assertEqual(vm.start().wait()[0], "Succeeded")
        with vm.open_console() as console:
            console.settimeout(60)
            console.sendall(b"hello\n")
            said = b""
            while b"hello" not in said:
                piece = console.recv(4096)
                self.assertTrue(piece, said)
                said += piece

    def test_a_disk_in_and_out(self):
        self.start_service(STORAGE, "org.xen.xcp.storage")
        client = Client(self.address())
        self.addCleanup(client.close)
        sr = client.create_sr("d", "directory", path=self.directory(1) / "sr")
        data = random.randbytes(16 * M)
        reader, writer = os.pipe()
        task = client.begin_import(sr, reader, name="disk", size=len(data))
        os.close(reader)
        with os.fdopen(writer, "wb") as source:
            source.write(data)
        vdi = client.wait(task, 60)["vdi"]
        reader, writer = os.pipe()
        task = client.begin_export(vdi, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as sink:
            back = sink.read()
        self.assertEqual(len(back), len(data))
        self.assertEqual(hashlib.sha256(back).hexdigest(), hashlib.sha256(data).hexdigest())
        client.wait(task, 60)
