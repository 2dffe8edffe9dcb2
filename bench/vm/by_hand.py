# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU without a manager: started with the words that the manager starts it with, and told what to do in QMP."""

import contextlib
import json
import pathlib
import re
import socket
import subprocess

DEADLINE = 60


def connect(path):
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(DEADLINE)
    connected.connect(str(path))
    return connected


class Monitor:
    """QMP, one command after another."""

    def __init__(self, path):
        self._socket = connect(path)
        self._lines = self._socket.makefile("rb")
        self._next()  # the greeting
        self.run("qmp_capabilities")

    def _next(self):
        line = self._lines.readline()
        if not line:
            raise AssertionError("QEMU has closed its monitor")
        return json.loads(line)

    def run(self, command):
        """Returns when it is answered. Events that come before are not kept."""
        self._socket.send(json.dumps({"execute": command}).encode())
        while "return" not in (answer := self._next()):
            if "error" in answer:
                raise AssertionError(f"{command}: {answer}")

    def wait_event(self, name):
        while self._next().get("event") != name:
            pass

    def close(self):
        self._lines.close()
        self._socket.close()


class ByHand:
    """A guest. argv: a manager's, for a guest of its; the sockets that it inherits are others here, bound before it as there."""

    def __init__(self, argv, directory):
        self._argv, self._directory = argv, pathlib.Path(directory)
        self._directory.mkdir(exist_ok=True)

    def _listen(self, name):
        path = self._directory / name
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        return listener

    def start(self):
        """Returns when it runs."""
        with contextlib.ExitStack() as stack:
            listeners = []

            def replace(match):
                listeners.append(stack.enter_context(self._listen(match[1])))
                return f"socket,id={match[1]},fd={listeners[-1].fileno()},"

            argv = [re.sub(r"^socket,id=(\w+),fd=\d+,", replace, word) for word in self._argv]
            log = stack.enter_context(open(self._directory / "log", "wb"))
            fds = [listener.fileno() for listener in listeners]
            self._process = subprocess.Popen(argv, cwd=self._directory, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True)
        self.monitor = Monitor(self._directory / "monitor")
        self.console = connect(self._directory / "serial0")  # as the manager does, before the guest can say anything
        self.monitor.run("cont")

    def end(self):
        self.monitor.run("quit")
        self.monitor.close()
        self.console.close()
        if status := self._process.wait(DEADLINE):
            raise AssertionError(f"QEMU by hand ended with {status}: {(self._directory / 'log').read_text()}")
