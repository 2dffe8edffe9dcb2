# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads `<errors>`: the names, sentences and details of the errors that methods may return."""

import errno
import re

from . import names
from .model import Detail, Error
from .problem import Problem
from .xml_reader import shown

DETAILS_MAX = 4                 # as many as an idl_error has room for, IDL_ERROR_DETAILS_MAX
IN_SETTER = ("error", "details")    # what generated setters call their own parameters and variables
DETAIL_CODES = "stuxiobd"

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _read_details(element, error):
    for child in element.children:
        child.allow(("name", "type", "doc"))
        name, code = child.require("name"), child.require("type")
        if not names.is_argument(name.value):
            raise Problem(name.position, f"'{shown(name.value)}' is not a lower_case name")
        if name.value in IN_SETTER:
            raise Problem(name.position, f"a detail cannot be called '{name.value}': its setter calls something else so")
        if name.value in (detail.name for detail in error.details):
            raise Problem(name.position, f"the detail '{name.value}' is there twice")
        if len(code.value) != 1 or code.value not in DETAIL_CODES:
            raise Problem(code.position, f"a detail has one of the types {', '.join(DETAIL_CODES)}, not '{shown(code.value)}'")
        error.details.append(Detail(name.value, code.value, child.require("doc").value))
    if len(error.details) > DETAILS_MAX:
        raise Problem(element.children[DETAILS_MAX].position, f"an error has at most {DETAILS_MAX} details")


def _check_sentence(attribute, error):
    known = [detail.name for detail in error.details] + [f"{detail.name}:bytes" for detail in error.details if detail.code == "t"]
    for placeholder in PLACEHOLDER.findall(attribute.value):
        if placeholder not in known:
            raise Problem(attribute.position, f"the sentence has '{{{shown(placeholder)}}}', which is not a detail of the error")
    if re.search(r"[{}%\\\"]", PLACEHOLDER.sub("", attribute.value)):
        raise Problem(attribute.position, "a sentence has no brace, percent sign, quotation mark or backslash of its own")


def read(root, model):
    root.allow(("prefix",), ("error",))
    prefix = root.require("prefix")
    if not names.is_interface(prefix.value):
        raise Problem(prefix.position, f"'{shown(prefix.value)}' is not the beginning of an error name")
    if model.prefix:
        raise Problem(root.position, "there is more than one errors document")
    model.prefix = prefix.value
    for element in root.children:
        element.allow(("name", "errno", "sentence", "doc"), ("detail",))
        name, code, sentence = element.require("name"), element.require("errno"), element.require("sentence")
        if not names.is_member(name.value):
            raise Problem(name.position, f"'{shown(name.value)}' is not a CamelCase name")
        if name.value in model.errors:
            raise Problem(name.position, f"the error '{name.value}' is there twice")
        if not code.value.startswith("E") or not isinstance(getattr(errno, code.value, None), int):
            raise Problem(code.position, f"'{shown(code.value)}' is not the name of an error number")
        error = Error(name.value, code.value, sentence.value, element.require("doc").value)
        _read_details(element, error)
        _check_sentence(sentence, error)
        model.errors[error.name] = error
