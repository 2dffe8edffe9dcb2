# SPDX-License-Identifier: LGPL-2.1-or-later
"""Moving a service: the storage service goes from one process to another under a steady load of calls, and whatever may come in between."""

import os

from dbuswire import CallFailed
from handovercase import HANDOVER, MOVED, NAME, NO_REPLY, PROPERTIES, ROOT, SR, STEPS, STORAGE, TASK, VDI, HandoverTest, Load
from harness import run, wait_until


class Moves(HandoverTest):
    def test_under_load(self):
        reader = ("vm", "ReadWrite", ["File"])
        path = self.client.run(self.vdi, VDI, "Attach", "ssas", *reader)
        self.client.run(self.vdi, VDI, "Activate", "s", "vm")
        load = self.load()
        outcome, figures = self.move()
        self.assertEqual(outcome, "moved", figures)
        pause, waiting, epoch = map(int, figures.split())
        self.assertEqual(epoch, 2)
        self.assertEqual(self.owner_pid(), self.new.pid)
        load.wait_for_more(30)
        self.check_done_once(load)
        (name, before, after), = self.n_changes()
        self.assertTrue(before and after, "nobody owned the name for a moment")
        print(f"# the pause: {pause / 1000:.1f} ms, {waiting} calls waited at the old one; "
              f"the longest call took {load.longest * 1000:.1f} ms; calls: {load.done}")
        self.wait_gone(self.old)
        self.assertEqual(self.old.wait().status, 0)
        self.assertEqual(self.client.run(self.vdi, VDI, "Attach", "ssas", *reader), path)
        self.client.run(self.vdi, VDI, "Deactivate", "s", "vm")
        self.client.run(self.vdi, VDI, "Detach", "s", "vm")

    def test_there_and_back(self):
        """Each time the state goes along, and the one who was left behind can be taken again."""
        load = self.load()
        for n, (here, there) in enumerate((("a", "b"), ("b", "a"), ("a", "b"))):
            if n > 0:
                self.wait_gone(self.old)
                wait_until(lambda: self.client.owner(NAME + ".standby") is None, "another to be able to stand by")
                self.old, self.new = self.new, self.start(there, "--standby")
            outcome, figures = self.move()
            self.assertEqual((outcome, figures.split()[-1]), ("moved", str(n + 2)), figures)
            self.assertEqual(self.owner_pid(), self.new.pid)
            load.wait_for_more()
        self.check_done_once(load)
        self.assertEqual(len(self.n_changes()), 3)

    def test_tasks_go_along(self):
        task, = self.client.ask(self.sr, SR, "CreateVDI", "a{sv}", {"name": ("s", "kept"), "size": ("t", 1 << 20)})
        wait_until(lambda: self.client.ask(task, PROPERTIES, "Get", "ss", TASK, "State")[0][1] == "Succeeded", "the task's end")
        other = self.connect()
        gone, = other.ask(self.sr, SR, "CreateVDI", "a{sv}", {"name": ("s", "other"), "size": ("t", 1 << 20)})
        self.assertEqual(self.move()[0], "moved")
        properties, = self.client.ask(task, PROPERTIES, "GetAll", "s", TASK)
        self.assertEqual((properties["State"][1], properties["Owner"][1]), ("Succeeded", self.client.unique))
        self.client.finish(task)
        other.close()

        def is_collected():
            try:
                self.client.ask(gone, PROPERTIES, "Get", "ss", TASK, "State")
            except CallFailed:
                return True
            return False

        wait_until(is_collected, "the task of a caller who has left to be collected")

    def test_calls_passed_on_belong_to_their_callers(self):
        """A call that had come to the old one becomes a task of its caller, not of him who has passed it on."""
        mover = self.move_until("copy")
        serial = self.client.call_async(NAME, self.sr, SR, "CreateVDI", "a{sv}", {"name": ("s", "waited"), "size": ("t", 1 << 20)})
        mover.write("go\n")
        self.assertEqual(mover.wait_output(MOVED)[1], "moved")
        task, = self.client.answer(serial)
        self.assertEqual(self.client.ask(task, PROPERTIES, "Get", "ss", TASK, "Owner")[0][1], self.client.unique)
        self.client.finish(task)
        self.assertEqual(self.client.names(self.sr), ["first", "waited"])

    def test_descriptors_are_passed_on(self):
        """A call that has one lies at the old owner, and is handled by the new."""
        from gi.repository import Gio, GLib
        from storageclient import VDI_SPEC, pack
        from storageclient import Client as GioClient

        client = GioClient(self.bus.address)
        self.addCleanup(client.close)
        source = self.root / "source"
        source.write_bytes(b"x" * (1 << 20))
        replies = []
        mover = self.move_until("copy")
        with open(source, "rb") as file:
            passed = Gio.UnixFDList.new()
            passed.append(file.fileno())
        body = GLib.Variant("(a{sv}hs)", (pack(VDI_SPEC, {"name": "imported", "size": 1 << 20}), 0, "Raw"))
        client.connection.call_with_unix_fd_list(NAME, self.sr, SR, "ImportVDI", body, None, Gio.DBusCallFlags.NONE, 60_000, passed, None,
                                                 lambda connection, result: replies.append(connection.call_with_unix_fd_list_finish(result)))
        client.connection.flush_sync(None)
        mover.write("go\n")
        self.assertEqual(mover.wait_output(MOVED)[1], "moved")
        client.wait_until(lambda: replies, "the answer of the new owner")
        wait_until(lambda: "imported" in self.client.names(self.sr), "the import")


class Rollback(HandoverTest):
    """What fails leaves everything as it was, and no call has noticed more than a pause."""

    def test_cancelled(self):
        load = self.load()
        for step in STEPS[:4]:
            with self.subTest(step):
                mover = self.move_until(step)
                mover.write("cancel\n")
                outcome, why = mover.wait_output(MOVED).groups()
                self.assertEqual((outcome, why.split()[0]), ("failed", "org.xen.xcp.Error.Cancelled"))
                self.wait_gone(self.new)
                self.assertEqual(self.owner_pid(), self.old.pid)
                load.wait_for_more()
                self.new = self.start("b", "--standby")
        self.check_done_once(load)
        self.assertEqual(self.n_changes(), [])

    def test_too_late_to_cancel(self):
        load = self.load()
        mover = self.move_until("retire")
        mover.write("cancel\n")
        mover.wait_output("^too late$")
        self.assertEqual(mover.wait_output(MOVED)[1], "moved")
        load.wait_for_more()
        self.check_done_once(load)

    def test_later_still(self):
        for step, place in (("activate", "a"), ("relay", "b")):
            with self.subTest(step):
                mover = self.move_until(step)
                mover.write("cancel\n")
                mover.wait_output("^too late$")
                self.assertEqual(mover.wait_output(MOVED)[1], "moved")
                self.assertEqual(self.owner_pid(), self.new.pid)
                self.old.kill()
                wait_until(lambda: self.client.owner(NAME + ".standby") is None, "another to be able to stand by")
                self.old, self.new = self.new, self.start(place, "--standby")
        self.assertEqual(self.client.names(self.sr), ["first"])

    def test_new_one_killed(self):
        load = self.load()
        for step in STEPS[:-1]:
            with self.subTest(step):
                mover = self.move_until(step)
                self.new.kill()
                mover.write("go\n")
                self.assertEqual(mover.wait_output(MOVED)[1], "failed")
                self.assertEqual(self.owner_pid(), self.old.pid)
                load.wait_for_more()
                self.new = self.start("b", "--standby")
        self.check_done_once(load)
        self.assertEqual(self.n_changes(), [])
        self.assertEqual(self.move()[0], "moved")

    def test_new_one_killed_with_the_name(self):
        """Calls that the bus had given to it are lost with it, and their callers are told at once: none was executed."""
        load = self.load()
        mover = self.move_until("relay")
        self.new.kill()
        mover.write("go\n")
        self.assertEqual(mover.wait_output(MOVED)[1], "failed")
        self.check_is_back(self.old, load, failed=(NO_REPLY,))
        self.assertEqual([bool(after) for _, _, after in self.n_changes()], [True, True])

    def test_old_one_killed(self):
        for step in STEPS[:5]:
            with self.subTest(step):
                mover = self.move_until(step)
                self.old.kill()
                mover.write("go\n")
                self.assertEqual(mover.wait_output(MOVED)[1], "failed")
                self.wait_gone(self.new)
                self.old = self.start("a")
                self.assertEqual(self.client.names(self.sr), ["first"])
                self.new = self.start("b", "--standby")
        self.assertEqual(self.move()[0], "moved")

    def test_calls_that_waited_at_one_that_was_killed(self):
        """They are told so by the bus, and none was executed."""
        mover = self.move_until("load")
        serials = [self.client.call_async(NAME, self.sr, SR, "CreateVDI", "a{sv}", {"name": ("s", f"waited {n}"), "size": ("t", 1 << 20)})
                   for n in range(10)]
        self.client.driver("GetId")  # the bus has handled what was sent before
        self.old.kill()
        for serial in serials:
            with self.assertRaises(CallFailed) as caught:
                self.client.answer(serial)
            self.assertEqual(caught.exception.name, NO_REPLY)
        mover.write("go\n")
        self.assertEqual(mover.wait_output(MOVED)[1], "failed")
        self.wait_gone(self.new)
        self.old = self.start("a")
        self.assertEqual(self.client.names(self.sr), ["first"])

    def test_old_one_killed_while_it_passes_on(self):
        """The move has succeeded; another can stand by at once."""
        load = Load(self.path, self.sr, self.vdi, by_unique_name=False)
        self.addCleanup(load.end)
        load.wait_for_more()
        self.assertEqual(self.move()[0], "moved")
        self.old.kill()
        load.wait_for_more()
        self.check_done_once(load, failed=(NO_REPLY,))
        wait_until(lambda: self.client.owner(NAME + ".standby") is None, "another to be able to stand by")
        self.assertEqual(self.owner_pid(), self.new.pid)

    def test_old_one_killed_after_it_has_retired(self):
        """The new one has all that there is to have, and goes on."""
        for n, step in enumerate(("activate", "relay")):
            with self.subTest(step):
                if n > 0:
                    self.old, self.new = self.new, self.start("a", "--standby")
                mover = self.move_until(step)
                self.old.kill()
                mover.write("go\n")
                self.assertEqual(mover.wait_output(MOVED)[1], "moved")
                wait_until(lambda: self.owner_pid() == self.new.pid, "the new one to have the name")
                self.client.create(self.sr, step)
        self.assertEqual(self.client.names(self.sr), ["activate", "first", "relay"])

    def restart_old(self, haste):
        self.end(self.old)
        self.old = self.start("a", haste=haste)

    def test_mover_killed(self):
        """The old one finds out by itself, and goes on; that the new one ends is the next test's."""
        self.check_mover_killed(STEPS[:-2], haste=10)

    def test_mover_killed_when_the_old_one_has_retired(self):
        """It sees to the new one as well."""
        self.check_mover_killed(STEPS[-2:], haste=3)  # with 10, the mover would have half a second to be there, on whatever machine

    def check_mover_killed(self, steps, haste):
        self.restart_old(haste)
        load = self.load()
        for step in steps:
            with self.subTest(step):
                mover = self.move_until(step)
                mover.kill()
                # at relay, what has come to the new one is lost with it
                wait_until(lambda: self.owner_pid() == self.old.pid, "the name to come back")
                load.wait_for_more()
                if step not in ("activate", "relay"):
                    self.assertEqual(load.failures, [])
                    self.abandon()
                self.wait_gone(self.new)
                self.new = self.start("b", "--standby")
        self.check_done_once(load, failed=(NO_REPLY,))

    def abandon(self):
        run("busctl", f"--address={self.bus.address}", "call", f"{NAME}.standby", ROOT, HANDOVER, "Abandon")

    def test_mover_killed_and_nobody_sees_to_the_new_one(self):
        """Before it has loaded anything it waits longer than after that; then it ends, and leaves no claim behind."""
        for step in ("rehearse", "retire"):
            with self.subTest(step):
                self.end(self.new)
                self.restart_old(haste=10)
                self.new = self.start("b", "--standby", haste=10)
                self.move_until(step).kill()
                self.assertIn("Nobody went on", self.new.wait().stderr)
                self.check_is_back(self.old)
        self.end(self.old)
        self.old, self.new = self.start("a"), self.start("b", "--standby")
        self.assertEqual(self.move()[0], "moved")

    def test_storage_out_of_reach(self):
        """Found in the rehearsal, before anybody had to wait."""
        os.rename(self.root / "sr", self.root / "elsewhere")
        outcome, why = self.move()
        os.rename(self.root / "elsewhere", self.root / "sr")
        self.assertEqual((outcome, why.split()[0]), ("failed", "org.xen.xcp.Error.Unreachable"))
        self.assertIn("'d'", why)
        self.assertNotIn("Quiescing", self.old.stderr)
        self.check_is_back(self.old)

    def test_state_cannot_be_loaded(self):
        load = self.load()
        (self.root / "b/tasks.db").mkdir()
        outcome, why = self.move()
        self.assertEqual(outcome, "failed", why)
        self.assertEqual(self.owner_pid(), self.old.pid)
        self.check_is_back(self.old, load)
        self.assertEqual(self.n_changes(), [])

    def test_long_work_is_in_the_way(self):
        """It is named at once, and nobody has to wait."""
        from storageclient import Client as GioClient

        client = GioClient(self.bus.address)
        self.addCleanup(client.close)
        reader, writer = os.pipe()
        client.begin_import(self.sr, reader, name="slow", size=1 << 20)
        os.close(reader)
        outcome, why = self.move()
        self.assertEqual((outcome, why.split()[0]), ("failed", "org.xen.xcp.Error.Busy"))
        self.assertIn("slow", why)
        os.write(writer, b"x" * 4096)
        os.close(writer)
        wait_until(lambda: "slow" in self.client.names(self.sr), "the import that went on")
        self.new = self.start("b2", "--standby")
        self.assertEqual(self.move()[0], "moved")


class Owners(HandoverTest):
    """Two never serve."""

    def refuses(self, state, *arguments):
        result = run(STORAGE, "--bus-address", self.bus.address, "--state-dir", self.root / state, *arguments, check=None)
        self.assertEqual(result.status, 1, result)
        return result.stderr

    def test_who_was_left_behind_does_not_start(self):
        self.assertEqual(self.move()[0], "moved")
        self.wait_gone(self.old)
        self.new.kill()
        self.assertIn("was handed over", self.refuses("a"))
        self.new = self.start("b")
        self.assertEqual(self.client.names(self.sr), ["first"])

    def test_who_did_not_take_over_does_not_start(self):
        mover = self.move_until("relay")
        self.new.kill()
        mover.write("go\n")
        mover.wait_output("^failed")
        self.check_is_back(self.old)
        self.end(self.old)
        self.assertIn("was handed over", self.refuses("b"))
        self.start("a")

    def test_reclaimed(self):
        self.assertEqual(self.move()[0], "moved")
        self.wait_gone(self.old)
        self.new.kill()
        self.start("a", "--reclaim")
        self.assertEqual(self.client.names(self.sr), ["first"])
        self.assertEqual(self.client.ask(ROOT, PROPERTIES, "Get", "ss", HANDOVER, "Epoch")[0][1], 3)

    def test_retired_and_killed_with_its_mover(self):
        """Nobody lets the new one in. Either has all of the state, for who is told to make it its own."""
        mover = self.move_until("activate")
        mover.kill()
        self.old.kill()
        run("busctl", f"--address={self.bus.address}", "call", f"{NAME}.standby", ROOT, HANDOVER, "Abandon")
        self.wait_gone(self.new)
        for state in ("a", "b"):
            with self.subTest(state):
                self.assertIn("was handed over", self.refuses(state))
                self.end(self.start(state, "--reclaim"))
                back = self.start(state)
                self.assertEqual(self.client.names(self.sr), ["first"])
                self.end(back)

    def test_a_state_is_not_run_over(self):
        self.end(self.new)
        self.end(self.old)
        self.assertIn("would be lost", self.refuses("a", "--standby"))

    def test_who_stands_by_answers_for_itself(self):
        state, = self.client.ask(ROOT, PROPERTIES, "Get", "ss", HANDOVER, "State", destination=f"{NAME}.standby")
        self.assertEqual(state[1], "StandBy")
        for method, signature, arguments in (("Quiesce", "u", (1,)), ("Open", "s", ("x" * 32,)), ("Load", "", ()), ("Export", "t", (0,))):
            with self.assertRaises(CallFailed) as caught:
                self.client.ask(ROOT, HANDOVER, method, signature, *arguments, destination=f"{NAME}.standby")
            self.assertIn(caught.exception.name.rpartition(".")[2], ("BadState", "Corrupt"))
