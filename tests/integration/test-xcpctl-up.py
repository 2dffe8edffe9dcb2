# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl up, down and validate: files of VMs, with the VM manager and the storage service."""

import json

from harness import build_directory, run
from xenopsdcase import XenopsdTest

XCPCTL = build_directory() / "tools/xcpctl/xcpctl"

FILE = """
vms:
  web:
    backend: noop
    memory: 128MiB
    vcpus: 2
    description: what people see
    on_crash: Restart
    disks:
      - { name: root, sr: local, size: 20MiB }
    network_interfaces:
      - user
  db:
    backend: noop
    start: false
"""


class UpTest(XenopsdTest):
    """Both services, and a storage repository."""

    def setUp(self):
        super().setUp()
        self.start_service("storage/xcp-storage", "org.xen.xcp.storage", "storage")
        self.xcpctl("sr", "create", "local", "directory", "--config", f"path={self.root}/sr")
        self.file = self.root / "vms.yaml"
        self.file.write_text(FILE)

    def xcpctl(self, *words, **options):
        return run(XCPCTL, "--address", self.address, *words, **options)

    def json(self, *words):
        return json.loads(self.xcpctl("--json", *words).stdout)

    def up(self):
        return {row["name"]: (row["action"], row["state"]) for row in self.json("up", self.file)}

    def down(self, *words):
        return [(row["name"], row["action"]) for row in self.json("down", self.file, *words)]

    def refused(self, *words):
        result = self.xcpctl(*words, check=1)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def change(self, old, new):
        text = self.file.read_text()
        self.assertIn(old, text)
        self.file.write_text(text.replace(old, new))

    def disks(self):
        return {row["name"]: row["vdi"] for row in self.json("vdi", "list")}


class Up(UpTest):
    def test_makes_and_starts_what_is_there_and_does_nothing_twice(self):
        self.assertEqual(self.up(), {"web": ("created", "Running"), "db": ("created", "Halted")})
        spec = self.json("vm", "spec", "web")
        self.assertEqual((spec["memory"], spec["vcpus"], spec["on_crash"]), (128 << 20, 2, "Restart"))
        self.assertEqual([(disk["name"], disk["vdi"]) for disk in spec["disks"]], [("root", self.disks()["web-root"])])
        self.assertEqual([(nic["name"], nic["network"]) for nic in spec["network_interfaces"]], [("net0", "user")])
        self.assertEqual(self.up(), {"web": ("unchanged", "Running"), "db": ("unchanged", "Halted")})
        self.xcpctl("vm", "kill", "web")
        self.assertEqual(self.up()["web"], ("started", "Running"))

    def test_changes_what_can_be_changed(self):
        self.up()
        self.change("what people see", "another")
        self.change("128MiB", "64MiB")
        self.change("- user", "- user\n      - { name: second, network: br0 }")
        self.change("size: 20MiB }", "size: 30MiB }\n      - { name: data, size: 1MiB }")
        self.assertEqual(self.up()["web"], ("changed", "Running"))
        self.assertEqual(self.up()["web"], ("unchanged", "Running"))
        spec = self.json("vm", "spec", "web")
        self.assertEqual((spec["description"], spec["memory"]), ("another", 64 << 20))
        self.assertEqual([nic["name"] for nic in spec["network_interfaces"]], ["net0", "second"])
        self.assertEqual([disk["name"] for disk in spec["disks"]], ["root", "data"])
        self.assertEqual(self.json("vdi", "show", "web-root")["Size"], 30 << 20)

    def test_names_the_line_of_what_cannot_be_changed_and_touches_nothing(self):
        self.up()
        self.change("what people see", "another")
        self.change("backend: noop\n    memory", "backend: qemu\n    memory")
        self.assertIn("vms.yaml:4:14: backend of web is noop and cannot be changed", self.refused("up", self.file))
        self.assertEqual(self.json("vm", "spec", "web")["description"], "what people see")

    def test_names_the_line_of_what_the_manager_refuses(self):
        self.change("- user", "- { network: user, mac: nonsense }")
        said = self.refused("up", self.file)
        self.assertIn("org.xen.xcp.Error.InvalidArgument: ", said)
        self.assertIn("vms.yaml:12:31: spec.network_interfaces[0].mac: 'nonsense'", said)
        # Mended, it goes on with the disk that was made.
        disks = self.disks()
        self.change("nonsense", "02:00:00:00:00:01")
        self.assertEqual(self.up()["web"], ("created", "Running"))
        self.assertEqual(self.disks(), disks)

    def test_names_the_line_of_a_disk_that_is_not_there(self):
        self.change("size: 20MiB }", "size: 20MiB }\n      - nobodys")
        self.assertIn("vms.yaml:11:9: ", self.refused("up", self.file))

    def test_a_failed_vm_is_left_to_its_operator(self):
        self.change("backend: noop\n    memory", "backend: noop\n    backend_options: { exit-after-ms: 0 }\n    memory")
        self.change("on_crash: Restart", "on_crash: Preserve")
        self.xcpctl("up", self.file, check=None)
        self.caller.wait_until(lambda: self.json("vm", "state", "web")["state"] == "Failed", "the end of web")
        self.assertIn("vms.yaml:3:3: web is Failed", self.refused("up", self.file))


class Down(UpTest):
    def test_removes_the_vms_and_keeps_their_disks(self):
        self.up()
        disks = self.disks()
        self.assertEqual(self.down(), [("db", "removed"), ("web", "removed")])
        self.assertEqual(self.json("vm", "list"), [])
        self.assertEqual(self.disks(), disks)
        self.assertEqual(self.up()["web"], ("created", "Running"))
        self.assertEqual(self.disks(), disks)

    def test_removes_the_disks_too_and_does_nothing_twice(self):
        self.up()
        self.xcpctl("vdi", "create", "local", "other", "1MiB")
        self.assertEqual(self.down("--disks"), [("db", "removed"), ("web", "removed")])
        self.assertEqual(list(self.disks()), ["other"])
        self.assertEqual(self.down("--disks"), [("db", "absent"), ("web", "absent")])


class Validate(UpTest):
    def test_a_good_file(self):
        self.assertRegex(self.xcpctl("validate", self.file).stdout, r"vms\.yaml: good, with 2 VMs\n\Z")
        self.assertEqual(self.json("validate", self.file), {"valid": True, "vms": 2, "problems": []})

    def test_all_problems_with_lines_and_hints(self):
        self.change("memory: 128MiB", "memroy: 128MiB")
        self.change("on_crash: Restart", "on_crash: restart")
        result = self.xcpctl("validate", self.file, check=4)
        self.assertRegex(result.stdout, r"vms\.yaml:5:5: there is no key 'memroy' here\n    did you mean memory\?\n")
        self.assertRegex(result.stdout, r"vms\.yaml:8:15: on_crash: there is no 'restart'\n    did you mean Restart\?\n")
        self.assertEqual(result.stderr, "")
        problems = json.loads(self.xcpctl("--json", "validate", self.file, check=4).stdout)["problems"]
        self.assertEqual([(problem["line"], problem["column"]) for problem in problems], [(5, 5), (8, 15)])
        # up says the same, and does nothing.
        self.assertIn("did you mean memory?", self.refused("up", self.file))
        self.assertEqual(self.json("vm", "list"), [])

    def test_from_standard_input_and_what_cannot_be_read(self):
        self.assertIn("good, with 1 VM\n", self.xcpctl("validate", "-", input="vms: { a: {} }").stdout)
        self.assertIn("No such file", self.refused("validate", self.root / "nothing"))
