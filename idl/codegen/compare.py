# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether what a running object introspects is what the IDL says.

Both are brought into one form, a list of lines, that leaves out what introspection data need not have: docstrings,
annotations of ours, values that are the default, and the order of members.
"""

import difflib

from .interface_document import DEPRECATED, EMITS, EXPLICIT, NO_REPLY, PRIVILEGED
from .problem import Problem

PREFIX = "org.xen.xcp."

DEFAULTS = {DEPRECATED: "false", NO_REPLY: "false", PRIVILEGED: "false", EXPLICIT: "false", EMITS: "true"}


def _value(element, name, default=""):
    attribute = element.attributes.get(name)
    return attribute.value if attribute else default


def _annotations(element):
    found = []
    for child in element.children:
        if child.name == "annotation":
            name, value = _value(child, "name"), _value(child, "value")
            if name in DEFAULTS and value != DEFAULTS[name]:
                found.append(f" {{{name.rsplit('.', 1)[1]}={value}}}")
    return "".join(sorted(found))


def _arguments(element, direction, default):
    arguments = [child for child in element.children
                 if child.name == "arg" and _value(child, "direction", default) == direction]
    return "(" + ", ".join(f"{_value(argument, 'type')} {_value(argument, 'name', '?')}" for argument in arguments) + ")"


def _member(element):
    name, notes = _value(element, "name"), _annotations(element)
    if element.name == "method":
        return f"method {name}{_arguments(element, 'in', 'in')} -> {_arguments(element, 'out', 'in')}{notes}"
    if element.name == "signal":
        return f"signal {name}{_arguments(element, 'out', 'out')}{notes}"
    return f"property {_value(element, 'access')} {_value(element, 'type')} {name}{notes}"


def canonical(interface):
    """The lines that say what an <interface> element says."""
    members = [_member(child) for child in interface.children if child.name in ("method", "signal", "property")]
    return [f"interface {_value(interface, 'name')}{_annotations(interface)}"] + sorted(f"  {member}" for member in members)


def interfaces(root):
    """The <interface> elements of a document, by name."""
    if root.name != "node":
        raise Problem(root.position, f"this is <{root.name}>, not introspection data")
    return {_value(child, "name"): child for child in root.children if child.name == "interface"}


def differences(idl_roots, introspected, expected=()):
    """Lines that say what differs; none if nothing does.

    Every interface that both have is compared. One of ours that the IDL does not have is a difference, and so is one that was
    expected and is not there.
    """
    idl = {}
    for root in idl_roots:
        if root.name == "node":
            idl.update(interfaces(root))
    found = interfaces(introspected)

    lines = []
    for name in expected:
        if name not in idl:
            lines.append(f"{name}: is expected, but not in the IDL")
        if name not in found:
            lines.append(f"{name}: is expected, but the object does not have it")
    for name, element in found.items():
        if name in idl:
            lines += difflib.unified_diff(canonical(idl[name]), canonical(element), f"idl: {name}", f"object: {name}",
                                          lineterm="")
        elif name.startswith(PREFIX):
            lines.append(f"{name}: the object has it, but the IDL does not")
    return lines
