# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with a kernel of its own: Debian's, in QEMU, in software emulation, on a disk that the storage service serves over vhost-user."""

from harness.emulation import build_directory
from harness.linux import COMMAND_LINE, linux_guest
from harness.process import Process

from .stage import echo, heading, say

BOOT_DEADLINE = 300  # seconds; on a machine with nothing else to do it takes some five
ANSWER_DEADLINE = 60
WORDS = "written by the guest"

# What the guest does when it has booted. The name of its prompt is how it is known that it waits for commands.
SCRIPT = f"""\
echo "Linux $(uname -r) is up after $(cut -d ' ' -f 1 /proc/uptime) s, on a disk of $(($(cat /sys/block/vda/size) / 2048)) MiB"
echo "{WORDS}" | dd of=/dev/vda conv=sync,fsync 2>/dev/null
while printf 'debian# '; read -r line; do eval "$line"; done
"""


def watch(operator):
    """Looks at the guest's console while it boots, and types a command there."""
    argv = ("vm", "console", "debian")
    echo("xcpctl", *argv)
    with Process([build_directory() / "tools/xcpctl/xcpctl", *argv], env=operator.environment) as console:
        operator.xcpctl("vm", "start", "debian")
        console.wait_output("debian# ", BOOT_DEADLINE)
        console.write("head -n 1 /dev/vda; grep -m 1 'model name' /proc/cpuinfo\n")
        console.wait_output("model name\t.*\n", ANSWER_DEADLINE)
        say(console.stdout.replace("\r", ""))


def begins(path, words):
    with path.open("rb") as file:
        return file.read(len(words)) == words.encode()


def perform(operator, directory):
    """directory: of the storage repository called local."""
    heading("A guest with a kernel of its own: Debian's, in software emulation. The storage service serves its disk over vhost-user")
    kernel, initramfs = linux_guest(SCRIPT)
    operator.xcpctl("vdi", "create", "local", "debian-root", "64MiB", "--format", "Raw")
    operator.xcpctl("vm", "create", "debian", "--backend", "qemu", "--memory", "192MiB", "--firmware", "Kernel", "--kernel", kernel,
                    "--initramfs", initramfs, "--command-line", COMMAND_LINE, "--disk", "debian-root",
                    "--backend-option", "data-path=vhost-user", "--backend-option", "accelerator=tcg")
    operator.xcpctl("vm", "prepare", "debian")
    watch(operator)
    operator.xcpctl("vdi", "show", "debian-root")
    operator.xcpctl("vm", "stop", "debian")
    content = next(path for path in directory.glob("*.raw") if begins(path, WORDS))
    echo("head", "-n", "1", content)
    say(WORDS)
    operator.xcpctl("vm", "destroy", "debian")
