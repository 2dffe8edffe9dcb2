# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine: one QEMU process in software emulation, with a line to every agent."""

import pathlib
import socket
import subprocess

import recipe
from images import Images
from line import Line

LINES = ["control", "dom0", *recipe.GUEST_TYPES]


class MachineError(Exception):
    """QEMU could not be started or ended at once; the text has its words."""


class Machine:
    """Boots the images found in FOLDER and writes all consoles there."""

    def __init__(self, images: Images, dom0: pathlib.Path, folder: pathlib.Path, on_terminal: bool) -> None:
        self._errors = folder / "qemu.log"
        ends = {name: socket.socketpair() for name in LINES}
        theirs = {name: pair[1].fileno() for name, pair in ends.items()}
        self._links = {folder / "xen": images.hypervisor, folder / "vmlinux": images.kernel, folder / "dom0.img": dom0}
        for link, target in self._links.items():        # short names: a comma or a space in a path would end it for QEMU
            link.symlink_to(target.absolute())
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                _command(theirs, on_terminal), cwd=folder, pass_fds=list(theirs.values()),
                stdin=None if on_terminal else subprocess.DEVNULL, stdout=None if on_terminal else errors, stderr=errors,
            )
        self.lines = {name: Line(name, pair[0], folder / f"{name}.log") for name, pair in ends.items()}
        for _, their_end in ends.values():
            their_end.close()

    def wait(self, seconds: float | None) -> bool:
        """Whether it has ended by itself within so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Ends it at once, if it still runs."""
        self._process.kill()
        self._process.wait()
        for link in self._links:
            link.unlink(missing_ok=True)

    def trouble(self) -> str:
        """What QEMU itself had to say."""
        return self._errors.read_text(errors="replace").strip()


def _command(lines: dict[str, int], on_terminal: bool) -> list[str]:
    # /dev/kvm is never used, even where there is one: on some machines it opens, makes a virtual machine, and hangs.
    command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", recipe.CPU_MODEL]
    command += ["-smp", str(recipe.CPUS), "-m", str(recipe.MEMORY_MIB), "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-serial", "mon:stdio" if on_terminal else "file:xen.log"]
    command += ["-kernel", "xen", "-append", " ".join(recipe.XEN_ARGUMENTS)]
    command += ["-initrd", f"vmlinux {' '.join(recipe.KERNEL_ARGUMENTS)},dom0.img"]
    command += ["-device", "virtio-serial-pci"]
    for name, fd in lines.items():
        command += ["-chardev", f"socket,id={name},fd={fd}", "-device", f"virtserialport,chardev={name},name={name}"]
    return command
