#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU that misbehaves, for tests of who starts it: $XCP_QEMU is this, and the file fake-script beside it says how.

The script, which is looked at for each command, is JSON: greeting is what it says first, and answers what it says to commands by their names, to those for people too: text as it is, with %ID%
for the command's id; null for nothing at all; "when NAME TEXT" for TEXT when there is a file of that name beside the script; "exit STATUS" and "hang up" for its end; a list for one after the other, of which the last stays. Commands that are not there are answered {}. noise is for how many lines it
says on standard error before it answers a command, by its name. What it is told is in the file fake-log, a command a line.
"""

import json
import pathlib
import re
import socket
import sys
import time

GREETING = '{"QMP": {"version": {}, "capabilities": []}}'


def monitor_fd():
    line = " ".join(sys.argv)
    return int(re.search(r"id=monitor,fd=(\d+)", line)[1])


def read_script():
    return json.loads(pathlib.Path(sys.argv[0]).with_name("fake-script").read_text())


def pick(answer, taken):
    """taken: how many were taken of a list."""
    if not isinstance(answer, list):
        return answer
    n = taken[str(answer)] = taken.get(str(answer), 0) + 1
    return answer[min(n, len(answer)) - 1]


def name_of(command):
    """Of those for people, the first word."""
    return command["arguments"]["command-line"].split()[0] if command["execute"] == "human-monitor-command" else command["execute"]


def write_down(line):
    """With the file as a whole, so that whoever reads it finds no half of a line."""
    with open(pathlib.Path(sys.argv[0]).with_name("fake-log"), "ab", buffering=0) as log:
        log.write(line.encode())


def wait_for(answer):
    """What comes after "when NAME", when it is time for it."""
    _, name, text = answer.split(" ", 2)
    while not pathlib.Path(sys.argv[0]).with_name(name).exists():
        time.sleep(0.02)
    return text


def serve(connection):
    taken = {}
    connection.sendall((read_script().get("greeting", GREETING) + "\n").encode())
    for line in connection.makefile("r"):
        command = json.loads(line)
        write_down(line)
        answer = pick(read_script().get("answers", {}).get(name_of(command), '{"return": {}, "id": %ID%}'), taken)
        for i in range(read_script().get("noise", {}).get(command["execute"], 0)):
            print("qemu-system-x86_64: a guest did what it should not", "." * 1000, i, file=sys.stderr)
        if answer is None:
            continue
        if answer.startswith("when "):
            answer = wait_for(answer)
        if answer.startswith("exit "):
            print("qemu-system-x86_64: as it was told", file=sys.stderr, flush=True)
            sys.exit(int(answer.split()[1]))
        if answer == "hang up":
            connection.shutdown(socket.SHUT_RDWR)
            time.sleep(3600)
        connection.sendall((answer.replace("%ID%", str(command["id"])) + "\n").encode())
        if command["execute"] == "quit":
            sys.exit(0)


def main():
    script = read_script()
    if "accel=kvm" in " ".join(sys.argv):
        time.sleep(3600 if script.get("kvm") == "hangs" else 0)
        sys.exit(33 if script.get("kvm") == "works" else 1)
    if "exit" in script:
        print("qemu-system-x86_64: no such machine today", file=sys.stderr)
        sys.exit(script["exit"])
    listener = socket.socket(fileno=monitor_fd())
    while True:
        connection, _ = listener.accept()
        serve(connection)


main()
