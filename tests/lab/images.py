# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images: the hypervisor, the base images of dom0 and of the guests (cached), and what a run adds to them (not cached).

The kernel unpacks several archives one after the other, so a run's image is the base with a small archive of the programs under
test joined to it: a new build of the project never makes a new base.
"""

import dataclasses
import gzip
import os
import pathlib
import shutil
import subprocess
import tempfile

import recipe
from archive import Archive
from cache import cached, key_of
from elf import elf_closure, elf_is
from kernel import kernel_build, modules_install
from packages import package_pick, packages_resolve, packages_unpack
from program import program_find, program_libraries

HERE = pathlib.Path(__file__).resolve().parent

FOLDERS = ["dev", "etc", "lab", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "var"]
LINKS = {
    "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run", "var/lock": "/run/lock",
    "usr/lib64/ld-linux-x86-64.so.2": "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
}
USERS = "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\nnobody:x:65534:65534::/nonexistent:/bin/false\n"
GROUPS = "root:x:0:\nmessagebus:x:100:\nnogroup:x:65534:\n"


@dataclasses.dataclass(frozen=True)
class Images:
    """Files of one kind of boot; the same for all runs until the recipe or a package changes."""

    hypervisor: pathlib.Path
    kernel: pathlib.Path
    dom0: pathlib.Path
    guest: pathlib.Path


def images_build() -> Images:
    """Everything that does not depend on the project's own programs."""
    kernel = kernel_build()
    base = _base_build(kernel)
    return Images(_hypervisor_build() / "xen", kernel / "vmlinux", base / "dom0.cpio", base / "guest.cpio")


def guest_image_write(
    images: Images, programs: list[str], built: dict[str, pathlib.Path], files: dict[str, pathlib.Path], target: pathlib.Path
) -> None:
    """A run's image for the guests."""
    shutil.copy(images.guest, target)
    with target.open("ab") as file:
        archive = Archive(file)
        _programs_add(archive, programs, built, images.guest)
        _files_add(archive, files)
        archive.close()


def dom0_image_write(
    images: Images,
    programs: list[str],
    built: dict[str, pathlib.Path],
    files: dict[str, pathlib.Path],
    target: pathlib.Path,
    guest: pathlib.Path,
) -> None:
    """A run's image for dom0; the guests' kernel and image are in it, as files for xl."""
    shutil.copy(images.dom0, target)
    with target.open("ab") as file:
        archive = Archive(file)
        _programs_add(archive, programs, built, images.dom0)
        _files_add(archive, files)
        archive.file("lab/vmlinux", images.kernel.read_bytes())
        archive.file("lab/guest.img", guest.read_bytes())
        archive.close()


def _programs_add(archive: Archive, programs: list[str], built: dict[str, pathlib.Path], base: pathlib.Path) -> None:
    """Our programs into /usr/local/bin, Debian's to their own place, libraries to where the dynamic linker looks anyway."""
    there = set(_names_file(base).read_text().splitlines())
    for name in programs:
        place = name.lstrip("/") if name.startswith("/") else f"usr/local/bin/{name}"
        if place in there:
            continue
        path = program_find(name, built)
        libraries = program_libraries(path)
        archive.file(place, _without_debug(path) if libraries else path.read_bytes(), 0o755)
        there.add(place)
        for library in libraries:
            place = f"usr/lib/x86_64-linux-gnu/{library.name}"
            if place not in there:
                archive.file(place, library.read_bytes(), 0o755)
                there.add(place)


def _without_debug(path: pathlib.Path) -> bytes:
    """A program without its debug information: most of it, and every domain would unpack it under emulation."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "--strip-debug", "-o", stripped.name, path], check=True)
        return pathlib.Path(stripped.name).read_bytes()


def _files_add(archive: Archive, files: dict[str, pathlib.Path]) -> None:
    """Files of the tree to where the tests want them, by absolute path."""
    for place, path in sorted(files.items()):
        archive.file(place.lstrip("/"), path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)


def _hypervisor_build() -> pathlib.Path:
    package = package_pick(packages_resolve([recipe.HYPERVISOR_PACKAGE]), recipe.HYPERVISOR_PACKAGE)

    def make(folder: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory() as root:
            packages_unpack([package], pathlib.Path(root))
            packed = pathlib.Path(root) / f"boot/xen-{recipe.XEN}-amd64.gz"
            (folder / "xen").write_bytes(gzip.decompress(packed.read_bytes()))    # QEMU's multiboot loader wants the ELF file

    return cached("hypervisor", key_of(package), make)


def _base_build(kernel: pathlib.Path) -> pathlib.Path:
    """Both base images: the guests' packages are among dom0's, so one set of unpacked files serves."""
    packages = packages_resolve([*recipe.DOM0_PACKAGES, *recipe.DOM0_TOOL_PACKAGES])
    own = {kind: [*sorted((HERE / kind).iterdir()), HERE / "agent"] for kind in ("dom0", "guest")}
    sources = [*own["dom0"], *own["guest"], *(HERE / name for name in ("recipe.py", "images.py", "archive.py", "elf.py"))]

    def make(folder: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            top = pathlib.Path(temporary)
            unpacked = _skeleton_make(top / "unpacked")
            packages_unpack(packages, unpacked)
            for kind, picked, modules in (
                ("dom0", _dom0_files(packages, unpacked), recipe.DOM0_MODULES),
                ("guest", {path for pattern in recipe.GUEST_PROGRAMS for path in unpacked.glob(pattern)}, recipe.GUEST_MODULES),
            ):
                root = _skeleton_make(top / kind)
                _files_copy(picked, unpacked, root)
                modules_install(kernel, modules, root)
                _own_files_add(kind, own[kind], root)
                _python_compile(root)
                _base_write(root, folder / f"{kind}.cpio")

    return cached("base", key_of(kernel.name, *packages, *(path.read_bytes() for path in sources)), make)


def _skeleton_make(root: pathlib.Path) -> pathlib.Path:
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    return root


def _dom0_files(packages: list[str], unpacked: pathlib.Path) -> set[pathlib.Path]:
    """All files of the packages named in the recipe, less the dropped folders, and the tools."""
    named = [package for package in packages if package.partition("=")[0] in recipe.DOM0_PACKAGES]
    with tempfile.TemporaryDirectory() as temporary:
        alone = _skeleton_make(pathlib.Path(temporary) / "alone")
        packages_unpack(named, alone)
        names = [path.relative_to(alone) for path in alone.rglob("*") if path.is_symlink() or path.is_file()]
    dropped = [pathlib.Path(name) for name in recipe.DOM0_DROP]
    kept = {unpacked / name for name in names if str(name) not in LINKS and not any(name.is_relative_to(drop) for drop in dropped)}
    return kept | {unpacked / name for name in recipe.DOM0_TOOLS}


def _files_copy(picked: set[pathlib.Path], unpacked: pathlib.Path, root: pathlib.Path) -> None:
    """Copies the files, and the libraries that the programs among them are linked with."""
    picked = picked | elf_closure(unpacked, sorted(path for path in picked if elf_is(path)))
    for path in sorted(picked):
        target = root / path.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)


def _python_compile(root: pathlib.Path) -> None:
    """What Debian does when it configures the packages. The interpreter must be of the same version, or the result is not used."""
    for folder in recipe.PYTHON_FOLDERS:
        if (root / folder).exists():
            command = [f"python{recipe.PYTHON}", "-m", "compileall", "-q", "-s", root, "--invalidation-mode", "unchecked-hash", root / folder]
            subprocess.run(command, check=True)


def _own_files_add(kind: str, own: list[pathlib.Path], root: pathlib.Path) -> None:
    for path in own:
        target = root / path.name if path.name == "init" else root / "lab" / path.name
        shutil.copy(path, target)
        target.chmod(0o755)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)
    busybox = root / "usr/bin/busybox"
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if not any((root / folder / applet).exists() for folder in ("usr/bin", "usr/sbin")):
            (root / "usr/bin" / applet).symlink_to("busybox")
    if kind == "dom0":
        for guest in recipe.GUEST_TYPES:
            (root / "lab" / f"{guest}.cfg").write_text(_guest_configuration(guest))


def _guest_configuration(guest: str) -> str:
    return (
        f'name = "{guest}"\ntype = "{guest}"\nmemory = {recipe.GUEST_MEMORY_MIB}\nvcpus = 1\n'
        f'kernel = "/lab/vmlinux"\nramdisk = "/lab/guest.img"\nextra = "{" ".join(recipe.KERNEL_ARGUMENTS)}"\n'
        'on_crash = "preserve"\n'       # so that a guest that died is still there to be looked at
    )


def _base_write(root: pathlib.Path, image: pathlib.Path) -> None:
    with image.open("wb") as file:
        archive = Archive(file)
        archive.console()
        archive.tree(root)
        archive.close()
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    _names_file(image).write_text("\n".join(names) + "\n")


def _names_file(image: pathlib.Path) -> pathlib.Path:
    """Beside a base image: what is in it, so that a run does not ship it again."""
    return image.with_suffix(".names")
