# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads `<types>`: the named types that interfaces share."""

import re

from . import names, types
from .problem import Position, Problem
from .xml_reader import shown

KEYS_MAX = 64               # as many as the runtime counts, IDL_KEYS_MAX

INTEGER_RANGES = {
    "y": (0, 2**8 - 1), "n": (-2**15, 2**15 - 1), "q": (0, 2**16 - 1), "i": (-2**31, 2**31 - 1), "u": (0, 2**32 - 1),
    "x": (-2**63, 2**63 - 1), "t": (0, 2**64 - 1),
}


def _within(position, offset):
    return Position(position.file, position.line, position.column + offset)


def read_expression(attribute, named):
    """The type that an attribute with a type expression means."""
    try:
        return types.parse_expression(attribute.value, named)
    except types.BadType as bad:
        raise Problem(_within(attribute.position, bad.offset), f"type '{shown(attribute.value)}' {bad.message}") from None


def check_structs_named(type_, attribute):
    if types.contains(type_, lambda part: isinstance(part, types.AnonymousStruct)):
        raise Problem(attribute.position, f"type '{shown(attribute.value)}' has a structure without a name; "
                                          "name it in a types document and write [Name]")


def read_default(attribute, type_):
    """The value of a key's default, as Python has it."""
    text = attribute.value
    code = type_.code if isinstance(type_, types.Basic) else None
    if isinstance(type_, types.Enum):
        if text in (member.name for member in type_.members):
            return text
    elif code in INTEGER_RANGES:
        low, high = INTEGER_RANGES[code]
        if re.fullmatch(r"-?[0-9]{1,20}", text) and low <= int(text) <= high:
            return int(text)
    elif code == "b":
        if text in ("true", "false"):
            return text == "true"
    elif code == "d":
        if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
            return float(text)
    elif code == "s":
        return text
    else:
        raise Problem(attribute.position, f"a key of type '{type_.signature()}' cannot have a default")
    raise Problem(attribute.position, f"'{shown(text)}' is not a value of the key's type")


def _read_member_name(element, seen, valid, what):
    attribute = element.require("name")
    if not valid(attribute.value):
        raise Problem(attribute.position, f"'{shown(attribute.value)}' is not {what}")
    if names.clashes(attribute.value):
        raise Problem(attribute.position, f"'{attribute.value}' cannot be a name: generated code begins names of its own so")
    if attribute.value in seen:
        raise Problem(attribute.position, f"'{attribute.value}' is there twice; the first is on line "
                                          f"{seen[attribute.value].line}")
    seen[attribute.value] = attribute.position
    return attribute.value


def _read_enum(element, enum):
    element.allow(("name", "doc"), ("value",))
    seen = {}
    for child in element.children:
        child.allow(("name", "doc"))
        name = _read_member_name(child, seen, names.is_member, "a CamelCase name")
        enum.members.append(types.Member(name, None, child.require("doc").value))


def _read_struct(element, struct, named):
    element.allow(("name", "doc"), ("field",))
    seen = {}
    for child in element.children:
        child.allow(("name", "type", "doc"))
        name = _read_member_name(child, seen, names.is_argument, "a lower_case name")
        type_ = read_expression(child.require("type"), named)
        check_structs_named(type_, child.attributes["type"])
        struct.members.append(types.Member(name, type_, child.require("doc").value))


def _read_record(element, record, named):
    element.allow(("name", "doc"), ("key",))
    seen = {}
    for child in element.children:
        child.allow(("name", "type", "required", "default", "doc"))
        name = _read_member_name(child, seen, names.is_argument, "a lower_case name")
        type_ = read_expression(child.require("type"), named)
        check_structs_named(type_, child.attributes["type"])
        required = child.attributes.get("required")
        if required is not None and required.value not in ("true", "false"):
            raise Problem(required.position, f"'required' is true or false, not '{shown(required.value)}'")
        member = types.Member(name, type_, child.require("doc").value, required=bool(required) and required.value == "true")
        default = child.attributes.get("default")
        if default is not None:
            if member.required:
                raise Problem(default.position, "a required key cannot have a default")
            member.default = read_default(default, type_)
            member.default_text = default.value
        record.members.append(member)
    if len(record.members) > KEYS_MAX:
        raise Problem(element.children[KEYS_MAX].position, f"a record has at most {KEYS_MAX} keys")


KINDS = {"enum": types.Enum, "struct": types.Struct, "record": types.Record}


def read(root, model):
    """Adds the types of a document to the model. A type is defined before it is used, so there can be no circle."""
    root.allow((), KINDS)
    for element in root.children:
        attribute = element.require("name")
        name = attribute.value
        if not names.is_member(name):
            raise Problem(attribute.position, f"'{shown(name)}' is not a CamelCase name")
        if name in model.types:
            raise Problem(attribute.position, f"the type '{name}' is there twice; the first is at {model.types[name].position}")
        for other in model.types:
            if names.snake(other) == names.snake(name):
                raise Problem(attribute.position, f"the types '{name}' and '{other}' are both {names.snake(name)} in C")
        type_ = KINDS[element.name](name, element.require("doc").value, element.position)
        if element.name == "enum":
            _read_enum(element, type_)
        elif element.name == "struct":
            _read_struct(element, type_, model.types)
        else:
            _read_record(element, type_, model.types)
        if not type_.members:
            raise Problem(element.position, f"the type '{name}' has nothing in it")
        model.types[name] = type_
