"""The embedded model behind a real socket, as `omni serve` runs it, in a thread of the test."""

import contextlib
from collections.abc import Iterator

from runtime.cli import start_engine
from runtime.config import read_settings
from runtime.server.model_card import ModelCard
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.sent_frames import SentFrames


@contextlib.contextmanager
def serving_embedded(
    settings: ServerSettings | None = None, recording: SentFrames | None = None
) -> Iterator[tuple[str, ModelCard]]:
    """The ws:// address of a running server, and what it tells of its model. recording: keeps every frame it sends."""
    engine, card = start_engine(read_settings({"threads": 1}))
    with serving(engine, card, settings, recording=recording) as url:
        yield url, card
