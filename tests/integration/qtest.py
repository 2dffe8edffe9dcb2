# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU without a guest: devices are programmed over its test protocol (qtest), while the machine's processor does nothing but halt.

QEMU's own tests use an accelerator of that name, which Debian's QEMU does not have. So the processor is emulated, and its BIOS halts for ever. The
machine has to run, as QEMU begins vhost-user only then.
"""

import json
import pathlib
import socket

from harness import Process, wait_listening, wait_until

RAM = 64 << 20
BIOS = bytes.fromhex("faf4ebfd")  # cli; hlt; jmp to the hlt
SECONDS = 60  # that QEMU has for an answer
PCI_ADDRESS, PCI_DATA = 0xCF8, 0xCFC
EJECT = 0xAE08  # QEMU's docs/specs/acpi_pci_hotplug: writing 1 << slot takes out the device that was asked to go


class Connection:
    """Lines, to and from QEMU."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        wait_listening(path)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")

    def send(self, line):
        print(line, file=self.file, flush=True)

    def receive(self):
        line = self.file.readline()
        if not line:
            raise AssertionError("QEMU has closed its connection")
        return line

    def close(self):
        self.file.close()
        self.socket.close()


class Machine:
    """A PC with memory that it shares, and no guest. options: of QEMU's, beside."""

    def __init__(self, test, directory, *options):
        bios = pathlib.Path(directory) / "bios"
        bios.write_bytes(bytes(0xFFF0) + BIOS.ljust(16, b"\0"))
        self.process = Process([
            "qemu-system-x86_64", "-accel", "tcg", "-bios", bios, "-m", f"{RAM >> 20}M", "-machine", "pc,memory-backend=mem", "-nodefaults",
            "-display", "none", "-object", f"memory-backend-memfd,id=mem,size={RAM},share=on", "-qtest-log", "/dev/null",
            "-qtest", f"unix:{directory}/qtest,server=on,wait=off", "-qmp", f"unix:{directory}/qmp,server=on,wait=off", *options,
        ])
        test.addCleanup(self.process.kill)
        self.qtest, self.qmp = Connection(f"{directory}/qtest"), Connection(f"{directory}/qmp")
        test.addCleanup(self.qtest.close)
        test.addCleanup(self.qmp.close)
        self.events = []
        self.qmp.receive()  # the greeting
        self.ask("qmp_capabilities")
        self.free, self.free_window, self.free_ports = 1 << 20, 0xE0000000, 0xC000

    def do(self, *words):
        """A command of the test protocol. What it answers, beside OK."""
        self.qtest.send(" ".join(word if isinstance(word, str) else hex(word) for word in words))
        answer = self.qtest.receive().split()
        if answer[0] != "OK":
            raise AssertionError(f"{words}: {answer}")
        return answer[1:]

    def ask(self, command, **arguments):
        self.qmp.send(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            answer = json.loads(self.qmp.receive())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']}")
            self.events.append(answer)

    def wait_event(self, name):
        while not any(event["event"] == name for event in self.events):
            self.events.append(json.loads(self.qmp.receive()))

    # The guest's memory, and its ports

    def take(self, size):
        """So many bytes of zeros, on pages of their own."""
        address, self.free = self.free, self.free + (size + 4095) // 4096 * 4096
        return address

    def read(self, address, size):
        return bytes.fromhex(self.do("read", address, size)[0][2:])

    def write(self, address, data):
        self.do("write", address, len(data), "0x" + data.hex())

    def read_number(self, address, size):
        return int.from_bytes(self.read(address, size), "little")

    def write_number(self, address, size, value):
        self.write(address, value.to_bytes(size, "little"))

    def inp(self, port, size):
        return int(self.do(f"in{'bwl'[size // 2]}", port)[0], 16)

    def outp(self, port, size, value):
        self.do(f"out{'bwl'[size // 2]}", port, value)

    # Devices

    def device(self, slot):
        return PciDevice(self, slot)

    def plug(self, driver, slot, **properties):
        self.ask("device_add", driver=driver, addr=hex(slot), **properties)
        return self.device(slot)

    def unplug(self, name, slot):
        """As a guest lets go of it."""
        self.ask("device_del", id=name)
        self.outp(EJECT, 4, 1 << slot)
        self.wait_event("DEVICE_DELETED")

    def virtio_status(self):
        """What QEMU itself says of its first virtio device."""
        return self.ask("x-query-virtio-status", path=self.ask("x-query-virtio")[0]["path"])


class PciDevice:
    """A function on bus 0, with memory and ports that are given to it here."""

    def __init__(self, machine, slot):
        self.machine, self.slot, self.bars = machine, slot, {}
        self.ids = tuple(self.config(offset, 2) for offset in (0, 2))
        for number in (0, 1, 4):
            self._place(number)
        self.set_config(4, 2, 7)  # ports, memory, and reading and writing by itself

    def _select(self, offset):
        self.machine.outp(PCI_ADDRESS, 4, 0x80000000 | self.slot << 11 | offset & ~3)
        return PCI_DATA + (offset & 3)

    def config(self, offset, size):
        return self.machine.inp(self._select(offset), size)

    def set_config(self, offset, size, value):
        self.machine.outp(self._select(offset), size, value)

    def _place(self, number):
        register, machine = 0x10 + 4 * number, self.machine
        is_port = self.config(register, 4) & 1
        self.set_config(register, 4, 0xFFFFFFFF)
        size = (~(self.config(register, 4) & (~3 if is_port else ~15)) + 1) & 0xFFFFFFFF
        if size == 0 or size > 1 << 20:
            return
        if is_port:
            machine.free_ports = (machine.free_ports + size - 1) // size * size
            self.bars[number], machine.free_ports = machine.free_ports, machine.free_ports + size
        else:
            machine.free_window = (machine.free_window + size - 1) // size * size
            self.bars[number], machine.free_window = machine.free_window, machine.free_window + size
        self.set_config(register, 4, self.bars[number])

    def capabilities(self):
        """The offsets of its capabilities, with their kinds."""
        offset = self.config(0x34, 1)
        while offset:
            yield offset, self.config(offset, 1)
            offset = self.config(offset + 1, 1)

    def enable_msix(self):
        """A message for each vector, which is a word of memory: 1 where it came."""
        offset = next(offset for offset, kind in self.capabilities() if kind == 0x11)
        n = (self.config(offset + 2, 2) & 0x7FF) + 1
        table = self.config(offset + 4, 4)
        self.set_config(offset + 2, 2, 0x8000)
        self.messages = self.machine.take(4 * n)
        for vector in range(n):
            entry = self.bars[table & 7] + (table & ~7) + 16 * vector
            for at, value in ((0, self.messages + 4 * vector), (4, 0), (8, 1), (12, 0)):
                self.machine.do("writel", entry + at, value)

    def message(self, vector):
        """Whether its message has come, since one was last asked for."""
        word = self.messages + 4 * vector
        came = self.machine.read_number(word, 4) == 1
        if came:
            self.machine.write_number(word, 4, 0)
        return came

    def wait_message(self, vector):
        wait_until(lambda: self.message(vector), f"message {vector} of the device in slot {self.slot}", SECONDS)
