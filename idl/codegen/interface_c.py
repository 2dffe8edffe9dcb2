# SPDX-License-Identifier: LGPL-2.1-or-later
"""C for an interface: what a service implements, and what it answers and announces with."""

from . import names, text
from .text import INDENT, fill
from .types import Basic
from .values import Values, is_aggregate, is_list

PREFIX = "org.xen.xcp"

# What generated functions call their own parameters and variables.
IN_HANDLER = frozenset(("object", "call", "error"))
IN_REPLY = frozenset(("call", "message", "r"))
IN_EMIT = frozenset(("bus", "path", "message", "r"))

HEADER = """
    #pragma once

    @about@

    #include <stdbool.h>
    #include <stddef.h>
    #include <stdint.h>

    #include <systemd/sd-bus.h>

    #include "idl.h"
    #include "@namespace@-types.h"

    #define @UPPER@_INTERFACE "@interface@"
    """

HANDLERS = """
    /*
     * What a service implements.
     *
     * object is what the interface was exported for, or what find found.
     *
     * A method returns 0 after an answer, or 0 with a reference to the call to answer it later, or a negative errno, with
     * error set or not: see call.h. A method that is NULL is answered NotSupported.
     *
     * A getter returns 0 or a negative errno. What it returns belongs to the object or is in the arena, so that it is still valid
     * when it is sent. All getters and setters have to be there.
     */
    struct @prefix@_handlers {
            @members@
    };
    """

METHOD_MEMBER = """
    @doc@
    @declaration@
    """

PROPERTIES = """
    /* Properties whose changes are announced. Those that change together are announced together. */
    enum @prefix@_property {
            @constants@
    };

    /* properties: @UPPER@_PROPERTY_..., one or several combined with |. */
    int @prefix@_emit_changed(sd_bus *bus, const char *path, unsigned properties);
    """

METHODS = """
    /* How much each method is used: see interface.h. */
    enum {
            @indexes@
    };

    static struct idl_method idl_methods[] = {
            @methods@
    };
    """

DISPATCH = """
    static int dispatch_@name@(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
            __attribute__((cleanup(idl_call_unrefp))) struct idl_call *call = NULL;
            __attribute__((cleanup(idl_error_done))) struct idl_error error = IDL_ERROR_NULL;
            const struct @prefix@_handlers *handlers;
            @locals@
            void *object;
            int r;

            handlers = idl_export_current(sd_bus_message_get_bus(message), userdata, &object);
            r = idl_call_new(&call, message, &idl_methods[METHOD_@NAME@]);
            if (r < 0)
                    return r;
            if (!handlers->@field@)
                    return idl_call_unsupported(call);

            @read_inputs@
            @handle@
            return @handled@(call, r, &error);
    }
    """

READ_INPUT = """
    r = @read@;
    if (r < 0)
            return idl_call_refuse(call, idl_reader_at(reader, r, @argument@));
    """

APPEND = """
    r = @append@;
    if (r < 0)
            return r;
    """

REPLY = """
    @prototype@ {
            __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *message = NULL;
            int r;

            r = idl_call_reply_new(call, &message);
            if (r < 0)
                    return r;
            @append_outputs@
            return idl_call_reply_send(call, message);
    }
    """

EMIT = """
    @prototype@ {
            __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *message = NULL;
            int r;

            r = sd_bus_message_new_signal(bus, &message, path, @UPPER@_INTERFACE, "@signal@");
            if (r < 0)
                    return r;
            @append_arguments@
            r = sd_bus_message_send(message);
            return r < 0 ? r : 0;
    }
    """

EMIT_CHANGED = """
    int @prefix@_emit_changed(sd_bus *bus, const char *path, unsigned properties) {
            static const char *const names[] = {
                    @names@
            };

            return idl_emit_changed(bus, path, @UPPER@_INTERFACE, names, @count@, properties);
    }
    """

GETTER = """
    static int get_@name@(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *message,
                          void *userdata, sd_bus_error *ret_error) {
            __attribute__((cleanup(idl_arena_done))) struct idl_arena arena = IDL_ARENA_NULL;
            const struct @prefix@_handlers *handlers;
            @locals@
            void *object;
            int r;

            handlers = idl_export_current(bus, userdata, &object);
            r = handlers->get_@name@(object, &arena, @addresses@);
            if (r >= 0)
                    r = @append@;
            if (r < 0)
                    return idl_property_failed(r, property, NULL, ret_error);
            return 1;
    }
    """

SETTER = """
    static int set_@name@(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *message,
                          void *userdata, sd_bus_error *ret_error) {
            __attribute__((cleanup(idl_arena_done))) struct idl_arena arena = IDL_ARENA_NULL;
            __attribute__((cleanup(idl_error_done))) struct idl_error error = IDL_ERROR_NULL;
            struct idl_reader value_reader, *reader = &value_reader;
            const struct @prefix@_handlers *handlers;
            @locals@
            void *object;
            int r;

            handlers = idl_export_current(bus, userdata, &object);
            idl_reader_init(reader, message, &arena);
            r = @read@;
            if (r < 0)
                    r = idl_error_set_refused(&error, reader, idl_reader_at(reader, r, property));
            else
                    r = handlers->set_@name@(object, @arguments@, &error);
            if (r < 0)
                    return idl_property_failed(r, property, &error, ret_error);
            @announce@
            return 1;
    }
    """

ANNOUNCE = """
    if (r > 0)
            @prefix@_emit_changed(bus, path, @UPPER@_PROPERTY_@NAME@);
    """

VTABLE = """
    static const sd_bus_vtable vtable[] = {
            SD_BUS_VTABLE_START(@flags@),
            @members@
            SD_BUS_VTABLE_END,
    };
    """

INTERFACE = """
    static struct idl_interface idl_description = {
            .name = @UPPER@_INTERFACE,
            .vtable = vtable,
            @methods@
    };
    """

CHECK_HANDLERS = """
    static void check_handlers(const struct @prefix@_handlers *handlers) {
            @checks@
    }
    """

EXPORT = """
    @prototype@ {
            @check@
            return idl_export(bus, ret_slot, path, &idl_description, handlers, object);
    }

    @prototype_tree@ {
            @check@
            return idl_export_tree(bus, ret_slot, prefix, &idl_description, handlers, find, userdata);
    }
    """

ANNOUNCED_HOW = {"true": "announces changes", "invalidates": "announces that it changed, without the value",
                 "const": "never changes", "false": "does not announce changes"}

EMITS_FLAGS = {"true": ["SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE"], "invalidates": ["SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION"],
               "const": ["SD_BUS_VTABLE_PROPERTY_CONST"], "false": []}


def _signature(arguments):
    return "".join(argument.type.signature() for argument in arguments)


def _shown(arguments):
    return "(" + ", ".join(f"{argument.type.signature()} {argument.name}" for argument in arguments) + ")"


def _flags(member, *more):
    flags = ["SD_BUS_VTABLE_DEPRECATED"] if member.deprecated else []
    return " | ".join(flags + [flag for flag in more if flag]) or "0"


def _parameters(arguments):
    return " ".join(f"SD_BUS_PARAM({argument.name})" for argument in arguments) or '""'


class _Interface:
    def __init__(self, interface, model, namespace):
        self.interface = interface
        self.model = model
        self.namespace = namespace
        self.values = Values(namespace)
        self.prefix = names.interface_prefix(interface.name, PREFIX)
        self.upper = self.prefix.upper()
        self.file = self.prefix.replace("_", "-")
        self.announced = [p for p in interface.properties if p.announced]

    def fill(self, template, **values):
        return fill(template, prefix=self.prefix, UPPER=self.upper, **values)

    # What services see

    def inputs(self, arguments, taken):
        return [declaration for argument in arguments
                for declaration in self.values.inputs(argument.type, names.parameter_name(argument.name, taken))]

    def reply_prototype(self, method):
        return text.call(f"int {self.prefix}_reply_{names.snake(method.name)}",
                         ["struct idl_call *call"] + self.inputs(method.outputs, IN_REPLY))

    def emit_prototype(self, signal):
        return text.call(f"int {self.prefix}_emit_{names.snake(signal.name)}",
                         ["sd_bus *bus", "const char *path"] + self.inputs(signal.arguments, IN_EMIT))

    def export_prototypes(self):
        handlers = f"const struct {self.prefix}_handlers *handlers"
        return [text.call(f"int {self.prefix}_export",
                          ["sd_bus *bus", "sd_bus_slot **ret_slot", "const char *path", handlers, "void *object"]),
                text.call(f"int {self.prefix}_export_tree",
                          ["sd_bus *bus", "sd_bus_slot **ret_slot", "const char *prefix", handlers, "idl_find_t find",
                           "void *userdata"])]

    def method_doc(self, method):
        outputs = f" -> {_shown(method.outputs)}" if method.outputs else ""
        lines = [f"{method.name}{_shown(method.inputs)}{outputs}", method.doc]
        lines += [f"{argument.name}: {argument.doc}" for argument in method.inputs + method.outputs]
        if method.result:
            lines.append(f"Result of the task: struct {self.values.name(method.result)}.")
        if method.errors:
            lines.append(f"Errors: {', '.join(method.errors)}.")
        if method.deprecated:
            lines.append("Deprecated.")
        if method.no_reply:
            lines.append("Callers wait for no answer, so there is none to give.")
        else:
            lines.append(f"Answered by {self.prefix}_reply_{names.snake(method.name)}().")
        return "\n".join(lines)

    def method_member(self, method):
        parameters = ["void *object", "struct idl_call *call"] + self.inputs(method.inputs, IN_HANDLER)
        return fill(METHOD_MEMBER, doc=text.comment(self.method_doc(method)),
                    declaration=text.call(f"int (*{names.c_name(names.snake(method.name))})",
                                          parameters + ["struct idl_error *error"], ";", len(INDENT)))

    def property_members(self, property_):
        name = names.snake(property_.name)
        doc = f"{property_.name} ({property_.type.signature()}, {ANNOUNCED_HOW[property_.emits_changed]}): {property_.doc}"
        getter = text.call(f"int (*get_{name})", ["void *object", "struct idl_arena *arena"] +
                           self.values.outputs(property_.type, name), ";", len(INDENT))
        members = [text.comment(doc + (" Deprecated." if property_.deprecated else "")), getter]
        if property_.writable:
            doc = "Sets it. Returns 1 if it changed" + (", which is then announced," if property_.announced else "") + \
                " or 0 if it already was so."
            if property_.errors:
                doc += f" Errors: {', '.join(property_.errors)}."
            parameters = self.values.inputs(property_.type, names.parameter_name(name, IN_HANDLER))
            members += [text.comment(doc),
                        text.call(f"int (*set_{name})", ["void *object"] + parameters + ["struct idl_error *error"], ";",
                                  len(INDENT))]
        return "\n".join(members)

    def handlers(self):
        members = [self.method_member(method) for method in self.interface.methods]
        members += [self.property_members(property_) for property_ in self.interface.properties]
        return self.fill(HANDLERS, members="\n\n".join(members) or "char nothing;            /* signals have no handlers */")

    def declare_exports(self):
        return "\n".join(["/* Put the handlers behind an object, or behind all objects that find finds: see export.h. */"] +
                         [f"{prototype};" for prototype in self.export_prototypes()])

    def declare_replies(self):
        answered = [f"{self.reply_prototype(method)};" for method in self.interface.methods if not method.no_reply]
        return "\n".join(["/* Answers. 0, or a negative errno, and then the call is not answered yet. */"] + answered) \
            if answered else ""

    def declare_emit(self, signal):
        doc = [f"Emits {signal.name}{_shown(signal.arguments)}", signal.doc]
        doc += [f"{argument.name}: {argument.doc}" for argument in signal.arguments]
        return text.comment("\n".join(doc + (["Deprecated."] if signal.deprecated else []))) + f"\n{self.emit_prototype(signal)};"

    def declare_changed(self):
        constants = [f"{self.upper}_PROPERTY_{names.snake(p.name).upper()} = 1 << {i}," for i, p in enumerate(self.announced)]
        return self.fill(PROPERTIES, constants=constants) if constants else ""

    def header(self, source):
        about = [self.interface.name, "", self.interface.doc] + (["", "Deprecated."] if self.interface.deprecated else [])
        return text.document(
            source,
            self.fill(HEADER, about=text.comment("\n".join(about)), namespace=self.namespace, interface=self.interface.name),
            self.handlers(), self.declare_exports(), self.declare_replies(),
            *(self.declare_emit(signal) for signal in self.interface.signals), self.declare_changed())

    # What sd-bus sees

    def locals(self, type_, name):
        """Variables for a value, as empty as can be."""
        if is_list(type_):
            pointer, number = self.values.fields(type_, name)
            return [f"{pointer} = NULL;", f"{number} = 0;"]
        c_type = self.values.element(type_)
        if is_aggregate(type_):
            empty = "{}"
        elif isinstance(type_, Basic) and type_.code == "h":
            empty = "-1"
        else:
            empty = "NULL" if c_type.endswith("*") else "false" if c_type == "bool" else "0"
        return [f"{self.values.declare(c_type, name)} = {empty};"]

    def methods(self):
        indexes = [f"METHOD_{names.snake(method.name).upper()}" for method in self.interface.methods]
        return fill(METHODS, indexes=[f"{index}," for index in indexes],
                    methods=[f'[{index}] = {{ .name = "{method.name}" }},' for index, method in zip(indexes, self.interface.methods)])

    def dispatch(self, method):
        v = self.values
        inputs = [(argument.type, "in_" + argument.name, argument.name) for argument in method.inputs]
        reads = [fill(READ_INPUT, read=v.read(type_, v.addresses(type_, name)), argument=text.string(argument))
                 for type_, name, argument in inputs]
        given = [piece for type_, name, _ in inputs for piece in v.arguments(type_, name)]
        field = names.c_name(names.snake(method.name))
        return self.fill(
            DISPATCH, name=names.snake(method.name), NAME=names.snake(method.name).upper(), field=field,
            locals=(["struct idl_reader *reader;"] if inputs else []) +
            [declaration for type_, name, _ in inputs for declaration in self.locals(type_, name)],
            read_inputs=["reader = idl_call_reader(call);"] + reads + [""] if inputs else [],
            handle=text.call(f"r = handlers->{field}", ["object", "call"] + given + ["&error"], ";", len(INDENT)),
            handled="idl_call_handled_without_reply" if method.no_reply else "idl_call_handled")

    def append_all(self, arguments, taken):
        appends = []
        for argument in arguments:
            name = names.parameter_name(argument.name, taken)
            # An aggregate is a pointer already.
            values = [name] if is_aggregate(argument.type) else self.values.arguments(argument.type, name)
            appends.append(fill(APPEND, append=self.values.append(argument.type, values, [f"&{name}"])))
        return appends

    def reply(self, method):
        return fill(REPLY, prototype=self.reply_prototype(method), append_outputs=self.append_all(method.outputs, IN_REPLY))

    def emit(self, signal):
        return self.fill(EMIT, prototype=self.emit_prototype(signal), signal=signal.name,
                         append_arguments=self.append_all(signal.arguments, IN_EMIT))

    def emit_changed(self):
        return self.fill(EMIT_CHANGED, names=[f'"{p.name}",' for p in self.announced], count=str(len(self.announced)))

    def getter(self, property_):
        v, t = self.values, property_.type
        return self.fill(GETTER, name=names.snake(property_.name), locals=self.locals(t, "value"),
                         addresses=", ".join(v.addresses(t, "value")), append=v.append(t, v.arguments(t, "value"), ["&value"]))

    def setter(self, property_):
        v, t, name = self.values, property_.type, names.snake(property_.name)
        return self.fill(SETTER, name=name, locals=self.locals(t, "value"), read=v.read(t, v.addresses(t, "value")),
                         arguments=", ".join(v.arguments(t, "value")),
                         announce=self.fill(ANNOUNCE, NAME=name.upper()) if property_.announced else [])

    def vtable_method(self, method):
        return text.macro("SD_BUS_METHOD_WITH_NAMES", [
            f'"{method.name}"', text.string(_signature(method.inputs)), _parameters(method.inputs),
            text.string(_signature(method.outputs)), _parameters(method.outputs), f"dispatch_{names.snake(method.name)}",
            _flags(method, "" if method.privileged else "SD_BUS_VTABLE_UNPRIVILEGED",
                   "SD_BUS_VTABLE_METHOD_NO_REPLY" if method.no_reply else "")], len(INDENT))

    @staticmethod
    def vtable_signal(signal):
        return text.macro("SD_BUS_SIGNAL_WITH_NAMES", [
            f'"{signal.name}"', text.string(_signature(signal.arguments)), _parameters(signal.arguments), _flags(signal)],
            len(INDENT))

    @staticmethod
    def vtable_property(property_):
        name = names.snake(property_.name)
        flags = EMITS_FLAGS[property_.emits_changed] + (["SD_BUS_VTABLE_PROPERTY_EXPLICIT"] if property_.explicit else [])
        arguments = [f'"{property_.name}"', text.string(property_.type.signature()), f"get_{name}"]
        if not property_.writable:
            return text.macro("SD_BUS_PROPERTY", arguments + ["0", _flags(property_, *flags)], len(INDENT))
        flags += [] if property_.privileged else ["SD_BUS_VTABLE_UNPRIVILEGED"]
        return text.macro("SD_BUS_WRITABLE_PROPERTY", arguments + [f"set_{name}", "0", _flags(property_, *flags)], len(INDENT))

    def vtable(self):
        interface = self.interface
        return fill(VTABLE, flags=_flags(interface), members=[self.vtable_method(method) for method in interface.methods] +
                    [self.vtable_signal(signal) for signal in interface.signals] +
                    [self.vtable_property(property_) for property_ in interface.properties])

    def description(self):
        methods = [".methods = idl_methods,", ".n_methods = sizeof(idl_methods) / sizeof(idl_methods[0]),"]
        return self.fill(INTERFACE, methods=methods if self.interface.methods else [])

    def check_handlers(self):
        checks = []
        for property_ in self.interface.properties:
            name = names.snake(property_.name)
            checks.append(f"assert(handlers->get_{name});")
            if property_.writable:
                checks.append(f"assert(handlers->set_{name});")
        return self.fill(CHECK_HANDLERS, checks=checks) if checks else ""

    def exports(self):
        one, tree = self.export_prototypes()
        return self.fill(EXPORT, prototype=one, prototype_tree=tree,
                         check=["check_handlers(handlers);"] if self.interface.properties else [])

    def source(self, source):
        interface = self.interface
        blocks = [self.methods()] if interface.methods else []
        for method in interface.methods:
            blocks.append(self.dispatch(method))
            if not method.no_reply:
                blocks.append(self.reply(method))
        blocks += [self.emit(signal) for signal in interface.signals]
        if self.announced:
            blocks.append(self.emit_changed())
        for property_ in interface.properties:
            blocks.append(self.getter(property_))
            if property_.writable:
                blocks.append(self.setter(property_))
        return text.document(source, f'#include "{self.file}.h"', "#include <assert.h>", *blocks, self.vtable(),
                             self.description(), self.check_handlers(), self.exports())


def generate(interface, model, namespace, source):
    """The text of an interface's header and source, by name."""
    writer = _Interface(interface, model, namespace)
    return {f"{writer.file}.h": writer.header(source), f"{writer.file}.c": writer.source(source)}
