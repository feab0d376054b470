"""What nobody should send, before the embedded model on a real socket: a plain answer or a clear error, and the session
lives on."""

from collections.abc import Iterator

import numpy as np
import pytest

from omnisdk import Client, Image, OmniError, Session, Speech
from tests.support.embedded_server import serving_embedded

RATE_HZ = 24_000
SECONDS = np.arange(2 * RATE_HZ) / RATE_HZ
RNG = np.random.default_rng(0)


def chords() -> np.ndarray:
    """Two seconds of music: four chords, each of three notes with overtones that fade."""
    roots = np.repeat([220.0, 174.6, 261.6, 196.0], RATE_HZ // 2)
    beat = np.exp(-6 * (SECONDS % 0.5))
    notes = [
        np.sin(2 * np.pi * roots * step * tone * SECONDS) / tone for step in (1.0, 1.25, 1.5) for tone in (1, 2, 3)
    ]
    return (4000 * beat * np.sum(notes, axis=0)).astype(np.int16)


def strange_speech() -> np.ndarray:
    """Voiced and unvoiced by turns, as a language that nobody knows."""
    voiced = np.sign(np.sin(2 * np.pi * 120 * SECONDS)) * np.sin(2 * np.pi * (500 + 400 * (SECONDS * 3 % 1)) * SECONDS)
    hiss = RNG.standard_normal(len(SECONDS))
    return (6000 * np.where(SECONDS % 0.3 < 0.2, voiced, 0.3 * hiss)).astype(np.int16)


SOUNDS = {
    "silence": np.zeros(2 * RATE_HZ, np.int16),
    "noise": RNG.integers(-20_000, 20_000, 2 * RATE_HZ, np.int16),
    "music": chords(),
    "an unknown language": strange_speech(),
    "as loud as can be": np.full(RATE_HZ, -32_768, np.int16),
}
PICTURES = {
    "all black": np.zeros((80, 80, 3), np.uint8),
    "one pixel": np.full((1, 1, 3), 90, np.uint8),
    "a line": np.full((1, 500, 3), 255, np.uint8),
    "noise": RNG.integers(0, 255, (64, 64, 3), np.uint8),
}
WORDS = {
    "German": "Zeichne bitte drei rote Äpfel auf blauem Grund",
    "Chinese": "画三个红苹果",
    "Arabic": "ارسم ثلاث تفاحات حمراء",
    "only emoji": "🙂🍎🍎🍎",
    "unknown things": "draw a stethoscope beside a carburettor",
    "the model's own signs": "<|mask|> <|end|> [MASK] assistant",
    "no sense": "fnord qux zzz",
    "control characters": "a\x00b\x07c\u202ed",
}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with serving_embedded() as (url, _), Client(url) as client, client.session(output=["text"]) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _lives_on(session: Session) -> Iterator[None]:
    yield
    assert session.ask("hello").status == "completed"


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_that_say_nothing(session: Session, name: str) -> None:
    answer = session.ask(Speech(SOUNDS[name], sample_rate_hz=RATE_HZ))
    assert isinstance(answer.transcript, str)
    assert len(answer.transcript.split()) < 20


def test_a_click_is_too_short_to_be_speech(session: Session) -> None:
    with pytest.raises(OmniError, match=r"0\.010 s of audio; at least 0\.1 s are needed"):
        session.ask(Speech(np.full(240, 30_000, np.int16), sample_rate_hz=RATE_HZ))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_show_nothing(session: Session, name: str) -> None:
    assert session.ask(Image(PICTURES[name]), "what do you see?").text


@pytest.mark.parametrize("name", WORDS)
def test_words_that_mean_nothing_here(session: Session, name: str) -> None:
    assert session.ask(WORDS[name]).text


def test_five_thousand_words_are_too_many(session: Session) -> None:
    with pytest.raises(OmniError, match=r"at most \d+ are allowed"):
        session.ask(" ".join(["apple", "banana", "zebra", "and", "nothing"] * 1_000))


def test_pictures_are_drawn_of_what_nobody_knows(session: Session) -> None:
    answer = session.ask("draw a stethoscope beside a carburettor", output=["image", "text"])
    assert answer.image is not None
    assert answer.image.size == (80, 80)
