# SPDX-License-Identifier: LGPL-2.1-or-later
"""The results of unittest as TAP, one line for each test when it ends, and a comment when it begins: a run that is killed has told where it was."""

import unittest


class TapResult(unittest.TestResult):
    """Writes to the given file, and for each failed test what went wrong as comments."""

    def __init__(self, file):
        super().__init__()
        self._file = file
        self._number = 0
        self._directive = ""
        self._errors = []
        self._failed_outside = False

    def startTest(self, test):
        super().startTest(test)
        self._directive = ""
        self._errors = []
        print(f"# begin {self._name(test)}", file=self._file, flush=True)

    def stopTest(self, test):
        super().stopTest(test)
        self._write(test, self._errors, self._directive)

    def addError(self, test, error):
        super().addError(test, error)
        self._failed(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._failed(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._failed(subtest, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._directive = f" # SKIP {reason}"
        if not isinstance(test, unittest.TestCase):  # a whole class or file: it never starts
            self._write(test, [], self._directive)

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self._directive = " # expected to fail, and did"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._errors.append("expected to fail, but passed")

    def fail_outside(self, name, text):
        """Records a failure that belongs to no test."""
        self._failed_outside = True
        self._write(name, [text], "")

    def wasSuccessful(self):
        return super().wasSuccessful() and not self._failed_outside

    def finish(self):
        """Writes the plan. It comes last, because what fails before a class's first test counts as well."""
        print(f"1..{self._number}", file=self._file, flush=True)

    def _failed(self, test, error):
        text = f"{test}\n{self._exc_info_to_string(error, test)}"
        if isinstance(test, (unittest.TestCase, unittest.case._SubTest)):
            self._errors.append(text)
        else:  # setUpClass, setUpModule: no test starts
            self._write(test, [text], "")

    def _write(self, test, errors, directive):
        self._number += 1
        for text in errors:
            for line in text.rstrip().splitlines():
                print(f"# {line}", file=self._file)
        print(f"{'not ok' if errors else 'ok'} {self._number} - {self._name(test).replace('#', ' ')}{directive}", file=self._file, flush=True)

    @staticmethod
    def _name(test):
        return test.id().partition(".")[2] if isinstance(test, unittest.TestCase) else str(test)
