# SPDX-License-Identifier: LGPL-2.1-or-later
"""An installation: what lies where, and that emulated Xen runs from there."""

import json
import os
import pathlib
import re
import signal
import tempfile

from harness import Process, TestCase, run

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD_DEADLINE = 900
LIBRARIES = ("libxencall.so.1", "libxenevtchn.so.1", "libxenforeignmemory.so.1", "libxengnttab.so.1")
PRELOAD = "xenemu-dom0-devices.so"
NOT_INSTALLED = ("tests", "bench")  # what is defined there is for this tree only


class Install(TestCase):
    """A build of its own, installed below a prefix that no other program knows."""

    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="xcp-", dir="/tmp")))
        cls.build, cls.prefix, cls.rundir = directory / "build", directory / "prefix", directory / "run"
        run("meson", "setup", "--buildtype=plain", f"--prefix={cls.prefix}", cls.build, SOURCE, deadline=BUILD_DEADLINE)
        cls.targets = cls.introspect("--targets")
        files = [file for target in cls.targets if target["installed"] for file in target["filename"]]
        run("ninja", "-C", cls.build, *(os.path.relpath(file, cls.build) for file in files), deadline=BUILD_DEADLINE)
        run("meson", "install", "-C", cls.build, "--no-rebuild", deadline=BUILD_DEADLINE)

        options = {option["name"]: option["value"] for option in cls.introspect("--buildoptions")}
        cls.libdir = cls.prefix / options["libdir"]
        cls.libraries = cls.libdir / "xcpbus"
        cls.libexec = cls.prefix / options["libexecdir"] / "xcpbus"
        cls.share = cls.prefix / options["datadir"]
        cls.man = cls.prefix / options["mandir"]

    @classmethod
    def introspect(cls, what):
        return json.loads(run("meson", "introspect", what, cls.build).stdout)

    def xenemu(self, *arguments, **options):
        return run(self.prefix / "bin/xenemu", *arguments, env={"XCP_RUNDIR": str(self.rundir)}, **options)

    def test_every_part_is_where_it_belongs(self):
        programs = ("xcp-pvcalls-run", "xenemu", "xcpctl", "xcp-bus-run", "xcp-images", "xcp-storage", "xcp-xenopsd")
        parts = ("xenemud", "xenemu-guest", "xcp-images-fetch", "xcp-storage-io", "xcp-vhost-relay")
        for program in (*(self.prefix / "bin" / name for name in programs), *(self.libexec / name for name in parts)):
            self.assertTrue(os.access(program, os.X_OK), program)
        for name in (*LIBRARIES, PRELOAD):
            self.assertTrue((self.libraries / name).is_file(), name)
        for page in ("man1/xcp-pvcalls-run.1", "man1/xcp-vhost-blk.1", "man1/xcp-vhost-check.1", "man1/xcpctl.1", "man1/xenemu.1", "man8/xenemud.8"):
            self.assertTrue((self.man / page).is_file(), page)
        for completion in (f"{place}{name}" for name in ("xcp-pvcalls-run", "xcpctl", "xenemu") for place in ("bash-completion/completions/", "zsh/site-functions/_")):
            self.assertTrue((self.share / completion).is_file(), completion)
        for page in (SOURCE / "docs").glob("*.md"):
            self.assertEqual((self.share / "doc/xcpbus" / page.name).read_bytes(), page.read_bytes())

    def test_units(self):
        """systemd understands them, and what they start and refer to is there."""
        units = sorted((self.prefix / "lib/systemd/system").glob("*.service"))
        self.assertEqual([unit.name for unit in units], ["xcp-bridge.service", "xcp-bus.service", "xcp-pvcalls-driver.service"])
        said = run("systemd-analyze", "verify", "--man=no", *units, env={"SYSTEMD_UNIT_PATH": f"{units[0].parent}:"}, check=None)
        self.assertNotIn(str(self.prefix), said.stdout + said.stderr)
        self.assertEqual(said.status, 0, said)
        for unit in units:
            for page in re.findall(r"file:(\S+)", unit.read_text()):
                self.assertTrue(pathlib.Path(page).is_file(), page)
        bus = units[1].read_text()  # in whose control group the guests of the VM manager are
        for what in ("KillMode=process", "OOMPolicy=continue", "TasksMax=infinity"):
            self.assertIn(f"\n{what}\n", bus)

    def test_the_bus_starts_the_installed_services(self):
        domain = self.rundir / "dom0"
        domain.mkdir(parents=True, mode=0o700)
        self.rundir.chmod(0o700)
        disks = self.rundir / "disks"
        disks.mkdir()
        environment = {"XCP_RUNDIR": str(self.rundir)}  # where the services' state is, too: not where that of this machine would be
        with Process([self.prefix / "bin/xcp-bus-run", "--domain-dir", domain, "--ready-fd", "1"], env=environment) as bus:
            bus.wait_output(r"^\n")
            for command in (("sr", "create", "one", "directory", "--config", f"path={disks}"), ("vdi", "create", "one", "disk", "1MiB"),
                            ("vm", "create", "one", "--disk", "disk"), ("vm", "start", "one")):
                run(self.prefix / "bin/xcpctl", *command, env=environment)
            for name in ("storage", "xenopsd"):
                pid = json.loads(run("busctl", f"--address=unix:path={domain}/bus", "--json=short", "call", "org.freedesktop.DBus",
                                     "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "s", f"org.xen.xcp.{name}").stdout)
                self.assertEqual(os.readlink(f"/proc/{pid['data'][0]}/exe"), str(self.prefix / f"bin/xcp-{name}"))
            bus.signal(signal.SIGTERM)
            bus.wait(30).check()

    def test_nothing_stands_in_for_debians_libraries(self):
        ours = ("libxcpbus-client.so", "libxcp-pvcalls.so", "libxcp-vhost.a", "libxcp-vhost-xen.a")
        found = [path.name for path in self.libdir.iterdir() if not path.is_dir() and not path.name.startswith(ours)]
        self.assertEqual(found, [], "the loader looks for libraries there")
        astray = [path for path in self.prefix.rglob("libxen*") if path.parent != self.libraries]
        self.assertEqual(astray, [])

    def test_a_program_is_built_on_the_library_of_pv_calls(self):
        directory = pathlib.Path(self.temporary_directory())
        (directory / "user.c").write_text("#include <xcp-pvcalls.h>\nint main(void) { return xcp_pvcalls_close(NULL, 0) != NULL; }\n")
        environment = {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig")}
        flags = run("pkg-config", "--cflags", "--libs", "xcp-pvcalls", env=environment).stdout.split()
        run("cc", directory / "user.c", "-o", directory / "user", *flags)
        run(directory / "user", env={"LD_LIBRARY_PATH": str(self.libdir)})

    def test_a_device_is_built_on_the_library_of_vhost_user(self):
        """That of docs/writing-a-vhost-user-device.md; and what has Xen's libraries beside it."""
        directory = pathlib.Path(self.temporary_directory())
        (directory / "xen.c").write_text(
            "#include <xen-grants.h>\nint main(void) { struct vhost_xen xen = {}; vhost_xen_grants_close(&xen); return 0; }\n")
        environment = {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig")}
        for source, package in (SOURCE / "vhost/example/vhost-rng.c", "xcp-vhost"), (directory / "xen.c", "xcp-vhost-xen"):
            flags = run("pkg-config", "--static", "--cflags", "--libs", package, env=environment).stdout.split()
            run("cc", "-std=gnu17", "-D_GNU_SOURCE", source, "-o", directory / "program", *flags)
        run(directory / "program")

    def test_the_programs_of_the_tests_stay_here(self):
        installed = [target for target in self.targets if target["installed"]]
        self.assertGreater(len(installed), 0)
        for target in installed:
            with self.subTest(target["name"]):
                folder = pathlib.Path(target["defined_in"]).relative_to(SOURCE).parts[0]
                self.assertNotIn(folder, NOT_INSTALLED)
                self.assertNotRegex(target["name"], "^(test|fuzz)-")

    def test_programs_are_not_bound_to_a_place_of_libraries(self):
        for path in (self.prefix / "bin/xenemu", *self.libexec.iterdir(), *self.libraries.iterdir()):
            with self.subTest(path.name):
                self.assertNotRegex(run("readelf", "--dynamic", path).stdout, "RPATH|RUNPATH")

    def test_the_default_run_directory(self):
        self.assertIn("else /run/xcpbus\n", run("env", "--unset=XCP_RUNDIR", self.prefix / "bin/xenemu", "--help").stdout)

    def test_emulated_xen_runs_from_there(self):
        self.addCleanup(self.xenemu, "down", check=None)
        self.xenemu("up", "--domains", "1")
        self.assertTrue((self.rundir / "dom1/xen").is_socket())
        self.assertEqual(self.xenemu("exec", "dom1", "--", "xenstore-read", "domid").stdout, "1\n")
        self.assertEqual(self.xenemu("exec", "dom1", "--", "printenv", "XCP_RUNDIR").stdout, f"{self.rundir}\n")

        lsevtchn = next(pathlib.Path("/usr/lib").glob("xen-4.*/bin/lsevtchn"))
        self.assertIn("Interdomain (Connected) - Remote Domain 0", self.xenemu("exec", "0", "--", lsevtchn, "1").stdout)

        self.check_processes()
        self.check_completion()
        self.xenemu("down")
        self.assertIn(f"not up in {self.rundir}", self.xenemu("list", check=1).stderr)

    def check_processes(self):
        """The hypervisor is the one that was installed, and xenstored, which it started, has the libraries that were."""
        xenstored = int((self.rundir / "dom0/xenstored/pid").read_text())
        hypervisor = int(pathlib.Path(f"/proc/{xenstored}/stat").read_text().rpartition(")")[2].split()[1])
        self.assertEqual(os.readlink(f"/proc/{hypervisor}/exe"), str(self.libexec / "xenemud"))

        maps = pathlib.Path(f"/proc/{xenstored}/maps").read_text().splitlines()
        mapped = {pathlib.Path(line.split(maxsplit=5)[5]) for line in maps if len(line.split(maxsplit=5)) == 6}
        for name in (*LIBRARIES[:2], LIBRARIES[3], PRELOAD):
            # Debian's are named after all of their version, such as libxencall.so.1.3.
            used = [path for path in mapped if path.name.startswith(name)]
            self.assertEqual(used, [self.libraries / name])

    def check_completion(self):
        """Completion understands what this xenemu says about its domains."""
        script = (
            f". {self.share}/bash-completion/completions/xenemu; COMP_WORDS=(xenemu exec d); COMP_CWORD=2; "
            f'_xenemu {self.prefix}/bin/xenemu d exec; echo "${{COMPREPLY[@]}}"'
        )
        self.assertEqual(run("bash", "-c", script, env={"XCP_RUNDIR": str(self.rundir)}).stdout, "dom1\n")
