# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs: where a test's own programs are in the build directory, and which libraries a program needs to be shipped with."""

import json
import os
import pathlib
import re
import subprocess


class ProgramError(Exception):
    """A program that is not there; the text says how to get it."""


def programs_built(build: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name and file of every program of the build, from meson's own records."""
    targets = build / "meson-info" / "intro-targets.json"
    if not targets.exists():
        raise ProgramError(f"{build} is no build directory: 'meson setup {build}' makes one, --build names another")
    return {
        target["name"]: pathlib.Path(target["filename"][0])
        for target in json.loads(targets.read_text())
        if target["type"] == "executable"
    }


def program_find(name: str, built: dict[str, pathlib.Path]) -> pathlib.Path:
    """The file of a declared program: one of ours by name, one of Debian's by absolute path."""
    path = pathlib.Path(name) if name.startswith("/") else built.get(name)
    if path is None:
        raise ProgramError(f"the build has no program '{name}': give a Debian program by its absolute path")
    if not path.exists():
        hint = "install its package" if name.startswith("/") else "'ninja' builds it"
        raise ProgramError(f"{path} does not exist: {hint}")
    return path


def program_libraries(path: pathlib.Path) -> list[pathlib.Path]:
    """The libraries that the dynamic linker would load, itself included; none for a static program or a script."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LD_")}
    listing = subprocess.run(["ldd", path], capture_output=True, text=True, env=environment, check=False).stdout
    if missing := re.findall(r"(\S+) => not found", listing):
        raise ProgramError(f"{path} needs {', '.join(missing)}, which this machine does not have")
    return [pathlib.Path(match) for match in re.findall(r"(/\S+) \(0x", listing)]
