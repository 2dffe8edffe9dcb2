# SPDX-License-Identifier: LGPL-2.1-or-later
"""XML to a tree that knows where everything was written.

Deliberately less than XML: no entities of one's own, no processing instructions, no text between elements. A document that
needs them is not an interface description, and refusing them keeps hostile documents (entity bombs, deep nesting) harmless.
"""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from .problem import Position, Problem

DEPTH_MAX = 16              # a real document has 5 levels
DOCUMENT_SIZE_MAX = 1 << 20  # the longest has 30 kB; a megabyte of XML is not an interface
VALUE_SHOWN_MAX = 60        # how much of a wrong value an error message repeats

ATTRIBUTE = re.compile(r"""\s+([^\s=<>/"']+)\s*=\s*("[^"]*"|'[^']*')""", re.DOTALL)
ENTITY = re.compile(r"&([^#;&][^;&]*);")
PREDEFINED = ("amp", "lt", "gt", "quot", "apos")


@dataclass
class Attribute:
    value: str
    position: Position      # of the value


@dataclass
class Element:
    name: str
    position: Position
    attributes: dict[str, Attribute]
    children: list["Element"] = field(default_factory=list)

    def require(self, name):
        """The attribute's value and position. It has to be there and must not be empty."""
        attribute = self.attributes.get(name)
        if attribute is None:
            raise Problem(self.position, f"<{self.name}> has no attribute '{name}'")
        if not attribute.value:
            raise Problem(attribute.position, f"<{self.name}> has an empty '{name}'")
        return attribute

    def allow(self, attributes, children=()):
        """Refuses attributes and children that are not on the lists."""
        for name, attribute in self.attributes.items():
            if name not in attributes:
                raise Problem(attribute.position, f"<{self.name}> has no attribute '{shown(name)}'")
        for child in self.children:
            if child.name not in children:
                raise Problem(child.position, f"<{shown(child.name)}> does not belong in <{self.name}>")


def shown(value):
    """A value as an error message repeats it: on one line, printable and not too long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    return text if len(text) <= VALUE_SHOWN_MAX else text[:VALUE_SHOWN_MAX] + "..."


class _Reader:
    def __init__(self, file, text):
        self.file = file
        self.lines = text.split("\n")
        self.line_starts = [0]
        for line in self.lines:
            self.line_starts.append(self.line_starts[-1] + len(line) + 1)
        self.text = text
        self.stack = []
        self.root = None
        self.parser = expat.ParserCreate(encoding="UTF-8")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.EntityDeclHandler = self.entity
        self.parser.SkippedEntityHandler = self.skipped
        self.parser.ProcessingInstructionHandler = self.instruction

    def position_at(self, line, byte_column):
        """Expat counts columns in bytes."""
        before = self.lines[line - 1].encode()[:byte_column] if line <= len(self.lines) else b""
        return Position(self.file, line, len(before.decode(errors="replace")) + 1)

    def position(self):
        return self.position_at(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber)

    def position_of_offset(self, line, offset):
        while line < len(self.lines) and self.line_starts[line] <= offset:
            line += 1
        return Position(self.file, line, offset - self.line_starts[line - 1] + 1)

    def attribute_positions(self, position):
        """Where the values of the attributes of the tag at position are: expat tells only where the tag is."""
        start = self.line_starts[position.line - 1] + position.column - 1
        positions, at = {}, start
        while not self.text.startswith((">", "/>"), at):
            match = ATTRIBUTE.search(self.text, at)
            if match is None or (match.start() != at and at != start):
                break
            positions[match[1]] = self.position_of_offset(position.line, match.start(2) + 1)
            for entity in ENTITY.finditer(match[2]):
                if entity[1] not in PREDEFINED:     # expat passes over it in a document that refers to a DTD
                    raise Problem(self.position_of_offset(position.line, match.start(2) + entity.start()),
                                  f"undefined entity '{shown(entity[0])}'")
            at = match.end()
            if re.match(r"\s*/?>", self.text[at:at + 100]):
                break
        return positions

    def start(self, name, attributes):
        position = self.position()
        if len(self.stack) >= DEPTH_MAX:
            raise Problem(position, f"elements are nested more than {DEPTH_MAX} deep")
        where = self.attribute_positions(position) if attributes else {}
        element = Element(name, position, {key: Attribute(value, where.get(key, position))
                                           for key, value in attributes.items()})
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.root = element
        self.stack.append(element)

    def end(self, name):
        self.stack.pop()

    def characters(self, data):
        if data.strip():
            before = len(data) - len(data.lstrip())
            position = self.position_at(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + before)
            raise Problem(position, f"text between elements: '{shown(data.strip())}'")

    def entity(self, *declaration):
        raise Problem(self.position(), "a document may not declare entities")

    def skipped(self, name, is_parameter):
        raise Problem(self.position(), f"undefined entity '&{shown(name)};'")

    def instruction(self, target, data):
        raise Problem(self.position(), f"a document may not contain the processing instruction '{shown(target)}'")


def parse(file, data):
    """The root element of the document with these bytes. Raises Problem."""
    if len(data) > DOCUMENT_SIZE_MAX:
        raise Problem(Position(file, 1, 1), f"has {len(data)} bytes, more than {DOCUMENT_SIZE_MAX}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[:error.start].decode("utf-8")
        position = Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise Problem(position, "is not UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader(file, text)
    try:
        reader.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise Problem(reader.position_at(error.lineno, error.offset), expat.errors.messages[error.code]) from None
    return reader.root


def parse_file(path):
    try:
        with open(path, "rb") as file:
            data = file.read(DOCUMENT_SIZE_MAX + 1)
    except OSError as error:
        raise Problem(Position(path, 1, 1), error.strerror) from None
    return parse(path, data)
