# SPDX-License-Identifier: LGPL-2.1-or-later
"""Emulated Xen for the length of a test."""

import json
import os
import pathlib
import shutil
import sys
import tempfile

from .process import Process, run
from .wait import DEADLINE, Deadline

LOG_SHOWN = 4000  # characters of each log that a failed test shows


def build_directory():
    """Where the tree was built: $XCP_BUILDDIR, which meson sets, or build/ in the tree."""
    default = pathlib.Path(__file__).resolve().parents[2] / "build"
    return pathlib.Path(os.environ.get("XCP_BUILDDIR", default))


class Emulation:
    """Domain 0 and some others, up as long as the `with` block lasts, in a run directory of their own.

    domains: how many besides domain 0; they are dom1, dom2, ...
    arguments: more arguments for `xenemu up`.

    A domain is given to the methods by its domid or by its name.
    """

    def __init__(self, domains=2, arguments=()):
        self._domains = domains
        self._arguments = arguments
        self.rundir = None

    def __enter__(self):
        self.rundir = pathlib.Path(tempfile.mkdtemp(prefix="xcp-", dir="/tmp"))
        try:
            self.xenemu("up", "--domains", str(self._domains), *self._arguments)
        except BaseException:
            self._end(failed=True)
            raise
        return self

    def __exit__(self, kind, exception, traceback):
        self._end(failed=kind is not None)

    def _end(self, failed):
        try:
            down = self.xenemu("down", check=None)
            if failed or down.status:
                self._show_logs()
            if not failed:
                down.check()
        finally:
            shutil.rmtree(self.rundir, ignore_errors=True)

    def _show_logs(self):
        for log in sorted({*self.rundir.glob("*/log"), *self.rundir.rglob("*.log")}):
            text = log.read_text(errors="replace")[-LOG_SHOWN:].rstrip()
            if text:
                print(f"--- {log.relative_to(self.rundir)}\n{text}", file=sys.stderr)

    def _xenemu_argv(self, *arguments):
        return [build_directory() / "emu/command/xenemu", "--rundir", self.rundir, *(str(argument) for argument in arguments)]

    def _exec_argv(self, domain, argv):
        return self._xenemu_argv("exec", domain, "--", *argv)

    def xenemu(self, *arguments, **options):
        """Runs xenemu on this emulation. Options are those of harness.run."""
        return run(*self._xenemu_argv(*arguments), **options)

    def run(self, domain, *argv, **options):
        """Runs a program in a domain to its end. Options are those of harness.run: deadline, input, check."""
        return run(*self._exec_argv(domain, argv), **options)

    def start(self, domain, *argv, **options):
        """Starts a program in a domain. Options are those of harness.Process."""
        return Process(self._exec_argv(domain, argv), **options)

    def start_ready(self, domain, *argv, **options):
        """Starts a program that has --ready-fd in a domain, and returns it when it is ready. Options are those of Process.ready."""
        return Process.ready(self._exec_argv(domain, argv), **options)

    def create(self, *arguments):
        """Creates a domain, with arguments such as "--name", "web". Returns its domid."""
        return int(self.xenemu("create", *arguments).stdout)

    def destroy(self, domain):
        self.xenemu("destroy", domain)

    def list(self):
        """The domains there are, as `xenemu list --json` tells them."""
        return json.loads(self.xenemu("list", "--json").stdout)

    def wait_store(self, domain, path, accept=lambda value: value is not None, deadline=DEADLINE):
        """Waits until a domain reads at path of the store what accept says yes to (None: it cannot be read). Returns the value."""
        until = Deadline(deadline)
        with self.start(domain, "xenstore-watch", path) as watch:
            fired = 0
            while True:
                fired += 1  # a watch fires once when it is set, and then for every change
                watch.wait_output(rf"\A(?:.*\n){{{fired}}}", until.left())
                read = self.run(domain, "xenstore-read", path, check=None)
                value = read.stdout.removesuffix("\n") if read.status == 0 else None
                if accept(value):
                    return value
