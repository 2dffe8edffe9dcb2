# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain's private bus, run by xcp-bus-run in a directory of its own, and what to ask it, for test cases."""

import os
import pathlib
import shutil
import signal
import tempfile

from harness import Process, build_directory, run, wait_until

XCP_BUS_RUN = build_directory() / "bus/xcp-bus-run"
PEER = build_directory() / "bus/bus-peer"

NAME = "org.xen.xcp.test"
INTERFACE = "org.xen.xcp.test1"


def is_root():
    return os.geteuid() == 0


def as_uid(uid):
    """The beginning of a command line that runs the rest as an unprivileged user."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []


def running(*words):
    """Whether a process has all these words in its command line."""
    return any(all(word in line for word in words) for line in run("ps", "-eo", "args").stdout.splitlines())


class Bus:
    """A bus for the length of a `with` block, or until it is ended. Files for it can be written before its start."""

    def __init__(self, broker, directory=None):
        self.broker = broker
        self.root = pathlib.Path(directory or tempfile.mkdtemp(prefix="xcp-", dir="/tmp"))
        self.root.chmod(0o755)
        self.directory = self.root / "dom0"
        self.directory.mkdir(exist_ok=True)
        self.socket = self.directory / "bus"
        self.address = f"unix:path={self.socket}"
        self.peer_program = self.root / "bus-peer"  # the build directory may be closed to others
        shutil.copy(PEER, self.peer_program)
        self.process = None

    def __enter__(self):
        if not self.process:
            self.start()
        return self

    def __exit__(self, *exception):
        if self.process:
            self.process.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def policy(self, text, name="test"):
        self.write("bus.d", f"{name}.policy", text)

    def service(self, command=None, name=NAME):
        """Makes a name activatable, by default with a program that serves it."""
        command = command or f"{self.peer_program} {self.address} serve {name}"
        self.write("services", f"{name}.service", f"[D-BUS Service]\nName={name}\nExec={command}\n")

    def write(self, kind, name, text):
        (self.directory / kind).mkdir(exist_ok=True)
        (self.directory / kind / name).write_text(text)

    def argv(self, *arguments, uid=0):
        return [*as_uid(uid), XCP_BUS_RUN, "--broker", self.broker, "--domain-dir", self.directory, *arguments]

    def start(self, *arguments, uid=0, **options):
        self.process = Process(self.argv("--ready-fd", "1", *arguments, uid=uid), **options)
        self.process.wait_output(r"^\n")

    def refused(self, *arguments, status=1, uid=0):
        """Tries to start it where that must fail. Returns what it said."""
        return run(*self.argv(*arguments, uid=uid), check=status).stderr

    def end(self):
        self.process.signal(signal.SIGTERM)
        return self.process.wait().check(0)

    def reload(self):
        before = self.process.stderr.count("were read again")
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: self.process.stderr.count("were read again") > before, "the policy to be read again")

    def peer(self, *arguments, uid=0, **options):
        return run(*as_uid(uid), self.peer_program, self.address, *arguments, **options).stdout

    def serve(self, name=NAME, uid=0):
        process = Process([*as_uid(uid), self.peer_program, self.address, "serve", name])
        process.wait_output("serving")
        return process

    def busctl(self, *arguments, **options):
        return run("busctl", f"--address={self.address}", "--no-pager", *arguments, **options)

    def driver(self, *call, uid=0, **options):
        """Calls a method of the bus itself."""
        name = "org.freedesktop.DBus"
        argv = [*as_uid(uid), "busctl", f"--address={self.address}", "call", name, "/org/freedesktop/DBus", name]
        return run(*argv, *call, **options)

    def pid(self, *options):
        """The pid of the service, by a call that starts it unless options say otherwise."""
        return int(self.busctl(*options, "call", NAME, "/test", INTERFACE, "Pid").stdout.split()[1])

    def environment(self, variable):
        """The service's variable, as busctl shows a string."""
        return self.busctl("call", NAME, "/test", INTERFACE, "Environment", "s", variable).stdout

    def broker_pid(self):
        process = pathlib.Path(f"/proc/{self.process.pid}")
        children = (process / f"task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if self.broker in pathlib.Path(f"/proc/{pid}/comm").read_text())


class EitherBroker:
    """What holds whichever broker carries the bus."""

    broker = None

    def bus(self):
        bus = Bus(self.broker)
        self.addCleanup(bus.__exit__)
        return bus

    def started(self, policy=None):
        bus = self.bus()
        if policy:
            bus.policy(policy)
        bus.start()
        return bus
