# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines: byte streams to the agents in the domains (the file "agent" has the other end), and the jobs that run over them."""

import base64
import pathlib
import re
import secrets
import socket
import threading
import time

RECEIVE_SIZE = 65536


class LineError(Exception):
    """A line on which nothing can run any more; the text says which and why."""


class Line:
    """One line. A thread keeps all that comes, also as a file, so that nothing is lost when the domain dies in mid-sentence."""

    def __init__(self, name: str, connection: socket.socket, log: pathlib.Path) -> None:
        self.name = name
        self.lost = ""                  # why no further job can run here, once that is so
        self._connection = connection
        self._log = log
        self._received = bytearray()
        self._is_closed = False
        self._news = threading.Condition()
        threading.Thread(target=self._receive, daemon=True).start()

    def ready_wait(self, deadline: float) -> None:
        """Until the agent has said that it is there."""
        if not self.wait_for(b"\n\x1eready\n", 0, deadline):
            raise LineError(f"{self.name}: its agent did not start")

    def start(self, script: str) -> "Job":
        """Starts a shell script in the domain. One job at a time: they share the line."""
        job = Job(self, secrets.token_hex(8), len(self._received))
        self.send(f"start {job.id} {base64.b64encode(script.encode()).decode()}\n")
        return job

    def run(self, script: str, seconds: float) -> str:
        """Runs a script of the lab itself: what it prints, or an error if it fails."""
        job = self.start(script)
        status = job.wait(time.monotonic() + seconds)
        output = job.output().decode(errors="replace")
        if status != 0:
            state = f"had not ended after {seconds:g} s" if status is None else f"ended with {status}"
            raise LineError(f"{self.name}: '{script}' {state}: {output.strip()}")
        return output

    def send(self, text: str) -> None:
        """One line of text to the agent."""
        try:
            self._connection.sendall(text.encode())
        except OSError as error:
            raise LineError(f"{self.name}: {error}") from None

    def wait_for(self, words: bytes, start: int, deadline: float) -> re.Match[bytes] | None:
        """The first place from START on where the words (a regular expression) have come; None at the deadline."""
        pattern = re.compile(words)
        with self._news:
            while not (match := pattern.search(self._received, start)):
                left = deadline - time.monotonic()
                if self._is_closed:
                    raise LineError(f"{self.name}: the machine has ended")
                if left <= 0 or not self._news.wait(left):
                    return None
            return match

    def received(self, start: int, end: int | None = None) -> bytes:
        """What came, as it came."""
        with self._news:
            return bytes(self._received[start:end])

    def _receive(self) -> None:
        with self._log.open("wb", buffering=0) as log:
            while data := self._receive_some():
                log.write(data)
                with self._news:
                    self._received += data
                    self._news.notify_all()
        with self._news:
            self._is_closed = True
            self._news.notify_all()

    def _receive_some(self) -> bytes:
        try:
            return self._connection.recv(RECEIVE_SIZE)
        except OSError:
            return b""


class Job:
    """A shell script in a domain, from its start to its exit status."""

    def __init__(self, line: Line, job_id: str, start: int) -> None:
        self.id = job_id
        self._line = line
        self._start = start
        self._end: int | None = None

    def wait(self, deadline: float) -> int | None:
        """The exit status; None if it has not ended at the deadline."""
        match = self._line.wait_for(rb"\n\x1eend %s (\d+)\n" % self.id.encode(), self._start, deadline)
        if not match:
            return None
        self._end = match.start()
        return int(match[1])

    def kill(self) -> None:
        """Ends it, with what it started."""
        self._line.send(f"kill {self.id}\n")

    def output(self) -> bytes:
        """What it has printed until now."""
        text = self._line.received(self._start, self._end)
        return text.partition(b"\n\x1ebegin %s\n" % self.id.encode())[2]
