# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands in for a guest's bridge, and does what it is told: bridge-impostor.py, in a guest, with commands on standard input.

    meet                a ring for domain 0's bridge, which is then connected; "met"
    send HEX            bytes into the ring, all of them
    corrupt             indexes that cannot be
    deaf, hear          stop reading the ring; begin again
    flood N HEX         a message from each of the peers 1 to N, again and again, as fast as credit and ring allow; "flood"
    calm                stop that; "calm SENT". It can begin again
    bye                 close the ring; "closed"

Each frame that comes is printed as "frame TYPE HEX", and the ring's end as "end". docs/bridge-protocol.md has all of it.
"""

import ctypes
import select
import struct
import subprocess
import sys
import time

DIRECTORY = "data/xcp-bridge/0"
RING_SIZE = 64 * 1024
MESSAGE, CREDIT = 11, 14  # types of frames
WINDOW = 128 * 1024  # what a peer may send before it gets credit, as the bridge's hello has it
FLAGS = 28  # offset in struct libxenvchan: is_server, and server_persist and blocking, which are left as malloc(3) gave them

lib = ctypes.CDLL("libxenvchan.so.4.17")
lib.libxenvchan_server_init.restype = ctypes.c_void_p
lib.libxenvchan_server_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t]
for name in ("close", "is_open", "wait", "fd_for_select"):
    getattr(lib, f"libxenvchan_{name}").argtypes = [ctypes.c_void_p]
for name in ("read", "write"):
    getattr(lib, f"libxenvchan_{name}").argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]


def store(command, *arguments):
    return subprocess.run([f"xenstore-{command}", *arguments], capture_output=True, text=True, check=False)


def own_domain():
    return store("read", "domid").stdout.strip()


class Impostor:
    def __init__(self):
        self.ring = None
        self.deaf = False
        self.buffer = b""
        self.served = None
        self.flood_frames, self.credit, self.sent = {}, {}, 0
        store("write", f"{DIRECTORY}/bridge", "1")
        store("chmod", f"{DIRECTORY}/bridge", f"n{own_domain()}", "r0")

    def say(self, *words):
        print(*words, flush=True)

    def meet(self):
        self.bye(quiet=True)
        request = f"/local/domain/0/data/xcp-bridge/{own_domain()}/request"
        while not (wanted := store("read", request).stdout.strip()) or wanted == self.served:
            time.sleep(0.01)
        self.served = wanted
        self.ring = lib.libxenvchan_server_init(None, 0, f"{DIRECTORY}/ring".encode(), RING_SIZE, RING_SIZE)
        ctypes.cast(self.ring + FLAGS, ctypes.POINTER(ctypes.c_uint32))[0] = 1
        store("write", f"{DIRECTORY}/serves", wanted)
        store("chmod", f"{DIRECTORY}/serves", f"n{own_domain()}", "r0")
        while lib.libxenvchan_is_open(self.ring) == 2:
            time.sleep(0.01)
        self.buffer, self.deaf, self.credit = b"", False, {}
        self.say("met")

    def bye(self, quiet=False):
        if self.ring:
            lib.libxenvchan_close(self.ring)
            self.ring = None
        if not quiet:
            self.say("closed")

    def send(self, data):
        while data and self.ring:
            n = lib.libxenvchan_write(self.ring, data, len(data))
            if n < 0:
                break
            data = data[n:]
            if n == 0:
                self.hear()
                time.sleep(0.001)

    def begin_flood(self, n, data):
        for stream in range(1, int(n) + 1):
            body = struct.pack("<IIQII", stream, 0, 0, len(data), 0) + data
            self.flood_frames[stream] = struct.pack("<IHH", len(body), MESSAGE, 0) + body
            self.credit.setdefault(stream, WINDOW)
        self.message_size = len(data)
        self.say("flood")

    def flood(self):
        """One message of each peer that has credit for it, many times. Returns whether there was any."""
        batch = b""
        for stream, frame in self.flood_frames.items():
            n = min(self.credit[stream] // self.message_size, 64)
            self.credit[stream] -= n * self.message_size
            self.sent += n
            batch += n * frame
        self.send(batch)
        return bool(batch)

    def calm(self):
        self.flood_frames = {}
        self.say("calm", self.sent)

    def corrupt(self):
        """What this end has written, to be more than the ring is long: xen/include/public/io/libxenvchan.h."""
        page = ctypes.cast(self.ring, ctypes.POINTER(ctypes.c_void_p))[1]
        right = ctypes.cast(page + 8, ctypes.POINTER(ctypes.c_uint32))
        right[1] = right[0] + 0x7fffffff

    def hear(self):
        if not self.ring or self.deaf:
            return
        data = ctypes.create_string_buffer(RING_SIZE)
        while (n := lib.libxenvchan_read(self.ring, data, RING_SIZE)) > 0:
            self.buffer += data.raw[:n]
        while len(self.buffer) >= 8:
            size, kind, _ = struct.unpack_from("<IHH", self.buffer)
            if len(self.buffer) < 8 + size:
                break
            if kind == CREDIT and self.credit:
                stream, credit = struct.unpack_from("<II", self.buffer, 8)
                self.credit[stream] += credit
            else:
                self.say("frame", kind, self.buffer[8:8 + size].hex())
            self.buffer = self.buffer[8 + size:]
        if n < 0:
            self.bye(quiet=True)
            self.say("end")

    def run(self):
        commands = ""
        while True:
            fds = [0] + ([lib.libxenvchan_fd_for_select(self.ring)] if self.ring else [])
            ready = select.select(fds, [], [], 0 if self.flood() else 0.05)[0]
            if len(fds) > 1 and fds[1] in ready:
                lib.libxenvchan_wait(self.ring)
            self.hear()
            if 0 not in ready:
                continue
            chunk = sys.stdin.buffer.raw.read(1 << 20).decode()
            if not chunk:
                return
            commands += chunk
            while "\n" in commands:
                line, _, commands = commands.partition("\n")
                self.obey(*line.split())

    def obey(self, command, *words):
        if command == "send":
            self.send(bytes.fromhex(words[0]))
        elif command == "flood":
            self.begin_flood(words[0], bytes.fromhex(words[1]))
        elif command in ("deaf", "hear"):
            self.deaf = command == "deaf"
        else:
            getattr(self, command)()


Impostor().run()
