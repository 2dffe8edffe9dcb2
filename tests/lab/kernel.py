# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel of dom0 and of the guests: Debian's image as a plain ELF file, and modules, those of PV Calls built for it.

The image is unpacked here because otherwise Xen, and then xl for every guest, would do so under emulation: seconds each time.
"""

import lzma
import pathlib
import shutil
import struct
import subprocess
import tempfile

import recipe
from cache import cached, key_of
from packages import PackageError, package_pick, packages_resolve, packages_unpack

HERE = pathlib.Path(__file__).resolve().parent
DRIVE = HERE / "pvcalls-drive"          # our module around Linux's frontend
MASKED_PATCH = HERE / "pvcalls-back-masked.patch"       # without it Linux's backend stops moving bytes at once

# Offsets in a bzImage (Documentation/arch/x86/boot.rst, "Details of Header Fields").
SETUP_SECTORS_OFFSET = 0x1F1
PAYLOAD_OFFSET = 0x248          # u32 offset and u32 length, relative to the end of the setup sectors
SECTOR_SIZE = 512
PAYLOAD_TRAILER_SIZE = 4        # the unpacked size, after the packed data


def kernel_build() -> pathlib.Path:
    """A folder with: vmlinux, and modules/ with every module of the recipe."""
    packages = packages_resolve([*recipe.KERNEL_PACKAGES, recipe.SOURCE_PACKAGE])
    image = package_pick(packages, "linux-image-[0-9]*")
    headers = [package_pick(packages, pattern) for pattern in ("linux-headers-*-common", "linux-headers-[0-9]*-amd64", "linux-kbuild-*")]
    source = package_pick(packages, recipe.SOURCE_PACKAGE)
    modules = sorted({*recipe.DOM0_MODULES, *recipe.GUEST_MODULES})

    def make(folder: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            root = pathlib.Path(temporary)
            packages_unpack([image, *headers, source], root)
            vmlinuz = next((root / "boot").glob("vmlinuz-*"))
            (folder / "vmlinux").write_bytes(bzimage_unpack(vmlinuz.read_bytes()))
            tree = next((root / "lib/modules").iterdir())
            _pvcalls_build(root, tree)
            _modules_copy(modules, tree, folder / "modules")

    own = [(HERE / "kernel.py").read_bytes(), MASKED_PATCH.read_bytes(), *(path.read_bytes() for path in sorted(DRIVE.iterdir()))]
    return cached("kernel", key_of(image, source, *headers, *modules, *own), make)


def bzimage_unpack(image: bytes) -> bytes:
    """The ELF file inside a bzImage."""
    start = (image[SETUP_SECTORS_OFFSET] + 1) * SECTOR_SIZE
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    payload = image[start + offset : start + offset + length - PAYLOAD_TRAILER_SIZE]
    if not payload.startswith(b"\xfd7zXZ"):
        raise PackageError(f"the kernel is packed with something else than xz (it begins with {payload[:6].hex()}): see kernel.py")
    return lzma.decompress(payload)


def modules_install(kernel: pathlib.Path, names: list[str], root: pathlib.Path) -> None:
    """The named modules and their dependencies below root/usr/lib/modules, with the index that modprobe reads."""
    release = next((kernel / "modules").iterdir()).name
    folder = root / "usr/lib/modules" / release
    folder.mkdir(parents=True)
    for path in _modules_closure(names, kernel / "modules" / release):
        shutil.copy(path, folder)
    for name in ("modules.builtin", "modules.order"):
        (folder / name).touch()
    _run(["depmod", "-b", str(root / "usr"), release])


def _modules_copy(names: list[str], modules: pathlib.Path, folder: pathlib.Path) -> None:
    target = folder / modules.name
    target.mkdir(parents=True)
    for path in _modules_closure(names, modules):
        shutil.copy(path, target)


def _modules_closure(names: list[str], folder: pathlib.Path) -> set[pathlib.Path]:
    files = {_module_name(path.stem): path for path in folder.rglob("*.ko")}
    found: set[pathlib.Path] = set()
    waiting = list(names)
    while waiting:
        name = _module_name(waiting.pop())
        if name not in files:
            raise PackageError(f"the kernel package has no module {name}: see recipe.py")
        if files[name] not in found:
            found.add(files[name])
            waiting += filter(None, _run(["modinfo", "-F", "depends", str(files[name])]).strip().split(","))
    return found


def _module_name(stem: str) -> str:
    return stem.replace("-", "_")


def _pvcalls_build(root: pathlib.Path, modules: pathlib.Path) -> None:
    """Linux's own PV Calls drivers, with one fix of a later Linux, and our module around the frontend, for exactly this kernel."""
    _headers_relocate(root)
    tarball = next((root / "usr/src").glob("linux-source-*.tar.xz"))
    files = [f"drivers/xen/{name}" for name in ("pvcalls-back.c", "pvcalls-front.c", "pvcalls-front.h")]
    build = root / "pvcalls"
    build.mkdir()
    top = tarball.name.removesuffix(".tar.xz")
    members = [f"{top}/{name}" for name in files]
    # With --occurrence tar stops at the last of them and does not unpack the rest of Linux in vain.
    _run(["tar", "-xf", str(tarball), "-C", str(build), "--strip-components=3", "--occurrence=1", *members])
    _run(["patch", "--strip=3", "--fuzz=0", f"--directory={build}", f"--input={MASKED_PATCH}"])
    for path in DRIVE.iterdir():
        shutil.copy(path, build)
    (build / "Kbuild").write_text("obj-m := " + " ".join(f"{name}.o" for name in recipe.PVCALLS_MODULES) + "\n")
    tree = root / "usr/src" / f"linux-headers-{modules.name}"
    _run(["make", "-C", str(tree), f"M={build}", "modules"])
    for name in recipe.PVCALLS_MODULES:
        _run(["strip", "--strip-debug", str(build / f"{name}.ko")])
        shutil.copy(build / f"{name}.ko", modules)


def _headers_relocate(root: pathlib.Path) -> None:
    """Debian's header packages name each other by absolute paths; here they are not installed but unpacked below a root."""
    for makefile in (root / "usr/src").glob("linux-headers-*-amd64/Makefile"):
        makefile.write_text(makefile.read_text().replace("/usr/src/", f"{root}/usr/src/"))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(f"'{' '.join(command)}' failed:\n{done.stdout}{done.stderr}")
    return done.stdout
