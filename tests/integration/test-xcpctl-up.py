# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcpctl up, down and validate: files of VMs, with the VM manager and the storage service; and logging in to a VM that was made so."""

import json
import os
import shutil

from harness import Process, build_directory, run
from imageserver import Server, sha256
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
        self.home = self.root / "home"
        self.file = self.root / "vms.yaml"
        self.file.write_text(FILE)

    def xcpctl(self, *words, **options):
        env = {"XDG_DATA_HOME": str(self.root / "home"), "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return run(XCPCTL, "--address", self.address, *words, env=env, **options)

    def json(self, *words):
        return json.loads(self.xcpctl("--json", *words).stdout)

    def up(self):
        return {row["name"]: (row["action"], row["state"]) for row in self.json("up", self.file)}

    def down(self, *words):
        return [(row["name"], row["action"]) for row in self.json("down", self.file, *words)]

    def refused(self, *words):
        result = self.xcpctl(*words, check=1)
        self.assertEqual([line for line in result.stdout.splitlines() if not line.startswith(("VM ", "web "))], [])  # those that were done before
        return result.stderr

    def change(self, old, new):
        text = self.file.read_text()
        self.assertIn(old, text)
        self.file.write_text(text.replace(old, new))

    def disks(self):
        return {row["name"]: row["vdi"] for row in self.json("vdi", "list")}


class Mistakes(UpTest):
    def test_a_file_is_no_vdi(self):
        self.xcpctl("vm", "create", "one", "--backend", "noop")
        for words in ("create", "two", "--disk", "/disk.img"), ("disk", "add", "one", "path=/disk.img"), ("disk", "add", "one", "/disk"):
            self.assertIn("write --disk path=FILE", self.xcpctl("vm", *words, check=2).stderr)

    def test_keys_and_options_that_are_nearly_right(self):
        self.xcpctl("vm", "create", "one", "--backend", "noop")
        self.xcpctl("vdi", "create", "local", "a,b=c", "1MiB")
        for words, status, said in (
            (("create", "two", "--nic", "user,mca=1"), 2, "'mca' is no key of NetworkInterfaceSpec; did you mean mac?"),
            (("create", "two", "--disk", "path=/disk.img,mode=rw"), 2, "mode: there is no 'rw'; there are: ReadWrite, ReadOnly"),
            (("disk", "add", "one", "root,name=data"), 1, "as in --name data: there is no VDI 'root,name=data'"),
            (("set", "one", "Labels", "owner"), 2, "Labels: 'owner' has to be written as in {'owner': 'ann',"),
        ):
            self.assertIn(said, self.xcpctl("vm", *words, check=status).stderr)
        self.xcpctl("vm", "disk", "add", "one", "a,b=c")


class Managers(XenopsdTest):
    def test_a_vm_that_moves_to_another_one_is_reached_there(self):
        name = "org.xen.xcp.second"
        self.start_service("xenopsd/xcp-xenopsd", name, "second")

        def xcpctl(*words, **options):
            return run(XCPCTL, "--address", self.address, *words, **options).stdout

        def state(*words):
            return json.loads(xcpctl(*words, "--json", "vm", "show", "one"))["State"]

        xcpctl("vm", "create", "one", "--backend", "noop")
        xcpctl("vm", "start", "one")
        xcpctl("vm", "migrate", "one", name)
        self.assertEqual((state(), state("--manager", name)), ("Halted", "Running"))
        xcpctl("--manager", name, "vm", "kill", "one")
        self.assertEqual(state("--manager", name), "Halted")
        offered = run(XCPCTL, "--complete", "--address", self.address, "--manager", name, "vm", "start", "o").stdout
        self.assertEqual(offered.split()[0], "one")
        self.assertIn("'a b' is no bus name", run(XCPCTL, "--address", self.address, "--manager", "a b", "vm", "list", check=2).stderr)


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
        self.change("128MiB", "64MiB\n    autostart_order: 7\n    autostart_delay_ms: 2000")
        self.change("- user", "- user\n      - { name: second, network: br0 }")
        self.change("size: 20MiB }", "size: 30MiB }\n      - { name: data, size: 1MiB }")
        web, db = self.json("up", self.file)
        self.assertEqual((web["action"], web["state"], db["changes"]), ("changed", "Running", []))
        self.assertEqual(web["changes"], ["description", "memory", "autostart_order", "autostart_delay_ms", "disks.root.size", "disks.data", "network_interfaces.second"])
        self.assertEqual(self.up()["web"], ("unchanged", "Running"))
        spec = self.json("vm", "spec", "web")
        self.assertEqual((spec["description"], spec["memory"], spec["autostart_order"], spec["autostart_delay_ms"]), ("another", 64 << 20, 7, 2000))
        self.assertEqual([nic["name"] for nic in spec["network_interfaces"]], ["net0", "second"])
        self.assertEqual([disk["name"] for disk in spec["disks"]], ["root", "data"])
        self.assertEqual(self.json("vdi", "show", "web-root")["Size"], 30 << 20)

    def test_names_the_line_of_what_cannot_be_changed_and_touches_nothing(self):
        self.up()
        self.change("what people see", "another")
        self.change("backend: noop\n    memory", "backend: qemu\n    memory")
        self.assertIn("vms.yaml:4:14: backend of web is noop and cannot be changed", self.refused("up", self.file))
        self.assertEqual(self.json("vm", "spec", "web")["description"], "what people see")
        self.change("backend: qemu\n    memory", "backend: noop\n    memory")
        self.change("size: 20MiB", "size: 30MiB")
        self.change("- user", "- another")
        self.assertIn("vms.yaml:12:9: network of net0 of web is user and cannot be changed", self.refused("up", self.file))
        self.assertEqual(self.json("vdi", "show", "web-root")["Size"], 20 << 20)
        self.xcpctl("vdi", "set", "web-root", "Name", "elsewhere")
        self.assertIn("vms.yaml:10:9: web has a disk root that is not called web-root", self.refused("up", self.file))
        self.assertEqual(list(self.disks()), ["elsewhere"])

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

    def test_tells_what_was_done_before_an_error(self):
        self.change("start: false", "start: false\n    disks: [ nobodys ]")
        result = self.xcpctl("up", self.file, check=1)
        self.assertEqual([line.split() for line in result.stdout.splitlines()], [["VM", "ACTION", "STATE", "CHANGES"], ["web", "created", "Running", "-"]])
        self.assertIn("vms.yaml:16:14: there is no VDI 'nobodys'", result.stderr)

    def test_names_the_line_of_a_disk_that_is_not_there(self):
        self.change("size: 20MiB }", "size: 20MiB }\n      - nobodys")
        self.assertIn("vms.yaml:11:9: ", self.refused("up", self.file))
        self.assertEqual(self.disks(), {})

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


SEED = """start: false
    cloud_init:
      user: ann
      hostname: db1
      sr: local
"""

SSH = """#!/bin/sh
printf '%s\\n' "$@"
exit 7
"""


class Seed(UpTest):
    def setUp(self):
        super().setUp()
        self.change("start: false\n", SEED)

    def read(self, name):
        """A file of the seed's image."""
        if not (image := self.root / "seed.iso").exists():
            self.xcpctl("vdi", "export", "db-seed", image)
        run("xorriso", "-osirrox", "on", "-indev", image, "-extract", f"/{name}", self.root / name)
        return (self.root / name).read_text()

    def test_the_seed_says_what_the_file_does(self):
        self.up()
        [disk] = self.json("vm", "spec", "db")["disks"]
        self.assertEqual((disk["name"], disk["kind"], disk["mode"], disk["vdi"]), ("seed", "CdRom", "ReadOnly", self.disks()["db-seed"]))
        first, _, text = self.read("user-data").partition("\n")
        key = (self.home / "xcpctl/keys/db.pub").read_text().strip()
        self.assertEqual(first, "#cloud-config")
        self.assertEqual(json.loads(text), {"hostname": "db1", "user": {"name": "ann"}, "ssh_authorized_keys": [key]})
        self.assertRegex(key, "^ssh-ed25519 ")
        self.assertEqual((self.home / "xcpctl/keys/db").stat().st_mode & 0o777, 0o600)
        meta = json.loads(self.read("meta-data"))
        self.assertEqual(meta["local-hostname"], "db1")
        self.assertRegex(meta["instance-id"], "^db-[0-9a-f]{12}$")
        volume = (self.root / "seed.iso").read_bytes()[32808:32840]  # of the primary volume descriptor (ECMA-119, 8.4.7)
        self.assertEqual(volume.rstrip(), b"cidata")

    def test_data_of_ones_own_goes_as_it_is(self):
        self.change("      user: ann\n", "      user_data: |\n        #!/bin/sh\n        echo hello\n      network_config: '{version: 2}'\n")
        self.up()
        self.assertEqual(self.read("user-data"), "#!/bin/sh\necho hello\n")
        self.assertEqual(self.read("network-config"), "{version: 2}")
        self.assertFalse((self.home / "xcpctl/keys/db").exists())

    def test_is_made_once_and_not_changed_under_the_guest(self):
        self.up()
        disks = self.disks()
        self.assertEqual(self.up()["db"], ("unchanged", "Halted"))
        self.change("hostname: db1", "hostname: db2")
        self.assertIn("vms.yaml:17:7: cloud_init of db is not what the VM was made with", self.refused("up", self.file))
        self.assertEqual(self.disks(), disks)
        self.down()
        known = self.home / "xcpctl/keys/db.known_hosts"
        known.write_text("what the old guest has shown")
        self.assertEqual(self.up()["db"], ("created", "Halted"))
        self.assertFalse(known.exists())
        self.assertNotEqual(self.disks()["db-seed"], disks["db-seed"])
        self.assertEqual(json.loads(self.read("meta-data"))["local-hostname"], "db2")
        known.write_text("what the old guest has shown")
        self.down("--disks")
        self.assertEqual((self.disks(), known.exists()), ({}, False))

    def test_mistakes_are_told_with_their_lines(self):
        self.change("user: ann", "users: ann")
        self.change("hostname: db1", "user_data: echo")
        said = self.xcpctl("validate", self.file, check=4).stdout
        self.assertIn("vms.yaml:17:7: there is no key 'users' here\n    did you mean user?", said)
        self.assertIn("vms.yaml:18:18: cloud-init does not understand user_data without a first line that says what it is", said)


class Login(UpTest):
    """With a ssh that says what it was asked for."""

    def setUp(self):
        super().setUp()
        (self.root / "bin").mkdir()
        (self.root / "bin/ssh").write_text(SSH)
        (self.root / "bin/ssh").chmod(0o755)
        self.change("start: false\n", SEED.replace("start: false", "network_interfaces: [ { network: br0, mac: 02:00:00:01:02:03 } ]"))
        self.up()
        self.caller.wait_until(lambda: self.json("vm", "show", "db")["Addresses"], "an address of db")

    def test_the_key_and_user_of_the_file(self):
        words = self.xcpctl("vm", "ssh", "db", "--", "uname", "-a", check=7).stdout.split("\n")
        key = f"{self.home}/xcpctl/keys/db"
        self.assertEqual(words, ["-o", f'UserKnownHostsFile="{key}.known_hosts"', "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes",
                                 "-i", key, "-l", "ann", "-p", "22", "--", "10.1.2.3", "uname", "-a", ""])

    def test_another_key_user_and_port(self):
        words = self.xcpctl("vm", "ssh", "db", "--user", "bob", "--identity", "/key", "--port", "2222", check=7).stdout.split("\n")
        self.assertEqual(words[4:], ["-i", "/key", "-l", "bob", "-p", "2222", "--", "10.1.2.3", ""])

    def test_a_vm_without_an_address(self):
        self.xcpctl("vm", "kill", "db")
        self.assertIn("no address is known", self.refused("vm", "ssh", "db"))

    def test_a_vm_that_only_its_backend_can_reach(self):
        shutil.rmtree(self.home / "xcpctl")
        words = self.xcpctl("vm", "ssh", "web", "--port", "2222", check=7).stdout.split("\n")
        self.assertTrue((self.home / "xcpctl/keys").is_dir(), "there is no place where ssh could note the guest's host key")
        vm = self.json("vm", "list")[1]
        connect = f"ProxyCommand='{XCPCTL}' '--address' '{self.address}' 'vm' 'connect' '{vm['vm']}' %p"
        self.assertEqual((vm["name"], words[4:]), ("web", ["-o", connect, "-p", "2222", "--", "web", ""]))
        self.assertIn("OpenPort is not supported here", self.refused("vm", "connect", "web", "22"))
        self.assertIn("is no port", self.xcpctl("vm", "connect", "web", "65536", check=2).stderr)
        self.assertIn("no network interface", self.refused("vm", "connect", "db", "22"))

    def test_the_log_stays_when_the_vm_is_off(self):
        self.caller.wait_until(lambda: "login:" in self.xcpctl("vm", "log", "db").stdout, "the login prompt of db in its log")
        self.xcpctl("vm", "kill", "db")
        self.assertIn("login:", self.xcpctl("vm", "log", "db").stdout)


class Images(UpTest):
    """With the images service, and an image on a web server."""

    def setUp(self):
        super().setUp()
        self.start_service("images/xcp-images", "org.xen.xcp.images", "images")
        self.server = Server(self)
        self.image = os.urandom(1 << 20) * 2
        self.server.files["/disk"] = self.image
        self.source = self.server.url + "/disk"
        self.change("start: false\n", f"start: false\n    image: {self.source}\n    disks: [ {{ name: copy, image: {self.source}, size: 8MiB }} ]\n")

    def exported(self, name):
        path = self.root / f"{name}.raw"
        self.xcpctl("vdi", "export", name, path)
        return path.read_bytes()

    def test_disks_begin_as_the_image_which_is_pulled_and_imported_once(self):
        self.up()
        disks = self.disks()
        base = "image-" + sha256(self.image).partition(":")[2][:16]
        self.assertEqual(sorted(disks), sorted(["web-root", "db-root", "db-copy", base]))
        spec = self.json("vm", "spec", "db")
        self.assertEqual([(disk["name"], disk["vdi"]) for disk in spec["disks"]], [("root", disks["db-root"]), ("copy", disks["db-copy"])])
        self.assertEqual(self.exported("db-root"), self.image)
        self.assertEqual(self.exported("db-copy"), self.image + bytes(6 << 20))
        self.assertEqual(self.json("vdi", "show", "db-root")["Format"], "Qcow2")  # on top of the image
        self.server.requests.clear()
        self.assertEqual(self.up()["db"], ("unchanged", "Halted"))
        self.assertEqual(self.server.requests, [])
        self.down("--disks")
        self.assertEqual(list(self.disks()), [base])

    def test_by_name_and_with_a_checksum(self):
        self.xcpctl("image", "pull", self.source, "--name", "debian:12", "--checksum", sha256(self.image))
        [row] = self.json("image", "list")
        self.assertEqual((row["name"], row["digest"]), ("debian:12", sha256(self.image)))
        self.change(f"image: {self.source}\n", "image: debian:12\n")
        self.change(f"image: {self.source},", f"image: {self.source}, checksum: '{sha256(b'other')}',")
        self.assertIn("org.xen.xcp.Error.Corrupt: ", self.refused("up", self.file))
        self.assertEqual(self.exported("db-root"), self.image)
        self.xcpctl("image", "remove", "debian:12")
        self.assertEqual(self.json("image", "list"), [])

    def test_two_at_once_make_nothing_twice(self):
        """The second waits for the first. What has no entity tag is asked for once for all VMs of a file."""
        self.server.etags = False
        self.server.stand_still_after = 1000
        env = {"XDG_DATA_HOME": str(self.home), "PATH": os.environ["PATH"]}
        both = [Process([XCPCTL, "--address", self.address, "--json", "up", self.file], env=env)]
        self.addCleanup(both[0].kill)
        self.caller.wait_until(lambda: self.server.requests, "the first to ask for the image")
        both.append(Process([XCPCTL, "--address", self.address, "--json", "up", self.file], env=env))
        self.addCleanup(both[1].kill)
        both[1].wait_output("another up or down is under way", stream="stderr")
        self.server.stand_still_after = None
        self.server.go_on.set()
        actions = [[row["action"] for row in json.loads(process.wait().check(0).stdout)] for process in both]
        self.assertEqual(actions, [["created", "created"], ["unchanged", "unchanged"]])
        self.assertEqual(len(self.json("vdi", "list")), 4)
        self.assertEqual([part for _, part in self.server.requests], [None, None])  # the connection broke once

    def test_a_disk_that_is_smaller_than_its_image(self):
        self.change("size: 8MiB", "size: 1MiB")
        self.assertRegex(self.refused("up", self.file), r"vms\.yaml:17:.*: the image has 2 MiB, and size is less")
        self.assertNotIn("db-copy", self.disks())

    def test_an_image_that_is_not_there(self):
        self.change(f"image: {self.source}\n", "image: nobodys\n")
        self.assertIn("vms.yaml:16:12: ", self.refused("up", self.file))
