# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test's hand inside a domain: xen-agent.py, which calls the Xen libraries there."""

import json
import pathlib
import re
import sys

PROGRAM = pathlib.Path(__file__).with_name("xen-agent.py")
NONE = 2**32 - 1  # no byte to clear, no event to send


class Refused(Exception):
    """A library call failed; the text is its errno's name."""


class Agent:
    """Calls become library calls in the domain: agent.share(handle, domid, pages). They raise Refused with the errno's name."""

    def __init__(self, xen, domain):
        self.domain = domain
        self._answers = 0
        self._process = xen.start(domain, sys.executable, PROGRAM)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()

    def __getattr__(self, function):
        return lambda *arguments, **options: self.call(function, *arguments, **options)

    def call(self, function, *arguments, deadline=60.0):
        self._process.write(json.dumps([function, *arguments]) + "\n")
        self._answers += 1
        self._process.wait_output(rf"\A(?:.*\n){{{self._answers}}}", deadline)
        answer = json.loads(self._process.stdout.splitlines()[self._answers - 1])
        if "errno" in answer:
            raise Refused(answer["errno"])
        return answer["value"]

    def leave(self):
        """Lets it end by itself."""
        self._process.close_stdin()
        return self._process.wait()

    def end(self, number):
        """Ends it by a signal."""
        self._process.signal(number)
        return self._process.wait()

    def complaint(self):
        """What the libraries said on standard error."""
        return re.sub(r"\s+", " ", self._process.stderr)
