# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's vhost-user-blk before our back-end: without a guest, with one of 60 bytes in the BIOS, and with Linux."""

import json
import os
import pathlib
import re
import socket

from harness import Process, run, wait_listening, wait_until
from harness.linux import COMMAND_LINE, linux_guest
from qtest import Machine
from vhostcase import BLK, BUILD, MIB, Backend
from virtioblk import (CAPACITY, DISCARD, F_CONFIG_WCE, F_DISCARD, F_MQ, F_WRITE_ZEROES, FLUSH, GET_ID, IN, IOERR, NUM_QUEUES, OK, OUT, SLOT, UNSUPP,
                       WRITE_ZEROES, WRITEBACK, Disk)
from virtiopci import EVENT_IDX, INDIRECT_DESC, VERSION_1, Legacy, Modern

UNMAP = 1
OTHER_SLOT = 6
TEST = b"TEST".ljust(512, b"\0")


class WithoutGuest(Backend):
    """The cases of QEMU's tests/qtest/vhost-user-blk-test.c, and what it leaves out: a resize, and a back-end that dies."""

    def machine(self, *options, chardev="reconnect=1", device=f"addr={SLOT},num-queues=1"):
        return Machine(self, self.directory, "-chardev", f"socket,id=c0,path={self.socket},{chardev}", "-device",
                       f"vhost-user-blk-pci,chardev=c0,{device}", *options)

    def disk(self, *options, **driver):
        backend = self.blk("--serial", "a disk", *options)
        return backend, Disk(self.machine(), **driver)

    def basic(self, disk):
        self.assertEqual(disk.device.config(*CAPACITY), 64 * MIB // 512)
        self.assertEqual(disk.features & (F_DISCARD | F_WRITE_ZEROES), F_DISCARD | F_WRITE_ZEROES)
        self.assertEqual(disk.write(0, TEST), OK)
        self.assertEqual(disk.read(0), (OK, TEST))
        self.assertEqual(disk.change(WRITE_ZEROES, (0, 1, 0)), OK)
        self.assertEqual(disk.read(0), (OK, bytes(512)))
        self.assertEqual(disk.write(1, TEST), OK)
        self.assertEqual(disk.change(DISCARD, (0, 1, 0)), OK)
        self.assertEqual(disk.read(1), (OK, TEST))
        self.assertEqual(disk.do(FLUSH)[0], OK)
        self.assertEqual(disk.do(GET_ID, 0, bytes(20)), (OK, b"a disk".ljust(20, b"\0")))
        self.assertEqual(disk.do(99)[0], UNSUPP)

    def test_basic(self):
        self.basic(self.disk()[1])

    def test_basic_before_virtio_1(self):
        disk = self.disk(transport=Legacy)[1]
        self.assertEqual(disk.features & VERSION_1, 0)
        self.basic(disk)

    def test_basic_without_io_uring(self):
        self.basic(self.disk("--no-io-uring")[1])

    def test_discards_and_zeroes_that_cannot_be(self):
        disk = self.disk()[1]
        end = disk.device.config(*CAPACITY)
        for kind in DISCARD, WRITE_ZEROES:
            self.assertEqual(disk.change(kind, (0, 1, 0), (1, 1, 0)), UNSUPP)
            self.assertEqual(disk.change(kind, (0, 0xFFFFFFFF, 0)), IOERR)
            self.assertEqual(disk.change(kind, (end + 1, 1, 0)), IOERR)
            self.assertEqual(disk.change(kind, (0, 1, 0xFFFFFFFF & ~UNMAP)), UNSUPP)
        self.assertEqual(disk.write(end - 1, TEST), OK)
        self.assertEqual(disk.write(end, TEST), IOERR)

    def two_pieces(self, disk, **how):
        """Header and data in one piece; and data and status."""
        queue = disk.queues[0]
        address = disk.place(OUT, 1, TEST)
        head = queue.put(queue.chain((address, 528, False), (address + 528, 1, True), **how))
        self.assertEqual(disk.answer(address, head, 512)[0], OK)
        address = disk.place(IN, 1, bytes(512))
        head = queue.put(queue.chain((address, 16, False), (address + 16, 513, True), **how))
        self.assertEqual(disk.answer(address, head, 512), (OK, TEST))

    def test_any_layout(self):
        self.two_pieces(self.disk()[1])

    def test_indirect(self):
        disk = self.disk(without=EVENT_IDX)[1]
        self.assertTrue(disk.features & INDIRECT_DESC)
        self.two_pieces(disk, indirect=True)

    def test_event_index(self):
        """One notification for two answers, when the driver asks for it: of the third."""
        disk = self.disk(without=INDIRECT_DESC, vectors=True)[1]
        self.assertTrue(disk.features & EVENT_IDX)
        self.assertEqual(disk.write(0, TEST), OK)
        disk.pci.wait_message(1)
        disk.queues[0].set_used_event(2)
        self.assertEqual(disk.write(1, TEST), OK)  # its answer was looked for, so there is nothing to wait for that could bring a message
        self.assertFalse(disk.pci.message(1))
        self.assertEqual(disk.read(1), (OK, TEST))
        disk.pci.wait_message(1)

    def test_a_queue_that_is_not_there(self):
        disk = self.disk(transport=Legacy)[1]
        disk.device.select(2, 1)
        self.assertEqual(disk.read(0), (OK, bytes(512)))

    def test_plug_and_unplug(self):
        backend = self.blk()
        machine = self.machine("-chardev", f"socket,id=c1,path={self.other_socket()}")
        for _ in range(2):  # over the same connection, which is the chardev's
            device = machine.plug("vhost-user-blk-pci", OTHER_SLOT, id="other", chardev="c1")
            self.assertEqual(device.ids, (0x1AF4, 0x1001))
            self.assertEqual(Disk(machine, OTHER_SLOT).read(0), (OK, bytes(512)))
            machine.unplug("other", OTHER_SLOT)
            self.assertEqual(machine.device(OTHER_SLOT).ids, (0xFFFF, 0xFFFF))
        self.assertEqual(Disk(machine).write(0, TEST), OK)
        self.end(backend)

    def other_socket(self, *options):
        """Of a second disk, in a file of its own."""
        path = f"{self.directory}/other"
        with open(f"{path}.raw", "wb") as file:
            file.truncate(MIB)
        backend = Process([BLK, "--socket-path", path, "--blk-file", f"{path}.raw", *options])
        self.addCleanup(backend.kill)
        backend.wait_output("ready\n")
        return path

    def test_many_queues(self):
        self.blk()
        machine = self.machine("-chardev", f"socket,id=c1,path={self.other_socket('--num-queues', '8')}")
        self.assertEqual(Disk(machine).offered & F_MQ, 0)
        machine.plug("vhost-user-blk-pci", OTHER_SLOT, id="other", chardev="c1", **{"num-queues": 8})
        disk = Disk(machine, OTHER_SLOT, n_queues=8)
        self.assertEqual((disk.features & F_MQ, disk.device.config(*NUM_QUEUES)), (F_MQ, 8))
        for queue in range(8):
            self.assertEqual(disk.write(queue, bytes([queue + 1]) * 512, queue), OK)
        for queue in range(8):
            self.assertEqual(disk.read(7 - queue, 512, queue), (OK, bytes([8 - queue]) * 512))

    def test_more_queues_than_the_back_end_has(self):
        self.blk("--num-queues", "2")
        result = run("qemu-system-x86_64", "-accel", "tcg", "-S", "-m", "64M", "-machine", "pc,memory-backend=mem", "-nodefaults", "-display", "none",
                     "-object", "memory-backend-memfd,id=mem,size=64M,share=on", "-chardev", f"socket,id=c0,path={self.socket}",
                     "-device", "vhost-user-blk-pci,chardev=c0,num-queues=3", check=1)
        self.assertIn("queues supported by the backend is 2", result.stderr)

    def test_a_disk_that_grows(self):
        ours, theirs = os.pipe()
        self.addCleanup(os.close, theirs)
        backend = self.blk("--control", "0", fds=(ours,))
        os.close(ours)
        disk = Disk(self.machine(), vectors=True)
        self.assertEqual(disk.write(64 * MIB // 512, TEST), IOERR)
        os.truncate(self.file, 96 * MIB)
        os.write(theirs, b"size 0\n")
        backend.wait_output(f"size {96 * MIB}\n")
        disk.pci.wait_message(0)
        self.assertEqual(disk.device.config(*CAPACITY), 96 * MIB // 512)
        self.assertEqual(disk.write(96 * MIB // 512 - 1, TEST), OK)

    def test_write_cache(self):
        disk = self.disk()[1]
        self.assertTrue(disk.features & F_CONFIG_WCE)
        for on in 0, 1:
            disk.device.set_config(*WRITEBACK, on)
            self.assertEqual(disk.device.config(*WRITEBACK), on)
            self.assertEqual(disk.write(on, TEST), OK)

    def test_a_disk_that_is_only_read(self):
        disk = self.disk("--read-only")[1]
        self.assertEqual(disk.features & (F_DISCARD | F_WRITE_ZEROES), 0)
        self.assertEqual((disk.write(0, TEST), disk.read(0)), (IOERR, (OK, bytes(512))))

    def test_a_driver_that_begins_again(self):
        """Reset, as by a guest that is rebooted: other rings, at another place in memory, and other features."""
        machine = self.disk()[1].machine
        for without in (0, INDIRECT_DESC, EVENT_IDX):
            disk = Disk(machine, without=without)
            self.assertEqual((disk.write(0, TEST), disk.read(0)), (OK, (OK, TEST)))

    def connecting(self):
        """A back-end that connects to QEMU."""
        backend = Process([BLK, "--connect", self.socket, "--blk-file", self.file, "--serial", "a disk"])
        self.addCleanup(backend.kill)
        backend.wait_output("ready\n")
        return backend

    def test_qemu_listens(self):
        """The back-end waits for it, and after a death, connects anew."""
        backend = self.connecting()
        disk = Disk(self.machine(chardev="server=on,wait=off"))
        self.basic(disk)
        backend.kill()
        backend = self.connecting()
        self.assertEqual(disk.read(1), (OK, TEST))
        self.end(backend)

    def test_a_back_end_that_dies(self):
        """What is asked for while nobody is there is answered by the next."""
        backend, disk = self.disk()
        for n in range(3):
            self.assertEqual(disk.write(0, bytes([n]) * 512), OK)
            backend.kill()
            address, head = disk.chain(IN, 0, bytes(512))
            disk.queues[0].put(head)
            backend = self.blk()
            self.assertEqual(disk.answer(address, head, 512), (OK, bytes([n]) * 512))
        self.end(backend)

    def test_a_machine_that_is_stopped(self):
        disk = self.disk()[1]
        for command in "stop", "cont":
            disk.machine.ask(command)
            self.assertEqual(disk.machine.virtio_status()["vhost-started"], command == "cont")
        self.assertEqual(disk.write(0, TEST), OK)

    def test_what_is_negotiated(self):
        disk = self.disk(without=0)[1]
        status = disk.machine.virtio_status()
        self.assertEqual((status["device-id"], status["num-vqs"], status["vhost-started"]), (2, 1, True))
        names = lambda texts: {text.split(":")[0].removeprefix("VHOST_USER_PROTOCOL_F_") for text in texts}
        protocol = names(status["vhost-dev"]["protocol-features"]["protocols"])
        self.assertLessEqual({"MQ", "REPLY_ACK", "CONFIG", "INFLIGHT_SHMFD", "CONFIGURE_MEM_SLOTS"}, protocol)
        self.assertLessEqual({"VIRTIO_F_VERSION_1", "VIRTIO_RING_F_INDIRECT_DESC", "VIRTIO_RING_F_EVENT_IDX"},
                             names(status["guest-features"]["transports"]))


class Example(Backend):
    """The device of docs/writing-a-vhost-user-device.md, in QEMU as that page says."""

    def test_random_numbers(self):
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs/writing-a-vhost-user-device.md").read_text()
        chardev, device = re.search(r"-chardev (\S+path=/run/rng\.sock\S*) -device (\S+) \.\.\.", page).groups()
        rng = Process([BUILD / "example/vhost-rng", self.socket])
        self.addCleanup(rng.kill)
        wait_listening(self.socket)
        machine = Machine(self, self.directory, "-chardev", chardev.replace("/run/rng.sock", self.socket), "-device", f"{device},addr={SLOT}")
        driver = Modern(machine.device(SLOT))
        driver.accept(VERSION_1)
        queue = driver.make_queue(0)
        driver.start()
        buffers = [machine.take(64) for _ in range(2)]
        for address in buffers:
            head = queue.put(queue.chain((address, 64, True)))
            self.assertEqual(queue.take(), head)
        found = {machine.read(address, 64) for address in buffers} | {bytes(64)}
        self.assertEqual(len(found), 3, found)


class AsFrontEnd(Backend):
    """QEMU before the back-end that checks front-ends (xcp-vhost-check --frontend)."""

    def use(self, check, transport=Modern):
        """Something of all that QEMU does with a disk; and its end."""
        machine = WithoutGuest.machine(self)
        disk = Disk(machine, transport=transport, vectors=transport is Modern)
        self.assertEqual((disk.write(0, TEST), disk.read(0)), (OK, (OK, TEST)))
        check.wait_output(r"(?s)> SET_VRING_ENABLE.*> GET_CONFIG")  # the disk grows with its first request
        if transport is Modern:
            disk.pci.wait_message(0)
            self.assertEqual(disk.device.config(*CAPACITY), 64 * MIB // 512 + 1)
        for command in "stop", "cont":
            machine.ask(command)
        self.assertEqual(disk.read(0), (OK, TEST))
        disk = Disk(machine, transport=transport)  # a reset, and again
        self.assertEqual(disk.read(0), (OK, TEST))
        machine.ask("quit")
        machine.process.wait()
        verdicts, result = self.frontend_verdicts(check)
        self.assertEqual(verdicts["FAILED"], set(), result)
        return verdicts["not seen"]

    def test_all_that_is_offered(self):
        self.assertEqual(self.use(self.check_frontend()), {"F-16", "F-19", "F-21"})

    def test_what_is_not_offered(self):
        options = [word for name in ("REPLY_ACK", "CONFIGURE_MEM_SLOTS", "INFLIGHT_SHMFD", "LOG_SHMFD") for word in ("--without", name)]
        self.assertEqual(self.use(self.check_frontend(*options)), {"F-6", "F-16", "F-18", "F-19", "F-21"})

    def test_before_virtio_1(self):
        self.assertEqual(self.use(self.check_frontend(), Legacy), {"F-16", "F-19", "F-21"})

    def test_cut_off(self):
        check = self.check_frontend("--cut-off", "2", "--timeout", "60000")
        machine = WithoutGuest.machine(self)
        disk = Disk(machine)
        self.assertEqual((disk.write(0, TEST), disk.read(0)), (OK, (OK, TEST)))  # the second is answered in another session
        machine.ask("quit")
        verdicts, result = self.frontend_verdicts(check)
        self.assertEqual((verdicts["FAILED"], "F-19" in verdicts["passed"]), (set(), True), result)
        self.assertIn("2 sessions, 2 requests answered", result.stdout)

    def test_it_sets_a_feature_that_it_does_not_know(self):
        check = self.check_frontend("--in-band", "--without", "REPLY_ACK")
        result = run("qemu-system-x86_64", "-accel", "tcg", "-S", "-m", "64M", "-machine", "pc,memory-backend=mem", "-nodefaults", "-display", "none",
                     "-object", "memory-backend-memfd,id=mem,size=64M,share=on", "-chardev", f"socket,id=c0,path={self.socket}",
                     "-device", "vhost-user-blk-pci,chardev=c0", check=1)
        verdicts, result = self.frontend_verdicts(check, 1)
        self.assertEqual(verdicts["FAILED"], {"F-21"}, result)

    def test_one_that_does_not_come_again(self):
        check = self.check_frontend("--cut-off", "1", "--timeout", "1000")
        disk = Disk(WithoutGuest.machine(self, chardev="server=off"))
        disk.queues[0].put(disk.chain(IN, 0, bytes(512))[1])
        verdicts, result = self.frontend_verdicts(check, 1)
        self.assertEqual(verdicts["FAILED"], {"F-19"}, result)


def boot_sector():
    """A guest, in 60 bytes: by the BIOS, whose virtio driver it is, it writes sector 2 with what it reads from sector 1, again and again, until that
    begins with 0xee. Then it ends QEMU with status 33, and with 35 if the BIOS has an error."""
    parameters = 0x7C40  # for int 13h: the disk address packet
    word = lambda n: n.to_bytes(2, "little")
    begin = bytes.fromhex("31c0 8ed8 8ec0 8ed0 bc007c")  # ds, es, ss = 0; sp = 0x7c00
    sector = lambda n: b"\xc7\x06" + word(parameters + 8) + word(n) + b"\xbe" + word(parameters)
    read = sector(1) + bytes.fromhex("b442 cd13")  # int 13h, extended read
    write = sector(2) + bytes.fromhex("b80043 cd13")
    enough = bytes.fromhex("803e0080ee")  # cmp byte [0x8000], 0xee
    good, bad = bytes.fromhex("b010 e6f4"), bytes.fromhex("b011 e6f4 f4 ebfd")
    jump = lambda opcode, n: bytes([opcode, n & 0xFF])
    tail = enough + jump(0x74, len(write) + 4) + write  # je good; jc bad is 2 bytes, jmp again 2 more
    again = -(len(read) + 2 + len(tail) + 2 + 2)
    code = begin + read + jump(0x72, len(tail) + 4 + len(good)) + tail + jump(0x72, 2 + len(good)) + jump(0xEB, again) + good + bad
    packet = b"\x10\0\1\0" + word(0x8000) + word(0) + bytes(8)
    return (code.ljust(0x40, b"\0") + packet).ljust(510, b"\0") + b"\x55\xaa"


class RealFrontEnd(Backend):
    """QEMU's vhost-user-blk, with a guest that boots from it."""

    def sector(self, number):
        with open(self.file, "rb") as file:
            return os.pread(file.fileno(), 512, number * 512)

    def write_sector(self, number, data):
        with open(self.file, "r+b") as file:
            os.pwrite(file.fileno(), data, number * 512)

    def boot(self):
        self.write_sector(0, boot_sector())
        self.write_sector(1, bytes(range(1, 129)) * 4)
        qemu = Process([
            "qemu-system-x86_64", "-accel", "tcg", "-m", "64M", "-machine", "pc,memory-backend=mem", "-nodefaults", "-display", "none",
            "-object", "memory-backend-memfd,id=mem,size=64M,share=on", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-chardev", f"socket,id=c0,path={self.socket},reconnect=1", "-device", "vhost-user-blk-pci,chardev=c0,num-queues=1,bootindex=0",
        ])
        self.addCleanup(qemu.kill)
        return qemu

    def wait_for_writes(self):
        self.write_sector(2, bytes(512))
        wait_until(lambda: self.sector(2) == self.sector(1), "the guest to write sector 2", 60)

    def test_a_guest_boots_and_does_not_see_the_back_end_die(self):
        backend = self.blk()
        qemu = self.boot()
        self.wait_for_writes()
        for options in ((), ("--no-io-uring",), ()):
            backend.kill()
            backend = self.blk(*options)
            self.wait_for_writes()
        self.write_sector(1, b"\xee" * 512)
        qemu.wait(60).check(33)
        self.end(backend)


class Linux(Backend):
    """QEMU's vhost-user-blk with Linux as its guest, over packed rings: what is negotiated, and that nobody sees the back-end die."""

    deadline = 600

    # Writes, and reads from the disk what it has written, until somebody writes "end" to its first sector.
    SCRIPT = """\
dd if=/dev/urandom of=/data bs=64k count=16 2>/dev/null
sum=$(md5sum < /data)
echo guest begins
while dd if=/data of=/dev/vda bs=64k seek=16 conv=fsync 2>/dev/null; do
        [ "$(dd if=/dev/vda bs=64k skip=16 count=16 iflag=direct 2>/dev/null | md5sum)" = "$sum" ] || break
        echo round
        if [ "$(dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | head -c 3)" = end ]; then echo guest is right; break; fi
done
poweroff -f
"""

    def boot(self):
        kernel, initramfs = linux_guest(self.SCRIPT)
        qemu = Process([
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "256M", "-machine", "q35,memory-backend=mem", "-nodefaults",
            "-display", "none", "-no-reboot", "-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-serial", "stdio",
            "-kernel", kernel, "-initrd", initramfs, "-append", COMMAND_LINE, "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off",
            "-chardev", f"socket,id=c0,path={self.socket},reconnect=1", "-device", "vhost-user-blk-pci,chardev=c0,num-queues=2,packed=on,id=disk",
        ])
        self.addCleanup(qemu.kill)
        qemu.wait_output("guest begins\r?\n", 300)
        return qemu

    def ask(self, **command):
        """What QEMU answers to a command on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{self.directory}/qmp")
            with connection.makefile("rw") as file:
                for line in {"execute": "qmp_capabilities"}, command:
                    print(json.dumps(line), file=file, flush=True)
                    answer = next(a for a in map(json.loads, file) if "return" in a or "error" in a)  # and not a greeting, or an event
        return answer["return"]

    def assert_negotiated(self):
        (device,) = self.ask(execute="x-query-virtio")
        status = self.ask(execute="x-query-virtio-status", arguments={"path": device["path"]})
        names = lambda texts: {text.split(":")[0] for text in texts}
        features, protocol = status["guest-features"], status["vhost-dev"]["protocol-features"]["protocols"]
        ring = {"VIRTIO_F_RING_PACKED", "VIRTIO_RING_F_EVENT_IDX", "VIRTIO_RING_F_INDIRECT_DESC", "VIRTIO_F_VERSION_1"}
        disk = {f"VIRTIO_BLK_F_{name}" for name in ("SEG_MAX", "BLK_SIZE", "TOPOLOGY", "MQ", "FLUSH", "CONFIG_WCE", "DISCARD", "WRITE_ZEROES")}
        back_end = {f"VHOST_USER_PROTOCOL_F_{name}" for name in ("MQ", "REPLY_ACK", "CONFIG", "INFLIGHT_SHMFD", "CONFIGURE_MEM_SLOTS")}
        self.assertTrue(status["vhost-started"])
        self.assertEqual((names(features["transports"]), names(features["dev-features"])), (ring, disk))
        self.assertLessEqual(back_end, names(protocol))

    def test_packed_rings_and_death(self):
        options = ("--num-queues", "2")
        backend = self.blk(*options)
        qemu = self.boot()
        self.assert_negotiated()
        for _ in range(3):
            rounds = qemu.wait_output(r"(?s)\A.*")[0].count("round")
            backend.kill()
            backend = self.blk(*options)
            qemu.wait_output(rf"(?s)\A(?:.*?round\r?\n){{{rounds + 2}}}", 120)
        with open(self.file, "r+b") as file:
            os.pwrite(file.fileno(), b"end", 0)
        qemu.wait_output("guest is right\r?\n", 120)
        qemu.wait(120).check()
        self.end(backend)
