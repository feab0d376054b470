from pathlib import Path

import numpy as np

from runtime.evaluation.spoken_lines import load_spoken_lines
from runtime.training.data.speech import Line, Speech


class Voice:
    """Says a tone as long as what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(self, line: Line) -> Speech:
        self.said.append(line.spoken)
        return Speech(np.zeros(2_400 * len(line.spoken), np.float32), 24_000, None)


def test_lines_are_said_once(tmp_path: Path) -> None:
    voice = Voice()
    lines = [Line("Hello.", "bf_emma", 1.0), Line("Good bye.", "am_michael", 1.0)]
    for _ in range(2):
        made = load_spoken_lines("x", lines, tmp_path, lambda engine, cache: voice)
    assert voice.said == ["Hello.", "Good bye."]
    assert [(each.text, each.voice, len(each.pcm)) for each in made] == [
        ("hello", "kokoro/bf_emma", 9_600),
        ("good bye", "kokoro/am_michael", 14_400),
    ]
    load_spoken_lines("x", lines[:1], tmp_path, lambda engine, cache: voice)
    assert voice.said[2:] == ["Hello."]
