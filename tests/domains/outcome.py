# SPDX-License-Identifier: LGPL-2.1-or-later
"""Outcomes: what each domain's program did, whether that is what the test declares, and the lines that say so."""

import dataclasses
import json
import pathlib
import re
import time

from declaration import Test

LOG_LINES = 15          # of each domain, under a failure: enough for the error, not so many that the next test is lost


@dataclasses.dataclass(frozen=True)
class Ending:
    """How one domain's program ended. No status: it had not ended at the deadline, or its domain was lost."""

    status: int | None
    trouble: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one test."""

    test: Test
    passed: bool
    reason: str
    seconds: float
    logs: dict[str, pathlib.Path]


def status_of(returncode: int) -> int:
    """A shell's view of an exit status: death by a signal is 128 and its number, wherever the program ran."""
    return 128 - returncode if returncode < 0 else returncode


def outcome_judge(test: Test, endings: dict[str, Ending], seconds: float, logs: dict[str, pathlib.Path]) -> Outcome:
    """A test passes if every program ended with the declared status. One that shows the runner must fail, and for its reason."""
    reason = "; ".join(filter(None, (_reason(domain.name, domain.status, endings[domain.name]) for domain in test.domains)))
    if test.fails is None:
        return Outcome(test, not reason, reason, seconds, logs)
    if reason and re.search(test.fails, reason):
        return Outcome(test, True, f"failed as it must: {reason}", seconds, logs)
    return Outcome(test, False, f"must fail with '{test.fails}', but: {reason or 'it passed'}", seconds, logs)


def _reason(name: str, wanted: int, ending: Ending) -> str:
    if ending.trouble:
        return f"{name}: {ending.trouble}"
    if ending.status == wanted:
        return ""
    return f"{name}: exit status {ending.status}, not {wanted}"


class Report:
    """Says what happens as it happens, and keeps it for the summary. Progress goes to the same place, so the order is kept."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._start = time.monotonic()

    def step(self, text: str) -> None:
        """One line of progress with the seconds since the start."""
        print(f"[{time.monotonic() - self._start:6.1f} s] {text}", flush=True)

    def add(self, outcome: Outcome) -> None:
        """One line per test; a failure brings the end of every domain's log along."""
        self.outcomes.append(outcome)
        word = "ok  " if outcome.passed else "FAIL"
        self.step(f"{word} {outcome.test.name} ({outcome.seconds:.1f} s){': ' if outcome.reason else ''}{outcome.reason}")
        if not outcome.passed:
            print(f"     it shows: {outcome.test.title}")
            for name, log in outcome.logs.items():
                lines_show(f"{name} ({log})", log)

    @property
    def n_failed(self) -> int:
        """How many tests failed."""
        return sum(not outcome.passed for outcome in self.outcomes)

    def close(self, json_path: pathlib.Path | None) -> int:
        """The closing line, and the exit status: a run without a test has shown nothing and is no success."""
        if json_path:
            json_path.write_text(json.dumps([_as_json(outcome) for outcome in self.outcomes], indent=2) + "\n")
        print(f"{len(self.outcomes) - self.n_failed} passed, {self.n_failed} failed", flush=True)
        return 0 if self.outcomes and not self.n_failed else 1


def lines_show(title: str, path: pathlib.Path, n: int = LOG_LINES) -> None:
    """The last lines of a file, indented, for a person who looks at a failure."""
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    print(f"     --- {title}: {'empty' if not lines else 'last lines'}")
    for line in lines[-n:]:
        print(f"     {line}")


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "test": outcome.test.name,
        "passed": outcome.passed,
        "reason": outcome.reason,
        "seconds": round(outcome.seconds, 3),
        "logs": {name: str(log) for name, log in outcome.logs.items()},
    }
