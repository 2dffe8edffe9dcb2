# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of docs/clients.md, each of which does what a person would do with its client, and d-feet."""

import pathlib
import re
import shutil
import tempfile
import unittest

from harness import Process, build_directory, run, wait_until
from toolstack import CLIENTS, PYTHON, SOURCE, STORAGE, XENOPSD, Toolstack

XCP_ERROR = "org.xen.xcp.Error."
BUILD_DEADLINE = 900


class Client(Toolstack):
    """What every program does: a storage repository and a disk, a VM that has it, started, stopped, and all of it removed."""

    def story(self, *argv, **options):
        """Runs a program with the bus and the directory. Returns what it printed, when nothing of what it made is left."""
        output = run(*argv, self.address, self.directory, deadline=90, **options).stdout
        for service in (STORAGE, XENOPSD):
            wait_until(lambda: self.managed(service) == {}, f"all of {service} to be gone")
        self.assertEqual(list(self.directory.iterdir()), [])
        return output

    def says(self, output, *patterns):
        """Whether all regular expressions match, each on what follows the match before."""
        position = 0
        for pattern in patterns:
            match = re.compile(pattern, re.MULTILINE).search(output, position)
            self.assertTrue(match, f"no {pattern!r} in the rest of the output:\n{output[position:]}")
            position = match.end()

    def says_it_all(self, output):
        """What programs print that format things themselves."""
        self.says(
            output,
            rf"^Service {STORAGE}$",
            rf"^Service {XENOPSD}$",
            r"^.*\blocal\b.*: 100% Succeeded$",
            r"^.*\broot\b.*: 100% Succeeded$",
            r"^Disk root 67108864$",
            r"^.*\bweb\b.*: +\d+% (Waiting|Running)$",
            r"^.*\bweb\b.*: 100% Succeeded$",
            r"^VM web Running$",
            r"^.*\bweb\b.*: +\d+% Failed$",
            r"BadPowerState\b.*Running.*Halted",
            r"DoesNotExist\b.*nobody",
        )
        for before, after in (("Halted", "Prepared"), ("Prepared", "Running"), ("Running", "Halted")):
            self.assertRegex(output, rf"(?m)^VM web: .*\b{before}\b.*\b{after}\b")


class Busctl(Client):
    def test_story(self):
        self.says(
            self.story(CLIENTS / "busctl_client.sh"),
            rf"^{STORAGE} ",
            r"^org\.xen\.xcp\.storage1\.Manager +interface",
            r"^\.CreateSR +method +a\{sv\} +o",
            r'"path":"/org/xen/xcp/storage/task/.*"Succeeded",\{"sr":\{"type":"o","data":"/org/xen/xcp/storage/sr/',
            r'^a\(osst\) 1 "/org/xen/xcp/storage/vdi/.*" "root" 67108864$',
            r"─/org/xen/xcp/xenopsd/vm/\w+$",
            r"─/org/xen/xcp/xenopsd/vm/\w+/disk/\w+$",
            r'"path":"/org/xen/xcp/xenopsd/task/.*"Succeeded"',
            r'^s "web"\ns "Running"$',
            rf'"Failed".*"{XCP_ERROR}BadPowerState","[^"]*Running',
            r"^busctl ended with status 1$",
        )

    def test_an_error_has_no_name_there(self):
        call = ["call", XENOPSD, "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager", "LookupByName", "s", "nobody"]
        said = self.busctl(*call, check=1).stderr
        self.assertIn("nobody", said)
        self.assertNotIn("DoesNotExist", said)


class Gdbus(Client):
    def test_story(self):
        self.says(
            self.story(CLIENTS / "gdbus_client.sh"),
            r"^  interface org\.xen\.xcp\.storage1\.Manager \{$",
            r"^ +CreateSR\(in  a\{sv\} spec,$",
            r"^/org/xen/xcp/storage/task/\d+: .*Finished \('Succeeded', \{'sr': <objectpath '/org/xen/xcp/storage/sr/",
            r"^\(\[\(objectpath '/org/xen/xcp/storage/vdi/.*, 'root', uint64 67108864\)\],\)$",
            r"^/org/xen/xcp/xenopsd/task/\d+: .*PropertiesChanged .*'State': <'Succeeded'>",
            r"'web', 'Running', 'noop'\)\],\)$",
            rf"Finished \('Failed', @a\{{sv\}} \{{\}}, \('{XCP_ERROR}BadPowerState', '[^']*Running",
            r"^gdbus ended with status 1$",
        )


class DbusPython(Client):
    PROGRAM = CLIENTS / "dbus_client.py"

    def test_story(self):
        self.says_it_all(self.story(self.PROGRAM))


class Gio(Client):
    PROGRAM = CLIENTS / "gio_client.py"

    def test_story(self):
        output = self.story(self.PROGRAM)
        self.says_it_all(output)
        self.assertRegex(output, r"(?m)^New: /org/xen/xcp/xenopsd/vm/\w+$")
        self.assertRegex(output, r"'expected': '[^']*Halted\b.*'found': 'Running'")


class Obus(Client):
    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="xcp-", dir="/tmp"))
        shutil.copy(CLIENTS / "obus_client.ml", directory)  # the compiler writes beside its source
        cls.program = pathlib.Path(directory) / "obus_client"
        run("ocamlfind", "ocamlopt", "-thread", "-package", "obus,lwt_ppx", "-linkpkg", "obus_client.ml", "-o", cls.program,
            cwd=directory, deadline=BUILD_DEADLINE)

    def test_story(self):
        output = self.story(self.program)
        self.says_it_all(output)
        self.assertIn("Interface org.xen.xcp.storage1.Manager\n", output, "obus understands the introspection data")


class Glib(Client):
    """With the library as it is installed, and nothing of the tree."""

    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="xcp-", dir="/tmp")))
        build, prefix = directory / "build", directory / "prefix"
        run("meson", "setup", "--buildtype=plain", f"--prefix={prefix}", "--libdir=lib", build, SOURCE, deadline=BUILD_DEADLINE)
        run("ninja", "-C", build, "idl/libxcpbus-client.so.0.1.0", deadline=BUILD_DEADLINE)
        run("meson", "install", "-C", build, "--no-rebuild", "--tags", "client,devel", deadline=BUILD_DEADLINE)
        shutil.rmtree(build)

        shutil.copy(CLIENTS / "glib_client.c", directory)
        cls.program, cls.libraries = directory / "glib_client", prefix / "lib"
        run("sh", "-ec", "cc -Wall -Werror glib_client.c -o glib_client $(pkg-config --cflags --libs xcpbus-client)",
            cwd=directory, env={"PKG_CONFIG_PATH": str(cls.libraries / "pkgconfig")}, deadline=BUILD_DEADLINE)

    def test_story(self):
        self.says_it_all(self.story(self.program, env={"LD_LIBRARY_PATH": str(self.libraries)}))


class DFeet(Toolstack):
    """On a display, session bus and home directory of its own. What it looks like stays in tests/clients of the build directory."""

    FONT_SIZE = 14  # which tesseract reads without mistakes
    CONFIGURATION = {
        "gtk-3.0/settings.ini": f"[Settings]\ngtk-font-name = DejaVu Sans {FONT_SIZE}\n",
        "d-feet/config": "[General]\nwindowwidth = 1590\nwindowheight = 1080\n",
    }
    SESSION = 'd-feet & "$@"; status=$?; kill $!; wait; exit $status'

    def display(self):
        server = Process(["Xvfb", "-displayfd", "1", "-screen", "0", "1600x1100x24", "-nolisten", "tcp"])
        self.addCleanup(server.kill)
        return ":" + server.wait_output(r"^(\d+)$")[1]

    def environment(self):
        for name, text in self.CONFIGURATION.items():
            file = self.root / "config" / name
            file.parent.mkdir(parents=True)
            file.write_text(text)
        runtime = self.root / "runtime"
        runtime.mkdir(mode=0o700)
        return {
            "DISPLAY": self.display(),
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "0",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.root),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "XDG_RUNTIME_DIR": str(runtime),
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.root}/none",
        }

    def read(self, picture):
        """What a person reads in a picture: its letters and digits, in small letters."""
        text = run("tesseract", picture, "-", "--psm", "11", env={"OMP_THREAD_LIMIT": "1"}).stdout
        return re.sub(r"[^a-z0-9]", "", text.lower())

    def test_a_person_sees_services_objects_and_methods_and_calls_one(self):
        path, manager = "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager"
        spec = ["a{sv}", "2", "name", "s", "web", "backend", "s", "noop"]
        vm = self.busctl("call", XENOPSD, path, manager, "Create", *spec).stdout.split('"')[1]
        pictures = build_directory() / "tests/clients"
        pictures.mkdir(parents=True, exist_ok=True)
        user = [PYTHON, CLIENTS / "dfeet_user.py", self.address, XENOPSD, path, manager, "LookupByName", "'web'", pictures]
        shown = run("dbus-run-session", "--", "sh", "-c", self.SESSION, "sh", *user, env=self.environment(), deadline=120)
        self.assertEqual(shown.stdout.splitlines()[-1], f"'{vm}'")

        seen = self.read(pictures / "d-feet.png")
        for text in (STORAGE, XENOPSD, path, manager, "LookupByName", "/org/xen/xcp/xenopsd/vm/"):
            self.assertIn(re.sub(r"[^a-z0-9]", "", text.lower()), seen)
        self.assertIn("ethodoutput", self.read(pictures / "d-feet-call.png"))  # its M is at a frame's corner, and has been read as a J


class Traps(Toolstack):
    """What docs/clients.md says that one runs into."""

    def python(self, script, **options):
        """Runs a script that has the connections and modules that it needs. Returns what it prints."""
        start = """
import os, signal, sys, time
import dbus, dbus.bus, dbus.mainloop.glib
from gi.repository import Gio, GLib
from gio_client import connect
bus, gbus = dbus.bus.BusConnection(sys.argv[1], mainloop=dbus.mainloop.glib.DBusGMainLoop()), connect(sys.argv[1])
NAME, PATH, MANAGER = "org.xen.xcp.xenopsd", "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager"
def end_service():
    pid = bus.get_object("org.freedesktop.DBus", "/").GetConnectionUnixProcessID(NAME, dbus_interface="org.freedesktop.DBus")
    os.kill(pid, signal.SIGKILL)
    while bus.name_has_owner(NAME):
        time.sleep(0.01)
"""
        return run(PYTHON, "-c", start + script, self.address, env={"PYTHONPATH": str(CLIENTS)}, **options).stdout

    def test_dbus_python_sends_int32_unless_told(self):
        output = self.python("""
manager = dbus.Interface(bus.get_object(NAME, PATH), MANAGER)
try:
    manager.Create({"name": "web", "backend": "noop", "memory": 64 << 20})
except dbus.DBusException as error:
    print(error.get_dbus_name(), error.get_dbus_message())
manager.Create({"name": "web", "backend": "noop", "memory": dbus.UInt64(64 << 20)})
""")
        self.assertRegex(output, rf"^{XCP_ERROR}InvalidArgument .*memory")

    def test_dbus_python_proxies_end_with_the_process(self):
        output = self.python("""
plain, following = bus.get_object(NAME, PATH), bus.get_object(NAME, PATH, follow_name_owner_changes=True)
plain.ListVms(dbus_interface=MANAGER), following.ListVms(dbus_interface=MANAGER)
end_service()
print("following:", len(following.ListVms(dbus_interface=MANAGER)))
try:
    plain.ListVms(dbus_interface=MANAGER)
except dbus.DBusException as error:
    print("plain:", error.get_dbus_name())
""")
        self.assertEqual(output, "following: 0\nplain: org.freedesktop.DBus.Error.ServiceUnknown\n")

    def test_gdbus_proxies_outlive_the_process_where_the_main_loop_runs(self):
        output = self.python("""
manager = Gio.DBusProxy.new_sync(gbus, Gio.DBusProxyFlags.NONE, None, NAME, PATH, MANAGER, None)
manager.ListVms()
end_service()
try:
    manager.ListVms()
except GLib.Error as error:
    print("before:", Gio.DBusError.get_remote_error(error))
while manager.get_name_owner():
    GLib.MainContext.default().iteration(True)
print("after:", manager.ListVms())
""")
        self.assertEqual(output, "before: org.freedesktop.DBus.Error.ServiceUnknown\nafter: []\n")

    def test_gdbus_does_not_strip_errors_in_python(self):
        output = self.python("""
manager = Gio.DBusProxy.new_sync(gbus, Gio.DBusProxyFlags.NONE, None, NAME, PATH, MANAGER, None)
try:
    manager.LookupByName("(s)", "nobody")
except GLib.Error as error:
    Gio.DBusError.strip_remote_error(error)
    print(error.message)
""")
        self.assertRegex(output, rf"^GDBus\.Error:{XCP_ERROR}DoesNotExist: ")

    def test_obus_reads_introspection_and_not_our_files(self):
        directory = self.root / "obus"
        directory.mkdir()
        shutil.copy(CLIENTS / "obus_introspection.ml", directory)
        program = directory / "obus_introspection"
        run("ocamlfind", "ocamlopt", "-thread", "-package", "obus,xmlm", "-linkpkg", "obus_introspection.ml", "-o", program,
            cwd=directory, deadline=BUILD_DEADLINE)
        introspected = self.busctl("--xml-interface", "introspect", XENOPSD, "/org/xen/xcp/xenopsd").stdout
        self.assertIn("org.xen.xcp.xenopsd1.Manager\n", run(program, input=introspected).stdout)
        ours = (SOURCE / "idl/org.xen.xcp.xenopsd1.Manager.xml").read_text()
        self.assertIn("failed to parse", run(program, input=ours, check=2).stderr)


class Document(unittest.TestCase):
    """docs/clients.md: its code is that of the programs here."""

    BLOCK = re.compile(r"^From `([^`]+)`:\n\n```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)

    def test_its_code_is_in_the_tree(self):
        text = (SOURCE / "docs/clients.md").read_text()
        blocks = self.BLOCK.findall(text)
        self.assertEqual(len(re.findall(r"^```(?:c|ocaml|python|sh)$", text, re.MULTILINE)), len(blocks), "each names its file")
        for name, code in blocks:
            with self.subTest(name=name):
                self.assertIn(code, (CLIENTS / name).read_text())
        shown = {name for name, _ in blocks}
        self.assertEqual(shown, {path.name for path in CLIENTS.glob("*_client.*")}, "every program is shown")
