# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain's private bus for the length of a test."""

import os
import pathlib

from .emulation import build_directory
from .process import Process


class Bus(Process):
    """xcp-bus-run, ready, in the domain directory given, on the broker that $XCP_BROKER names (dbus-daemon if it is not set)."""

    def __init__(self, directory, *arguments):
        broker = os.environ.get("XCP_BROKER", "dbus-daemon")
        program = build_directory() / "bus/xcp-bus-run"
        super().__init__([program, "--domain-dir", directory, "--broker", broker, "--ready-fd", "1", *arguments])
        self.address = f"unix:path={pathlib.Path(directory)}/bus"
        try:
            self.wait_output(r"^\n")
        except BaseException:
            self.kill()
            raise
