"""Lines that are judged on, said by voices nobody trained on; made once and kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

from runtime.training.data.speech import (
    Engine,
    Line,
    Synthesizer,
    Utterance,
    open_synthesizer,
    read_shard,
    to_pcm16k,
    write_shard,
)


def load_spoken_lines(
    name: str,
    lines: Sequence[Line],
    cache: Path,
    opened: Callable[[Engine, Path], Synthesizer | None] = open_synthesizer,
) -> list[Utterance]:
    """Each line as a Kokoro voice says it, at 16 kHz. Other lines of the same name are made anew."""
    digest = hashlib.sha256(json.dumps([astuple(line) for line in lines]).encode()).hexdigest()[:12]
    path = cache / "evaluation" / f"{name}-{digest}.json"
    if not path.exists():
        synthesizer = opened("kokoro", cache)
        assert synthesizer is not None
        write_shard(path, [_said(line, synthesizer) for line in lines])
    return read_shard(path)


def _said(line: Line, synthesizer: Synthesizer) -> Utterance:
    speech = synthesizer.speak(line)
    return Utterance(line.text, f"kokoro/{line.voice}", to_pcm16k(speech.samples, speech.sample_rate), None)
