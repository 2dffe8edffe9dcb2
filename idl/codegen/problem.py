# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is wrong with a document, and where."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """A place in a document. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self):
        return f"{self.file}:{self.line}:{self.column}"


class Problem(Exception):
    """A document that cannot be used. Its text is `file:line:column: message`."""

    def __init__(self, position, message):
        super().__init__(f"{position}: {message}")
        self.position = position
        self.message = message
