# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real guest: Debian's kernel for clouds, and an initramfs that is made here of its modules and busybox.

Packages come through apt, are unpacked and not installed, and what is made of them is cached as the lab's images are
($XCP_CACHE/lab). So the first time takes a download of some 27 MB, and the next ones nothing.
"""

import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

from archive import Archive  # noqa: E402
from cache import cached, key_of  # noqa: E402
from packages import package_pick, packages_resolve, packages_unpack  # noqa: E402

KERNEL_PACKAGE = "linux-image-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"
MODULES = ["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon", "button", "evdev"]

# What nobody needs in software emulation, where it costs seconds.
COMMAND_LINE = "console=ttyS0 quiet mitigations=off cryptomgr.notests apparmor=0 audit=0 panic=-1"

# Before a guest's own script: its modules, and what programs expect to find. Its power button switches it off.
PROLOGUE = """\
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
button=$(dirname $(dirname $(grep -l 'Power Button' /sys/class/input/event*/device/name)))
dd if=/dev/input/${button##*/} of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f &
ip link set lo up
"""


def linux_guest(script, files=None):
    """The paths of a kernel and an initramfs whose init ends with the script. files: more of them, bytes by path."""
    resolved = packages_resolve([KERNEL_PACKAGE, BUSYBOX_PACKAGE])
    wanted = [package_pick(resolved, "linux-image-[0-9]*-cloud-amd64"), package_pick(resolved, BUSYBOX_PACKAGE)]
    files = {"init": (PROLOGUE + script).encode(), **(files or {})}

    def make(folder):
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            root = pathlib.Path(temporary)
            packages_unpack(wanted, root)
            (folder / "vmlinuz").write_bytes(next((root / "boot").glob("vmlinuz-*")).read_bytes())
            with (folder / "initramfs").open("wb") as file:
                _write_initramfs(file, root, files)

    key = key_of(*wanted, *MODULES, pathlib.Path(__file__).read_bytes(), *(part for item in sorted(files.items()) for part in item))
    folder = cached("linux-guest", key, make)
    return folder / "vmlinuz", folder / "initramfs"


def _write_initramfs(file, root, files):
    archive = Archive(file)
    archive.console()
    for name in ("proc", "sys", "dev", "tmp", "mnt"):
        archive.folder(name)
    archive.file("bin/busybox", next(root.glob("**/bin/busybox")).read_bytes(), 0o755)
    archive.link("bin/sh", "busybox")
    modules = _modules(root)
    for name, data in modules.items():
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/order", "\n".join(modules).encode())
    for name, data in files.items():
        archive.file(name, data, 0o755)
    archive.close()


def _modules(root):
    """The modules by name, each behind those that it needs; they say so themselves."""
    paths = {path.stem.replace("-", "_"): path for path in root.glob("**/lib/modules/**/*.ko")}
    found = {}

    def add(name):
        data = paths[name].read_bytes()
        needed = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in filter(None, needed[1].decode().split(",")):
            add(other.replace("-", "_"))
        found.setdefault(name, data)

    for name in MODULES:
        add(name)
    return found
