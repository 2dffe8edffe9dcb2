# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel of the lab as Debian ships it, packed: what a BIOS boots, for tests that ask for it."""

import pathlib
import tempfile

import recipe
from cache import cached, key_of
from packages import package_pick, packages_resolve, packages_unpack


def bzimage_build() -> pathlib.Path:
    """The file."""
    image = package_pick(packages_resolve([*recipe.KERNEL_PACKAGES, recipe.SOURCE_PACKAGE]), "linux-image-[0-9]*")

    def make(folder: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as root:
            packages_unpack([image], pathlib.Path(root))
            (folder / "vmlinuz").write_bytes(next(pathlib.Path(root, "boot").glob("vmlinuz-*")).read_bytes())

    return cached("bzimage", key_of(image), make) / "vmlinuz"
