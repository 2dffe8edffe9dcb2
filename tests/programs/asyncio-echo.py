# SPDX-License-Identifier: LGPL-2.1-or-later
"""An echo server and its clients in one asyncio program, on a port of the system's choice: asyncio-echo.py ADDRESS"""

import asyncio
import sys

CONNECTIONS = 40
SIZE = 50000


async def serve(reader, writer):
    data = await reader.read()  # to the client's end
    writer.write(data)
    await writer.drain()
    writer.close()


async def ask(address, port, i):
    reader, writer = await asyncio.open_connection(address, port)
    assert writer.get_extra_info("peername") == (address, port), writer.get_extra_info("peername")
    data = bytes([i]) * SIZE
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    assert answer == data, (len(answer), answer[:10])
    writer.close()
    await writer.wait_closed()
    return len(answer)


async def main(address):
    server = await asyncio.start_server(serve, address, 0)
    port = server.sockets[0].getsockname()[1]
    moved = await asyncio.gather(*(ask(address, port, i) for i in range(CONNECTIONS)))
    print(f"{len(moved)} connections, {sum(moved)} bytes each way")
    server.close()


asyncio.run(main(sys.argv[1]))
