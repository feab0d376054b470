"""What is of a wrong type is told in words, by an error of ours, wherever it is given."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisdk import (
    Agent,
    Box,
    Canvas,
    Client,
    Conversation,
    Image,
    OmniError,
    Span,
    Speech,
    Text,
    tool,
)
from omnisdk.asking import canvas_settings
from omnisdk.settings import GenerationSettings
from omnisdk.speaking import samples_of

PICTURE = Image(np.zeros((4, 4, 3), np.uint8))
SPEECH = Speech(np.full(16_000, 0.1), sample_rate_hz=16_000)
WRONG: dict[str, Callable[[], object]] = {
    "a conversation": lambda: Conversation().add(5),  # type: ignore[arg-type]
    "where to save": lambda: Conversation().save(5),  # type: ignore[arg-type]
    "what to load": lambda: Conversation.load(5),  # type: ignore[arg-type]
    "a place that cannot be written": lambda: Conversation().save("/proc/nowhere/chat"),
    "a prompt": lambda: Canvas("a", prompt=5),  # type: ignore[arg-type]
    "a bound": lambda: Canvas(Speech(max_seconds="x")),  # type: ignore[arg-type]
    "a mask of speech": lambda: Canvas(Speech(SPEECH.pcm, sample_rate_hz=16_000, mask=Box(0, 0, 1, 1))),  # type: ignore[arg-type]
    "a mask of a picture": lambda: Canvas(Image(PICTURE.pixels, mask=Span(0, 1))),  # type: ignore[arg-type]
    "a canvas": lambda: canvas_settings(Text("a"), GenerationSettings()),  # type: ignore[arg-type]
    "a chunk": lambda: samples_of([1, 2]),  # type: ignore[arg-type]
    "a rate": lambda: Speech(np.zeros(9999), sample_rate_hz="x"),  # type: ignore[arg-type]
    "another rate": lambda: SPEECH.resampled("x"),  # type: ignore[arg-type]
    "half a sample": lambda: Speech.from_pcm(b"abc", 24_000),
    "a cut": lambda: SPEECH["a":],  # type: ignore[misc]
    "one sample": lambda: SPEECH[5],
    "a time": lambda: Speech.record("x"),  # type: ignore[arg-type]
    "a file of speech": lambda: SPEECH.save(5),  # type: ignore[arg-type]
    "a folder that is not there": lambda: SPEECH.save("/nowhere/a.wav"),
    "a picture's file": lambda: PICTURE.save("/nowhere/a.png"),
    "no size": lambda: PICTURE.resized(0, 4),
    "nothing to see": lambda: Image().blocks(),
    "nothing to save": lambda: Image().save("a.png"),
    "nothing to hear": lambda: Speech().save("a.wav"),
    "a tool": lambda: tool(5),  # type: ignore[call-overload]
    "an agent's client": lambda: Agent(5),  # type: ignore[call-overload]
    "an agent's tools": lambda: Agent(Client("ws://a"), tools=[5]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_told(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OmniError, match=r"; |needs|cannot|has no"):
        WRONG[what]()
    assert not list(tmp_path.iterdir())
