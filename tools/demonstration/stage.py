# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the demo talks: headings, commands as they could be typed, and what they say."""

import shlex
import sys
import textwrap


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def echo(*argv):
    print(f"  $ {shlex.join(str(argument) for argument in argv)}", flush=True)


def say(text):
    if text:
        print(textwrap.indent(text.rstrip("\n"), "    "), flush=True)
