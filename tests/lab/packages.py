# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages: which versions this machine's apt would install, their files, and their content unpacked.

All of it goes through apt as the machine is set up: its sources, its keys, its proxy. Packages are unpacked and never installed or
configured, so none of it needs root or changes the machine.
"""

import fnmatch
import pathlib
import re
import subprocess
from typing import IO

from cache import cached, key_of

APT_LISTS = pathlib.Path("/var/lib/apt/lists")

# As on a machine where nothing is installed, so that the answer is complete and depends on the package lists alone.
EMPTY_MACHINE = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Install-Recommends=false", "-o", "APT::Install-Suggests=false"]


class PackageError(Exception):
    """apt could not do it; the text says what to do."""


def packages_resolve(names: list[str]) -> list[str]:
    """NAME=VERSION of the packages and of all they depend on, as the package lists of this machine have them. No network."""

    def make(folder: pathlib.Path) -> None:
        text = _run(["apt-get", "-s", *EMPTY_MACHINE, "install", *names])
        found: list[tuple[str, str]] = re.findall(r"^Inst (\S+) \((\S+) ", text, re.MULTILINE)
        (folder / "packages").write_text("".join(sorted(f"{name}={version}\n" for name, version in found)))

    folder = cached(f"resolved-{key_of(*names)}", key_of(_lists_state()), make)
    return (folder / "packages").read_text().split()


def package_pick(packages: list[str], pattern: str) -> str:
    """The one package, as NAME=VERSION, whose name matches."""
    matches = [package for package in packages if fnmatch.fnmatch(package.partition("=")[0], pattern)]
    if len(matches) != 1:
        raise PackageError(f"{len(matches)} packages match {pattern}: {', '.join(matches)}")
    return matches[0]


def packages_unpack(packages: list[str], folder: pathlib.Path) -> None:
    """The files of the packages, all below one folder."""
    for deb in _fetch(packages):
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
        # dpkg-deb -x would replace the links of a merged /usr by folders.
        _run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(folder)], stdin=archive.stdout)
        if archive.wait() != 0:
            raise PackageError(f"{deb} is damaged: remove {deb.parent}")


def _fetch(packages: list[str]) -> list[pathlib.Path]:
    """The .deb files, downloaded together because every single call of apt-get costs a second."""

    def make(folder: pathlib.Path) -> None:
        _run(["apt-get", "-q", "download", *packages], folder)

    return sorted(cached(f"debs-{key_of(*(package.partition('=')[0] for package in packages))}", key_of(*packages), make).glob("*.deb"))


def _lists_state() -> str:
    """What changes when 'apt-get update' brings something new: the answer takes apt seconds, so it is kept until then."""
    files = sorted(APT_LISTS.glob("*_Packages*")) + sorted(APT_LISTS.glob("*_InRelease"))
    return "".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files)


def _run(command: list[str], folder: pathlib.Path | None = None, stdin: IO[bytes] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(f"'{' '.join(command)}' failed: {done.stderr.strip()}\n'apt-get update' (as root) renews the package lists")
    return done.stdout
