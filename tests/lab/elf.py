# SPDX-License-Identifier: LGPL-2.1-or-later
"""ELF files: which shared libraries a set of programs needs, found among unpacked files and not on this machine."""

import pathlib
import re
import subprocess

import recipe

LIBRARY_FOLDERS = ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"]


def elf_is(path: pathlib.Path) -> bool:
    """Whether a path is an ELF file itself and not a link to one."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def elf_closure(root: pathlib.Path, programs: list[pathlib.Path]) -> set[pathlib.Path]:
    """The libraries below the root that the programs need, directly or through another library, with the links that name them."""
    found = {_library_find(root, name) for name in recipe.LOADED_LIBRARIES}
    waiting = [*programs, *found]
    while waiting:
        libraries = {_library_find(root, name) for name in _needed(waiting)} - found
        found |= libraries
        waiting = [path.resolve() for path in libraries]
    return found | {path.resolve() for path in found}


def _needed(paths: list[pathlib.Path]) -> set[str]:
    """What readelf calls NEEDED, and the dynamic linker itself where a program names one."""
    command = ["readelf", "--wide", "--dynamic", "--program-headers", *map(str, paths)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    linkers = {pathlib.Path(name).name for name in re.findall(r"program interpreter: (\S+)\]", text)}
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", text)) | linkers


def _library_find(root: pathlib.Path, name: str) -> pathlib.Path:
    for folder in LIBRARY_FOLDERS:
        if (root / folder / name).exists():
            return root / folder / name
    raise FileNotFoundError(f"no package of the recipe brings the library {name}")
