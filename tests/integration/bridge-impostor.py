# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands in for a guest's bridge, and does what it is told: bridge-impostor.py, in a guest, with commands on standard input.

    meet                a ring for domain 0's bridge, which is then connected; "met"
    send HEX            bytes into the ring, all of them
    corrupt             indexes that cannot be
    deaf, hear          stop reading the ring; begin again
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
        self.buffer, self.deaf = b"", False
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
            self.say("frame", kind, self.buffer[8:8 + size].hex())
            self.buffer = self.buffer[8 + size:]
        if n < 0:
            self.bye(quiet=True)
            self.say("end")

    def run(self):
        commands = ""
        while True:
            fds = [0] + ([lib.libxenvchan_fd_for_select(self.ring)] if self.ring else [])
            ready = select.select(fds, [], [], 0.05)[0]
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

    def obey(self, command, data=""):
        if command == "send":
            self.send(bytes.fromhex(data))
        elif command in ("deaf", "hear"):
            self.deaf = command == "deaf"
        else:
            getattr(self, command)()


Impostor().run()
