# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives: cpio files as Linux unpacks them at boot (Documentation/driver-api/early-userspace/buffer-format.rst).

Written here and not by cpio(1), because that way neither device nodes nor owners need root. Linux unpacks several archives one
after the other, so a base image and what a run adds to it are simply joined.
"""

import pathlib
import stat
from typing import BinaryIO

ALIGNMENT = 4
DEVICE_CONSOLE = (5, 1)         # where the kernel opens init's standard streams, before anything is mounted


class Archive:
    """A cpio archive being written; every entry belongs to root."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._n_entries = 0
        self._folders: set[str] = set()

    def folder(self, name: str, mode: int = 0o755) -> None:
        """A folder, with the ones above it; one that is there already is left as it is."""
        name = name.strip("/")
        if not name or name in self._folders:
            return
        self._folder_above(name)
        self._folders.add(name)
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file."""
        self._folder_above(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._folder_above(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def console(self) -> None:
        """/dev/console."""
        self._folder_above("dev/console")
        self._entry("dev/console", stat.S_IFCHR | 0o600, b"", DEVICE_CONSOLE)

    def tree(self, root: pathlib.Path) -> None:
        """Everything below a folder: folders, files and links, in the order of their names."""
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                self.link(name, str(path.readlink()))
            elif path.is_dir():
                self.folder(name)
            elif path.is_file():
                self.file(name, path.read_bytes(), path.stat().st_mode & 0o777)

    def close(self) -> None:
        """The trailer. What is joined to the archive begins at an aligned place, as Linux wants it."""
        self._entry("TRAILER!!!", 0, b"")

    def _folder_above(self, name: str) -> None:
        self.folder(name.strip("/").rpartition("/")[0])

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._n_entries += 1
        encoded = name.strip("/").encode() + b"\0"
        fields = (self._n_entries, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._file.write(_padded(header + encoded) + _padded(data))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
