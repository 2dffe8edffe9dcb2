# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab as a place for tests: real Xen with dom0 and its guests, one boot for the run."""

import pathlib
import re
import shlex
import time

from bzimage import bzimage_build
from declaration import Domain, Test
from images import Images, dom0_image_write, guest_image_write
from line import Job, Line, LineError
from machine import Machine
from outcome import Ending, Report, lines_show

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Deadlines: many times what an idle machine with two cores takes, as they only have to end a hang.
BOOT_SECONDS = 300              # power-on to dom0's agent
GUEST_SECONDS = 300             # creation of one guest, and again for its agent to start
KILL_SECONDS = 15               # for a killed job to be gone
CLEAN_SECONDS = 60
POWER_OFF_SECONDS = 20

# Nodes that one test left must not be taken for the next one's.
STORE_CLEAN = "for node in $(xenstore-list /local/domain/{0}/data 2>/dev/null); do xenstore-rm /local/domain/{0}/data/$node; done"


class LabPlace:
    """Boots the lab with these guests and what these tests need, runs tests in it, powers it off."""

    def __init__(
        self,
        images: Images,
        tests: list[Test],
        built: dict[str, pathlib.Path],
        folder: pathlib.Path,
        report: Report,
        guests: list[str],
    ) -> None:
        self._folder = folder
        self._guests = guests
        self._consoles = folder / "consoles"
        self._report = report
        self._domids = {"dom0": 0}
        self._images = images
        self._dom0_image = folder / "dom0.img"
        self._consoles.mkdir(parents=True)
        self._images_write(tests, built)

    def __enter__(self) -> "LabPlace":
        self._machine = Machine(self._images, self._dom0_image, self._consoles, on_terminal=False)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._dom0_image.unlink(missing_ok=True)
        self._power_off()

    def shell(self) -> None:
        """The same boot, but with dom0's console on the terminal until the person leaves."""
        self._machine = Machine(self._images, self._dom0_image, self._consoles, on_terminal=True)
        try:
            self._start()
            self._machine.lines["control"].run("echo shell >/run/wish", CLEAN_SECONDS)
            self._machine.wait(None)
        finally:
            self._dom0_image.unlink(missing_ok=True)
            self._machine.kill()

    def run(self, test: Test) -> tuple[dict[str, Ending], dict[str, pathlib.Path]]:
        """Runs one test to its end or its deadline; what it ran is gone afterwards, whatever happened."""
        lines = {domain.name: self._machine.lines[domain.type] for domain in test.domains}
        if any(line.lost for line in lines.values()):
            return {name: Ending(None, line.lost or "not started") for name, line in lines.items()}, {}
        folder = self._folder / test.name
        folder.mkdir(parents=True)
        logs = {domain.name: folder / f"{domain.name}.log" for domain in test.domains}
        domids = {domain.name: self._domids[domain.type] for domain in test.domains}
        jobs = {domain.name: lines[domain.name].start(_script(domain, test, domids)) for domain in test.domains}
        endings = _endings(test, jobs, lines)
        for name, job in jobs.items():
            logs[name].write_bytes(job.output())
        self._machine.lines["control"].run("\n".join(STORE_CLEAN.format(domid) for domid in domids.values()), CLEAN_SECONDS)
        return endings, logs

    def consoles_show(self) -> None:
        """The last words of everyone, for when something hangs."""
        for name in ("xen", *self._guests):
            path = self._consoles / f"{name}.log"
            lines_show(f"console of {'hypervisor and dom0' if name == 'xen' else name} ({path})", path)
        if trouble := self._machine.trouble():
            print(f"     --- QEMU says: {trouble}")

    def _images_write(self, tests: list[Test], built: dict[str, pathlib.Path]) -> None:
        guest = self._folder / "guest.img"
        in_guests = [test for test in tests if any(domain.type != "dom0" for domain in test.domains)]
        guest_image_write(self._images, _programs_of(in_guests), built, _files_of(in_guests), guest)
        dom0_image_write(self._images, _programs_of(tests), built, _files_of(tests), self._dom0_image, guest)
        guest.unlink()
        self._report.step(f"images written: {self._dom0_image.stat().st_size >> 20} MiB")

    def _start(self) -> None:
        """Until dom0 and the guests answer. xl makes a second guest wait for the first, but the first boots meanwhile."""
        control = self._machine.lines["control"]
        self._report.step("power on")
        control.ready_wait(time.monotonic() + BOOT_SECONDS)
        self._report.step("dom0 is up")
        self._machine.lines["dom0"].ready_wait(time.monotonic() + BOOT_SECONDS)
        for guest in self._guests:
            made = re.search(r"^guest \w+ (\d+)$", control.run(f"/lab/guest-create {guest}", GUEST_SECONDS), re.MULTILINE)
            self._domids[guest] = int(made[1]) if made else -1
            self._report.step(f"guest {guest} is made")
        for guest in self._guests:
            self._machine.lines[guest].ready_wait(time.monotonic() + GUEST_SECONDS)
            self._report.step(f"guest {guest} is up")

    def _power_off(self) -> None:
        try:
            self._machine.lines["control"].start("echo o >/proc/sysrq-trigger")
        except LineError as error:
            self._report.step(str(error))
        orderly = self._machine.wait(POWER_OFF_SECONDS)
        self._machine.kill()
        self._report.step("power off" if orderly else f"killed: it did not power off within {POWER_OFF_SECONDS} s")


def _programs_of(tests: list[Test]) -> list[str]:
    return sorted({program for test in tests for program in test.programs})


def _files_of(tests: list[Test]) -> dict[str, pathlib.Path]:
    """The files that tests want in their domains, of the tree and Debian's kernel, by where they want them."""
    kernels = {test.kernel: bzimage_build() for test in tests if test.kernel}
    return {place: ROOT / path for test in tests for place, path in test.files.items()} | kernels


def _script(domain: Domain, test: Test, domids: dict[str, int]) -> str:
    """The shell script that becomes the declared program."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in domain.environment.items()]
    return "\n".join([*lines, f"exec {shlex.join(domain.command(domids, test.id))}\n"])


def _endings(test: Test, jobs: dict[str, Job], lines: dict[str, Line]) -> dict[str, Ending]:
    """How the jobs end; those that run at the deadline are killed, and a domain where that fails gets no further test."""
    deadline = time.monotonic() + test.deadline
    statuses = {name: job.wait(deadline) for name, job in jobs.items()}
    late = [name for name, status in statuses.items() if status is None]
    for name in late:
        jobs[name].kill()
    kill_deadline = time.monotonic() + KILL_SECONDS
    for name in late:
        if jobs[name].wait(kill_deadline) is None:
            lines[name].lost = f"domain {lines[name].name} has not answered since {test.name}"
    trouble = f"still running at the deadline of {test.deadline:g} s"
    return {name: Ending(status, "" if status is not None else trouble) for name, status in statuses.items()}
