# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads `<node>`: D-Bus introspection XML with interfaces, and the annotations that idl/README.md explains."""

from . import names, types
from .model import ACCESS_LEVELS, EMITS_CHANGED, Argument, Interface, Method, Property, Signal
from .problem import Position, Problem
from .types_document import check_structs_named, read_expression
from .xml_reader import shown

DOC = "org.gtk.GDBus.DocString"
DEPRECATED = "org.freedesktop.DBus.Deprecated"
NO_REPLY = "org.freedesktop.DBus.Method.NoReply"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
PRIVILEGED = "org.freedesktop.systemd1.Privileged"
EXPLICIT = "org.freedesktop.systemd1.Explicit"
TYPE = "org.xen.xcp.Type"
ERRORS = "org.xen.xcp.Errors"
ACCESS = "org.xen.xcp.Access"
TASK_RESULT = "org.xen.xcp.TaskResult"

# What may be said about what. Of other people's annotations, those below ours and the standard ones are passed over.
KNOWN = {
    "interface": (DOC, DEPRECATED, ACCESS),
    "method": (DOC, DEPRECATED, NO_REPLY, PRIVILEGED, ERRORS, ACCESS, TASK_RESULT),
    "signal": (DOC, DEPRECATED),
    "property": (DOC, DEPRECATED, EMITS, PRIVILEGED, EXPLICIT, TYPE, ERRORS, ACCESS),
    "arg": (DOC, TYPE),
}
STRICT_PREFIXES = ("org.xen.xcp.", "org.freedesktop.DBus.", "org.freedesktop.systemd1.")

CLASHES = {"method": "the method", "signal": "the signal", "property": "the property"}


class _Annotations:
    """The annotations of one element."""

    def __init__(self, element):
        self.element = element
        self.values = {}
        for child in element.children:
            if child.name != "annotation":
                continue
            child.allow(("name", "value"))
            name, value = child.require("name"), child.attributes.get("value")
            if value is None:
                raise Problem(child.position, "<annotation> has no attribute 'value'")
            if name.value in self.values:
                raise Problem(name.position, f"the annotation '{shown(name.value)}' is there twice")
            if name.value.startswith(STRICT_PREFIXES) and name.value not in KNOWN[element.name]:
                known = any(name.value in allowed for allowed in KNOWN.values())
                raise Problem(name.position, f"the annotation '{shown(name.value)}' " +
                              (f"does not belong on <{element.name}>" if known else "is unknown"))
            self.values[name.value] = value

    def doc(self):
        value = self.values.get(DOC)
        if value is None or not value.value.strip():
            name = self.element.attributes.get("name")
            which = f" '{shown(name.value)}'" if name else ""
            raise Problem(self.element.position, f"<{self.element.name}>{which} has no docstring (annotation {DOC})")
        return " ".join(value.value.split())

    def flag(self, name):
        return self.one_of(name, ("true", "false"), "false") == "true"

    def one_of(self, name, values, default):
        value = self.values.get(name)
        if value is None:
            return default
        if value.value not in values:
            raise Problem(value.position, f"the annotation '{name}' has the value '{shown(value.value)}', "
                                          f"which is not one of {', '.join(values)}")
        return value.value

    def errors(self, model):
        value = self.values.get(ERRORS)
        if value is None:
            return []
        found = value.value.split()
        for error in found:
            if error not in model.errors:
                raise Problem(value.position, f"names the unknown error '{shown(error)}'")
            if found.count(error) > 1:
                raise Problem(value.position, f"names the error '{error}' twice")
        return found


def _member_name(element, what):
    name = element.require("name")
    if not names.is_member(name.value):
        raise Problem(name.position, f"{what} has the name '{shown(name.value)}', which is not CamelCase")
    return name.value


def _read_type(element, annotations, model):
    """The type of an argument or property: its attribute says it to D-Bus, the annotation to us, and both agree."""
    attribute = element.require("type")
    try:
        plain = types.parse_signature(attribute.value)
    except types.BadType as bad:
        position = attribute.position
        raise Problem(Position(position.file, position.line, position.column + bad.offset),
                      f"type '{shown(attribute.value)}' {bad.message}") from None
    annotation = annotations.values.get(TYPE)
    if annotation is None:
        check_structs_named(plain, attribute)
        return plain
    type_ = read_expression(annotation, model.types)
    check_structs_named(type_, annotation)
    if type_.signature() != attribute.value:
        raise Problem(annotation.position, f"'{shown(annotation.value)}' is '{type_.signature()}' on the bus, "
                                           f"but the type is '{shown(attribute.value)}'")
    return type_


def _has_descriptor(type_):
    return types.contains(type_, lambda part: isinstance(part, types.Basic) and part.code == "h")


def _read_argument(element, model, seen):
    element.allow(("name", "type", "direction"), ("annotation",))
    annotations = _Annotations(element)
    name = element.require("name")
    if not names.is_argument(name.value):
        raise Problem(name.position, f"an argument has the name '{shown(name.value)}', which is not lower_case")
    if names.clashes(name.value):
        raise Problem(name.position, f"an argument cannot be called '{name.value}': generated code begins names of its own so")
    if name.value in names.GDBUS_CODEGEN:
        raise Problem(name.position, f"an argument cannot be called '{name.value}': gdbus-codegen calls something else so")
    if name.value in seen:
        raise Problem(name.position, f"the argument '{name.value}' is there twice")
    seen.add(name.value)
    return Argument(name.value, _read_type(element, annotations, model), annotations.doc(), element.position)


def _check_signature_length(element, arguments):
    length = sum(len(argument.type.signature()) for argument in arguments)
    if length > types.SIGNATURE_MAX:
        raise Problem(element.position, f"the arguments' signature has {length} characters, more than {types.SIGNATURE_MAX}")


def _read_method(element, model, access):
    element.allow(("name",), ("arg", "annotation"))
    annotations = _Annotations(element)
    method = Method(_member_name(element, "a method"), annotations.doc(), element.position, [], [],
                    annotations.errors(model), annotations.one_of(ACCESS, ACCESS_LEVELS, access),
                    deprecated=annotations.flag(DEPRECATED), no_reply=annotations.flag(NO_REPLY),
                    privileged=annotations.flag(PRIVILEGED))
    seen = set()
    for child in element.children:
        if child.name == "annotation":
            continue
        direction = child.require("direction")
        if direction.value not in ("in", "out"):
            raise Problem(direction.position, f"a direction is in or out, not '{shown(direction.value)}'")
        argument = _read_argument(child, model, seen)
        (method.inputs if direction.value == "in" else method.outputs).append(argument)
    _check_signature_length(element, method.inputs)
    _check_signature_length(element, method.outputs)
    if method.no_reply and (method.outputs or method.errors):
        raise Problem(element.position, f"the method '{method.name}' has no reply, but something to say in it")
    result = annotations.values.get(TASK_RESULT)
    if result is not None:
        method.result = model.types.get(result.value)
        if not isinstance(method.result, types.Record):
            raise Problem(result.position, f"'{shown(result.value)}' is not a record of the types documents")
        if [argument.type.signature() for argument in method.outputs] != ["o"]:
            raise Problem(result.position, f"the method '{method.name}' returns something other than one task")
    return method


def _read_signal(element, model):
    element.allow(("name",), ("arg", "annotation"))
    annotations = _Annotations(element)
    signal = Signal(_member_name(element, "a signal"), annotations.doc(), element.position, [],
                    deprecated=annotations.flag(DEPRECATED))
    seen = set()
    for child in element.children:
        if child.name == "annotation":
            continue
        direction = child.attributes.get("direction")
        if direction is not None and direction.value != "out":
            raise Problem(direction.position, f"an argument of a signal goes out, not '{shown(direction.value)}'")
        argument = _read_argument(child, model, seen)
        if _has_descriptor(argument.type):
            raise Problem(argument.position, "a signal cannot carry descriptors: everybody would get a copy")
        signal.arguments.append(argument)
    _check_signature_length(element, signal.arguments)
    return signal


def _read_property(element, model, access):
    element.allow(("name", "type", "access"), ("annotation",))
    annotations = _Annotations(element)
    direction = element.require("access")
    if direction.value == "write":
        raise Problem(direction.position, "a property that can only be written is a method")
    if direction.value not in ("read", "readwrite"):
        raise Problem(direction.position, f"the access of a property is read or readwrite, not '{shown(direction.value)}'")
    property_ = Property(_member_name(element, "a property"), _read_type(element, annotations, model), annotations.doc(),
                         element.position, readable=True, writable=direction.value == "readwrite",
                         emits_changed=annotations.one_of(EMITS, EMITS_CHANGED, "true"),
                         access=annotations.one_of(ACCESS, ACCESS_LEVELS, access), errors=annotations.errors(model),
                         deprecated=annotations.flag(DEPRECATED), privileged=annotations.flag(PRIVILEGED),
                         explicit=annotations.flag(EXPLICIT))
    if property_.writable and property_.emits_changed == "const":
        raise Problem(direction.position, f"the property '{property_.name}' is const and can be written")
    if not property_.writable and (property_.privileged or property_.errors or ACCESS in annotations.values):
        raise Problem(element.position, f"the property '{property_.name}' can be read by everybody; privileges and errors are "
                                        "of properties that can be written")
    if property_.explicit and property_.emits_changed == "true":
        raise Problem(element.position, f"the property '{property_.name}' is to be asked for explicitly, "
                                        "and sent with every change")
    if _has_descriptor(property_.type):
        raise Problem(element.position, "a property cannot be a descriptor; return it from a method")
    return property_


def handler_fields(member):
    """The names that a member has in C: fields of its interface's handlers."""
    name = names.snake(member.name)
    if isinstance(member, Method):
        return [name]
    if isinstance(member, Property):
        return [f"get_{name}"] + ([f"set_{name}"] if member.writable else [])
    return [f"emit_{name}"]


def _read_interface(element, model):
    element.allow(("name",), ("method", "signal", "property", "annotation"))
    name = element.require("name")
    if not names.is_interface(name.value):
        raise Problem(name.position, f"'{shown(name.value)}' is not the name of an interface")
    for other in model.interfaces:
        if other.name == name.value:
            raise Problem(name.position, f"the interface '{name.value}' is there twice; the first is at {other.position}")
    annotations = _Annotations(element)
    access = annotations.one_of(ACCESS, ACCESS_LEVELS, "administer")
    interface = Interface(name.value, annotations.doc(), element.position, deprecated=annotations.flag(DEPRECATED))
    members, c_names = {}, {}
    for child in element.children:
        if child.name == "annotation":
            continue
        if child.name == "method":
            member = _read_method(child, model, access)
            interface.methods.append(member)
        elif child.name == "signal":
            member = _read_signal(child, model)
            interface.signals.append(member)
        else:
            member = _read_property(child, model, access)
            interface.properties.append(member)
        where = child.attributes["name"].position
        if member.name in members:
            raise Problem(where, f"{CLASHES[child.name]} '{member.name}' is the second member of that name; "
                                 f"the first is on line {members[member.name].position.line}")
        members[member.name] = member
        for c_name in handler_fields(member):
            if c_name in c_names:
                raise Problem(where, f"{CLASHES[child.name]} '{member.name}' and '{c_names[c_name].name}' are both "
                                     f"{c_name} in C")
            c_names[c_name] = member
    if sum(property_.announced for property_ in interface.properties) > 31:
        raise Problem(element.position, "an interface has at most 31 properties that announce their changes")
    model.interfaces.append(interface)


def read(root, model):
    root.allow(("name",), ("interface",))
    if not root.children:
        raise Problem(root.position, "<node> has no interface")
    for element in root.children:
        _read_interface(element, model)
