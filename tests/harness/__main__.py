# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tests of one file and prints TAP: python3 -m harness FILE [PATTERN...]

With patterns, only tests whose names (Class.test_name) contain one of them.
"""

import importlib.util
import os
import signal
import sys
import unittest

from .process import Failed, adopt_orphans, end_survivors
from .tap import TapResult


def load(path):
    """Imports a file by its path: its name need not be a module's."""
    name = os.path.splitext(os.path.basename(path))[0].replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def heed_signals():
    """Programs that a test starts, and sends a signal to, ignore it if it was ignored here, as it is below nohup(1) or a shell's `&`."""
    for number, action in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        signal.signal(number, action)


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    tap, sys.stdout = sys.stdout, sys.stderr  # what tests print must not be taken for results
    loader = unittest.TestLoader()
    if arguments[1:]:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments[1:]]
    suite = loader.loadTestsFromModule(load(arguments[0]))
    if suite.countTestCases() == 0:
        print(f"Bail out! No test in {arguments[0]}{' has such a name' if arguments[1:] else ''}", file=tap, flush=True)
        return 1
    heed_signals()
    adopt_orphans()
    result = TapResult(tap)
    suite.run(result)
    try:
        end_survivors()
    except Failed as left:
        result.fail_outside("nothing is left running", str(left))
    result.finish()
    return 0 if result.wasSuccessful() else 1


sys.exit(main(sys.argv[1:]))
