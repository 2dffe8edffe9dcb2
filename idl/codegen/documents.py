# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads all documents of an IDL into one model: types and errors first, because interfaces refer to them."""

from . import errors_document, interface_document, types_document
from .model import Model
from .problem import Problem
from .xml_reader import parse_file, shown

READERS = {"errors": errors_document.read, "types": types_document.read, "node": interface_document.read}


def read_roots(roots):
    """The model of documents that are already parsed."""
    model = Model()
    for root in roots:
        if root.name not in READERS:
            raise Problem(root.position, f"a document is <node>, <types> or <errors>, not <{shown(root.name)}>")
    for kind, read in READERS.items():
        for root in roots:
            if root.name == kind:
                read(root, model)
    return model


def read_files(paths):
    """The model of the documents in these files. Raises Problem for the first thing that is wrong."""
    return read_roots([parse_file(path) for path in paths])
