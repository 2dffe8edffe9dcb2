# SPDX-License-Identifier: LGPL-2.1-or-later
"""C for the types: one header and one source for all named types, and for the containers that interfaces use."""

from . import names, text
from .text import INDENT, fill
from .types import Array, Dict, Enum, Record, Struct, Variant
from .types_templates import (
    AGGREGATE_COPY,
    APPEND,
    APPEND_ENTRY,
    COPY_ITEMS,
    ENUM,
    HEADER,
    IF,
    LIST,
    READ_ENTRY,
    READ_ITEM,
    RECORD,
    RECORD_APPEND_MEMBER,
    RECORD_CASE,
    SOURCE,
    STRUCT,
    STRUCT_READ_MEMBER,
)
from .values import Values, copy, in_order, is_list, is_string, mangled, needs_copy


def enumerator(values, enum, member):
    return f"{values.name(enum)}_{names.snake(member.name)}".upper()


def member_name(member):
    return names.c_name(member.name)


def has_flag(member):
    """Whether a key that is absent needs a bool to be told from one that is there."""
    return (not member.required and member.default is None and not is_string(member.type) and not is_list(member.type)
            and not isinstance(member.type, (Enum, Variant)))


def absent(member):
    """What a C programmer has to know about a key that may be absent."""
    if member.required:
        return "required"
    if member.default is not None:
        return f"{member.default_text!r} if absent" if is_string(member.type) else f"{member.default_text} if absent"
    if has_flag(member):
        return ""
    if is_string(member.type):
        return "NULL if absent"
    if isinstance(member.type, Enum):
        return "0 if absent"
    if isinstance(member.type, Variant):
        return "of type 0 if absent"
    return "empty if absent"


def present(member):
    """A C condition under which a key is to be written; none if always."""
    name = f"value->{member_name(member)}"
    if has_flag(member):
        return f"value->has_{member.name}"
    if member.required:
        return ""
    if is_string(member.type) or isinstance(member.type, Enum):
        return name
    if member.default is not None:
        return ""
    return f"value->n_{member.name} > 0" if is_list(member.type) else f"{name}.type != 0"


def default_c(values, member):
    if isinstance(member.type, Enum):
        chosen = next(m for m in member.type.members if m.name == member.default)
        return enumerator(values, member.type, chosen)
    if isinstance(member.default, bool):
        return "true" if member.default else "false"
    if isinstance(member.default, str):
        return text.string(member.default)
    code = member.type.code
    if code == "t":
        return f"UINT64_C({member.default})"
    if code == "x":
        return "INT64_MIN" if member.default == -2**63 else f"INT64_C({member.default})"
    if code == "u":
        return f"{member.default}u"
    return "INT32_MIN" if code == "i" and member.default == -2**31 else str(member.default)


class _Part:
    """What a list has of each: an element, or the key or the value of an entry. of: the variable it is in."""

    def __init__(self, values, type_, name):
        self.values = values
        self.type = type_
        self.name = name

    def addresses(self, of):
        if self.name:
            return self.values.addresses(self.type, self.name, of + ".")
        return [f"&{of}.items", f"&{of}.n_items"] if is_list(self.type) else self.values.addresses(self.type, "", of)

    def arguments(self, of):
        if self.name:
            return self.values.arguments(self.type, self.name, of + ".")
        return [f"{of}.items", f"{of}.n_items"] if is_list(self.type) else self.values.arguments(self.type, "", of)


class _Types:
    def __init__(self, namespace, roots):
        self.values = Values(namespace)
        self.all = in_order(roots)
        self.types = [t for t in self.all if self.values.needs_functions(t)]
        self.nested = {mangled(part) for t in self.all for part in self.lists_as_elements(t)}

    @staticmethod
    def lists_as_elements(type_):
        """The lists in a type that are elements, so that they need a struct of their own."""
        candidates = [type_.element] if isinstance(type_, Array) else [type_.value] if isinstance(type_, Dict) else []
        return [c for c in candidates if is_list(c)]

    # Declarations

    def prototypes(self, t):
        v, name = self.values, self.values.name(t)
        if isinstance(t, Enum):
            return [f"int {name}_read(struct idl_reader *reader, enum {name} *ret)",
                    f"int {name}_append(sd_bus_message *message, enum {name} value)"]
        if isinstance(t, (Struct, Record)):
            return [f"int {name}_read(struct idl_reader *reader, struct {name} *ret)",
                    f"int {name}_append(sd_bus_message *message, const struct {name} *value)",
                    f"int {name}_copy(struct idl_arena *arena, struct {name} *to, const struct {name} *from)"]
        pointer = v.const_pointer(v.items(t))
        return [text.call(f"int {name}_{what}", parameters) for what, parameters in {
            "read": ["struct idl_reader *reader", f"{pointer}*ret_items", "size_t *ret_n"],
            "append": ["sd_bus_message *message", f"{pointer}items", "size_t n"],
            "copy": ["struct idl_arena *arena", f"{pointer}*to", "size_t *to_n", f"{pointer}from", "size_t n"],
        }.items()]

    def declare_enum(self, t):
        name = self.values.name(t)
        lines = [text.comment(t.doc), f"enum {name} {{"]
        for i, member in enumerate(t.members):
            constant = f"{enumerator(self.values, t, member)}{' = 1' if i == 0 else ''},"
            lines += text.with_comment([constant], member.doc, INDENT)
        lines += ["};", ""]
        lines += text.with_comment([f"const char *{name}_to_string(enum {name} value);"],
                                   f"NULL for a number that is no {t.name}")
        return lines + text.with_comment([f"int {name}_from_string(const char *string, enum {name} *ret);"],
                                         "-EINVAL for a string that is none")

    def declare_aggregate(self, t):
        v = self.values
        lines = [text.comment(t.doc), f"struct {v.name(t)} {{"]
        for member in t.members:
            note = absent(member) if isinstance(t, Record) else ""
            fields = [f"{field};" for field in v.fields(member.type, member_name(member))]
            if isinstance(t, Record) and has_flag(member):
                fields.insert(0, f"bool has_{member.name};")
            lines += text.with_comment(fields, f"{member.doc} ({note})" if note else member.doc, INDENT)
        return lines + ["};"]

    def declare_list(self, t):
        v, lines = self.values, []
        if isinstance(t, Dict):
            lines += text.with_comment([f"{v.items(t)} {{"], f"one entry of {t.signature()}")
            lines += [f"{INDENT}{field};" for field in v.fields(t.key, "key") + v.fields(t.value, "value")] + ["};"]
        if mangled(t) in self.nested:
            lines += [f"struct {v.name(t)} {{", f"{INDENT}{v.const_pointer(v.items(t))}items;", f"{INDENT}size_t n_items;", "};"]
        return lines

    def declare(self, t):
        if isinstance(t, Enum):
            return self.declare_enum(t)
        return self.declare_aggregate(t) if isinstance(t, (Struct, Record)) else self.declare_list(t)

    def header(self, sources):
        # Arrays of numbers and strings have no functions, but need a struct where they are elements.
        plain = [t for t in self.all if mangled(t) in self.nested and not self.values.needs_functions(t)]
        functions = ["/* Reading, writing and copying: 0 or more, or a negative errno. A copy belongs to its arena. */"]
        functions += [f"{prototype};" for t in self.types for prototype in self.prototypes(t)]
        return text.document(sources, fill(HEADER), *("\n".join(self.declare(t)) for t in plain + self.types),
                             "\n".join(functions))

    # Definitions

    def define_enum(self, t):
        return fill(ENUM, name=self.values.name(t), first=enumerator(self.values, t, t.members[0]),
                    strings=[f"{text.string(member.name)}," for member in t.members])

    def read(self, member):
        return self.values.read(member.type, self.values.addresses(member.type, member_name(member), "value."))

    def append(self, member):
        where = member.type, member_name(member), "value->"
        return self.values.append(member.type, self.values.arguments(*where), self.values.addresses(*where))

    def define_struct(self, t):
        return fill(STRUCT, name=self.values.name(t), contents=text.string(t.signature()[1:-1]),
                    read_members=[fill(STRUCT_READ_MEMBER, read=self.read(m), member=text.string(m.name)) for m in t.members],
                    append_members=[fill(APPEND, append=self.append(m)) for m in t.members])

    def record_case(self, i, member):
        return fill(RECORD_CASE, number=str(i), key=member.name, read=self.read(member),
                    set_flag=[f"value.has_{member.name} = true;"] if has_flag(member) else [])

    def record_append(self, member):
        body = fill(RECORD_APPEND_MEMBER, key=text.string(member.name), signature=text.string(member.type.signature()),
                    append=self.append(member))
        condition = present(member)
        return fill(IF, condition=condition, body=body) if condition else body

    def define_record(self, t):
        v = self.values
        code = fill(RECORD, name=v.name(t),
                    keys=[f"{{ {text.string(m.name)}, {text.string(m.type.signature())}, {'true' if m.required else 'false'} }},"
                          for m in t.members],
                    defaults=[f".{member_name(m)} = {default_c(v, m)}," for m in t.members if m.default is not None],
                    cases=[self.record_case(i, member) for i, member in enumerate(t.members)],
                    append_members=[self.record_append(member) for member in t.members])
        return code.replace(f" = {{\n{INDENT}}};", " = {};")

    def copy_member(self, t, member):
        v, name = self.values, member_name(member)
        expression = copy(v, member.type, v.addresses(member.type, name, "value."), v.arguments(member.type, name, "from->"))
        body = fill(APPEND, append=expression)
        if isinstance(t, Record) and has_flag(member):
            return fill(IF, condition=f"from->has_{member.name}", body=body)
        return body

    def define_copy(self, t):
        members = [member for member in t.members if needs_copy(member.type)]
        return fill(AGGREGATE_COPY, name=self.values.name(t), declare_r=["int r;"] if members else [],
                    copy_members=[self.copy_member(t, member) for member in members])

    def define_list(self, t):
        v = self.values
        read, append, copy_ = self.prototypes(t)
        if isinstance(t, Array):
            parts = [_Part(v, t.element, "")]
        else:
            parts = [_Part(v, t.key, "key"), _Part(v, t.value, "value")]
        reads = [fill(READ_ITEM, read=v.read(part.type, part.addresses("items[n]"))) for part in parts]
        appends = [fill(APPEND, append=v.append(part.type, part.arguments("items[i]"), part.addresses("items[i]")))
                   for part in parts]
        copies = [fill(APPEND, append=copy(v, part.type, part.addresses("copies[i]"), part.arguments("from[i]")))
                  for part in parts if needs_copy(part.type)]
        if isinstance(t, Dict):
            contents = text.string(t.signature()[2:-1])
            reads = [fill(READ_ENTRY, contents=contents, read_parts=reads)]
            appends = [fill(APPEND_ENTRY, contents=contents, append_parts=appends)]
        return fill(LIST, prototype_read=read, prototype_append=append, prototype_copy=copy_, item=v.items(t).rstrip(),
                    contents=text.string(t.signature()[1:]), read_item=reads, append_item=appends,
                    declare_r=["int r;"] if copies else [], copy_items=[fill(COPY_ITEMS, copy_parts=copies)] if copies else [])

    def define(self, t):
        if isinstance(t, Enum):
            return self.define_enum(t)
        if isinstance(t, Struct):
            return self.define_struct(t) + "\n\n" + self.define_copy(t)
        if isinstance(t, Record):
            return self.define_record(t) + "\n\n" + self.define_copy(t)
        return self.define_list(t)

    def source(self, sources, file):
        return text.document(sources, fill(SOURCE, file=file), *(self.define(t) for t in self.types))


def used_types(model):
    """All types that there have to be functions for."""
    used = list(model.types.values())
    for interface in model.interfaces:
        for method in interface.methods:
            used += [argument.type for argument in method.inputs + method.outputs]
        for signal in interface.signals:
            used += [argument.type for argument in signal.arguments]
        used += [property_.type for property_ in interface.properties]
    return used


def generate(model, namespace, sources):
    """The text of NAMESPACE-types.h and NAMESPACE-types.c, by name."""
    types = _Types(namespace, used_types(model))
    file = f"{namespace}-types"
    return {f"{file}.h": types.header(sources), f"{file}.c": types.source(sources, file)}
