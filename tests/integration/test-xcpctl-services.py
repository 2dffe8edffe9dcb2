# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl with the storage service and the VM manager that there are."""

import os
import signal

from harness import build_directory, wait_until
from xcpctlcase import Terminal, XcpctlTest


class Real(XcpctlTest):
    """The services there are: directories of disks, and VMs on the backend noop."""

    def setUp(self):
        super().setUp()
        for name in ("storage", "xenopsd"):
            self.start_service(build_directory() / f"services/{name}/xcp-{name}", self.root / name)
        self.xcpctl("sr", "create", "local", "directory", "--config", f"path={self.root}/disks")

    def word(self, *arguments):
        """The one word that it prints."""
        return self.xcpctl(*arguments).stdout.strip()

    def state(self, vm):
        return self.json("vm", "show", vm)["State"]

    def test_the_life_of_disks(self):
        root = self.word("vdi", "create", "local", "root", "1M", "--label", "for=web")
        self.assertEqual(self.json("vdi", "show", "root")["Labels"], {"for": "web"})
        self.assertEqual({disk["uuid"] for disk in self.json("vdi", "list", "local")}, {root})
        data = os.urandom(1_000_000)
        image = self.xcpctl("vdi", "import", "local", "image", "-", "--size", "2M", input=data).stdout.strip()
        self.xcpctl("vdi", "export", image[:8], self.root / "image")
        exported = (self.root / "image").read_bytes()
        self.assertEqual((len(exported), exported[:len(data)]), (2 << 20, data))
        self.xcpctl("vdi", "clone", "image", "clone")
        self.xcpctl("vdi", "snapshot", "image", "snapshot")
        self.xcpctl("vdi", "copy", "image", "local", "copy")
        self.xcpctl("vdi", "resize", "root", "2M")
        self.assertEqual(self.json("vdi", "show", "root")["Size"], 2 << 20)
        self.assertTrue(self.json("vdi", "show", "snapshot")["ReadOnly"])
        self.xcpctl("vdi", "attach", "root", "me", "File", "--mode", "ReadWrite")
        self.xcpctl("vdi", "activate", "root", "me")
        self.assertEqual(self.json("vdi", "show", "root")["DataPaths"], [{"reader": "me", "state": "Activated", "kind": "File", "mode": "ReadWrite"}])
        self.assertIn("Error.Busy: ", self.refused(1, "vdi", "destroy", "root"))
        self.xcpctl("vdi", "deactivate", "root", "me")
        self.xcpctl("vdi", "detach", "root", "me")
        self.xcpctl("vdi", "destroy", "root")
        self.assertIn("there is no VDI 'root'", self.refused(1, "vdi", "show", "root"))

    def test_the_life_of_storage(self):
        self.assertIn("directory", self.xcpctl("sr", "drivers").stdout)
        self.assertGreater(self.json("sr", "space", "local")["total"], 0)
        self.assertIn("Error.BadState: ", self.refused(1, "sr", "forget", "local"))
        self.xcpctl("sr", "scan", "local")
        self.xcpctl("sr", "detach", "local")
        self.assertEqual(self.json("sr", "list")[0]["state"], "Detached")
        self.xcpctl("sr", "forget", "local")
        self.assertEqual(self.json("sr", "list"), [])
        self.xcpctl("sr", "introduce", "again", "directory", "--config", f"path={self.root}/disks")
        self.xcpctl("sr", "set", "again", "Description", "Back")
        self.assertEqual(self.json("sr", "show", "again")["Description"], "Back")
        self.xcpctl("sr", "detach", "again")
        self.xcpctl("sr", "attach", "again")
        self.xcpctl("sr", "destroy", "again")

    def test_the_life_of_a_vm(self):
        self.xcpctl("vdi", "create", "local", "root", "1M")
        self.xcpctl("vdi", "create", "local", "memory", "100M")
        uuid = self.word("vm", "create", "web", "--memory", "64M", "--vcpus", "2", "--disk", "root", "--nic", "user", "--backend", "noop")
        self.assertIn("Error.AlreadyExists: ", self.refused(1, "vm", "create", "web"))
        self.xcpctl("vm", "start", uuid[:8])
        self.assertEqual(self.state("web"), "Running")
        wait_until(lambda: self.json("vm", "addresses"), "an address of web")
        [row] = self.json("vm", "addresses", "web")
        self.assertEqual((row["name"], row["source"]), ("web", "UserNetwork"))
        self.assertIn(f"web  {row['address']}  {row['mac']}  UserNetwork\n", self.xcpctl("vm", "addresses").stdout)
        self.assertIn("uptime_us", self.json("vm", "statistics", "web"))
        self.assertEqual(self.json("vm", "spec", "web")["memory"], 64 << 20)
        self.assertEqual(self.json("vm", "state", "web")["state"], "Running")
        for words, state in ((("suspend",), "Suspended"), (("resume",), "Running"), (("reset",), "Running"), (("reboot",), "Running"),
                             (("save", "memory"), "Saved"), (("restore",), "Running"), (("kill",), "Halted"), (("prepare",), "Prepared"),
                             (("start", "--paused"), "Suspended"), (("resume",), "Running"), (("stop", "--grace", "5s"), "Halted")):
            self.xcpctl("vm", words[0], "web", *words[1:])
            self.assertEqual(self.state("web"), state, words)
        said = self.refused(1, "vm", "suspend", "web")
        self.assertIn("Error.BadPowerState: ", said)
        self.assertIn("xcpctl:   found: Halted\n", said)
        self.xcpctl("vm", "set-memory", "web", "32M")
        self.xcpctl("vm", "set-vcpus", "web", "1")
        self.xcpctl("vm", "snapshot", "create", "web", "now")
        self.assertEqual([(row["name"], row["with_memory"]) for row in self.json("vm", "snapshot", "list", "web")], [("now", False)])
        self.assertRegex(self.xcpctl("vm", "snapshot", "list", "web").stdout, r"\ANAME +CREATED +WITH MEMORY\nnow +20\d\d-\d\d-\d\d [0-9:]+ +no\n")
        self.xcpctl("vm", "snapshot", "revert", "web", "now")
        self.xcpctl("vm", "snapshot", "delete", "web", "now")
        self.assertEqual(self.json("vm", "snapshot", "list", "web"), [])
        self.xcpctl("vm", "rename", "web", "web2")
        self.xcpctl("vm", "set", "web2", "OnCrash", "Preserve")
        shown = self.json("vm", "show", "web2")
        self.assertEqual((shown["Memory"], shown["Vcpus"], shown["OnCrash"]), (32 << 20, 1, "Preserve"))
        self.xcpctl("vm", "destroy", "web2")
        self.assertEqual(self.json("vm", "list"), [])

    def test_devices(self):
        self.xcpctl("vdi", "create", "local", "data", "1M")
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop")
        self.xcpctl("vm", "start", "web")
        self.assertEqual(self.word("vm", "disk", "add", "web", "data", "--name", "a-disk"), "a-disk")
        self.assertTrue(self.json("vm", "disk", "list", "web")[0]["Plugged"])
        self.xcpctl("vm", "disk", "statistics", "web", "a-disk")
        self.xcpctl("vm", "disk", "unplug", "web", "a-disk")
        self.xcpctl("vm", "disk", "plug", "web", "a-disk")
        self.xcpctl("vm", "disk", "remove", "web", "a-disk")
        self.assertEqual(self.json("vm", "disk", "list", "web"), [])
        nic = self.word("vm", "nic", "add", "web", "user")
        self.xcpctl("vm", "nic", "statistics", "web", nic)
        self.xcpctl("vm", "nic", "remove", "web", nic)

    def test_a_console(self):
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop")
        self.xcpctl("vm", "start", "web")
        with self.begin("vm", "console", "web") as console:
            console.write("\n")
            console.wait_output("web login: ")
            self.xcpctl("vm", "kill", "web")
            console.wait().check()
        self.assertIn("web login: ", self.xcpctl("vm", "console", "web", "--log").stdout)

    def test_interrupted(self):
        """A VM that does not come up, as its backend is told not to."""
        self.xcpctl("vm", "create", "web", "--memory", "64M", "--backend", "noop", "--backend-option", "start=stuck")
        terminal = Terminal(self)
        starting = self.begin("vm", "start", "web", stderr=terminal.program)
        terminal.wait("Running")
        starting.signal(signal.SIGINT)
        starting.wait().check(1)
        terminal.wait("Error.Cancelled")
        self.assertEqual(self.state("web"), "Halted")
