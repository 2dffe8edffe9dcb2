# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl's commands, with services that say whatever a test wants."""

import json
import os
import re
import signal

from xcpctlcase import Terminal
from xcpctlmock import DB, DISK, DISK_PATH, LOCAL, LOCAL_PATH, MANAGER, MockTest, SR, STORAGE_CALLS, VDI, VM, WEB, WEB_PATH, XENOPSD, XENOPSD_CALLS, path


class Commands(MockTest):
    def test_every_command_makes_its_call(self):
        self.start()
        for service, calls in (("xenopsd", XENOPSD_CALLS), ("storage", STORAGE_CALLS)):
            for words, *call in calls:
                with self.subTest(words):
                    self.xcpctl(*words.split())
                    self.called(service, " ".join(call))

    def test_there_is_no_command_that_is_not_tested(self):
        tested = {words for words, *_ in (*XENOPSD_CALLS, *STORAGE_CALLS)}
        # vm ssh, vm connect: test-xcpctl-up.py
        own_tests = {"vm show", "vm addresses", "vm console", "vm ssh", "vm connect", "vm disk list", "vm nic list", "vm snapshot list", "sr show", "vdi show", "vdi import", "vdi export"}
        for command in self.json("help"):
            name = command["command"]
            if name.split()[0] in ("vm", "sr", "vdi") and name not in own_tests:
                self.assertTrue(any(words == name or words.startswith(name + " ") for words in tested), name)

    def test_a_whole_vm(self):
        self.start()
        self.xcpctl("vm", "create", "new", "--memory", "1GiB", "--vcpus", "2", "--kind", "Pvh", "--disk", "root,mode=ReadOnly", "--disk", "path=/x",
                    "--nic", "xenbr0,mac=00:16:3e:00:00:01", "--label", "owner=ann", "--backend-option", "a=b", "--autostart")
        self.called("xenopsd", "'memory': <uint64 1073741824>", "'vcpus': <uint32 2>", "'kind': <'Pvh'>", "'autostart': <true>",
                    "'labels': <{'owner': 'ann'}>", "'backend_options': <{'a': 'b'}>", f"'vdi': <objectpath '{DISK_PATH}'>", "'mode': <'ReadOnly'>",
                    "'path': <'/x'>", "'network': <'xenbr0'>", "'mac': <'00:16:3e:00:00:01'>")

    def test_lists(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "list").stdout.splitlines()[:2],
                         ["NAME  UUID                                  STATE    BACKEND", f"web   {WEB}  Running  noop"])
        self.assertEqual(self.json("vm", "list")[0], {"vm": WEB_PATH, "uuid": WEB, "name": "web", "state": "Running", "backend": "noop"})
        self.assertEqual(self.json("sr", "list"), [{"sr": LOCAL_PATH, "uuid": LOCAL, "name": "local", "driver": "directory", "state": "Attached"}])
        self.assertEqual(self.json("vdi", "list", "local")[0],
                         {"vdi": DISK_PATH, "uuid": DISK, "name": "root", "size": 10737418240, "sr": LOCAL_PATH})
        self.assertIn(f"local  root  {DISK}  10 GiB\n", self.xcpctl("vdi", "list").stdout)
        self.assertEqual(self.json("vm", "backends"), [{"name": "noop", "available": True, "features": ["save"]}])
        self.assertIn("directory  Files in a directory.  clone     path\n", self.xcpctl("sr", "drivers").stdout)
        self.assertEqual(self.json("vm", "disk", "list", "web"), [{"Name": "disk0", "VM": WEB_PATH, "VDI": DISK_PATH}])
        self.assertRegex(self.xcpctl("vm", "nic", "list", "web").stdout, r"net0 +xenbr0 ")
        self.assertEqual(self.json("vm", "disk", "list", "db"), [])

    def test_figures_have_units(self):
        self.start()
        self.assertEqual(self.xcpctl("sr", "space", "local").stdout, "total  1 TiB\nfree   512 B\n")
        self.assertEqual(self.json("sr", "space", "local"), {"total": 1099511627776, "free": 512})
        self.assertIn("memory_free  1.5 GiB\n", self.xcpctl("vm", "host").stdout)
        self.assertIn("uptime_us  5 min 2 s\n", self.xcpctl("vm", "statistics", "web").stdout)
        self.assertEqual(self.xcpctl("vm", "state", "web").stdout, "state   Running\nreason  Requested\n")

    def test_show(self):
        self.start()
        shown = self.xcpctl("vm", "show", "web").stdout
        for line in ("Name               web", "Memory             1.5 GiB", "Addresses          (10.0.0.5 00:16:3e:00:00:01 Lease)"):
            self.assertIn(line + "\n", shown)
        self.assertIn(f"Disk               disk0 vdi/{DISK.replace('-', '_')}", shown)
        said = self.json("vm", "show", "web")
        self.assertEqual(said["Addresses"], [{"address": "10.0.0.5", "mac": "00:16:3e:00:00:01", "source": "Lease"}])
        self.assertEqual([disk["Name"] for disk in said["disks"]], ["disk0"])
        self.assertEqual([nic["Network"] for nic in said["network_interfaces"]], ["xenbr0"])
        self.assertEqual(self.json("show", "vm/web")[VM]["Memory"], 1610612736)
        self.assertEqual(self.json("vdi", "show", "root")["Size"], 10737418240)
        self.assertEqual(self.json("sr", "show", "local"), {"Name": "local"})

    def test_names_uuids_and_their_beginnings(self):
        self.start()
        for word in ("web", WEB, WEB_PATH, "0a000000-0000-4000-8000-000000000001"):
            self.xcpctl("vm", "kill", word)
            self.called("xenopsd", WEB_PATH)
        self.xcpctl("vdi", "usage", "2a00")
        self.called("storage", DISK_PATH)
        self.assertIn(f"'0a00' is ambiguous, it could be each of the VMs {WEB} (web), {DB} (db)", self.refused(1, "vm", "kill", "0a00"))
        self.assertIn("there is no VM 'nothing'", self.refused(1, "vm", "kill", "nothing"))
        self.assertIn("there is no disk 'disk7'", self.refused(1, "vm", "disk", "plug", "web", "disk7"))
        self.assertIn("there is no VDI 'web'", self.refused(1, "vm", "create", "x", "--disk", "web"))
        self.assertLess(len(self.refused(1, "vm", "kill", "x" * 10_000)), 200)

    def test_what_was_made_is_printed_by_its_uuid(self):
        self.storage.reply(LOCAL_PATH, SR, "CreateVDI", self.storage.task(result=f"{{'vdi': <objectpath '{DISK_PATH}'>}}"))
        self.start()
        self.assertEqual(self.xcpctl("vdi", "create", "local", "x", "1M").stdout, DISK + "\n")
        self.assertEqual(self.json("vdi", "create", "local", "x", "1M"), {"vdi": DISK_PATH})
        self.assertEqual(self.xcpctl("vm", "create", "x").stdout, DB + "\n")
        self.assertEqual(self.json("vm", "start", "web"), {})

    def test_a_task_that_failed_shows_its_details(self):
        error = ("('org.xen.xcp.Error.NotEnoughSpace', '2048 bytes of disk space are needed, and 1024 are free', "
                 "{'needed': <uint64 2048>, 'free': <uint64 1024>})")
        self.storage.reply(LOCAL_PATH, SR, "CreateVDI", self.storage.task("Failed", error=error))
        self.start()
        said = self.refused(1, "vdi", "create", "local", "x", "1M")
        self.assertIn("xcpctl: org.xen.xcp.Error.NotEnoughSpace: 2048 bytes of disk space are needed", said)
        self.assertIn("xcpctl:   needed: 2 KiB\n", said)
        result = self.xcpctl("--json", "vdi", "create", "local", "x", "1M", check=1)
        self.assertEqual(json.loads(result.stderr)["error"]["details"], {"needed": 2048, "free": 1024})

    def test_import_and_export(self):
        self.start()
        disk, new = self.root / "disk", self.root / "new"
        disk.write_bytes(b"x" * 1000)
        self.assertEqual(self.xcpctl("vdi", "import", "local", "name", disk).stdout, DISK + "\n")
        self.services["storage"].wait_output("descriptor: read 1000 bytes")
        self.services["storage"].wait_output(re.escape("({'name': <'name'>}, handle 0, 'Raw')"))
        self.xcpctl("vdi", "import", "local", "name", "-", "--from", "Raw", input=b"y" * 70_000)
        self.services["storage"].wait_output("descriptor: read 70000 bytes")
        self.xcpctl("vdi", "export", "root", new)
        self.assertEqual(new.read_text(), "disk")
        self.assertIn("File exists", self.refused(1, "vdi", "export", "root", str(new)))
        self.xcpctl("vdi", "export", "root", new, "--force")
        self.assertEqual(self.xcpctl("--json", "vdi", "export", "root", "-").stdout, "disk")
        self.assertIn("No such file", self.refused(1, "vdi", "import", "local", "name", "/no/such/file"))
        self.assertEqual(self.json("call", "storage", LOCAL_PATH, SR, "ImportVDI", "{'name': <'n'>}", f"@{disk}", "Raw"), {"vdi": DISK_PATH})

    def test_an_export_that_fails_leaves_nothing(self):
        self.storage.add("error", DISK_PATH, VDI, "Export", "org.xen.xcp.Error.Busy", "The VDI is in use")
        self.start()
        self.assertIn("Error.Busy: The VDI is in use", self.refused(1, "vdi", "export", "root", str(self.root / "new")))
        self.assertFalse((self.root / "new").exists())

    def test_properties_that_cannot_be_set(self):
        self.start()
        self.assertIn("'State' is no property that can be set", self.refused(2, "vm", "set", "web", "State", "Halted"))
        self.assertIn("OnCrash: there is no 'Explode'", self.refused(2, "vm", "set", "web", "OnCrash", "Explode"))
        self.assertIn("See xcpctl vm set --help", self.refused(2, "vm", "set", "web", "Sing", "x"))

    def test_completion_knows_names(self):
        self.start()

        def complete(*words):
            return {line.split("\t")[0] for line in self.xcpctl("--complete", *words).stdout.splitlines()}

        self.assertEqual(complete("vm", "start", ""), {"web", "db", "twin"})
        self.assertEqual(complete("vm", "start", "0a"), {WEB, DB})
        self.assertEqual(complete("vm", "disk", "remove", "web", ""), {"disk0"})
        self.assertEqual(complete("vm", "nic", "remove", "web", ""), {"net0"})
        self.assertEqual(complete("vdi", "copy", "root", ""), {"local"})
        self.assertEqual(complete("vm", "save", "web", "r"), {"root"})
        self.assertEqual(complete("vm", "create", "new", "--backend", ""), {"noop"})
        self.assertEqual(complete("vm", "create", "new", "--disk", "r"), {"root"})
        self.assertEqual(complete("vm", "set", "web", "On"), {"OnCrash", "OnReboot"})
        self.assertEqual(complete("vm", "set", "web", "OnReboot", ""), {"Restart", "Halt", "Preserve"})
        self.assertEqual(complete("vm", "set", "web", "Autostart", "t"), {"true"})


class Console(MockTest):
    def test_on_pipes(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "console", "web", input="hello\nbye\n").stdout, "login: hello\nbye\n")
        self.called("xenopsd", "OpenConsole ('serial0', false)")

    def test_to_look_only(self):
        self.start()
        with self.begin("vm", "console", "web", "vnc0", "--read-only") as console:
            console.write("nobody hears this\n")
            console.wait_output("login: ")
            console.signal(signal.SIGTERM)
            console.wait().check()
        self.called("xenopsd", "OpenConsole ('vnc0', true)")

    def test_its_log(self):
        self.start()
        self.assertEqual(self.xcpctl("vm", "console", "web", "--log").stdout, "what it said\n")

    def test_on_a_terminal(self):
        self.start()
        terminal = Terminal(self)
        before = terminal.settings()
        console = self.begin("vm", "console", "web", stdin=terminal.program)
        console.wait_output("login: ")
        self.assertNotEqual(terminal.settings(), before)
        os.write(terminal.ours, b"\x03typed\r")
        console.wait_output("login: \x03typed\r")
        os.write(terminal.ours, b"\x1dnot this")
        console.wait().check()
        self.assertNotIn("not this", console.stdout)
        self.assertEqual(terminal.settings(), before)

    def test_killed_it_puts_the_terminal_right(self):
        self.start()
        terminal = Terminal(self)
        before = terminal.settings()
        console = self.begin("vm", "console", "web", stdin=terminal.program)
        console.wait_output("login: ")
        console.signal(signal.SIGTERM)
        console.wait().check()
        self.assertEqual(terminal.settings(), before)


class Hostile(MockTest):
    """Services and guests that mean no good to who looks at them."""

    EVIL = "\\u001b]0;owned\\u0007\\n\\u009b31m\\u202egnp.exe"

    def test_what_is_shown_cannot_do_anything_to_a_terminal(self):
        self.xenopsd.property(WEB_PATH, VM, "Description", f"'{self.EVIL}'")
        self.xenopsd.add("error", WEB_PATH, VM, "Kill", "org.xen.xcp.Error.Internal", "\033]0;owned\007 and more")
        self.xenopsd.reply(WEB_PATH, VM, "Reset", self.xenopsd.task("Failed", error=f"('a.b', '{self.EVIL}', {{'{self.EVIL}': <'{self.EVIL}'>}})"))
        self.start()
        for words in (("vm", "show", "web"), ("show", "vm/web"), ("--json", "vm", "show", "web"),
                      ("get", "xenopsd", WEB_PATH, VM, "Description")):
            with self.subTest(words):
                shown = self.xcpctl(*words).stdout
                self.assertIn("owned", shown)
                self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertNotIn("\u202e", self.xcpctl("vm", "show", "web").stdout)
        self.assertEqual(self.json("vm", "show", "web")["Description"], "\033]0;owned\007\n\x9b31m\u202egnp.exe")
        for words in (("vm", "kill", "web"), ("vm", "reset", "web")):
            said = self.refused(1, *words)
            self.assertIn("owned", said)
            self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

    def test_names_that_a_shell_would_run_are_not_completed(self):
        rows = ", ".join(f"(objectpath '/v{i}', '', '{name}', 'Halted', 'noop')" for i, name in enumerate(("$(touch x)", "a b", "`x`", "ok", "a\\tb")))
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", f"([{rows}],)")
        self.start()
        self.assertEqual(self.xcpctl("--complete", "vm", "start", "").stdout, "ok\t\n")

    def test_answers_of_another_shape_are_errors(self):
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", "(['a'],)")
        self.storage.reply(LOCAL_PATH, SR, "ListVDIs", "('nothing',)")
        self.xenopsd.reply(WEB_PATH, VM, "OpenConsole", "('no descriptor',)")
        self.start()
        for words in (("vm", "kill", "web"), ("vdi", "list"), ("vdi", "usage", "root"), ("vm", "console", WEB_PATH, "serial0")):
            with self.subTest(words):
                result = self.xcpctl(*words, check=1)
                self.assertNotIn("CRITICAL", result.stderr)
                self.assertRegex(result.stderr, r"\Axcpctl: .+\n\Z")
        self.assertEqual(self.xcpctl("vm", "list").stdout, "a\n")

    def test_a_name_of_10_kb(self):
        self.xenopsd.reply(XENOPSD, MANAGER, "ListVms", f"([(objectpath '/v', '{WEB}', '{'x' * 10_000}', 'Halted', 'noop')],)")
        self.start()
        self.assertIn("x" * 10_000, self.xcpctl("vm", "list").stdout)
        terminal = Terminal(self)
        self.xcpctl("vm", "list", stdout=terminal.program)
        terminal.wait("noop")
        lines = terminal.text.splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertLessEqual(len(re.sub("\033\\[[0-9]*m", "", line)), 80)
        self.assertIn("…", lines[1])

    def test_colours_are_for_terminals_that_have_them(self):
        self.start()

        def shown():
            terminal = Terminal(self)
            self.xcpctl("vm", "list", stdout=terminal.program)
            terminal.wait("twin")
            return terminal.text

        self.assertIn("\033[1m", shown())
        self.env["NO_COLOR"] = "1"
        self.assertNotIn("\033", shown())
        self.assertNotIn("\033", self.xcpctl("vm", "list").stdout)
