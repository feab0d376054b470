"""The server on a real socket of this machine, in a thread of the test."""

import contextlib
import threading
from collections.abc import Iterator

from runtime.engine.engine import Engine
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES
from runtime.server.app import create_app
from runtime.server.model_card import ModelCard, PictureShape
from runtime.server.serving import Server, bind, url_of
from runtime.server.settings import ServerSettings
from tests.support.sent_frames import SentFrames

MODEL = ModelCard("omni-test", EMBEDDED_RECIPES, PictureShape(32, 32, 4, 4))
SPEAKING_MODEL = ModelCard("omni-voice", PUBLISHED_RECIPES, PictureShape(32, 32, 4, 4))


@contextlib.contextmanager
def serving(
    engine: Engine,
    model: ModelCard = MODEL,
    settings: ServerSettings | None = None,
    *,
    log_level: str = "warning",
    recording: SentFrames | None = None,
) -> Iterator[str]:
    """The ws:// address of a running server. recording: keeps every frame it sends."""
    settings = settings or ServerSettings()
    ready = threading.Event()
    listener = bind("127.0.0.1", 0, settings)
    app = create_app(engine, model, settings)
    if recording is not None:
        recording.watch(app)
    server = Server(app, ready.set, log_level=log_level)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the server did not start in 10 s")
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(10)
        engine.close()
