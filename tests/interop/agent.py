# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent of registry.py, made with GLib: agent.py WORD. It answers each question with it and the word."""

import sys

from gi.repository import Gio, GLib

INTERFACE = """
<node><interface name="org.example.Agent1">
  <method name="Ask"><arg type="s" direction="in"/><arg type="s" direction="out"/></method>
</interface></node>
"""


def main(word):
    def asked(bus, sender, path, interface, method, arguments, call):
        call.return_value(GLib.Variant("(s)", (f"{arguments[0]} {word}",)))

    def registered(bus, result):
        print(f"registered: {bus.call_finish(result)[0]}", flush=True)

    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    bus.register_object("/org/example/agent", Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0], asked, None, None)
    bus.call("org.example.Registry", "/org/example/Registry", "org.example.Registry1", "Register",
             GLib.Variant("(o)", ("/org/example/agent",)), GLib.VariantType("(s)"), Gio.DBusCallFlags.NONE, 60_000, None, registered)
    GLib.MainLoop().run()


main(sys.argv[1])
