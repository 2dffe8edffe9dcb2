# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services and clients that others wrote, each in another domain than the other: docs/interop.md."""

import itertools
import os
import pathlib
import re
import unittest

from gi.repository import Gio, GLib
from harness import TimedOut, wait_until
from joined import DRIVER, PYTHON, Joined

HERE = pathlib.Path(__file__).resolve().parent
MOCK = "org.freedesktop.DBus.Mock"
LONG = 60  # seconds for programs of others to start or to do something, on a machine with much to do

has_own_places = unittest.skipUnless(os.geteuid() == 0, "only root's domains have a network and mounts of their own")


def dispatch():
    """Has GLib handle what has arrived."""
    while GLib.MainContext.default().iteration(False):
        pass


@has_own_places
class NetworkManager(Joined):
    names = ("org.freedesktop.NetworkManager",)
    agents = ("org.freedesktop.NetworkManager.SecretAgent",)

    CONFIGURATION = """\
[main]
plugins=keyfile
auth-polkit=false
no-auto-default=*
dns=none
systemd-resolved=false

[logging]
domains=DEFAULT:INFO,AGENTS:DEBUG
"""

    def setUp(self):
        super().setUp()
        self.cover("/var/lib")
        self.cover("/etc/NetworkManager")
        self.xen.run(1, "tee", "/etc/NetworkManager/NetworkManager.conf", input=self.CONFIGURATION)
        self.xen.run(1, "mkdir", "/etc/NetworkManager/system-connections")
        self.xen.run(1, "ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
        self.service = self.start_service(*self.names, "NetworkManager", "--debug")
        wait_until(lambda: re.search("^left:disconnected$", self.nmcli("-t", "-f", "DEVICE,STATE", "device"), re.M), "left to be ready", LONG)

    def nmcli(self, *arguments, **options):
        return self.client("nmcli", *arguments, **options)

    def addresses(self):
        return self.xen.run(1, "ip", "-brief", "address").stdout

    def test_connections(self):
        monitor = self.start(0, "nmcli", "monitor")
        monitor.wait_output("^NetworkManager is running$", LONG)
        manual = ("ipv6.method", "disabled", "ipv4.method", "manual", "ipv4.addresses")
        self.nmcli("connection", "add", "type", "ethernet", "ifname", "left", "con-name", "wire", *manual, "192.0.2.1/24", "autoconnect", "no")
        self.nmcli("connection", "add", "type", "bridge", "ifname", "span", "con-name", "span", *manual, "198.51.100.1/24")
        self.assert_says(self.nmcli("connection", "up", "wire"), "^Connection successfully activated")
        self.assertRegex(self.addresses(), r"(?m)^left@right .* 192\.0\.2\.1/24 *$")
        self.assertEqual(self.nmcli("-g", "IP4.ADDRESS", "device", "show", "left"), "192.0.2.1/24\n")
        self.nmcli("connection", "modify", "wire", "ipv4.addresses", "192.0.2.9/24")
        self.nmcli("connection", "up", "wire")
        self.assertRegex(self.addresses(), r"(?m)^left@right .* 192\.0\.2\.9/24 *$")
        self.assertRegex(self.nmcli("device"), r"(?m)^left +ethernet +connected +wire *$")
        self.assertRegex(self.nmcli("device"), r"(?m)^span +bridge ")
        self.nmcli("connection", "down", "wire")
        self.assertNotIn("192.0.2.9", self.addresses())
        self.nmcli("connection", "delete", "wire", "span")
        self.nmcli("connection", "add", "type", "ethernet", "ifname", "nowhere", "con-name", "astray")
        failed = self.run_in(0, "nmcli", "connection", "up", "astray", check=4)
        self.assertRegex(failed.stderr, "^Error: Connection activation failed: No suitable device found")
        self.assertNotRegex(self.nmcli("-g", "NAME", "connection"), "(?m)^(wire|span)$")
        for told in ("wire: connection profile created", "left: using connection 'wire'", "left: connected", "left: disconnected",
                     "span: device created", "span: device removed", "wire: connection profile removed"):
            monitor.wait_output(f"^{told}$", LONG)

    def add_protected(self, *arguments):
        """A wire on which one has to say who one is. NetworkManager knows the name, and has nobody to ask for the password but agents."""
        self.nmcli("connection", "add", "type", "ethernet", "ifname", "left", "con-name", "guarded", "802-1x.eap", "md5",
                   "802-1x.identity", "u", *arguments)

    def wait_password(self, password):
        def known():
            return self.nmcli("--show-secrets", "-g", "802-1x.password", "connection", "show", "guarded")

        wait_until(lambda: known() == f"{password}\n", "the password to be known", LONG)

    def test_it_asks_the_agents_of_the_other_domain(self):
        agent = self.start(0, "nmcli", "agent", "secret")
        agent.wait_output("^nmcli successfully registered", LONG)
        self.add_protected("autoconnect", "yes")
        agent.wait_output("^Secrets are required to access the wired network 'guarded'", LONG)
        agent.write("ser\npass\n")  # the first is added to what is known
        self.wait_password("pass")
        agent.kill()
        self.service.wait_output(r"agent\[.*/nmcli.*\]: agent unregistered or disappeared", LONG, "stderr")

    def test_it_asks_its_caller_meanwhile(self):
        self.add_protected("autoconnect", "no")
        up = self.start(0, "nmcli", "--ask", "--wait", "90", "connection", "up", "guarded")
        up.wait_output("^Secrets are required to access the wired network 'guarded'", LONG)
        up.write("ser\nword\n")
        self.wait_password("word")


@has_own_places
class Hardware(Joined):
    """Services of Debian on a machine with hardware of umockdev's."""

    names = ("org.freedesktop.UPower", "org.freedesktop.UDisks2")

    def start_with_hardware(self, name, program):
        return self.start_service(name, "umockdev-wrapper", PYTHON, HERE / "hardware.py", program)

    def setUp(self):
        super().setUp()
        self.cover("/var/lib")

    def test_upower(self):
        service = self.start_with_hardware("org.freedesktop.UPower", "/usr/libexec/upowerd")
        self.assert_says(self.client("upower", "--dump"), "^Device: .*/battery_BAT0$", "^ *state: *discharging$", "^ *percentage: *50%$",
                         "^ *daemon-version: ")
        monitor = self.start(0, "upower", "--monitor-detail")
        monitor.wait_output("^Monitoring activity", LONG)
        changed = r"device changed: .*/battery_BAT0\n(?: .*\n)*? *percentage: *{}%$"
        charges = itertools.cycle((30, 31))

        def is_heard():
            service.write(f"battery {next(charges)}\n")
            try:
                return monitor.wait_output(changed.format("3[01]"), 1)
            except TimedOut:
                return None

        wait_until(is_heard, "the monitor to hear of a change", LONG)
        service.write("battery 20\n")
        monitor.wait_output(changed.format(20), LONG)
        monitor.wait_output("^ *warning-level: *low$", LONG)

    def test_udisks(self):
        service = self.start_with_hardware("org.freedesktop.UDisks2", "/usr/libexec/udisks2/udisksd")
        self.assert_says(self.client("udisksctl", "dump"), "^/org/freedesktop/UDisks2/Manager:$", "^ *SupportedFilesystems: *ext2$")
        monitor = self.start(0, "udisksctl", "monitor")
        monitor.wait_output("The udisks-daemon is running", LONG)
        service.write("disk in\n")
        monitor.wait_output("Added /org/freedesktop/UDisks2/block_devices/sdz$", LONG)
        self.assert_says(self.client("udisksctl", "status"), "^Example Stick +0001 +sdz *$")
        self.assert_says(self.client("udisksctl", "info", "--block-device", "/dev/sdz"), r"^ *IdType: *vfat$", "Filesystem:$")
        service.write("disk out\n")
        monitor.wait_output("Removed /org/freedesktop/UDisks2/drives/Example_Stick_0001$", LONG)
        service.close_stdin()
        service.wait().check()
        monitor.wait_output("The udisks-daemon is not running", LONG)


@has_own_places
class Activation(Joined):
    names = ("org.freedesktop.UPower",)

    def setUp(self):
        super().setUp()
        self.cover("/var/lib")

    def start_bus(self, domain):
        if domain == 1:
            services = self.directory(1) / "services"
            services.mkdir(mode=0o755)
            program = f"/usr/bin/env DBUS_SYSTEM_BUS_ADDRESS={self.address(1)} /usr/libexec/upowerd"
            (services / "org.freedesktop.UPower.service").write_text(f"[D-BUS Service]\nName=org.freedesktop.UPower\nExec={program}\n")
        super().start_bus(domain)

    def test_the_first_call_starts_upower(self):
        bus, there = self.connect(0), self.connect(1)
        names = f"{DRIVER}.ListActivatableNames"
        wait_until(lambda: self.names[0] in self.call(bus, DRIVER, "/org/freedesktop/DBus", names)[0], "domain 0 to know of the service", LONG)
        self.assertFalse(self.has_name(there, self.names[0]))
        self.assert_says(self.client("upower", "--dump"), "^Device: .*/DisplayDevice$", "^ *daemon-version: ")
        self.assertTrue(self.has_name(there, self.names[0]))


class Mocks(Joined):
    """Templates of python-dbusmock, and the clients of what they stand for."""

    names = ("org.bluez", "org.freedesktop.Notifications", "net.hadess.PowerProfiles")

    def test_bluetoothctl(self):
        self.start_mock("bluez5", "org.bluez")
        bus = self.connect(0)
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.AddAdapter", "(ss)", "hci0", "computer")
        client = self.start(0, "bluetoothctl", "--agent", "KeyboardDisplay")
        client.wait_output("Agent registered", LONG)
        client.write("list\n")
        client.wait_output("^Controller 00:01:02:03:04:05 computer", LONG)
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.AddDevice", "(sss)", "hci0", "11:22:33:44:55:66", "Phone")
        client.wait_output("NEW.* Device 11:22:33:44:55:66 Phone", LONG)
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.PairDevice", "(ssi)", "hci0", "11:22:33:44:55:66", 5898764)
        client.wait_output("CHG.* Device 11:22:33:44:55:66 Paired: yes", LONG)
        self.assert_says(self.client("busctl", "tree", "org.bluez"), "/org/bluez/hci0/dev_11_22_33_44_55_66$")
        introspected = self.client("busctl", "introspect", "org.bluez", "/org/bluez/hci0")
        self.assert_says(introspected, "^org[.]bluez[.]Adapter1 +interface ", "^[.]StartDiscovery +method ")
        client.write("remove 11:22:33:44:55:66\n")
        client.wait_output("Device has been removed", LONG)
        client.write("quit\n")
        client.wait().check()

    def test_objects_come_and_go(self):
        """Seen by GLib's client side cache of an object manager."""
        service = self.start_mock("bluez5", "org.bluez")
        bus = self.connect(0)
        manager = Gio.DBusObjectManagerClient.new_sync(bus, Gio.DBusObjectManagerClientFlags.DO_NOT_AUTO_START, "org.bluez", "/", None, None, None)
        adapter = "/org/bluez/hci0"

        def has(path):
            dispatch()
            return manager.get_object(path) is not None

        self.assertFalse(has(adapter))
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.AddAdapter", "(ss)", "hci0", "computer")
        wait_until(lambda: has(adapter), "the adapter", LONG)
        proxy = manager.get_interface(adapter, "org.bluez.Adapter1")
        self.assertEqual(proxy.get_cached_property("Alias").unpack(), "computer")
        self.call(bus, "org.bluez", adapter, f"{MOCK}.UpdateProperties", "(sa{sv})", "org.bluez.Adapter1", {"Alias": GLib.Variant("s", "desk")})
        wait_until(lambda: has(adapter) and proxy.get_cached_property("Alias").unpack() == "desk", "the new alias", LONG)
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.RemoveAdapter", "(s)", "hci0")
        wait_until(lambda: not has(adapter), "the adapter to go", LONG)
        self.call(bus, "org.bluez", "/", "org.bluez.Mock.AddAdapter", "(ss)", "hci1", "another")
        wait_until(lambda: has("/org/bluez/hci1"), "another adapter", LONG)
        service.kill()
        wait_until(lambda: not has("/org/bluez/hci1") and manager.get_name_owner() is None, "the service to go with its objects", LONG)
        self.start_mock("bluez5", "org.bluez")
        wait_until(lambda: has("/org/bluez") and manager.get_name_owner(), "the service to be back", LONG)

    def test_notify_send(self):
        name, path = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
        service = self.start_mock("notification_daemon", name, '{"capabilities": "actions body"}')
        client = self.start(0, "notify-send", "--print-id", "--wait", "--action", "yes=Yes", "Ready?")
        service.wait_output(r'Notify "notify-send" .* "Ready\?"', LONG)
        number, chosen = GLib.Variant("u", 1), GLib.Variant("s", "yes")
        bus = self.connect(0)
        self.call(bus, name, path, f"{MOCK}.EmitSignal", "(sssav)", name, "ActionInvoked", "us", [number, chosen])
        self.call(bus, name, path, f"{name}.CloseNotification", "(u)", 1)
        self.assertEqual(client.wait().check().stdout, "1\nyes\n")

    def test_powerprofilesctl(self):
        self.start_mock("power_profiles_daemon", "net.hadess.PowerProfiles")
        self.assert_says(self.client("powerprofilesctl", "list"), "^  performance:$", "^[*] balanced:$", "^  power-saver:$")
        self.client("powerprofilesctl", "set", "power-saver")
        self.assertEqual(self.client("powerprofilesctl", "get"), "power-saver\n")
        held = self.client("powerprofilesctl", "launch", "--profile", "performance", "--reason", "a test", "powerprofilesctl", "list-holds")
        self.assert_says(held, "^ *Profile: *performance$", "^ *Reason: *a test$")
        self.assertEqual(self.client("powerprofilesctl", "list-holds"), "")


class Descriptors(Joined):
    """logind answers a program that wants to keep the machine awake with a pipe, and knows by its end that the program has ended."""

    names = ("org.freedesktop.login1",)

    def holders(self, bus):
        method = "org.freedesktop.login1.Manager.ListInhibitors"
        return [who for _, who, *_ in self.call(bus, "org.freedesktop.login1", "/org/freedesktop/login1", method)[0]]

    def hold(self, bus, who):
        holder = self.start(0, "systemd-inhibit", "--what=idle", f"--who={who}", "cat")
        wait_until(lambda: who in self.holders(bus), f"{who} to hold it", LONG)
        holder.write("runs\n")
        holder.wait_output("^runs$", LONG)
        return holder

    def test_systemd_inhibit(self):
        self.start_mock("logind", "org.freedesktop.login1")
        bus = self.connect(0)
        one, two = self.hold(bus, "one"), self.hold(bus, "two")
        self.assertEqual(self.holders(bus), ["one", "two"])
        one.close_stdin()
        one.wait().check()
        wait_until(lambda: self.holders(bus) == ["two"], "the first to have let go", LONG)
        two.kill()
        wait_until(lambda: self.holders(bus) == [], "the killed one to have let go", LONG)


@has_own_places
class TheOtherWay(Joined):
    """Services in domain 0, their clients in domain 1."""

    services, clients = 0, 1
    names = ("org.freedesktop.login1",)

    def test_loginctl(self):
        self.xen.run(1, "mkdir", "-p", "/run/systemd/system")  # without it loginctl does not try
        self.start_mock("logind", "org.freedesktop.login1")
        bus, name, path = self.connect(1), "org.freedesktop.login1", "/org/freedesktop/login1"
        self.call(bus, name, path, f"{MOCK}.AddSession", "(ssusb)", "c7", "seat0", 500, "ann", True)
        self.assert_says(self.client("loginctl", "list-sessions"), r"^ *c7 +500 +ann +seat0\b")
        self.assert_says(self.client("loginctl", "list-seats"), r"^ *seat0\b")
        self.assert_says(self.client("loginctl", "show-session", "c7"), "^Id=c7$", "^State=active$", "^Seat=seat0$")


class Agents(Joined):
    """A service made with dbus-python (registry.py) and agents made with GLib (agent.py)."""

    names = ("org.example.Registry",)
    agents = ("org.example.Agent1",)
    registry = ("org.example.Registry", "/org/example/Registry")

    def setUp(self):
        super().setUp()
        self.start_service(*self.names, PYTHON, HERE / "registry.py")

    def start_agent(self, word):
        agent = self.start(0, PYTHON, HERE / "agent.py", word)
        agent.wait_output(f"^registered: are you there[?] {word}$", LONG)
        return agent

    def ask(self, bus, question):
        return self.call(bus, *self.registry, "org.example.Registry1.Ask", "(s)", question)[0]

    def test_they_are_called_back(self):
        self.start_agent("one")
        self.start_agent("two")
        answers = self.ask(self.connect(0), "who is?")
        self.assertEqual(sorted(answers.values()), ["who is? one", "who is? two"])
        self.assertEqual(self.ask(self.connect(1), "and now?").keys(), answers.keys())

    def test_the_service_notices_that_one_is_gone(self):
        bus, there = self.connect(0), self.connect(1)
        left = []
        bus.signal_subscribe(self.names[0], "org.example.Registry1", "Left", None, None, Gio.DBusSignalFlags.NONE,
                             lambda *signal: left.append(signal[5].unpack()[0]))
        victim = self.start_agent("victim")
        [ghost] = self.ask(bus, "name?")
        self.start_agent("survivor")
        self.assertTrue(self.has_name(there, ghost))
        victim.kill()
        wait_until(lambda: dispatch() or left, "the service to tell that it is gone", LONG)
        self.assertFalse(self.has_name(there, ghost))
        self.assertEqual(list(self.ask(bus, "who is left?").values()), ["who is left? survivor"])
        self.assertEqual(left, [ghost])
