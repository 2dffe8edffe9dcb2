# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service with agents, as BlueZ, NetworkManager and polkit have them, made with dbus-python: registry.py

org.example.Registry1.Register(o agent) -> s: asks the agent's object at once whether it is there, and returns what it says.
org.example.Registry1.Ask(s question) -> a{ss}: asks all agents; the answers, by the agents' unique names here.
org.example.Registry1.Left(s name): an agent's connection is gone.
"""

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = "org.example.Registry"
INTERFACE = "org.example.Registry1"
AGENT = "org.example.Agent1"


class Registry(dbus.service.Object):
    def __init__(self, bus):
        super().__init__(bus, "/org/example/Registry")
        self.bus = bus
        self.agents = {}  # unique name: (object, watch)

    @dbus.service.method(INTERFACE, in_signature="o", out_signature="s", sender_keyword="sender", async_callbacks=("answer", "fail"))
    def Register(self, path, sender, answer, fail):
        agent = self.bus.get_object(sender, path, introspect=False)
        watch = self.bus.watch_name_owner(sender, lambda owner: owner or self.forget(sender))
        self.agents[sender] = (agent, watch)
        agent.Ask("are you there?", dbus_interface=AGENT, reply_handler=answer, error_handler=fail)

    @dbus.service.method(INTERFACE, in_signature="s", out_signature="a{ss}", async_callbacks=("answer", "fail"))
    def Ask(self, question, answer, fail):
        answers = {}

        def answered(name, text):
            answers[name] = text
            if len(answers) == len(asked):
                answer(answers)

        asked = dict(self.agents)
        if not asked:
            answer(answers)
        for name, (agent, _) in asked.items():
            agent.Ask(question, dbus_interface=AGENT, reply_handler=lambda text, name=name: answered(name, text), error_handler=fail)

    @dbus.service.signal(INTERFACE, signature="s")
    def Left(self, name):
        pass

    def forget(self, name):
        if name in self.agents:
            del self.agents[name]
            self.Left(name)


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    registry = Registry(bus)
    name = dbus.service.BusName(NAME, bus)
    GLib.MainLoop().run()
    del name, registry


main()
