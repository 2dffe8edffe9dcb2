# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two domains of emulated Xen talk over vchan. Every program that runs in them is one of Xen's own, as Debian ships it."""

import contextlib
import hashlib
import os
import re
import subprocess

from harness import wait_until

from .stage import echo, heading, say

PROXY = "/usr/lib/xen-4.17/bin/vchan-socket-proxy"
SERVER_PATH = "data/vchan/demo"  # where in dom1's part of the store the server announces itself
CLIENT_PATH = f"/local/domain/1/{SERVER_PATH}"
GREETING = "Domain 1 here. This comes through memory that I granted to you."
BULK = 32 * 1024 * 1024  # bytes of the second conversation


def show(xen, domain, *argv, status=0):
    """Prints a command, runs it in a domain, and prints what it says."""
    echo("xenemu", "exec", domain, "--", *argv)
    result = xen.run(domain, *argv, check=status)
    say(result.stdout + result.stderr)


@contextlib.contextmanager
def connected(xen, source=subprocess.PIPE, sink=subprocess.PIPE):
    """vchan-socket-proxy as server in dom1 and as client in dom2, joined. source is the client's input, sink the server's output.

    The server speaks first. This proxy overlooks what a client sends while it is still taking notice of the connection, until there is
    something else for it to do.
    """
    server_argv = (PROXY, "--mode=server", "2", SERVER_PATH, "-")
    client_argv = (PROXY, "--mode=client", "1", CLIENT_PATH, "-")
    echo("xenemu", "exec", "dom1", "--", *server_argv)
    with xen.start("dom1", *server_argv, stdout=sink) as server:
        server.write(GREETING + "\n")
        xen.wait_store("0", f"{CLIENT_PATH}/event-channel")
        echo("xenemu", "exec", "dom2", "--", *client_argv)
        with xen.start("dom2", *client_argv, stdin=source) as client:
            receive(client, GREETING, "dom2")
            yield server, client
            server.close_stdin()  # it closes the vchan, takes its announcement back and ends; so does the client then
            server.wait().check()
            client.wait()


def receive(proxy, text, name):
    """Waits until a proxy puts out a line."""
    proxy.wait_output(f"^{re.escape(text)}$")
    say(f"{name} received: {text}")


def talk(xen):
    with connected(xen) as (server, client):
        answer = "Domain 2 here. So does this, the other way."
        client.write(answer + "\n")
        receive(server, answer, "dom1")
        heading("The store meanwhile: what domain 1 has announced, and who may read it")
        show(xen, "dom1", "xenstore-ls", "-p", "data")
        heading("Domain 0 sees everything")
        show(xen, "0", "xenstore-ls", "-f", "/local/domain/1")
        heading("Domain 2 may not write where domain 1 does")
        show(xen, "dom2", "xenstore-write", f"{CLIENT_PATH}/ring-ref", "0", status=1)


def move(xen):
    """Sends a file from dom2 to dom1 and compares checksums."""
    sent, received = xen.rundir / "sent", xen.rundir / "received"
    sent.write_bytes(os.urandom(BULK))
    with open(sent, "rb") as source, open(received, "wb") as sink:
        with connected(xen, source, sink):
            wait_until(lambda: received.stat().st_size >= BULK, f"{BULK} bytes in dom1")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (sent, received)]
    say(f"dom2 sent     {BULK >> 20} MiB, sha256 {digests[0]}")
    say(f"dom1 received {received.stat().st_size >> 20} MiB, sha256 {digests[1]}")
    if digests[0] != digests[1]:
        raise AssertionError("what dom1 received is not what dom2 sent")


def perform(xen):
    heading("The guests talk over vchan: Xen's vchan-socket-proxy is server in domain 1 and client in domain 2")
    talk(xen)
    heading("The same with a file of random bytes")
    move(xen)
