# SPDX-License-Identifier: LGPL-2.1-or-later
"""Declarations: what a test shows, where it runs, and what runs in each of its domains (README.md has the format)."""

import dataclasses
import pathlib
import re
import tomllib
from typing import Any

PLACES = ("emulated", "lab")
DOMAIN_TYPES = ("dom0", "pv", "pvh")
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]*")
PLACEHOLDER_PATTERN = re.compile(r"(?<!\$)\{([a-z][a-z0-9-]*)\}")      # not a shell's ${variable}

HERE = pathlib.Path(__file__).resolve().parent


class DeclarationError(Exception):
    """A declaration that cannot be run; the text names the file, what is wrong, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Domain:
    """One domain of a test and the program that runs in it."""

    name: str
    type: str
    run: tuple[str, ...]
    status: int
    environment: dict[str, str]

    def command(self, domids: dict[str, int], test_id: str) -> list[str]:
        """The command line with {NAME} as the domid of that domain and {test} as a word no other test has."""
        words = {name: str(domid) for name, domid in domids.items()} | {"test": test_id}
        return [PLACEHOLDER_PATTERN.sub(lambda match: words[match[1]], word) for word in self.run]


@dataclasses.dataclass(frozen=True)
class Test:
    """One test: a declaration, or one variant of it."""

    name: str
    title: str
    where: tuple[str, ...]
    deadline: float
    programs: tuple[str, ...]
    files: dict[str, str]
    kernel: str | None
    domains: tuple[Domain, ...]
    fails: str | None
    long: bool

    @property
    def id(self) -> str:
        """The name as one word for a store path, which takes letters, digits and -/_@ only."""
        return self.name.replace("/", "_")


def declarations_load(paths: list[pathlib.Path]) -> list[Test]:
    """Every test of the given files, in order; a name may be there only once because logs and paths carry it."""
    tests = [test for path in paths for test in declaration_load(path)]
    names = [test.name for test in tests]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"there are two tests named {name}: rename one of the files")
    return tests


def declarations_find() -> list[pathlib.Path]:
    """All declarations of the tree; those that show the runner itself come first, as the others rest on it."""
    return sorted(HERE.glob("selftest/*.toml")) + sorted(HERE.glob("*.toml"))


def declaration_load(path: pathlib.Path) -> list[Test]:
    """The tests of one file: one, or one for each of its variants."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
        return _tests_of(_name_of(path), table)
    except (tomllib.TOMLDecodeError, DeclarationError) as error:
        raise DeclarationError(f"{path}: {error}") from None


def tests_select(tests: list[Test], place: str, names: list[str]) -> list[Test]:
    """The tests for a place: all but the long ones, or those named. A name without its variant means all variants."""
    here = [test for test in tests if place in test.where]
    if not names:
        return [test for test in here if not test.long]
    for name in names:
        if not any(_is_named(test, name) for test in here):
            known = ", ".join(test.name for test in here)
            raise DeclarationError(f"no test {name} for '{place}'; there are: {known}")
    return [test for test in here if any(_is_named(test, name) for name in names)]


def _is_named(test: Test, name: str) -> bool:
    return test.name == name or test.name.startswith(name + "/")


def _name_of(path: pathlib.Path) -> str:
    return path.stem if path.parent == HERE else f"{path.parent.name}/{path.stem}"


def _tests_of(name: str, table: dict[str, Any]) -> list[Test]:
    keys = {"title", "where", "deadline", "programs", "files", "kernel", "domain", "variants", "fails", "long"}
    _known(table, keys, "the top level")
    variants = table.get("variants")
    if variants is None:
        return [_test_of(name, table, {})]
    return [_test_of(f"{name}/{key}", table, types) for key, types in variants.items()]


def _test_of(name: str, table: dict[str, Any], types: dict[str, str]) -> Test:
    for key in ("title", "where", "domain"):
        if key not in table:
            raise DeclarationError(f"'{key}' is missing")
    where = tuple(table["where"])
    for place in where:
        _one_of(place, PLACES, "where")
    test = Test(
        name=name,
        title=table["title"],
        where=where,
        deadline=float(table.get("deadline", 60)),
        programs=tuple(table.get("programs", [])),
        files=dict(table.get("files", {})),
        kernel=table.get("kernel"),
        domains=tuple(_domain_of(domain, types) for domain in table["domain"]),
        fails=table.get("fails"),
        long=table.get("long", False),
    )
    _test_check(test, types)
    return test


def _domain_of(table: dict[str, Any], types: dict[str, str]) -> Domain:
    _known(table, {"name", "type", "run", "status", "environment"}, "a [[domain]]")
    name = table.get("name", "")
    if not NAME_PATTERN.fullmatch(name) or name == "test":
        raise DeclarationError(f"a domain's name is lower-case letters, digits and dashes, and not 'test': '{name}'")
    domain = Domain(
        name=name,
        type=types.get(name, table.get("type", "")),
        run=tuple(table.get("run", [])),
        status=table.get("status", 0),
        environment=dict(table.get("environment", {})),
    )
    _one_of(domain.type, DOMAIN_TYPES, f"type of domain {name}")
    if not domain.run:
        raise DeclarationError(f"domain {name} has nothing to 'run'")
    return domain


def _test_check(test: Test, types: dict[str, str]) -> None:
    names = [domain.name for domain in test.domains]
    kinds = [domain.type for domain in test.domains]
    for values, what in ((names, "name"), (kinds, "type")):
        if len(set(values)) != len(values):
            raise DeclarationError(f"{test.name}: two domains have the same {what}; the lab has one domain of each type")
    for name in types:
        _one_of(name, tuple(names), "a variant's domain")
    for domain in test.domains:
        for word in domain.run:
            for placeholder in PLACEHOLDER_PATTERN.findall(word):
                _one_of(placeholder, (*names, "test"), f"{{}} in what {domain.name} runs")


def _known(table: dict[str, Any], keys: set[str], what: str) -> None:
    for key in table.keys() - keys:
        raise DeclarationError(f"'{key}' is not a key of {what}; there are: {', '.join(sorted(keys))}")


def _one_of(value: str, values: tuple[str, ...], what: str) -> None:
    if value not in values:
        raise DeclarationError(f"{what} is '{value}', not one of: {', '.join(values)}")
