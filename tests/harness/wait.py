# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for something, up to a deadline, and saying what it was if it does not come.

A deadline is no measure of how long something may take: it only ends what hangs. So it is many times what a machine takes that does nothing
else. XCP_TEST_PATIENCE in the environment multiplies every deadline, for machines that are slower still.
"""

import ctypes
import os
import select
import time

PATIENCE = float(os.environ.get("XCP_TEST_PATIENCE", "1"))
DEADLINE = 60.0  # seconds, where nobody says otherwise
ASK_AGAIN = 0.01  # seconds between two looks at what has no descriptor to wait on

IN_CREATE = 0x100  # <sys/inotify.h>
IN_MOVED_TO = 0x80

_libc = ctypes.CDLL(None, use_errno=True)


class TimedOut(AssertionError):
    """A deadline passed."""

    def __init__(self, seconds, what):
        super().__init__(f"waited {seconds:g} s for {what}")


class Deadline:
    """A point in time, the given seconds (times PATIENCE) from now."""

    def __init__(self, seconds):
        self.seconds = seconds * PATIENCE
        self._end = time.monotonic() + self.seconds

    def left(self):
        return max(0.0, self._end - time.monotonic())

    def check(self, what):
        """Raises TimedOut if it has passed."""
        if not self.left():
            raise TimedOut(self.seconds, what)


def wait_until(predicate, what, deadline=DEADLINE, fds=()):
    """Calls predicate until it returns something true, and returns that.

    what: what is waited for, for the message of TimedOut.
    fds: looks again whenever one of these is readable; without any, every ASK_AGAIN seconds.
    """
    until = Deadline(deadline)
    while not (value := predicate()):
        until.check(what() if callable(what) else what)
        if fds:
            select.select(fds, [], [], until.left())
        else:
            time.sleep(ASK_AGAIN)
    return value


def wait_path(path, deadline=DEADLINE):
    """Waits until path exists. Its directory must exist already."""
    path = os.fspath(path)
    inotify = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if inotify < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "inotify_init1")
    try:
        directory = os.path.dirname(path) or "."
        if _libc.inotify_add_watch(inotify, directory.encode(), IN_CREATE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), directory)

        def look():
            try:
                os.read(inotify, 65536)
            except BlockingIOError:
                pass
            return os.path.lexists(path)

        wait_until(look, path, deadline, fds=(inotify,))
    finally:
        os.close(inotify)


def wait_listening(path, deadline=DEADLINE):
    """Waits until somebody listens at the path of a UNIX socket. The path is there a moment before: who connects then is refused."""
    listens_flag = 0x10000  # __SO_ACCEPTCON, in the fourth column; the path is the eighth

    def listens():
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as sockets:
            columns = [line.split(maxsplit=7) for line in sockets.readlines()[1:]]
        return any(len(c) == 8 and c[7].rstrip("\n") == str(path) and int(c[3], 16) & listens_flag for c in columns)

    wait_until(listens, f"somebody to listen at {path}", deadline)
