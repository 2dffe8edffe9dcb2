# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU guests' devices when nobody waits any more for what QEMU or the guest has to say of them: what was given up is undone, whenever that can be."""

import xenopsdclient
from qemucase import STATUS, FakeQemuTest

DONE = '{"return": {}, "id": %ID%}'
REFUSED = '{"error": {"class": "GenericError", "desc": "%s"}, "id": %%ID%%}'
DELETED = '\n{"event": "DEVICE_DELETED", "data": {"device": "disk-more", "path": "/machine/peripheral/disk-more"}}'
THERE = '{"return": [{"name": "disk-more", "type": "child<virtio-blk-pci>"}], "id": %ID%}'
NOTHING = '{"return": [{"name": "type", "type": "string"}, {"name": 7}, null], "id": %ID%}'


class Late(FakeQemuTest):
    def setUp(self):
        super().setUp()
        self.begin({"answers": self.prepared})
        self.vm = self.create(disks=[])
        self.done(self.vm.start())
        self.answers()

    def answers(self, **answers):
        answers = {name.replace("_", "-") if name != "device_add" and name != "device_del" else name: text for name, text in answers.items()}
        self.script({"answers": {"query-status": STATUS % "running", **answers}})
        (self.root / "fake-log").write_text("")

    def add(self):
        spec = {"name": "more", **self.disk("more"), "rate_limit": 1000000}
        return self.vm.begin("AddDisk", "(a{sv})", xenopsdclient.pack(xenopsdclient.DISK_SPEC, spec))

    def node(self):
        """What is behind the disk, by QEMU's name for it."""
        return next(argument for command, argument in self.told() if command == "blockdev-add")

    def wait_gone(self, node):
        for command in (("blockdev-del", node), ("chardev-remove", "vhost-more"), ("object-del", "limits-more")):
            self.wait_told(*command)

    def disks(self):
        return [disk["name"] for disk in self.vm.call("GetSpec")[0].get("disks", [])]

    def test_an_answer_that_comes_when_the_task_was_cancelled(self):
        """The device is in the guest then: it is taken back, and what is behind it goes when the guest has let go of it."""
        self.answers(device_add="when released " + DONE, qom_list=THERE, device_del=DONE + DELETED)
        adding = self.add()
        self.wait_told("device_add", "virtio-blk-pci")
        node = self.node()
        adding.cancel()
        self.assertEqual(adding.wait()[0], "Cancelled")
        self.assertEqual(self.disks(), [])
        self.assertNotIn("device_del", [command for command, _ in self.told()])
        (self.root / "released").touch()
        self.wait_told("device_del", "disk-more")
        self.wait_gone(node)
        self.answers()
        self.done(self.add())           # there is nothing in its way
        self.assertTrue(self.vm.device("disk", "more").get("Plugged"))

    def test_a_manager_that_ends_in_the_middle(self):
        """The next one has the guest let go of what it finds there and is not to be there; without it, only what was to be behind it goes."""
        for qom_list, is_there in ((NOTHING, False), (THERE, True)):
            with self.subTest(is_there=is_there):
                self.answers(device_add=None, qom_list=qom_list, device_del=DONE + DELETED)
                self.add() if not is_there else self.vm.device("disk", "more").begin("Plug")
                self.wait_told("device_add", "virtio-blk-pci")
                node = self.node()
                self.restart()
                self.wait_gone(node)
                self.assertEqual(("device_del", "disk-more") in self.told(), is_there)
                self.assertFalse(self.vm.device("disk", "more").get("Plugged"))
        self.assertEqual(self.vm.get("State"), "Running")

    def test_a_guest_that_lets_go_later(self):
        """When nobody waits for that any more, when nobody is there, and when it was asked before."""
        disk = self.vm.device("disk", "more")
        self.done(self.add())
        node = self.node()
        self.answers(query_status=STATUS % "running" + DELETED)
        self.vm.call("QueryState")
        disk.wait_property("Plugged", False)
        self.wait_gone(node)
        self.answers(device_del=REFUSED % "Device 'disk-more' not found", qom_list=NOTHING)
        self.done(disk.begin("Plug"))
        self.done(disk.begin("Unplug", "(b)", False))
        self.assertFalse(disk.get("Plugged"))
        self.answers(device_del=REFUSED % "Bus does not support hotplugging", qom_list=THERE)
        self.done(disk.begin("Plug"))
        self.failed(disk.begin("Unplug", "(b)", False), "BackendFailed", "does not support hotplugging")
        refusal = DELETED.replace("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR")
        self.answers(device_del=DONE + refusal, qom_list=THERE)
        self.failed(disk.begin("Unplug", "(b)", False), "BackendFailed", "does not let go")
        self.assertTrue(disk.get("Plugged"))
        self.answers(device_del=REFUSED % "Device disk-more is already in the process of unplug" + DELETED)
        self.done(disk.begin("Unplug", "(b)", False))
        self.answers(qom_list=NOTHING)
        self.done(disk.begin("Plug"))
        self.restart()                  # it has let go of it when no manager was there
        self.caller.wait_until(lambda: not disk.get("Plugged"), "the disk not to be plugged")

    def test_an_answer_that_is_older_than_an_event(self):
        """What the guest was is told after what it has become: that is what counts, also at the end of a task."""
        running, off = STATUS % "running", STATUS % "shutdown"
        event = '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\n{"return": [], "id": %ID%}'
        self.script({"answers": {"query-status": [running, off], "query-chardev": event}})
        self.assertEqual(self.vm.call("QueryState")[0], "Halted")
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left, in {self.leftovers()}")
        self.caller.forget()
        self.script({"answers": {"query-status": [STATUS % "prelaunch", running, off], "query-chardev": event}})
        self.done(self.vm.start())
        self.vm.wait_change("Prepared", "Halted", "GuestPowerOff")
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left, in {self.leftovers()}")
        self.assertEqual((self.vm.get("State"), self.vm.get("Pid")), ("Halted", 0))

    def test_an_answer_that_is_older_than_an_event_when_a_manager_starts(self):
        """Before it knows what the guest is, it is told of the guest's end."""
        event = '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\n{"return": [], "id": %ID%}'
        self.answers(query_status=[STATUS % "running", STATUS % "shutdown"], query_chardev=[event, event.splitlines()[1]])
        self.restart()
        self.assertEqual((self.vm.get("State"), self.vm.get("StateReason")), ("Halted", "GuestPowerOff"))
        self.caller.wait_until(lambda: self.leftovers() == [], lambda: f"nothing to be left, in {self.leftovers()}")

    def test_a_guest_that_ends_before_it_is_known_to_have_begun(self):
        """Each time that it is started again: its last end is told of, and holds."""
        event = '{"event": "GUEST_PANICKED", "data": {"action": "pause"}}\n' + DONE
        self.script({"answers": {"query-status": [STATUS % "prelaunch", STATUS % "guest-panicked"], "cont": event}})
        vm = self.create("ending", disks=[], on_crash="Restart")
        vm.start()
        self.caller.wait_until(lambda: "5 times" in vm.get("StateDetail"), lambda: f"the last of its ends in {vm.changes()}")
        vm.wait_change("Panicked", "Halted", "GuestPanic")
        self.assertEqual(vm.get("State"), "Halted")


del FakeQemuTest
