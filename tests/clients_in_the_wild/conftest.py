"""What the programs of others talk to: the embedded model, and what it is shown and told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.codecs.image import encode_png
from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.embedded import Crank, picture_of
from tests.support.embedded_server import serving_embedded
from tests.support.sent_frames import SentFrames

KEY = "a-key-of-tests"
Served = tuple[str, str]
# Told only to clients that connect with the extension or as vLLM-Omni's do.
EVENTS_OF_RESUMING = ("session.resumed", "session.replaced", "session.closed", "session.heartbeat_ack")


@pytest.fixture(scope="session")
def spoken() -> Path:
    """A recorded request, 24 kHz PCM16."""
    return Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cat on white, as the model draws it: of what it does not know it says so."""
    crank = Crank()
    crank.ask("picture", "draw a cat on a white background", seed=1)
    path = tmp_path_factory.mktemp("shown") / "cat.png"
    path.write_bytes(encode_png(picture_of(crank.finished("picture"))))
    return path


@pytest.fixture(scope="session")
def recorded() -> Iterator[tuple[Served, SentFrames]]:
    frames = SentFrames()
    with serving_embedded(ServerSettings(keys=(Key.of(KEY),)), frames) as (url, card):
        yield (url, "audio" if card.speaks else "text"), frames


@pytest.fixture
def embedded(recorded: tuple[Served, SentFrames]) -> Iterator[Served]:
    """The address of a server with the embedded model, whose key is KEY, and how it answers: "audio" or "text".

    Whatever it sent meanwhile is seen to be what openai-python knows.
    """
    served, frames = recorded
    frames.texts.clear()
    yield served
    assert frames.check(*EVENTS_OF_RESUMING)
