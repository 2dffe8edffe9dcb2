# SPDX-License-Identifier: LGPL-2.1-or-later
"""C for the errors: setters for services, and a GError domain for the client library."""

from . import names, text
from .text import fill

HEADER = """
    #pragma once

    /*
     * The errors that methods return: their names, and functions that set one and return its errno, negated.
     *
     * With an error that is NULL they only return.
     */

    #include <stdbool.h>
    #include <stdint.h>

    #include "error.h"
    """

NAMES_DECLARATION = """
    /* All of them. */
    #define IDL_ERRORS_N @count@u
    extern const char *const idl_error_names[IDL_ERRORS_N];
    """

NAMES_DEFINITION = """
    const char *const idl_error_names[IDL_ERRORS_N] = {
            @names@
    };
    """

DECLARATION = """
    @doc@
    #define IDL_ERROR_@NAME@ "@full_name@"
    @prototype@;
    """

DEFINITION = """
    static const struct idl_error_kind kind_@name@ = {
            IDL_ERROR_@NAME@,
            @sentence@,
            @errno@,
    };

    @prototype@ {
            const struct idl_error_detail details[] = {
                    @details@
            };

            return idl_error_set(error, &kind_@name@, details, @count@);
    }
    """

CLIENT_HEADER = """
    #pragma once

    #include <glib.h>

    G_BEGIN_DECLS

    /*
     * The errors of xcpbus services, as GError codes. A call on a proxy fails with one of them, in the domain XCP_ERROR, if
     * xcp_error_quark() was called before; otherwise with G_IO_ERROR_DBUS_ERROR.
     */
    typedef enum {
            @constants@
    } XcpError;

    #define XCP_ERROR (xcp_error_quark())

    GQuark xcp_error_quark(void);

    G_END_DECLS
    """

CLIENT_SOURCE = """
    #include "xcp-errors.h"

    #include <gio/gio.h>

    static const GDBusErrorEntry entries[] = {
            @entries@
    };

    GQuark xcp_error_quark(void) {
            static gsize quark;

            g_dbus_error_register_error_domain("xcp-error-quark", &quark, entries, G_N_ELEMENTS(entries));
            return (GQuark) quark;
    }
    """

PARAMETER = {"s": "const char *", "o": "const char *", "t": "uint64_t ", "u": "uint32_t ", "x": "int64_t ", "i": "int32_t ",
             "d": "double ", "b": "bool "}
MEMBER = {"s": "s", "o": "s", "t": "t", "u": "t", "x": "x", "i": "x", "d": "d", "b": "b"}


def _upper(error):
    return names.snake(error.name).upper()


def _prototype(error):
    parameters = [f"{PARAMETER[detail.code]}{names.c_name(detail.name)}" for detail in error.details]
    return text.call(f"int idl_error_set_{names.snake(error.name)}", ["struct idl_error *error"] + parameters)


def _declaration(error, prefix):
    doc = [error.doc, f'"{error.sentence}"'] + [f"{detail.name}: {detail.doc}" for detail in error.details]
    return fill(DECLARATION, doc=text.comment("\n".join(doc)), NAME=_upper(error), full_name=f"{prefix}.{error.name}",
                prototype=_prototype(error))


def _detail(detail):
    cast = "(char *) " if MEMBER[detail.code] == "s" else ""
    return (f"{{ .name = \"{detail.name}\", .type = '{detail.code}', "
            f".{MEMBER[detail.code]} = {cast}{names.c_name(detail.name)} }},")


def _definition(error):
    return fill(DEFINITION, prototype=_prototype(error), name=names.snake(error.name), NAME=_upper(error),
                sentence=text.string(error.sentence), errno=error.errno, details=[_detail(detail) for detail in error.details], count=str(len(error.details)))


def generate(model, sources):
    """The text of idl-errors.h and idl-errors.c, by name."""
    errors = model.errors.values()
    return {"idl-errors.h": text.document(sources, fill(HEADER), *(_declaration(error, model.prefix) for error in errors),
                                          fill(NAMES_DECLARATION, count=str(len(errors)))),
            "idl-errors.c": text.document(sources, '#include "idl-errors.h"', "#include <errno.h>",
                                          *(_definition(error) for error in errors),
                                          fill(NAMES_DEFINITION, names=[f"IDL_ERROR_{_upper(error)}," for error in errors]))}


def generate_client(model, sources):
    """The text of xcp-errors.h and xcp-errors.c: for GLib clients."""
    errors = model.errors.values()
    constants = [line for error in errors for line in text.with_comment([f"XCP_ERROR_{_upper(error)},"], error.doc)]
    entries = [f'{{ XCP_ERROR_{_upper(error)}, "{model.prefix}.{error.name}" }},' for error in errors]
    return {"xcp-errors.h": text.document(sources, fill(CLIENT_HEADER, constants=constants)),
            "xcp-errors.c": text.document(sources, fill(CLIENT_SOURCE, entries=entries))}
