#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uses d-feet as a person does, by the tree that it shows to screen readers (AT-SPI).

    dfeet_user.py ADDRESS SERVICE OBJECT INTERFACE METHOD ARGUMENTS DIRECTORY

Connects the running d-feet to a bus, chooses a service there, unfolds an object and an interface down to the method, and has that
executed, with ARGUMENTS as d-feet wants them: in Python. Leaves two screenshots in DIRECTORY: d-feet.png, and d-feet-call.png with the
answer, which is printed as well.
"""

import os
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Atspi, Gdk, GLib  # noqa: E402

DEADLINE = 60 * float(os.environ.get("XCP_TEST_PATIENCE", "1"))  # seconds for each thing to appear
CLICK_AGAIN = DEADLINE / 12  # it moved just when it was clicked
ASK_AGAIN = 0.05


def children(thing):
    for index in range(thing.get_child_count()):
        if child := thing.get_child_at_index(index):
            yield child


def below(thing):
    """Everything below something on the screen, from the top."""
    for child in children(thing):
        yield child
        yield from below(child)


def is_showing(thing):
    return thing.get_state_set().contains(Atspi.StateType.SHOWING)


def wait_for(what, look, seconds=DEADLINE):
    """Waits until look() returns something, and returns that. what: for the message; None to return None when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except GLib.Error:  # what it was looking at has just gone
            pass
        time.sleep(ASK_AGAIN)
    return what and sys.exit(f"waited {seconds:g} s for {what}")


class Person:
    def __init__(self):
        self.program = wait_for("d-feet", lambda: next((app for app in children(Atspi.get_desktop(0)) if app.get_name() == "d-feet"), None))

    def look(self, role, name="", accept=is_showing):
        return next((thing for thing in below(self.program)
                     if thing.get_role_name() == role and name in thing.get_name() and accept(thing)), None)

    def find(self, role, name="", accept=is_showing):
        return wait_for(f"the {role} '{name}'", lambda: self.look(role, name, accept))

    def click(self, thing, result, event="b1c"):
        """Clicks something until result() returns something, and returns that. With the mouse: d-feet does not answer to AT-SPI while it
        handles a click by AT-SPI, and it handles one that opens a dialog until that is closed."""
        def attempt():
            area = thing.get_component_iface().get_extents(Atspi.CoordType.SCREEN)
            Atspi.generate_mouse_event(area.x + min(area.width, 200) // 2, area.y + area.height // 2, event)
            return wait_for(None, result, CLICK_AGAIN)

        return wait_for(f"what comes of a click on '{thing.get_name()}'", attempt)

    def connect(self, address):
        entry = self.click(self.find("toggle button", "Menu"), lambda: self.look("push button", "Connect to other Bus"))
        dialog = self.click(entry, lambda: self.look("dialog"))
        next(thing for thing in below(dialog) if thing.get_role_name() == "text").get_editable_text_iface().set_text_contents(address)
        button = next(thing for thing in below(dialog) if thing.get_name() == "Connect")
        self.click(button, lambda: self.look("radio button", address))

    def choose(self, service):
        """Chooses a service in the list on the left."""
        def attempt():
            row = self.find("label", service, lambda label: label.get_name() == service and is_showing(label))
            while row.get_role_name() != "list item":
                row = row.get_parent()
            row.get_parent().get_selection_iface().select_child(row.get_index_in_parent())
            return row.get_state_set().contains(Atspi.StateType.SELECTED)  # not if the list has just got longer

        wait_for(f"{service} to be chosen", attempt)

    def line(self, text, after=-1):
        """The first line of the tree on the right, below line number `after`, that begins with a text: its number and its cell."""
        def look():
            table = self.find("tree table").get_table_iface()
            for number in range(after + 1, table.get_n_rows()):
                cell = table.get_accessible_at(number, 0)
                if cell.get_name().startswith(text):
                    return number, cell
            return None

        return wait_for(f"the line '{text}'", look)

    def unfold(self, text, after=-1):
        """Unfolds a line, named as for line(). Returns its number."""
        number, cell = self.line(text, after)
        if not cell.get_state_set().contains(Atspi.StateType.EXPANDED):
            cell.get_action_iface().do_action(0)  # "expand or contract"
        return number

    def execute(self, cell, arguments):
        """Executes the method of a line. Returns what is shown as its output."""
        dialog = self.click(cell, lambda: self.look("dialog"), "b1d")
        texts = [thing for thing in below(dialog) if thing.get_role_name() == "text"]
        parameters = next(text for text in texts if text.get_state_set().contains(Atspi.StateType.EDITABLE))
        output = next(text for text in texts if not text.get_state_set().contains(Atspi.StateType.EDITABLE))
        parameters.get_editable_text_iface().set_text_contents(arguments)
        button = next(thing for thing in below(dialog) if thing.get_name() == "Execute")
        return self.click(button, lambda: output.get_text_iface().get_text(0, -1))


def screenshot(path):
    screen = Gdk.get_default_root_window()
    picture = Gdk.pixbuf_get_from_window(screen, 0, 0, screen.get_width(), screen.get_height())
    picture.savev(path, "png", [], [])


def main(address, service, path, interface, method, arguments, directory):
    person = Person()
    person.connect(address)
    person.choose(service)
    line = person.unfold(path)
    line = person.unfold(interface, after=line)
    line = person.unfold("Methods", after=line)
    _, cell = person.line(method, after=line)
    wait_for(f"{method} on the screen", lambda: is_showing(cell))
    screenshot(f"{directory}/d-feet.png")
    print(person.execute(cell, arguments))
    screenshot(f"{directory}/d-feet-call.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
