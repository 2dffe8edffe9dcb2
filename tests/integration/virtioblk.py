# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver of virtio-blk, for a QEMU without a guest."""

import struct

from virtiopci import EVENT_IDX, INDIRECT_DESC, RING_PACKED, Modern

# linux/virtio_blk.h
IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
F_CONFIG_WCE, F_MQ, F_DISCARD, F_WRITE_ZEROES = (1 << bit for bit in (11, 12, 13, 14))
CAPACITY, WRITEBACK, NUM_QUEUES = (0, 8), (32, 1), (34, 2)  # fields of the configuration space
SLOT = 4


class Disk:
    """A driver of the disk in a slot, with as many queues as are asked for."""

    def __init__(self, machine, slot=SLOT, transport=Modern, without=EVENT_IDX | INDIRECT_DESC, n_queues=1, vectors=False):
        self.machine, self.pci = machine, machine.device(slot)
        if vectors:
            self.pci.enable_msix()
        self.device = transport(self.pci)
        self.offered = self.device.features()
        self.features = self.device.accept(self.offered & ~(without | RING_PACKED) | transport.first_features)
        if vectors:
            self.device.set_config_vector(0)
        self.queues = [self.device.make_queue(i, *((i + 1,) if vectors else ())) for i in range(n_queues)]
        self.device.start()

    def place(self, kind, sector, data):
        """A request in memory: 16 bytes, what is written or read, and its status."""
        address = self.machine.take(16 + len(data) + 1)
        self.machine.write(address, struct.pack("<IIQ", kind, 1, sector) + data + b"\xff")
        return address

    def chain(self, kind, sector, data, queue=0):
        """A request in three pieces. Returns its address, and its head."""
        address, n = self.place(kind, sector, data), len(data)
        pieces = [(address, 16, False), (address + 16, n, kind in (IN, GET_ID)), (address + 16 + n, 1, True)]
        return address, self.queues[queue].chain(*(piece for piece in pieces if piece[1] > 0))

    def answer(self, address, head, n, queue=0):
        """The status of a request that was put, and what is in its buffer."""
        assert self.queues[queue].take() == head
        data = self.machine.read(address + 16, n + 1)
        return data[n], data[:n]

    def do(self, kind, sector=0, data=b"", queue=0):
        address, head = self.chain(kind, sector, data, queue)
        self.queues[queue].put(head)
        return self.answer(address, head, len(data), queue)

    def write(self, sector, data, queue=0):
        return self.do(OUT, sector, data, queue)[0]

    def read(self, sector, n=512, queue=0):
        return self.do(IN, sector, bytes(n), queue)

    def change(self, kind, *ranges):
        """DISCARD or WRITE_ZEROES of (sector, number of sectors, flags)."""
        return self.do(kind, 0, b"".join(struct.pack("<QII", *item) for item in ranges))[0]
