"""The server as it is, above an executor that plays a script; and a bare websocket that sends back what comes.

A process of its own for `omni bench sessions`: python -m runtime.benchmarks.scripted_server scripted|echo
"""

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, load_model
from runtime.executors.scripted import ScriptedExecutor
from runtime.server.app import create_app
from runtime.server.heap import settle, share_one_heap
from runtime.server.model_card import ModelCard, PictureShape
from runtime.server.serving import Server, bind, url_of
from runtime.server.settings import ServerSettings

MAX_SESSIONS = 1024
KEPT_PICTURES_BYTES = 1 << 20  # soon reached: what grows afterwards is no picture that is kept on purpose
SAID = "two red apples on a blue background"


def serve_script() -> None:
    """Everything but the network's passes is real: the socket, the rules, the engine, the sampler, the telling."""
    share_one_heap()
    model = load_model(EMBEDDED)
    settings = ServerSettings(max_sessions=MAX_SESSIONS, max_asset_bytes=KEPT_PICTURES_BYTES)
    said = model.text.encode(SAID)
    engine = DenoisingEngine(model, ScriptedExecutor({"transcript": said, "text": said}))
    listener = bind("127.0.0.1", 0, settings)
    rows, columns = model.image_grid
    shape = PictureShape(model.image_size_px, model.image_size_px, columns, rows)
    app = create_app(engine, ModelCard(model.name, model.recipes, shape, max_turns=1), settings)
    settle()
    Server(app, lambda: announce(url_of(listener))).run([listener])


def announce(url: str) -> None:
    print(json.dumps({"url": url}), flush=True)


async def serve_echo() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for frame in socket:
            await socket.send(frame)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        announce(f"ws://127.0.0.1:{port}")
        await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        asyncio.run(serve_echo())
    else:
        serve_script()
