# SPDX-License-Identifier: LGPL-2.1-or-later
"""xcp-bus-run: a domain's private bus, with each of the brokers."""

import json
import os
import signal
import socket
import unittest

from buscase import INTERFACE, NAME, PEER, XCP_BUS_RUN, Bus, EitherBroker, as_uid, is_root, running
from harness import Emulation, Process, TestCase, run, wait_until

ADMIN = "org.xen.xcp.test1.Admin"

DENIED = "org.freedesktop.DBus.Error.AccessDenied\n"
NOBODY = 65534
UNKNOWN_UID = 123456  # of no user in the user database


class Life(EitherBroker):
    def test_it_is_there_when_it_says_so(self):
        bus = self.started()
        self.assertTrue(bus.socket.is_socket())
        self.assertIn("org.freedesktop.DBus", bus.busctl("list").stdout)
        with bus.serve():
            self.assertIn(NAME, bus.busctl("list").stdout)
            self.assertIn("/test", bus.busctl("tree", NAME).stdout)
            introspected = bus.busctl("introspect", NAME, "/test").stdout
            self.assertRegex(introspected, r"org\.xen\.xcp\.test1\s+interface")
            self.assertRegex(introspected, r"\.Echo\s+method\s+ay\s+ay")

    def test_systemd_is_told(self):
        bus = self.bus()
        notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notified.close)
        notified.bind(str(bus.root / "notify"))
        notified.settimeout(60)
        bus.service()
        bus.start(env={"NOTIFY_SOCKET": str(bus.root / "notify")})
        self.assertEqual(notified.recv(100), b"READY=1")
        self.assertEqual(bus.environment("NOTIFY_SOCKET"), 's ""\n')
        bus.reload()
        self.assertEqual([notified.recv(100), notified.recv(100)], [b"RELOADING=1", b"READY=1"])
        bus.end()
        self.assertEqual(notified.recv(100), b"STOPPING=1")

    def test_sigterm_ends_services_broker_and_socket(self):
        bus = self.bus()
        bus.service()
        bus.start()
        service, broker = bus.pid(), bus.broker_pid()
        bus.end()
        for pid in (service, broker):
            self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual([path.name for path in bus.directory.iterdir()], ["services"])

    def test_services_end_while_there_is_a_bus(self):
        bus = self.bus()
        script, word = bus.root / "service", bus.root / "last-word"
        script.write_text(f"""#!/bin/sh
{bus.peer_program} {bus.address} serve {NAME} &
trap 'busctl --address={bus.address} call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId >{word}; exit' TERM
wait
""")
        script.chmod(0o755)
        bus.service(script)
        bus.start()
        bus.pid()
        bus.end()
        self.assertRegex(word.read_text(), '^s "')

    def test_death_of_the_broker_is_the_end(self):
        bus = self.bus()
        bus.service()
        bus.start()
        service = bus.pid()
        os.kill(bus.broker_pid(), signal.SIGKILL)
        result = bus.process.wait().check(1)
        self.assertRegex(result.stderr, rf"the broker, \S+{self.broker}, was killed by signal 9")
        self.assertFalse(os.path.exists(f"/proc/{service}"))
        self.assertFalse(bus.socket.exists())

    def test_death_of_the_broker_is_not_that_of_what_has_a_session_of_its_own(self):
        bus = self.bus()
        script, note = bus.root / "service", bus.root / "guest"
        script.write_text(f"""#!/bin/sh
setsid sh -c 'echo $$ >{note}; exec sleep 1000' >/dev/null 2>&1 &
exec {bus.peer_program} {bus.address} serve {NAME}
""")
        script.chmod(0o755)
        bus.service(script)
        bus.start()
        service = bus.pid()
        wait_until(lambda: note.exists() and note.read_text(), "the guest to be there")
        guest = int(note.read_text())
        self.addCleanup(os.kill, guest, signal.SIGKILL)
        os.kill(bus.broker_pid(), signal.SIGKILL)
        bus.process.wait().check(1)
        self.assertEqual([os.path.exists(f"/proc/{pid}") for pid in (service, guest)], [False, True])

    def test_a_socket_left_behind_is_taken_over(self):
        bus = self.started()
        broker = bus.broker_pid()
        bus.process.signal(signal.SIGKILL)
        bus.process.wait()
        wait_until(lambda: not os.path.exists(f"/proc/{broker}"), "the broker to end with it")
        self.assertTrue(bus.socket.exists())
        bus.start()
        self.assertIn("org.freedesktop.DBus", bus.busctl("list").stdout)

    def test_only_one_bus_at_a_place(self):
        bus = self.started()
        self.assertIn(f"there is a bus at {bus.socket} already", bus.refused())
        self.assertIn("org.freedesktop.DBus", bus.busctl("list").stdout)

    def test_something_else_that_answers_there_is_left_alone(self):
        bus = self.bus()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(bus.socket))
            other.listen()
            self.assertIn("already", bus.refused())
            self.assertTrue(bus.socket.exists())

    def test_something_else_of_that_name_is_left_alone(self):
        bus = self.bus()
        bus.socket.write_text("precious")
        self.assertIn("not a socket", bus.refused())
        self.assertEqual(bus.socket.read_text(), "precious")

    def test_a_path_that_is_too_long(self):
        bus = self.bus()
        room = 107 - len(f"{bus.directory}//bus")
        fits, too_long = bus.directory / ("d" * room), bus.directory / ("d" * (room + 1))
        said = run(XCP_BUS_RUN, "--broker", self.broker, "--domain-dir", too_long, check=1).stderr
        self.assertIn(f"has 108 bytes, and 107 are the most: {too_long}/bus", said)
        with Process([XCP_BUS_RUN, "--broker", self.broker, "--domain-dir", fits, "--ready-fd", "1"]) as process:
            process.wait_output(r"^\n")
            run("busctl", f"--address=unix:path={fits}/bus", "list")
            process.signal(signal.SIGTERM)
            process.wait().check(0)

    def test_a_directory_that_others_can_write_to(self):
        bus = self.bus()
        bus.directory.chmod(0o777)
        self.assertRegex(bus.refused(), "can be written by others .*mode 0777")

    def test_a_broker_that_is_not_there(self):
        said = self.bus().refused("--broker-program", "/no/such/broker")
        self.assertIn("cannot run the broker /no/such/broker: No such file or directory", said)
        self.assertIn(f"is the Debian package {self.broker} installed?", said)

    def test_a_broker_that_is_none(self):
        bus = self.bus()
        said = bus.refused("--broker-program", "/bin/false")
        self.assertRegex(said, f"{self.broker} (ended while starting|did not take)")
        self.assertFalse(bus.socket.exists())

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_an_ordinary_user_runs_it_in_his_own_directory(self):
        bus = self.bus()
        if run(*as_uid(NOBODY), "test", "-x", XCP_BUS_RUN, check=None).status:
            self.skipTest("the build directory is closed to other users")
        os.chown(bus.directory, NOBODY, NOBODY)
        bus.start(uid=NOBODY)
        self.assertEqual(bus.peer("own", NAME, uid=NOBODY), "owner\n")
        self.assertEqual(bus.peer("own", NAME), "owner\n", "root may as well")
        bus.end()


class Policy(EitherBroker):
    def test_names(self):
        bus = self.started()
        self.assertEqual(bus.peer("own", NAME), "owner\n")
        self.assertEqual(bus.peer("own", "org.xen.xcp.a.b.c"), "owner\n")
        for name in ("org.xen.xcpx", "org.freedesktop.NetworkManager", "com.example.any"):
            self.assertEqual(bus.peer("own", name), DENIED, name)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_a_stranger_owns_nothing_and_calls_nothing(self):
        bus = self.started()
        with bus.serve():
            self.assertEqual(bus.peer("own", NAME, uid=NOBODY), DENIED)
            self.assertEqual(bus.peer("own", "com.example.any", uid=NOBODY), DENIED)
            self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid", uid=NOBODY), DENIED)
            self.assertEqual(bus.peer("call", NAME, "-", "Pid", uid=NOBODY), DENIED)
            unique = bus.busctl("status", NAME).stdout.partition("UniqueName=")[2].partition("\n")[0]
            self.assertEqual(bus.peer("call", unique, INTERFACE, "Pid", uid=NOBODY), DENIED)
            for interface, member, answer in (("Properties", "GetAll", DENIED),
                                              ("Introspectable", "Introspect", "done\n"),
                                              ("Peer", "Ping", "done\n")):
                call = bus.peer("call", NAME, f"org.freedesktop.DBus.{interface}", member, uid=NOBODY)
                self.assertEqual(call, answer, interface)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_what_is_granted_to_a_user_is_all_he_gets(self):
        bus = self.started(f"allow call {NAME} interface {INTERFACE} to user nobody\n"
                           f"allow own org.xen.xcp.theirs to user {NOBODY}\n")
        with bus.serve():
            self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid", uid=NOBODY), "done\n")
            self.assertEqual(bus.peer("call", NAME, "-", "Pid", uid=NOBODY), DENIED, "none is not this one")
            self.assertEqual(bus.peer("call", NAME, ADMIN, "Reset", uid=NOBODY), DENIED)
            self.assertEqual(bus.peer("call", NAME, ADMIN, "Reset"), "done\n")
        self.assertEqual(bus.peer("own", "org.xen.xcp.theirs", uid=NOBODY), "owner\n")
        self.assertEqual(bus.peer("own", "org.xen.xcp.theirsnot", uid=NOBODY), DENIED)
        with bus.serve("org.xen.xcp.other"):
            self.assertEqual(bus.peer("call", "org.xen.xcp.other", INTERFACE, "Pid", uid=NOBODY), DENIED)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_a_grant_by_member_and_path(self):
        bus = self.started(f"allow call {NAME} path /test interface {INTERFACE} member Pid to user nobody\n"
                           f"allow call {NAME} path /else interface {ADMIN} to user nobody\n")
        with bus.serve():
            self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid", uid=NOBODY), "done\n")
            self.assertEqual(bus.peer("call", NAME, INTERFACE, "Shout", uid=NOBODY), DENIED)
            self.assertEqual(bus.peer("call", NAME, ADMIN, "Reset", uid=NOBODY), DENIED)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_a_grant_to_a_group(self):
        bus = self.started(f"allow call {NAME} to group games\n")
        with bus.serve():
            call = [bus.peer_program, bus.address, "call", NAME, INTERFACE, "Pid"]
            member = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--groups=games"]
            self.assertEqual(run(*member, *call).stdout, "done\n")
            self.assertEqual(run(*as_uid(NOBODY), *call).stdout, DENIED)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_signals_are_heard_where_granted(self):
        bus = self.started()
        with bus.serve(), Process([*as_uid(NOBODY), bus.peer_program, bus.address, "hear", NAME]) as stranger:
            stranger.wait_output("listening")
            with Process([bus.peer_program, bus.address, "hear", NAME]) as root:
                root.wait_output("listening")
                bus.peer("call", NAME, INTERFACE, "Shout")
                self.assertEqual(root.wait().stdout, "listening\na shout\n")
            bus.policy(f"allow hear {NAME} interface {INTERFACE} to everyone\n")
            bus.reload()
            bus.peer("call", NAME, INTERFACE, "Shout")
            self.assertEqual(stranger.wait().stdout, "listening\na shout\n")

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_what_is_the_bus_own_is_not_for_strangers(self):
        bus = self.started()
        for call in (["UpdateActivationEnvironment", "a{ss}", "1", "A", "b"], ["ReloadConfig"]):
            with self.subTest(call[0]):
                self.assertRegex(bus.driver(*call, uid=NOBODY, check=1).stderr, "(?i)denied|policy|rejected")
                bus.driver(*call)
        monitor = run(*as_uid(NOBODY), "busctl", f"--address={bus.address}", "monitor", check=1).stderr
        self.assertRegex(monitor, "(?i)denied|policy|rejected|not allowed")

    def test_reload(self):
        bus = self.started()
        self.assertEqual(bus.peer("own", "com.example.any"), DENIED)
        bus.policy("allow own com.example.any to owner\n")
        bus.reload()
        self.assertEqual(bus.peer("own", "com.example.any"), "owner\n")
        bus.policy("allow own com.example.any to everybody\n")
        bus.process.signal(signal.SIGHUP)
        said = r"test\.policy:1:30: 'everybody' is none of.*\n.*stays as it was"
        bus.process.wait_output(said, stream="stderr")
        self.assertEqual(bus.peer("own", "com.example.any"), "owner\n")

    def test_a_client_can_ask_for_it(self):
        bus = self.started()
        bus.policy("allow own com.example.any to owner\n")
        bus.service(name="org.xen.xcp.late")
        if self.broker == "dbus-broker":  # dbus-daemon would read bus.conf again, which is made on SIGHUP
            bus.driver("ReloadConfig")
        else:
            bus.reload()
        self.assertEqual(bus.peer("own", "com.example.any"), "owner\n")
        self.assertIn("org.xen.xcp.late", bus.busctl("list", "--activatable").stdout)

    def test_mistakes_are_shown_where_they_are(self):
        bus = self.bus()
        bus.policy("# a comment\nallow own org.xen.xcp.a to root\n")
        said = r"bus\.d/test\.policy:2:28: 'root' is none of everyone, owner, domains, user NAME and group NAME"
        self.assertRegex(bus.refused(), said)
        self.assertFalse(bus.socket.exists())

    def test_users_that_are_not_there(self):
        bus = self.started("allow own org.xen.xcp.a to user nosuchuser\n")
        bus.process.wait_output("bus.d/test.policy:1: there is no user nosuchuser here", stream="stderr")


class Activation(EitherBroker):
    def service_of(self, *arguments):
        bus = self.bus()
        bus.service(*arguments)
        bus.start()
        return bus

    def test_the_first_call_starts_the_service(self):
        bus = self.service_of()
        self.assertIn(NAME, bus.busctl("list", "--activatable").stdout)
        self.assertFalse(running("serve", str(bus.root)))
        pid = bus.pid()
        self.assertEqual(bus.pid(), pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: f" {pid} " not in bus.busctl("list").stdout, "the bus to notice")
        self.assertNotEqual(bus.pid(), pid)

    def test_not_if_the_caller_does_not_want_it(self):
        bus = self.service_of()
        said = bus.busctl("--auto-start=no", "call", NAME, "/test", INTERFACE, "Pid", check=1).stderr
        self.assertRegex(said, "(?i)not provided by any|unknown|no owner|not activated|does not exist")
        self.assertFalse(running("serve", str(bus.root)))
        bus.pid()

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_a_caller_that_may_not_call_it_is_refused(self):
        bus = self.service_of()
        self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid", uid=NOBODY), DENIED)

    def test_what_the_service_finds(self):
        bus = self.service_of()
        for variable in ("XCP_BUS_ADDRESS", "DBUS_STARTER_ADDRESS"):
            self.assertRegex(bus.environment(variable), f'^s "{bus.address}[",]', variable)

    def test_variables_that_are_set_over_the_bus(self):
        bus = self.service_of()
        bus.driver("UpdateActivationEnvironment", "a{ss}", "1", "XCP_TEST", "a b=c")
        self.assertEqual(bus.environment("XCP_TEST"), 's "a b=c"\n')

    def test_all_that_call_meanwhile_are_served_by_one(self):
        bus = self.bus()
        bus.service(f"/bin/sh -c 'sleep 0.5; exec {bus.peer_program} {bus.address} serve {NAME}'")
        bus.start()
        self.assertEqual(bus.peer("calls", NAME, "1000"), "1000 answers, 0 errors\n")

    def test_a_program_that_fails(self):
        bus = self.service_of("/bin/sh -c 'exit 3'")
        self.assertRegex(bus.peer("call", NAME, INTERFACE, "Pid"), r"^org\.freedesktop\.DBus\.Error\.")
        bus.service()
        bus.reload()
        self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid"), "done\n")

    def test_a_program_that_is_not_there(self):
        bus = self.service_of("/no/such/program")
        self.assertRegex(bus.peer("call", NAME, INTERFACE, "Pid"), r"^org\.freedesktop\.DBus\.Error\.")

    def test_a_program_that_hangs(self):
        bus = self.bus()
        bus.policy("limit activation-ms 700\n")
        bus.service("/bin/sleep 1000")
        bus.start()
        self.assertRegex(bus.peer("call", NAME, INTERFACE, "Pid"), r"^org\.freedesktop\.DBus\.Error\.")
        bus.end()

    def test_only_services_of_the_domain_are_started_if_asked_for(self):
        bus = self.bus()
        bus.service()
        bus.start("--domain-services-only")
        names = json.loads(bus.busctl("--json=short", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListActivatableNames").stdout)
        self.assertEqual({name for name in names["data"][0] if name != "org.freedesktop.DBus"}, {NAME})
        self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid"), "done\n")
        bus.end()

    def test_a_program_that_starts_the_service_elsewhere(self):
        bus = self.bus()
        bus.service(f"/bin/sh -c '(sleep 0.3; exec {bus.peer_program} {bus.address} serve {NAME}) & exit 0'")
        bus.start()
        self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid"), "done\n")
        bus.end()
        self.assertFalse(running("serve", str(bus.root)), "that is ended as well")

    def test_a_file_with_a_mistake(self):
        for text, said in ((f"Name={NAME}\nExec=relative\n", ":3: Exec must begin with the absolute path"),
                           (f"Name={NAME}\nExec=/bin/true\nUser=nobody\n", ":4: a key other than"),
                           (f"Name={NAME}.else\nExec=/bin/true\n", ": it must be called after its Name")):
            with self.subTest(said):
                bus = self.bus()
                bus.write("services", f"{NAME}.service", f"[D-BUS Service]\n{text}")
                self.assertIn(f"{NAME}.service{said}", bus.refused())


class Limits(EitherBroker):
    def test_what_a_bridge_needs_fits(self):
        bus = self.started()
        self.assertEqual(bus.peer("matches", "8000"), "8000 \n")
        self.assertEqual(bus.peer("names", "org.xen.xcp", "1000"), "1000 \n")
        self.assertEqual(bus.peer("connections", "1000"), "1000 \n")
        with bus.serve():
            self.assertEqual(bus.peer("calls", NAME, "10000"), "10000 answers, 0 errors\n")

    def test_a_message_of_64_mib(self):
        bus = self.started()
        with bus.serve():
            self.assertEqual(bus.peer("echo", NAME, str(64 << 20)), "same\n")

    def test_a_descriptor(self):
        bus = self.started()
        with bus.serve():
            self.assertEqual(bus.peer("fd", NAME), "through a pipe\n")

    def test_too_many_match_rules(self):
        bus = self.started("limit matches-per-connection 50\nlimit user-matches 50\n")
        taken, error = bus.peer("matches", "100").split()
        self.assertLessEqual(int(taken), 50)
        self.assertEqual(error, "org.freedesktop.DBus.Error.LimitsExceeded")

    def test_more_than_a_limit_can_be(self):
        bus = self.bus()
        bus.policy("limit message-bytes 129M\n")
        self.assertIn("test.policy:1:21: 129M is more than the most this limit can be, 134217728", bus.refused())


def define(broker):
    """Each of the above, with a broker."""
    for kind in (Life, Policy, Activation, Limits):
        name = kind.__name__ + "".join(word.capitalize() for word in broker.split("-"))
        globals()[name] = type(name, (kind, TestCase), {"broker": broker, "__module__": __name__, "__qualname__": name})


define("dbus-daemon")
define("dbus-broker")


class Differences(TestCase):
    """Where the brokers are not alike, as docs/bus.md says; when one of these fails, a broker has changed."""

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_dbus_daemon_turns_away_users_that_the_user_database_does_not_know(self):
        for broker, owner in (("dbus-daemon", ""), ("dbus-broker", "owner\n")):
            with self.subTest(broker), Bus(broker) as bus:
                bus.policy(f"allow own org.xen.xcp.a to user {UNKNOWN_UID}\n")
                bus.reload()
                self.assertEqual(bus.peer("own", "org.xen.xcp.a", uid=UNKNOWN_UID, check=None), owner)

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_dbus_daemon_does_not_start_for_an_owner_that_it_would_turn_away(self):
        with Bus("dbus-daemon") as bus:
            os.chown(bus.directory, UNKNOWN_UID, UNKNOWN_UID)
            bus.process.kill()
            bus.socket.unlink()
            if run(*as_uid(UNKNOWN_UID), "test", "-x", XCP_BUS_RUN, check=None).status:
                self.skipTest("the build directory is closed to other users")
            self.assertIn(f"uid {UNKNOWN_UID} is not in the user database", bus.refused(uid=UNKNOWN_UID))

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_dbus_broker_starts_a_service_before_it_refuses_the_caller(self):
        for broker, started in (("dbus-daemon", False), ("dbus-broker", True)):
            with self.subTest(broker), Bus(broker) as bus:
                bus.service()
                bus.reload()
                self.assertEqual(bus.peer("call", NAME, INTERFACE, "Pid", uid=NOBODY), DENIED)
                self.assertEqual(running("serve", str(bus.root)), started)
                bus.end()

    @unittest.skipUnless(is_root(), "only root can become others")
    def test_dbus_broker_lets_the_owner_of_a_name_own_names_below(self):
        for broker, answer in (("dbus-daemon", DENIED), ("dbus-broker", "owner\n")):
            with self.subTest(broker), Bus(broker) as bus:
                bus.policy(f"allow own org.xen.xcp.theirs to user {NOBODY}\n")
                bus.reload()
                self.assertEqual(bus.peer("own", "org.xen.xcp.theirs", uid=NOBODY), "owner\n")
                self.assertEqual(bus.peer("own", "org.xen.xcp.theirs.below", uid=NOBODY), answer)


class Domains(TestCase):
    def test_each_domain_has_its_own(self):
        for broker in ("dbus-daemon", "dbus-broker"):
            with self.subTest(broker), Emulation(domains=1) as xen:
                argv = [XCP_BUS_RUN, "--broker", broker, "--ready-fd", "1"]
                buses = [xen.start(domain, *argv) for domain in (0, 1)]
                for bus in buses:
                    bus.wait_output(r"^\n")
                addresses = [f"unix:path={xen.rundir}/{domain}/bus" for domain in ("dom0", "dom1")]
                with xen.start("dom1", PEER, addresses[1], "serve", NAME) as service:
                    service.wait_output("serving")
                    self.assertIn(NAME, run("busctl", f"--address={addresses[1]}", "list").stdout)
                    self.assertNotIn(NAME, run("busctl", f"--address={addresses[0]}", "list").stdout)
                    called = xen.run("dom1", PEER, addresses[1], "call", NAME, INTERFACE, "Pid")
                    self.assertEqual(called.stdout, "done\n")
                for bus in buses:
                    bus.signal(signal.SIGTERM)
                    bus.wait().check(0)


class Command(TestCase):
    def test_help_is_complete(self):
        text = run(XCP_BUS_RUN, "--help").stdout
        options = "--broker ", "--broker-program", "--domain-dir", "--domain-services-only", "--ready-fd", "--show-config", "--help", "--version"
        for option in options:
            self.assertIn(option, text)

    def test_words_it_does_not_know(self):
        for arguments in (["fly"], ["--fast"], ["--broker", "rabbit"], ["--ready-fd", "x"], ["--ready-fd", "77"],
                          ["--domain-dir"]):
            with self.subTest(arguments):
                self.assertIn("xcp-bus-run", run(XCP_BUS_RUN, *arguments, check=2).stderr)

    def test_the_configuration_can_be_looked_at(self):
        with Bus("dbus-daemon") as bus:
            shown = run(*bus.argv("--show-config")).stdout
            self.assertEqual(shown, (bus.directory / "bus.conf").read_text())
            self.assertIn('<limit name="max_message_size">134217728</limit>', shown)
