"""Records the frames that pass between Kafka clients and a broker: record.py LISTEN_PORT BROKER_PORT OUT

The broker's advertised.listeners names LISTEN_PORT. OUT gets `> api version hex` for a request and `< api version hex`
for its answer, hex without the length in front. Of each API and version it keeps the longest exchange, and none that
another file beside OUT has already.
"""

import asyncio
import pathlib
import struct
import sys

listen, broker, out = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
elsewhere = {
    tuple(line.split()[1:3]) for file in out.parent.glob("*.txt") if file != out for line in file.read_text().splitlines()
}
kept = {}


async def frames(reader, writer, meet):
    try:
        while True:
            size = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack(">i", size)[0])
            meet(frame)
            writer.write(size + frame)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def proxy(reader, writer):
    waiting = {}
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", broker)

    def request(frame):
        api, version, correlation = struct.unpack(">hhi", frame[:8])
        waiting[correlation] = (api, version, frame)

    def response(frame):
        api, version, asked = waiting.pop(struct.unpack(">i", frame[:4])[0])
        exchange = f"> {api} {version} {asked.hex()}\n< {api} {version} {frame.hex()}\n"
        if (str(api), str(version)) not in elsewhere and len(exchange) > len(kept.get((api, version), "")):
            kept[api, version] = exchange
            out.write_text("".join(kept.values()))

    await asyncio.gather(frames(reader, to_writer, request), frames(to_reader, writer, response))


async def main():
    server = await asyncio.start_server(proxy, "127.0.0.1", listen)
    await server.serve_forever()


asyncio.run(main())
