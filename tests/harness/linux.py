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
KERNEL_IMAGE = "linux-image-[0-9]*-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"
AGENT_PACKAGES = ["qemu-guest-agent", "libc6", "libglib2.0-0", "libnuma1", "libpcre2-8-0", "libudev1", "liburing2"]
AGENT_FILES = ["sbin/qemu-ga", "*/libudev.so.1", "*/libnuma.so.1", "*/liburing.so.2", "*/libglib-2.0.so.0", "*/libgmodule-2.0.so.0",
               "*/libpcre2-8.so.0", "*/libm.so.6", "*/libc.so.6", "*/ld-linux-x86-64.so.2"]
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


def linux_guest(script, files=None, agent=False):
    """The paths of a kernel and an initramfs whose init ends with the script.

    files: more of them, bytes by path. agent: with qemu-ga, and the libraries that it needs.
    """
    names = [KERNEL_PACKAGE, BUSYBOX_PACKAGE, *(AGENT_PACKAGES if agent else [])]
    resolved = packages_resolve(names)
    wanted = [package_pick(resolved, KERNEL_IMAGE if name == KERNEL_PACKAGE else name) for name in names]
    files = {"init": (PROLOGUE + script).encode(), **(files or {})}

    def make(folder):
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            root = pathlib.Path(temporary)
            packages_unpack(wanted, root)
            (folder / "vmlinuz").write_bytes(next((root / "boot").glob("vmlinuz-*")).read_bytes())
            with (folder / "initramfs").open("wb") as file:
                _write_initramfs(file, root, {**files, **(_agent(root) if agent else {})})

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


def _agent(root):
    """The agent, and its libraries where the dynamic linker looks for them."""
    found = {}
    for pattern in AGENT_FILES:
        path = next(path for path in root.glob(f"**/{pattern}"))
        folder = {"qemu-ga": "bin", "ld-linux-x86-64.so.2": "lib64"}.get(path.name, "lib/x86_64-linux-gnu")
        found[f"{folder}/{path.name}"] = path.read_bytes()
    return found


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
