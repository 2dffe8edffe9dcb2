# SPDX-License-Identifier: LGPL-2.1-or-later
"""One end of a UNIX socket that sends and receives at once: socket-peer.py serve|connect PATH BYTES SEED

serve takes one connection after another and says so, and closes none before the other end does; connect makes one. After each, a line
tells the SHA-256 of what was sent and of what was received: "sent HEX received HEX".

serve says when it has everything, and connect waits for that before it closes: vchan-socket-proxy, when its socket ends while it holds
bytes that did not fit into the ring, writes them and then waits for an event that nobody was asked for.
"""

import hashlib
import random
import socket
import sys
import threading

CHUNK = 1 << 20


def send(connection, total, seed, digest):
    source = random.Random(seed)
    while total > 0:
        chunk = source.randbytes(min(CHUNK, total))
        connection.sendall(chunk)
        digest.update(chunk)
        total -= len(chunk)


def receive(connection, total, digest):
    while total > 0:
        data = connection.recv(min(CHUNK, total))
        if not data:
            raise ConnectionError(f"closed with {total} bytes to come")
        digest.update(data)
        total -= len(data)


def exchange(connection, total, seed):
    sent, received = hashlib.sha256(), hashlib.sha256()
    sender = threading.Thread(target=send, args=(connection, total, seed, sent), daemon=True)
    sender.start()
    receive(connection, total, received)
    sender.join()
    print(f"sent {sent.hexdigest()} received {received.hexdigest()}", flush=True)


mode, path, total, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
if mode == "connect":
    own.connect(path)
    exchange(own, total, seed)
    receive(own, 1, hashlib.sha256())
else:
    own.bind(path)
    own.listen()
    print("listening", flush=True)
    while True:
        with own.accept()[0] as connection:
            print("connected", flush=True)
            try:
                exchange(connection, total, seed)
                connection.sendall(b"!")
                connection.recv(1)
                print("closed", flush=True)
            except OSError as error:
                print(f"lost: {error}", flush=True)
