# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web server in domain 1 and curl in domain 2, unmodified, whose sockets are in domain 0, where a policy says what they may do."""

import contextlib
import socket

from harness.emulation import build_directory

from .services import Operator, bus
from .stage import echo, heading, say

RUN = "pvcalls/run/xcp-pvcalls-run"
PYTHON = "/usr/bin/python3"
PAGE = "This page is in domain 1. Its server's socket is in domain 0.\n"


def free_port():
    """A port that nobody has: what the server's 8080 is on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def server(xen):
    xen.run("dom1", "mkdir", "/tmp/www")
    xen.run("dom1", "tee", "/tmp/www/index.html", input=PAGE)
    argv = (PYTHON, "-u", "-m", "http.server", "--directory", "/tmp/www", "8080")
    echo("xenemu", "exec", "dom1", "--", "xcp-pvcalls-run", "--", *argv)
    with xen.start("dom1", build_directory() / RUN, "--", *argv) as process:
        process.wait_output("Serving HTTP", 30)
        yield


def curl(xen, url, status=0):
    argv = ("curl", "--silent", "--show-error", "--max-time", "30", url)
    echo("xenemu", "exec", "dom2", "--", "xcp-pvcalls-run", "--", *argv)
    result = xen.run("dom2", build_directory() / RUN, "--", *argv, deadline=60, check=status)
    say(result.stdout + result.stderr)
    return result.stdout


def visit(xen, operator, port):
    operator.xcpctl("pvcalls", "attach", "1", "--frontend-timeout", "0", "--rule",
                    f"allow bind inet 0.0.0.0 port 8080 to 127.0.0.1 port {port}")
    operator.xcpctl("pvcalls", "attach", "2", "--frontend-timeout", "0", "--rule",
                    f"allow connect inet 10.0.0.1 port 80 to 127.0.0.1 port {port}")
    with server(xen):
        if curl(xen, "http://10.0.0.1/") != PAGE:
            raise AssertionError("curl in domain 2 did not get the page of domain 1")
        heading("What is open, and whose it is: a listener, and what waits for connections to it")
        operator.xcpctl("pvcalls", "sockets")
        heading("What no rule allows is refused, and can be asked about")
        curl(xen, "http://10.0.0.2/", status=7)
        operator.xcpctl("pvcalls", "check", "2", "Connect", "10.0.0.2", "80", status=4)
        operator.xcpctl("pvcalls", "top")
    operator.xcpctl("pvcalls", "detach", "2")
    operator.xcpctl("pvcalls", "detach", "1")


def perform(xen):
    heading("A web server in domain 1 and curl in domain 2 have their sockets in domain 0: PV Calls")
    with bus(xen):
        visit(xen, Operator(xen), free_port())
