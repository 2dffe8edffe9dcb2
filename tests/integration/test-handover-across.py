# SPDX-License-Identifier: LGPL-2.1-or-later
"""Moving a service between domains: the storage service goes out and home under load, and domains end at every step."""

import os

from dbuswire import CallFailed
from handovercase import MOVE, MOVED, NAME, PROPERTIES, STEPS, TASK, XCPCTL, AcrossTest, Load
from harness import Process, run, wait_until


class Ends(AcrossTest):
    """A domain ends while the mover waits before a step: one for each step."""

    domains = len(STEPS)

    def move_until(self, step, *arguments):
        mover = Process([MOVE, NAME, step, *arguments], env={"XCP_BUS_ADDRESS": f"unix:path={self.path(0)}"})
        self.addCleanup(mover.kill)
        mover.wait_output(f"^step {step}$")
        return mover

    def wait_owner(self, name, there=True):
        wait_until(lambda: (self.client.owner(name) is not None) == there, f"{name} to {'come to' if there else 'leave'} domain 0")

    def test_that_of_the_new_one(self):
        old = self.start_storage(0)
        self.make_disks()
        for domain, step in enumerate(STEPS, 1):
            with self.subTest(step):
                self.start_storage(domain, "--standby")
                self.wait_owner(f"{NAME}.standby")
                mover = self.move_until(step)
                self.xen.destroy(domain)
                mover.write("go\n")
                self.assertEqual(mover.wait_output(MOVED)[1], "failed")
                self.wait_owner(NAME)
                self.client.create(self.sr, step)
        self.assertTrue(old.running())
        self.assertEqual(self.client.names(self.sr), sorted(["first", *STEPS]))

    def test_that_of_the_old_one(self):
        """While nothing was loaded the state is lost with its domain; from then on what has come can be made its own."""
        for domain, step in enumerate(STEPS, 1):
            with self.subTest(step):
                self.start_storage(domain)
                self.wait_owner(NAME)
                self.make_disks(f"sr-{domain}")
                new = self.start_storage(0, "--standby", state=f"state/{domain}", env={"XCP_HANDOVER_HASTE": "5"})
                mover = self.move_until(step, "elsewhere")
                self.xen.destroy(domain)
                mover.write("go\n")
                self.assertEqual(mover.wait_output(MOVED)[1], "failed")
                new.wait()
                self.wait_owner(NAME, there=False)
                if step in ("retire", "activate", "relay"):
                    back = self.start_storage(0, "--reclaim", state=f"state/{domain}")
                    self.assertEqual(self.client.names(self.sr), ["first"])
                    self.end(back)
                    self.wait_owner(NAME, there=False)


class Across(AcrossTest):
    def setUp(self):
        super().setUp()
        self.old = self.start_storage(0)
        self.make_disks()

    def test_under_load(self):
        """Out, on to the next, and home; domain 0's programs, and their names for things, stay the same."""
        changes = self.connect(0)
        changes.match(f"type='signal',member='NameOwnerChanged',arg0='{NAME}'")
        load = Load(self.path(0), self.sr, self.vdi, by_unique_name=False)  # which no policy allows when it has no name any more
        self.addCleanup(load.end)
        load.wait_for_more()
        for domain in (1, 2, 0):
            moved = self.move(domain)
            self.assertEqual(self.bridge("GetServiceDomain", "s", NAME), (domain, True))
            load.wait_for_more()
            (name, before, after), = self.n_changes(changes)
            wait_until(lambda: not self.client.owner(f"{NAME}.standby") and not self.client.owner(f"{NAME}.handover"),
                       "the old one to be gone", deadline=90)
            self.assertTrue(before and after, "nobody owned the name for a moment")
            print(f"# to domain {domain}: the pause: {moved['pause_us'] / 1000:.1f} ms, {moved['waiting_calls']} calls were passed on")
        load.end()
        self.assertEqual(load.failures[:5], [])
        self.assertEqual(self.client.names(self.sr), sorted(["first", *load.attempted]))
        print(f"# the longest call took {load.longest * 1000:.1f} ms; calls: {load.done}")

    def test_the_command(self):
        xcpctl = [XCPCTL, "--address", f"unix:path={self.path(0)}"]
        run(*xcpctl, "service", "move", "storage", "--to", "1", deadline=90)
        self.assertEqual(self.bridge("GetServiceDomain", "s", NAME), (1, True))
        self.assertEqual(self.client.names(self.sr), ["first"])
        with self.assertRaises(CallFailed) as caught:
            self.move(1)
        self.assertEqual(caught.exception.name, "org.xen.xcp.Error.BadState")
        with self.assertRaises(CallFailed) as caught:
            self.move(77)
        self.assertEqual(caught.exception.name, "org.xen.xcp.Error.DoesNotExist")

    def test_the_domain_does_not_see_the_disks(self):
        """Found in the rehearsal: nobody has to wait, and the service stays where it is."""
        os.rename(self.shared / "sr", self.shared / "elsewhere")
        with self.assertRaises(CallFailed) as caught:
            self.move(1)
        os.rename(self.shared / "elsewhere", self.shared / "sr")
        self.assertEqual(caught.exception.name, "org.xen.xcp.Error.Unreachable")
        self.assertEqual(self.bridge("GetServiceDomain", "s", NAME), (0, True))
        self.client.create(self.sr, "after all")

    def test_the_operator_cancels(self):
        task, = self.bridge("MoveService", "su", NAME, 1)
        self.client.ask(task, TASK, "Cancel", destination="org.xen.xcp.bridge")
        wait_until(lambda: self.task(task, "State") in ("Succeeded", "Failed", "Cancelled"), "the end of the move")
        self.assertEqual(self.task(task, "State"), "Cancelled")
        self.client.create(self.sr, "after all")
        self.assertEqual(self.bridge("GetServiceDomain", "s", NAME), (0, True))

    def test_the_domain_that_it_leaves_dies(self):
        """At any moment of the move home: either it is here by then, or what was here or has come so far can be made its own."""
        self.move(1)
        wait_until(lambda: not self.client.owner(f"{NAME}.standby") and not self.client.owner(f"{NAME}.handover"), "the old one to be gone", deadline=90)
        task, = self.bridge("MoveService", "su", NAME, 0)
        wait_until(lambda: self.task(task, "Progress") > 0.2, "the rehearsal")
        self.xen.destroy(1)
        wait_until(lambda: self.task(task, "State") in ("Succeeded", "Failed"), "the end of the move")
        wait_until(lambda: not self.client.owner(f"{NAME}.standby") and not self.link_is_up(1), "the end of who took part")
        if not self.client.owner(NAME):
            self.assertEqual(self.task(task, "State"), "Failed")
            self.start_storage(0, "--reclaim")
        self.assertEqual(self.client.names(self.sr), ["first"])
        self.client.create(self.sr, "after all")

    def task(self, task, name):
        return self.client.ask(task, PROPERTIES, "Get", "ss", TASK, name, destination="org.xen.xcp.bridge")[0][1]

    def test_the_domain_dies(self):
        """At any moment of the move: it is undone, or the service has moved and died there, or none serves until it is told to (--reclaim)."""
        load = Load(self.path(0), self.sr, self.vdi, by_unique_name=False)
        self.addCleanup(load.end)
        load.wait_for_more()
        task, = self.bridge("MoveService", "su", NAME, 1)
        wait_until(lambda: self.task(task, "Progress") > 0.2, "the rehearsal")
        self.xen.destroy(1)
        wait_until(lambda: self.task(task, "State") in ("Succeeded", "Failed"), "the end of the move")
        load.end()
        if self.task(task, "State") == "Failed":
            wait_until(lambda: self.client.owner(NAME) or not self.old.running(), "the old one to have the name again, or to leave", deadline=90)
            if not self.old.running():
                self.start_storage(0, "--reclaim")
            self.assertEqual(set(load.created) - set(self.client.names(self.sr)), set(), "lost")
