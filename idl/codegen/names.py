# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names: which are valid on D-Bus, and what they become in C."""

import re

NAME_MAX = 255              # D-Bus Specification, "Valid Names"

MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
INTERFACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+\Z")
ARGUMENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")

C_RESERVED = frozenset("""
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof
    bool true false linux unix errno stdin stdout stderr assert
""".split())


# What gdbus-codegen calls parameters of its own, where it calls arguments by their names.
GDBUS_CODEGEN = frozenset(("object", "invocation", "fd_list"))


def is_member(name):
    """Stricter than D-Bus: members are CamelCase, as the D-Bus API design guidelines ask for."""
    return len(name) <= NAME_MAX and bool(MEMBER.match(name))


def is_interface(name):
    return len(name) <= NAME_MAX and bool(INTERFACE.match(name))


def is_argument(name):
    """Stricter than D-Bus: lower_case, so that an argument has one name on the bus and in C."""
    return len(name) <= NAME_MAX and bool(ARGUMENT.match(name))


def clashes(name):
    """Whether generated code may have another variable of that name: n_NAME goes with an array, has_NAME with a key."""
    return name.startswith(("n_", "has_"))


def snake(name):
    """CamelCase to snake_case. A run of capitals is one word, with its plural: CreateVDI, VDISpec, ListVDIs are create_vdi,
    vdi_spec, list_vdis."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z](?!s(?![a-z]))[a-z])", r"\1_\2", name)
    return name.lower()


def c_name(name):
    """An argument as a C variable: itself, unless C has a word of that name."""
    return name + "_" if name in C_RESERVED else name


def interface_prefix(interface, common):
    """org.xen.xcp.xenopsd1.VM is xenopsd1_vm where org.xen.xcp is common."""
    name = interface.removeprefix(common + ".")
    return "_".join(snake(part) for part in name.split("."))


def parameter_name(name, taken):
    """An argument as a parameter of a generated function that has the names in taken anyway."""
    return name + "_" if name in taken else c_name(name)
