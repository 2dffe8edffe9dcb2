# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands xcp-codegen and xcp-idl-compare."""

import argparse
import os
import sys

from . import compare, documents, errors_c, interface_c, reference, types_c, xml_reader
from .problem import Problem


def _names(paths):
    return ", ".join(os.path.basename(path) for path in paths)


def _write(directory, files):
    """Writes files that changed; others keep their time, so that nothing is compiled again for nothing."""
    os.makedirs(directory, exist_ok=True)
    for name, content in files.items():
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as file:
                if file.read() == content:
                    continue
        except FileNotFoundError:
            pass
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


def _kinds(paths, roots):
    """The paths of each kind of document."""
    kinds = {"errors": [], "types": [], "node": []}
    for path, root in zip(paths, roots):
        kinds.setdefault(root.name, []).append(path)
    return kinds


def _service(arguments):
    roots = [xml_reader.parse_file(path) for path in arguments.documents]
    model = documents.read_roots(roots)
    kinds = _kinds(arguments.documents, roots)
    files = types_c.generate(model, arguments.namespace, _names(kinds["types"] + kinds["node"]))
    if arguments.errors:
        files |= errors_c.generate(model, _names(kinds["errors"]))
    for interface in model.interfaces:
        files |= interface_c.generate(interface, model, arguments.namespace, os.path.basename(interface.position.file))
    _write(arguments.output, files)


def _client(arguments):
    model = documents.read_files(arguments.documents)
    _write(arguments.output, errors_c.generate_client(model, _names(arguments.documents)))


def _reference(arguments):
    content = reference.generate(documents.read_files(arguments.documents))
    if arguments.check is None:
        sys.stdout.write(content)
        return 0
    try:
        with open(arguments.check, encoding="utf-8") as file:
            current = file.read()
    except FileNotFoundError:
        current = None
    if current == content:
        return 0
    print(f"{arguments.check}: is not what the IDL says; run: "
          f"idl/xcp-codegen reference idl/*.xml > {os.path.relpath(arguments.check)}", file=sys.stderr)
    return 1


def _members(arguments):
    for row in reference.members(documents.read_files(arguments.documents)):
        print("\t".join(row))


def _check(arguments):
    documents.read_files(arguments.documents)


def _parser():
    parser = argparse.ArgumentParser(prog="xcp-codegen",
                                     description="From D-Bus interfaces in XML to C for sd-bus. See idl/README.md.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, function, help_):
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(function=function)
        command.add_argument("documents", nargs="+", metavar="XML", help="interfaces, types and errors, in any order")
        return command

    service = add("service", _service, "write headers and sources for services: one pair per interface, one for the types")
    service.add_argument("--output", required=True, metavar="DIRECTORY")
    service.add_argument("--namespace", default="xcp", help="what the names of the types begin with in C (default: xcp)")
    service.add_argument("--errors", action="store_true", help="write idl-errors.h and idl-errors.c too")
    client = add("client", _client, "write xcp-errors.h and xcp-errors.c, the errors for GLib clients")
    client.add_argument("--output", required=True, metavar="DIRECTORY")
    command = add("reference", _reference, "write the interface reference, in Markdown, to standard output")
    command.add_argument("--check", metavar="FILE", help="only say whether FILE is the reference")
    add("members", _members, "list all members: interface, kind, name, access, signature, result; separated by tabs")
    add("check", _check, "only say what is wrong")
    return parser


def _report(function):
    """Runs a command: its exit status, with 1 for a document that is wrong."""
    try:
        return function() or 0
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1


def main(argv=None):
    arguments = _parser().parse_args(argv)
    return _report(lambda: arguments.function(arguments))


def main_compare(argv=None):
    parser = argparse.ArgumentParser(
        prog="xcp-idl-compare",
        description="Whether what an object introspects is what the IDL says: exits with 0, or with 1 and the differences.",
        epilog="busctl --address=ADDRESS --xml-interface introspect NAME PATH | xcp-idl-compare idl/*.xml")
    parser.add_argument("documents", nargs="+", metavar="XML", help="the IDL")
    parser.add_argument("--introspection", metavar="FILE", help="what the object said (default: standard input)")
    parser.add_argument("--expect", action="append", default=[], metavar="INTERFACE", help="has to be there")
    arguments = parser.parse_args(argv)

    def run():
        roots = [xml_reader.parse_file(path) for path in arguments.documents]
        documents.read_roots(roots)
        if arguments.introspection:
            introspected = xml_reader.parse_file(arguments.introspection)
        else:
            introspected = xml_reader.parse("<stdin>", sys.stdin.buffer.read())
        lines = compare.differences(roots, introspected, arguments.expect)
        for line in lines:
            print(line)
        return 1 if lines else 0

    return _report(run)
