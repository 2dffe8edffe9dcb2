# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver of virtio devices on PCI, over qtest.py: VIRTIO 1.2 §4.1, what was before it, and split rings."""

import struct

from harness import wait_until
from qtest import SECONDS

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED = (1 << bit for bit in (28, 29, 32, 34))
NEXT, WRITE, INDIRECT = 1, 2, 4  # flags of a descriptor
NO_VECTOR = 0xFFFF


class Modern:
    """A device by its capabilities, in memory: VIRTIO 1.2 §4.1.4."""

    first_features = VERSION_1

    def __init__(self, pci):
        self.pci, self.machine, self.areas = pci, pci.machine, {}
        for offset, kind in pci.capabilities():
            if kind != 9:
                continue
            area, bar = pci.config(offset + 3, 1), pci.config(offset + 4, 1)
            if area in (1, 2, 3, 4) and bar in pci.bars:
                self.areas[area] = pci.bars[bar] + pci.config(offset + 8, 4)
            if area == 2:
                self.multiplier = pci.config(offset + 16, 4)
        self.set_status(0)
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)

    def _get(self, offset, size, area=1):
        return int(self.machine.do(f"read{'bwl'[size // 2]}", self.areas[area] + offset)[0], 16)

    def _set(self, offset, size, value, area=1):
        self.machine.do(f"write{'bwl'[size // 2]}", self.areas[area] + offset, value)

    def status(self):
        return self._get(20, 1)

    def set_status(self, status):
        self._set(20, 1, status)

    def features(self):
        value = 0
        for half in 0, 1:
            self._set(0, 4, half)
            value |= self._get(4, 4) << 32 * half
        return value

    def accept(self, features):
        for half in 0, 1:
            self._set(8, 4, half)
            self._set(12, 4, features >> 32 * half & 0xFFFFFFFF)
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not self.status() & FEATURES_OK:
            raise AssertionError(f"the device does not accept features {features:#x}")
        return features

    def config(self, offset, size):
        """A field of at most 4 bytes, or two such."""
        return self._get(offset, size, 4) if size <= 4 else self.config(offset, 4) | self.config(offset + 4, 4) << 32

    def set_config(self, offset, size, value):
        self._set(offset, size, value, 4)

    def set_config_vector(self, vector):
        self._set(16, 2, vector)

    def make_queue(self, index, vector=NO_VECTOR):
        self._set(22, 2, index)
        queue = Queue(self, index, self._get(24, 2))
        self._set(26, 2, vector)
        for offset, address in ((32, queue.descriptors), (40, queue.available), (48, queue.used)):
            self._set(offset, 4, address)
            self._set(offset + 4, 4, 0)
        queue.notify_at = self._get(30, 2) * self.multiplier
        self._set(28, 2, 1)
        return queue

    def notify(self, queue):
        self._set(queue.notify_at, 2, queue.index, 2)

    def start(self):
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)


class Legacy:
    """A device as it was before VIRTIO 1.0, by ports: §4.1.4.8."""

    first_features = 0

    def __init__(self, pci):
        self.pci, self.machine, self.base = pci, pci.machine, pci.bars[0]
        for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            self.machine.outp(self.base + 18, 1, status)

    def features(self):
        return self.machine.inp(self.base, 4)

    def accept(self, features):
        self.machine.outp(self.base + 4, 4, features)
        return features

    def config(self, offset, size):
        return self.machine.inp(self.base + 20 + offset, size) if size <= 4 else self.config(offset, 4) | self.config(offset + 4, 4) << 32

    def select(self, index, page):
        """Says where a queue is, whether it is one or not."""
        self.machine.outp(self.base + 14, 2, index)
        self.machine.outp(self.base + 8, 4, page)

    def make_queue(self, index):
        self.machine.outp(self.base + 14, 2, index)
        queue = Queue(self, index, self.machine.inp(self.base + 12, 2))
        self.select(index, queue.descriptors // 4096)
        return queue

    def notify(self, queue):
        self.machine.outp(self.base + 16, 2, queue.index)

    def start(self):
        self.machine.outp(self.base + 18, 1, ACKNOWLEDGE | DRIVER | DRIVER_OK)


class Queue:
    """A split ring, §2.7, laid out as legacy devices need it: the used ring begins a page. Chains are never taken back: a test has few."""

    def __init__(self, device, index, size):
        self.device, self.machine, self.index, self.size = device, device.machine, index, size
        ring = 16 * size + 6 + 2 * size
        used = (ring + 4095) // 4096 * 4096
        self.descriptors = self.machine.take(used + 6 + 8 * size)
        self.available, self.used = self.descriptors + 16 * size, self.descriptors + used
        self.n_descriptors = self.n_put = self.n_taken = 0

    def chain(self, *pieces, indirect=False):
        """Makes a chain of (address, length, is it for the device to write). Returns its head."""
        table, first = (self.machine.take(16 * len(pieces)), 0) if indirect else (self.descriptors, self.n_descriptors)
        for i, (address, length, written) in enumerate(pieces):
            flags = (WRITE if written else 0) | (NEXT if i < len(pieces) - 1 else 0)
            self.machine.write(table + 16 * (first + i), struct.pack("<QIHH", address, length, flags, first + i + 1))
        head = self.n_descriptors
        if indirect:
            self.machine.write(self.descriptors + 16 * head, struct.pack("<QIHH", table, 16 * len(pieces), INDIRECT, 0))
        self.n_descriptors += 1 if indirect else len(pieces)
        return head

    def put(self, head):
        """Makes it available, and notifies the device."""
        self.machine.write_number(self.available + 4 + 2 * (self.n_put % self.size), 2, head)
        self.n_put += 1
        self.machine.write_number(self.available + 2, 2, self.n_put)
        self.device.notify(self)
        return head

    def set_used_event(self, index):
        self.machine.write_number(self.available + 4 + 2 * self.size, 2, index)

    def n_used(self):
        return self.machine.read_number(self.used + 2, 2)

    def take(self):
        """The next answer's head, once it is there."""
        wait_until(lambda: self.n_used() != self.n_taken, f"answer {self.n_taken + 1} of queue {self.index}", SECONDS)
        head = self.machine.read_number(self.used + 4 + 8 * (self.n_taken % self.size), 4)
        self.n_taken += 1
        return head
