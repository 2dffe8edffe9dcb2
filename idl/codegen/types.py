# SPDX-License-Identifier: LGPL-2.1-or-later
"""Types: D-Bus signatures, and the type expressions that put names into them.

A type expression is a signature in which a name in brackets stands for a type of a types document: with
`<enum name="State">` and `<struct name="Address">` of fields s and u, `[State]` is an s and `a{s[Address]}` an `a{s(su)}`.
"""

from dataclasses import dataclass, field

SIGNATURE_MAX = 255         # D-Bus Specification, "Valid Signatures"
ARRAY_DEPTH_MAX = 32        # the same
STRUCT_DEPTH_MAX = 32

BASIC = {
    "y": "byte", "b": "boolean", "n": "int16", "q": "uint16", "i": "int32", "u": "uint32", "x": "int64", "t": "uint64",
    "d": "double", "s": "string", "o": "object path", "g": "signature", "h": "file descriptor",
}

FIXED = frozenset("ynqiuxtd")   # an array of these is a block of memory on both sides (b is not: 4 bytes there, 1 here)


class BadType(Exception):
    """A signature or type expression that is not one. offset is where in the text."""

    def __init__(self, offset, message):
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True)
class Basic:
    code: str

    def signature(self):
        return self.code


@dataclass(frozen=True)
class Variant:
    def signature(self):
        return "v"


@dataclass(frozen=True)
class Array:
    element: object

    def signature(self):
        return "a" + self.element.signature()


@dataclass(frozen=True)
class Dict:
    key: object
    value: object

    def signature(self):
        return f"a{{{self.key.signature()}{self.value.signature()}}}"


@dataclass(frozen=True)
class AnonymousStruct:
    """As in a signature. Not usable in an interface: its members have no names."""

    members: tuple

    def signature(self):
        return "(" + "".join(member.signature() for member in self.members) + ")"


@dataclass
class Member:
    """A field of a struct, a key of a record, or a value of an enum (which has no type)."""

    name: str
    type: object
    doc: str
    required: bool = True
    default: object = None      # of a key: the value, or None
    default_text: str = ""


@dataclass(eq=False)
class Named:
    name: str
    doc: str
    position: object
    members: list[Member] = field(default_factory=list)


@dataclass(eq=False)
class Enum(Named):
    """A string out of a list."""

    def signature(self):
        return "s"


@dataclass(eq=False)
class Struct(Named):
    def signature(self):
        return "(" + "".join(member.type.signature() for member in self.members) + ")"


@dataclass(eq=False)
class Record(Named):
    """A dictionary a{sv} whose keys are known, each with a type of its own."""

    def signature(self):
        return "a{sv}"


class _Parser:
    def __init__(self, text, named, names_allowed):
        self.text = text
        self.named = named
        self.names_allowed = names_allowed
        self.at = 0

    def complete_type(self, arrays=0, structs=0):
        if self.at >= len(self.text):
            raise BadType(self.at, "ends where a type has to be")
        start, code = self.at, self.text[self.at]
        self.at += 1
        if code in BASIC:
            return Basic(code)
        if code == "v":
            return Variant()
        if code == "a":
            if arrays + 1 > ARRAY_DEPTH_MAX:
                raise BadType(start, f"has arrays nested more than {ARRAY_DEPTH_MAX} deep")
            if self.text.startswith("{", self.at):
                return self.dict(arrays + 1, structs)
            return Array(self.complete_type(arrays + 1, structs))
        if code == "(":
            if structs + 1 > STRUCT_DEPTH_MAX:
                raise BadType(start, f"has structures nested more than {STRUCT_DEPTH_MAX} deep")
            return self.struct(start, arrays, structs + 1)
        if code == "[" and self.names_allowed:
            return self.name(start)
        if code == "{":
            raise BadType(start, "has a dictionary entry outside of an array")
        raise BadType(start, f"has the unknown type '{code if code.isprintable() else repr(code)}'")

    def dict(self, arrays, structs):
        start = self.at
        self.at += 1
        if structs + 1 > STRUCT_DEPTH_MAX:
            raise BadType(start, f"has structures nested more than {STRUCT_DEPTH_MAX} deep")
        key_at = self.at
        key = self.complete_type(arrays, structs + 1)
        if not isinstance(key, (Basic, Enum)):
            raise BadType(key_at, "has a dictionary whose key is not a basic type")
        value = self.complete_type(arrays, structs + 1)
        self.expect("}", start, "a dictionary entry")
        return Dict(key, value)

    def struct(self, start, arrays, structs):
        members = []
        while self.at < len(self.text) and self.text[self.at] != ")":
            members.append(self.complete_type(arrays, structs))
        self.expect(")", start, "a structure")
        if not members:
            raise BadType(start, "has an empty structure")
        return AnonymousStruct(tuple(members))

    def expect(self, code, start, what):
        if not self.text.startswith(code, self.at):
            raise BadType(start, f"has {what} that does not end with '{code}'")
        self.at += 1

    def name(self, start):
        end = self.text.find("]", self.at)
        if end < 0:
            raise BadType(start, "has a '[' without a ']'")
        name = self.text[self.at:end]
        self.at = end + 1
        if name not in self.named:
            raise BadType(start, f"names the unknown type '{name}'")
        return self.named[name]


def _parse(text, named, names_allowed):
    if len(text) > SIGNATURE_MAX:
        raise BadType(0, f"has {len(text)} characters, more than {SIGNATURE_MAX}")
    parser = _Parser(text, named, names_allowed)
    result = parser.complete_type()
    if parser.at != len(text):
        raise BadType(parser.at, "has more than one type")
    return result


def parse_signature(text):
    """The one complete type that this is the signature of."""
    return _parse(text, {}, False)


def parse_expression(text, named):
    """The type of a type expression. named: types by name."""
    return _parse(text, named, True)


def parts(type_):
    """The types that a type directly consists of."""
    if isinstance(type_, Array):
        return [type_.element]
    if isinstance(type_, Dict):
        return [type_.key, type_.value]
    if isinstance(type_, AnonymousStruct):
        return list(type_.members)
    if isinstance(type_, (Struct, Record)):
        return [member.type for member in type_.members]
    return []


def contains(type_, predicate):
    return predicate(type_) or any(contains(part, predicate) for part in parts(type_))
