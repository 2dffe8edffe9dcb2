# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts what meson's test logs tell: testlog.py [--some-may-be-missing] TESTLOG.json...

A case is a line of a test program's TAP output; for programs without TAP, what a last line "N passed, N failed" of their own says, or
else the program itself. Names what failed, what the test said of it and its log, and ends with "N passed, N failed". A log without a single case counts as a failure: a suite that has stopped running must not look like success.
With --some-may-be-missing that holds only for all logs together.
"""

import json
import os
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL", "SKIP"}  # meson's words for a program's result
TAP_CASE = re.compile(r"^(?P<not>not )?ok\b[ \t]*(?P<number>\d*)(?P<name>[^#\n]*)(?:#[ \t]*(?P<directive>\w+))?", re.MULTILINE)
SUMMARY = re.compile(r"^(?P<passed>\d+) passed, (?P<failed>\d+) failed\s*\Z", re.MULTILINE)
EXPLANATION_LINES = 25  # a traceback's worth


def said_before(stdout, end):
    """The end of what a program explained right before the place in its output: TAP comments, on lines of their own."""
    lines = []
    for line in reversed(stdout[:end].splitlines()):
        if not line.startswith("#") or len(lines) == EXPLANATION_LINES:
            break
        lines.insert(0, f"\n        {line}")
    return "".join(lines)


def said_last(program):
    """The end of what a program said that ended without naming a case that failed."""
    said = (program.get("stdout", "") + program.get("stderr", "")).splitlines()
    return "".join(f"\n        {line}" for line in said[-EXPLANATION_LINES:])


class Count:
    """Cases so far, and the failures in words."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def total(self):
        return self.passed + self.failed + self.skipped

    def fail(self, what):
        self.failed += 1
        self.failures.append(what)

    def add_program(self, program):
        """Counts one test program, an entry of the log."""
        name = program["name"].rpartition(" / ")[2]  # meson puts project and suite before it
        stdout = program.get("stdout", "")
        cases = list(TAP_CASE.finditer(stdout))
        summary = None if cases else SUMMARY.search(stdout)
        failed_before = self.failed
        for case in cases:
            directive = (case["directive"] or "").upper()
            if directive == "SKIP":
                self.skipped += 1
            elif case["not"] and directive != "TODO":
                self.fail(f"{name}: {case['name'].strip(' -') or case['number']}{said_before(stdout, case.start())}")
            else:
                self.passed += 1
        if summary:
            self.passed += int(summary["passed"])
            for _ in range(int(summary["failed"])):
                self.fail(f"{name}: a case that its output names")
        if program["result"] not in GOOD and self.failed == failed_before:
            self.fail(f"{name}: {program['result']}, exit status {program['returncode']}{said_last(program)}")
        elif not cases and not summary:
            self.skipped += program["result"] == "SKIP"
            self.passed += program["result"] != "SKIP"


def add_log(count, path):
    """Counts a log. Returns how many cases were in it."""
    before, failures = count.total(), len(count.failures)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                count.add_program(json.loads(line))
    readable = os.path.splitext(path)[0] + ".txt"
    for index in range(failures, len(count.failures)):
        count.failures[index] += f"\n        log: {os.path.relpath(readable)}"
    return count.total() - before


def main(arguments):
    lenient = "--some-may-be-missing" in arguments
    paths = [argument for argument in arguments if argument != "--some-may-be-missing"]
    if not paths:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    count = Count()
    for path in paths:
        if add_log(count, path) == 0 and not lenient:
            count.fail(f"no test ran that would have been logged in {os.path.relpath(path)}")
    if count.total() == 0:
        count.fail("no test of such a name")
    for failure in count.failures:
        print(f"FAILED  {failure}")
    if count.skipped:
        print(f"{count.skipped} skipped")
    print(f"{count.passed} passed, {count.failed} failed")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
