# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with the images service, and a web server on loopback."""

import contextlib
import os
import pathlib
import random

from gi.repository import GLib
from imageserver import Server
from xenopsdcase import XenopsdTest

NAME = "org.xen.xcp.images"
ROOT = "/org/xen/xcp/images"
MANAGER = "org.xen.xcp.images1.Manager"
IMAGE = "org.xen.xcp.images1.Image"
MIB = 1 << 20


class ImagesTest(XenopsdTest):
    autostarted = False

    def setUp(self):
        super().setUp()
        self.start_images()
        self.server = Server(self)
        self.data = random.Random(1).randbytes(3 * MIB)
        self.server.files["/disk.raw"] = self.data
        self.source = self.server.url + "/disk.raw"

    def start_images(self):
        self.manager = self.start_service("images/xcp-images", NAME, "images")
        self.caller = self.connect(NAME)

    def begin(self, source, **options):
        packed = {name: GLib.Variant("s", value) for name, value in options.items()}
        return self.caller.object(ROOT, MANAGER).begin("Pull", "(sa{sv})", source, packed)

    def pull(self, source, **options):
        """The image, and whether it was here already."""
        result = self.done(self.begin(source, **options))
        return result["image"], result.get("cached", False)

    def content(self, image):
        _, [fd] = self.caller.call_fds(image, IMAGE, "Open")
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def get(self, image, name):
        return self.caller.get(image, IMAGE, name)

    def files(self, directory):
        path = self.root / "images" / directory
        return sorted(os.listdir(path)) if path.exists() else []

    def partial_size(self):
        """How much is there of what is not whole."""
        return sum(file.stat().st_size for file in self.inside("images/partial").iterdir() if file.suffix != ".etag")

    def inside(self, path):
        """A file of the service's, as it sees it."""
        return pathlib.Path(f"/proc/{self.manager.pid}/root{self.root / path}")

    def wait_partial(self, size):
        """Waits until so much of something has come that is not whole yet."""
        def is_there():
            for file in (self.root / "images/partial").glob("*"):
                with contextlib.suppress(FileNotFoundError):  # it has got another name meanwhile
                    if file.stat().st_size >= size:
                        return True
            return False

        self.caller.wait_until(is_there, f"{size} bytes to come")

    def images(self):
        return self.caller.call(ROOT, MANAGER, "ListImages")[0]

    def requests(self):
        requests, self.server.requests = self.server.requests, []
        return requests
