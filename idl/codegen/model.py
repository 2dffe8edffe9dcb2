# SPDX-License-Identifier: LGPL-2.1-or-later
"""What documents say, checked: everything that writes something reads this and no XML."""

from dataclasses import dataclass, field

ACCESS_LEVELS = {
    "observe": "looks at things, and changes nothing",
    "operate": "changes what runs, within what was set up",
    "administer": "creates, destroys and reconfigures",
}

EMITS_CHANGED = ("true", "invalidates", "const", "false")


@dataclass
class Argument:
    name: str
    type: object
    doc: str
    position: object


@dataclass
class Method:
    name: str
    doc: str
    position: object
    inputs: list[Argument]
    outputs: list[Argument]
    errors: list[str]
    access: str
    result: object = None       # of the task that the method returns: a types.Record, or None
    deprecated: bool = False
    no_reply: bool = False
    privileged: bool = False


@dataclass
class Signal:
    name: str
    doc: str
    position: object
    arguments: list[Argument]
    deprecated: bool = False


@dataclass
class Property:
    name: str
    type: object
    doc: str
    position: object
    readable: bool
    writable: bool
    emits_changed: str
    access: str
    errors: list[str]
    deprecated: bool = False
    privileged: bool = False
    explicit: bool = False

    @property
    def announced(self):
        """Whether PropertiesChanged may name it."""
        return self.emits_changed in ("true", "invalidates")


@dataclass
class Interface:
    name: str
    doc: str
    position: object
    methods: list[Method] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    deprecated: bool = False


@dataclass
class Detail:
    name: str
    code: str                   # a basic type
    doc: str


@dataclass
class Error:
    name: str
    errno: str
    sentence: str               # with {detail} where a detail belongs, {detail:bytes} for one that is so many bytes
    doc: str
    details: list[Detail] = field(default_factory=list)


@dataclass
class Model:
    prefix: str = ""            # of the error names
    interfaces: list[Interface] = field(default_factory=list)
    types: dict[str, object] = field(default_factory=dict)
    errors: dict[str, Error] = field(default_factory=dict)
