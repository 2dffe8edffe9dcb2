# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a program on a machine with hardware that is not there: umockdev-wrapper hardware.py PROGRAM

Lines of standard input change it: `battery PERCENT` (it has 50 at first), `disk in` and `disk out`; their end ends the program. umockdev
shows it a /sys of its own and sends it the kernel's events.
"""

import os
import select
import signal
import subprocess
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

END_DEADLINE = 20  # seconds for the program, which is none of ours and may not heed SIGTERM

FULL = 60_000_000  # energy in microwatt-hours (Linux, Documentation/ABI/testing/sysfs-class-power)

BATTERY = {
    "type": "Battery",
    "present": "1",
    "status": "Discharging",
    "energy_full": str(FULL),
    "energy_full_design": str(FULL),
    "energy_now": str(FULL // 2),
    "voltage_now": "12000000",
}
DISK = {"dev": "8:400", "size": "204800", "removable": "1", "ro": "0", "events": "media_change"}
DISK_PROPERTIES = {  # what udev would find out
    "DEVNAME": "/dev/sdz",
    "DEVTYPE": "disk",
    "MAJOR": "8",
    "MINOR": "400",
    "ID_BUS": "usb",
    "ID_TYPE": "disk",
    "ID_VENDOR": "Example",
    "ID_MODEL": "Stick",
    "ID_SERIAL": "Example_Stick_0001",
    "ID_SERIAL_SHORT": "0001",
    "ID_FS_USAGE": "filesystem",
    "ID_FS_TYPE": "vfat",
}


def flat(pairs):
    return [text for pair in pairs.items() for text in pair]


class Machine:
    def __init__(self):
        self.testbed = UMockdev.Testbed.new()
        self.power = self.testbed.add_device("power_supply", "BAT0", None, flat(BATTERY), [])
        self.stick = None

    def battery(self, percent):
        self.testbed.set_attribute(self.power, "energy_now", str(FULL * int(percent) // 100))
        self.testbed.uevent(self.power, "change")

    def disk(self, where):
        if where == "in":
            self.stick = self.testbed.add_device("block", "sdz", None, flat(DISK), flat(DISK_PROPERTIES))
            self.testbed.uevent(self.stick, "add")
        else:
            self.testbed.uevent(self.stick, "remove")
            self.testbed.remove_device(self.stick)


def lines():
    """Those of standard input, until its end or SIGTERM, which a read that begins just after it would not notice."""
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    signal.set_wakeup_fd(teller)
    signal.signal(signal.SIGTERM, lambda *_: None)
    text = b""
    while told not in select.select([0, told], [], [])[0] and (block := os.read(0, 4096)):
        *whole, text = (text + block).split(b"\n")
        yield from (line.decode() for line in whole)


def end(process):
    process.terminate()
    try:
        process.wait(END_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(program):
    machine = Machine()
    environment = {**os.environ, "UMOCKDEV_DIR": machine.testbed.get_root_dir()}
    process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL)
    try:
        for line in lines():
            what, value = line.split()
            getattr(machine, what)(value)
    finally:
        end(process)


main(sys.argv[1])
