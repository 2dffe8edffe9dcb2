# SPDX-License-Identifier: LGPL-2.1-or-later
"""Emulated Xen as a place for tests: one emulation for the run, fresh domains for every test."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time

from declaration import Domain, Test
from outcome import Ending, status_of
from program import ProgramError, program_find

COMMAND_SECONDS = 30    # for one xenemu command: it answers at once, so this only ends a hang
KILL_SECONDS = 5        # from SIGTERM to SIGKILL for a program past its deadline


class EmulatedPlace:
    """Brings emulated Xen up, runs tests on it, takes it down."""

    def __init__(self, built: dict[str, pathlib.Path], logs: pathlib.Path) -> None:
        self._built = built
        self._logs = logs
        self._xenemu = program_find("xenemu", built)
        self._rundir = tempfile.TemporaryDirectory(prefix="xcpbus-domains-")
        self._is_up = False

    def __enter__(self) -> "EmulatedPlace":
        self._is_up = True
        self._command("up", "--domains", "1")
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_up:
            self._command("down")
        self._rundir.cleanup()

    def run(self, test: Test) -> tuple[dict[str, Ending], dict[str, pathlib.Path]]:
        """Runs one test to its end or its deadline; its domains are gone afterwards, whatever happened."""
        directory = self._logs / test.name
        directory.mkdir(parents=True, exist_ok=True)
        logs = {domain.name: directory / f"{domain.name}.log" for domain in test.domains}
        domids: dict[str, int] = {}
        try:
            for domain in test.domains:
                domids[domain.name] = self._create(domain)
            started = {domain.name: self._start(test, domain, domids, logs[domain.name]) for domain in test.domains}
            return _wait(started, test.deadline), logs
        finally:
            self._clean(domids)

    def _create(self, domain: Domain) -> int:
        return 0 if domain.type == "dom0" else int(self._command("create", "--name", domain.name))

    def _clean(self, domids: dict[str, int]) -> None:
        for domid in filter(None, domids.values()):
            self._command("destroy", str(domid))
        if 0 in domids.values():
            self._command("exec", "0", "--", "sh", "-c", "xenstore-rm data 2>/dev/null || true")

    def _start(self, test: Test, domain: Domain, domids: dict[str, int], log: pathlib.Path) -> subprocess.Popen[bytes]:
        programs = {name: str(program_find(name, self._built)) for name in test.programs}
        command = domain.command(domids, test.id)
        command[0] = programs.get(command[0], command[0])
        folders = [str(pathlib.Path(path).parent) for path in programs.values()]
        environment = os.environ | {"PATH": ":".join([*folders, os.environ["PATH"]])} | domain.environment
        with log.open("wb") as output:
            return subprocess.Popen(
                self._words("exec", str(domids[domain.name]), "--", *command),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
            )

    def _words(self, *words: str) -> list[str]:
        return [str(self._xenemu), "--rundir", self._rundir.name, *words]

    def _command(self, *words: str) -> str:
        # A file takes the errors: the daemon that 'up' leaves behind would hold a pipe open for ever.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                self._words(*words), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=COMMAND_SECONDS, check=False,
            )
            output.seek(0)
            text = output.read()
        if done.returncode != 0:
            raise ProgramError(f"'xenemu {' '.join(words)}' ended with {done.returncode}: {text.strip()}")
        return text


def _wait(started: dict[str, subprocess.Popen[bytes]], deadline: float) -> dict[str, Ending]:
    end = time.monotonic() + deadline
    endings = {}
    for name, process in started.items():
        try:
            endings[name] = Ending(status_of(process.wait(max(0, end - time.monotonic()))))
        except subprocess.TimeoutExpired:
            endings[name] = Ending(None, f"still running at the deadline of {deadline:g} s")
    for process in started.values():
        _end(process)
    return endings


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and what it started: politely first, so that xenemu can pass it on."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(KILL_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
