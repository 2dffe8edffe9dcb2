# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command lines of the vhost-user block back-end, its relay and its check: what they take, and what they say of what they do not."""

import json
import os
import pathlib
import re
import socket

from harness import Process, run
from vhostcase import BLK, CHECK, DRIVER, MIB, RELAY, Backend


class CommandLine(Backend):
    def test_capabilities_whatever_else_there_is(self):
        said = run(BLK, "--print-capabilities", "--no-such-option").stdout
        self.assertEqual(json.loads(said), {"type": "block", "features": ["read-only", "blk-file"]})

    def test_help(self):
        for program in BLK, CHECK:
            self.assertIn(f"Usage: {program.name} ", run(program, "--help").stdout)

    def test_bad_options(self):
        for options, words in (
            ((), "one of --socket-path, --connect and --fd"),
            (("--socket-path", "x", "--fd", "3"), "one of --socket-path, --connect and --fd"),
            (("--socket-path", "x", "--connect", "y"), "one of --socket-path, --connect and --fd"),
            (("--socket-path", "x"), "one of --blk-file and --null is needed"),
            (("--socket-path", "x", "--blk-file", "x", "--null", "4096"), "one of --blk-file and --null is needed"),
            (("--num-queues", "0"), "--num-queues is a number from 1 to 256, not '0'"),
            (("--serial", "x" * 21), "--serial has 21 bytes, more than 20"),
        ):
            self.assertIn(words, run(BLK, *options, check=2).stderr)

    def test_a_relay_that_nobody_has_given_a_socket(self):
        self.assertIn("descriptor 3 is no listening socket", run(RELAY, "--help", check=2).stderr)
        self.assertIn("DAEMON [ARGUMENT...]", run(RELAY, check=2).stderr)

    def test_a_check_of_nothing_is_none(self):
        for options, words in (
            (("--socket", "/nonexistent"), "/nonexistent: No such file or directory"),
            (("--socket", self.file), f"{self.file} is no socket"),
            (("--socket", self.socket, "R-1", "Z-9"), "there is no clause Z-9"),
        ):
            result = run(CHECK, *options, check=2)
            self.assertEqual((result.stdout, result.stderr.count("\n")), ("", 1))
            self.assertIn(words, result.stderr)

    def test_files_that_cannot_be(self):
        self.assertIn("No such file", run(BLK, "--socket-path", self.socket, "--blk-file", "/nonexistent", check=1).stderr)
        os.symlink(self.file, f"{self.directory}/link")
        options = ("--socket-path", self.socket, "--blk-dir", self.directory, "--blk-file")
        self.assertIn("link", run(BLK, *options, "link", check=1).stderr)
        self.assertIn("cannot open ../etc/passwd", run(BLK, *options, "../etc/passwd", check=1).stderr)
        self.assertIn("Block device required", run(BLK, *options[:2], "--blk-file", "/dev/zero", check=1).stderr)

    def test_what_is_wrong_is_named(self):
        """With its value: of a range, and of descriptors that there are not."""
        for option, words in (
            (("--offset", f"{65 * MIB}"), f"the 0 bytes of --size from --offset {65 * MIB} on are not all in {self.file}"),
            (("--offset", f"{MIB}", "--size", f"{64 * MIB}"), f"the {64 * MIB} bytes of --size from --offset {MIB} on are not all in"),
            (("--control", "987"), "cannot use the descriptor of --control: Bad file descriptor"),
            (("--counters", "987"), "cannot use the descriptor of --counters: Bad file descriptor"),
        ):
            result = run(BLK, *self.options_of(self.socket, *option), check=1)
            self.assertIn(words, result.stderr)
        self.assertIn("descriptor of --fd: Bad", run(BLK, "--fd", "987", "--blk-file", self.file, check=1).stderr)

    def test_it_may_have_the_descriptors_of_all_queues(self):
        """Five of each, of which there may be 256; 1024 is what a process usually has."""
        backend = Process(["sh", "-c", "ulimit -S -n 1024; exec \"$@\"", "sh", BLK, *self.options_of(self.socket), "--num-queues", "256"])
        self.addCleanup(backend.kill)
        backend.wait_output("ready\n")
        line, = re.findall(r"^Max open files +(\w+) +(\w+)", pathlib.Path(f"/proc/{backend.pid}/limits").read_text(), re.MULTILINE)
        self.assertEqual(*line)
        self.end(backend)

    def test_one_listens_at_a_path(self):
        backend = self.blk()
        self.assertIn("Address already in use", run(BLK, "--socket-path", self.socket, "--blk-file", self.file, check=1).stderr)
        self.end(backend)

    def options_of(self, path, *options):
        return ["--socket-path", path, "--blk-file", self.file, *options]

    def test_one_serves_a_disk(self):
        """A second waits until the first has ended. Readers, and those who share it, do not."""
        first = self.blk()
        second = Process([BLK, *self.options_of(f"{self.directory}/other")])
        self.addCleanup(second.kill)
        second.wait_output("waits for the end of another process", 30, "stderr")
        self.assertEqual(second.stdout, "")
        self.end(first)
        second.wait_output("ready\n")
        self.end(second)
        for option in "--read-only", "--share":
            os.unlink(f"{self.directory}/other")
            os.unlink(self.socket)
            first = self.blk(option)
            second = Process([BLK, *self.options_of(f"{self.directory}/other", option)])
            self.addCleanup(second.kill)
            second.wait_output("ready\n")
            self.end(first)
            self.end(second)

    def test_one_that_stands_by(self):
        """It takes a front-end while another serves the disk, begins no ring before it is told to and the other has ended, and then goes on with it."""
        self.assertIn("--standby needs --control", run(BLK, *self.options_of(self.socket, "--standby"), check=2).stderr)
        first = self.blk()
        ours, theirs = os.pipe()
        path = f"{self.directory}/other"
        second = Process([BLK, *self.options_of(path, "--standby", "--control", "0")], stdin=ours)
        self.addCleanup(second.kill)
        os.close(ours)
        second.wait_output("ready\n")
        self.assertEqual(run(CHECK, "--socket", path, "M-1", "M-3", deadline=100).stdout.count(" passed "), 2)
        driver = Process([DRIVER, path, "100000000"])
        self.addCleanup(driver.kill)
        os.write(theirs, b"begin\ncounters\n")
        second.wait_output("counters reads=0 writes=0 .*\n")
        self.assertNotIn("begun", second.stdout)
        self.end(first)
        second.wait_output("begun\n")
        driver.wait_output(r"\A200\n")
        driver.write("stop\n")
        self.assertRegex(driver.wait(60).check().stdout, r"\A(\d+\n)+right after \d+\n\Z")
        os.close(theirs)
        self.end(second)

    def test_ranges_are_disks_of_their_own(self):
        first = self.blk("--size", str(MIB))
        second = Process([BLK, *self.options_of(f"{self.directory}/other", "--offset", str(MIB))])
        self.addCleanup(second.kill)
        second.wait_output("ready\n")
        self.end(first)
        self.end(second)

    def test_one_that_stays_for_its_front_end(self):
        ours, theirs = os.pipe()
        backend = self.blk("--control", "0", fds=(ours,))
        os.close(ours)
        driver = Process([DRIVER, self.socket, "100000000"])
        self.addCleanup(driver.kill)
        driver.wait_output(r"\A200\n")
        os.write(theirs, b"stay\n")
        os.close(theirs)
        backend.wait_output("stays\n")
        driver.write("stop\n")
        self.assertRegex(driver.wait(60).check().stdout, r"\A(\d+\n)+right after \d+\n\Z")
        backend.wait().check()

    def test_listening_socket_by_descriptor(self):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.socket)
            listening.listen()
            backend = Process([BLK, "--fd", "0", "--blk-file", self.file], stdin=listening)
            self.addCleanup(backend.kill)
        self.assertEqual(self.check("M")[0].keys(), {"passed"})
        self.end(backend)

    def test_connected_socket_by_descriptor(self):
        ours, theirs = socket.socketpair()
        backend = Process([BLK, "--fd", "0", "--blk-file", self.file], stdin=theirs)
        theirs.close()
        backend.wait_output("ready\n")
        ours.close()
        backend.wait().check()
