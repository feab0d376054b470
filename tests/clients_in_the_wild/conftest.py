"""What the programs of others talk to: the embedded model, and what it is shown and told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.embedded_server import serving_embedded

KEY = "a-key-of-tests"


@pytest.fixture(scope="session")
def spoken() -> Path:
    """A recorded request, 24 kHz PCM16."""
    return Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red ball on white."""
    image = Image.new("RGB", (160, 160), "white")
    ImageDraw.Draw(image).ellipse((40, 40, 120, 120), "red")
    path = tmp_path_factory.mktemp("shown") / "ball.png"
    image.save(path)
    return path


@pytest.fixture(scope="session")
def embedded() -> Iterator[tuple[str, str]]:
    """The address of a server with the embedded model, whose key is KEY, and how it answers: "audio" or "text"."""
    with serving_embedded(ServerSettings(keys=(Key.of(KEY),))) as (url, card):
        yield url, "audio" if card.speaks else "text"
