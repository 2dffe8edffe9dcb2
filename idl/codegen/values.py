# SPDX-License-Identifier: LGPL-2.1-or-later
"""How values of a type look in C, and the statements that read, append and copy them.

A value is one C variable, except for arrays and dictionaries, which are two: a pointer NAME and a number n_NAME.
"""

from . import names
from .types import FIXED, Array, Basic, Dict, Enum, Record, Struct, Variant, parts

BASIC_C = {
    "y": "uint8_t", "b": "bool", "n": "int16_t", "q": "uint16_t", "i": "int32_t", "u": "uint32_t", "x": "int64_t",
    "t": "uint64_t", "d": "double", "s": "const char *", "o": "const char *", "g": "const char *", "h": "int",
}

STRINGS = frozenset("sog")


def is_string(type_):
    return isinstance(type_, Basic) and type_.code in STRINGS


def is_list(type_):
    """Two variables."""
    return isinstance(type_, (Array, Dict))


def is_aggregate(type_):
    """A struct in C, so that functions take a pointer to it."""
    return isinstance(type_, (Struct, Record, Variant))


def mangled(type_):
    """A type's name as a part of names in C."""
    if isinstance(type_, Basic):
        return type_.code
    if isinstance(type_, Variant):
        return "v"
    if isinstance(type_, Array):
        return "array_" + mangled(type_.element)
    if isinstance(type_, Dict):
        return f"dict_{mangled(type_.key)}_{mangled(type_.value)}"
    return names.snake(type_.name)


class Values:
    """Of one namespace: what the names of C types and their functions begin with."""

    def __init__(self, namespace):
        self.namespace = namespace

    def name(self, type_):
        return f"{self.namespace}_{mangled(type_)}"

    def element(self, type_):
        """The C type of one of several: what an array is an array of."""
        if isinstance(type_, Basic):
            return BASIC_C[type_.code]
        if isinstance(type_, Variant):
            return "struct idl_variant"
        if isinstance(type_, Enum):
            return f"enum {self.name(type_)}"
        return f"struct {self.name(type_)}"

    def items(self, type_):
        """The C type that the elements of an array or dictionary have."""
        if isinstance(type_, Array):
            return self.element(type_.element)
        return f"struct {self.name(type_)}_entry"

    @staticmethod
    def const_pointer(c_type):
        return f"{c_type}const *" if c_type.endswith("*") else f"const {c_type} *"

    @staticmethod
    def declare(c_type, name):
        return f"{c_type}{name}" if c_type.endswith("*") else f"{c_type} {name}"

    def fields(self, type_, name):
        """The declarations of a value that is part of a struct."""
        if is_list(type_):
            return [self.declare(self.const_pointer(self.items(type_)), name), f"size_t n_{name.rstrip('_')}"]
        return [self.declare(self.element(type_), name)]

    def inputs(self, type_, name):
        """The declarations of a value that a function takes."""
        if is_aggregate(type_):
            return [f"const {self.element(type_)} *{name}"]
        return self.fields(type_, name)

    def outputs(self, type_, name):
        """The declarations of a value that a function returns through pointers."""
        if is_list(type_):
            return [f"{self.const_pointer(self.items(type_))}*ret_{name}", f"size_t *ret_n_{name.rstrip('_')}"]
        c_type = self.element(type_)
        return [f"{c_type}*ret_{name}" if c_type.endswith("*") else f"{c_type} *ret_{name}"]

    def arguments(self, type_, name, of=""):
        """A value as a function is given it; of: what it is a field of, with the dot or arrow."""
        if is_list(type_):
            return [f"{of}{name}", f"{of}n_{name.rstrip('_')}"]
        return [f"{'&' if is_aggregate(type_) else ''}{of}{name}"]

    def addresses(self, type_, name, of=""):
        if is_list(type_):
            return [f"&{of}{name}", f"&{of}n_{name.rstrip('_')}"]
        return [f"&{of}{name}"]

    def read(self, type_, targets):
        """An expression that reads a value into the variables at these addresses: 0 or a negative errno."""
        if isinstance(type_, Basic):
            if type_.code == "b":
                return f"idl_read_bool(reader, {targets[0]})"
            return f"sd_bus_message_read_basic(reader->message, '{type_.code}', {targets[0]})"
        if isinstance(type_, Variant):
            return f"idl_variant_read(reader, {targets[0]})"
        if isinstance(type_, Array) and isinstance(type_.element, Basic):
            code = type_.element.code
            if code in FIXED:
                return f"idl_read_fixed_array(reader, '{code}', {FIXED_SIZES[code]}, (const void **) {targets[0]}, {targets[1]})"
            if code in STRINGS:
                return f"idl_read_string_array(reader, '{code}', {targets[0]}, {targets[1]})"
        return f"{self.name(type_)}_read(reader, {', '.join(targets)})"

    def append(self, type_, values, pointers):
        """An expression that appends a value. values: as arguments(); pointers: where a basic value is."""
        if isinstance(type_, Basic):
            if type_.code == "b":
                return f"idl_append_bool(message, {values[0]})"
            where = values[0] if type_.code in STRINGS else pointers[0]
            return f"sd_bus_message_append_basic(message, '{type_.code}', {where})"
        if isinstance(type_, Variant):
            return f"idl_variant_append(message, {values[0]})"
        if isinstance(type_, Array) and isinstance(type_.element, Basic):
            code = type_.element.code
            if code in FIXED:
                return f"sd_bus_message_append_array(message, '{code}', {values[0]}, {values[1]} * {FIXED_SIZES[code]})"
            if code in STRINGS:
                return f"idl_append_string_array(message, '{code}', {values[0]}, {values[1]})"
        return f"{self.name(type_)}_append(message, {', '.join(values)})"

    def needs_functions(self, type_):
        """Whether a type has functions of its own, rather than those of sd-bus and the runtime."""
        if isinstance(type_, (Basic, Variant)):
            return False
        if isinstance(type_, Array) and isinstance(type_.element, Basic):
            return type_.element.code not in FIXED and type_.element.code not in STRINGS
        return True


FIXED_SIZES = {"y": 1, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8}


def in_order(roots):
    """All types that the given ones are made of, each after its parts; equal ones once."""
    seen, ordered = set(), []

    def visit(type_):
        key = mangled(type_)
        if key in seen:
            return
        seen.add(key)
        for part in parts(type_):
            visit(part)
        ordered.append(type_)

    for root in roots:
        visit(root)
    return ordered


def needs_copy(type_):
    """Whether a copy of the C variables is not yet a copy of the value."""
    if isinstance(type_, Basic):
        return type_.code in STRINGS or type_.code == "h"
    if isinstance(type_, Enum):
        return False
    if isinstance(type_, Struct):
        return any(needs_copy(member.type) for member in type_.members)
    if isinstance(type_, Record):
        return any(needs_copy(member.type) for member in type_.members)
    return True


def copy(values, type_, targets, sources):
    """An expression that copies a value. targets: addresses; sources: as arguments()."""
    if isinstance(type_, Basic):
        return f"idl_copy_{'fd' if type_.code == 'h' else 'string'}(arena, {targets[0]}, {sources[0]})"
    if isinstance(type_, Variant):
        return f"idl_variant_copy(arena, {targets[0]}, {sources[0]})"
    if isinstance(type_, Array) and isinstance(type_.element, Basic):
        code = type_.element.code
        if code in FIXED:
            return (f"idl_copy_array(arena, (const void **) {targets[0]}, {targets[1]}, {sources[0]}, {sources[1]}, "
                    f"{FIXED_SIZES[code]})")
        if code in STRINGS:
            return f"idl_copy_string_array(arena, {', '.join(targets)}, {', '.join(sources)})"
    return f"{values.name(type_)}_copy(arena, {', '.join(targets)}, {', '.join(sources)})"
