"""A tiny training set in the published format, with real sound and picture files."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image


def write_sound(path: Path, seconds: float = 0.6, rate_hz: int = 16_000, pitch_hz: float = 220.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    soundfile.write(path, (0.3 * np.sin(2 * math.pi * pitch_hz * time)).astype(np.float32), rate_hz)


def write_picture(path: Path, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def dialogue(user: str, assistant: str, system: str | None = None, **media: list[str]) -> dict[str, Any]:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages, **media}


def write_jsonl(path: Path, samples: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{sample if isinstance(sample, str) else json.dumps(sample)}\n" for sample in samples))
    return path


def tiny_set(folder: Path) -> dict[str, Path]:
    """JSONL files by task: t2i, vqa, asr, s2i."""
    for i, colour in enumerate([(200, 30, 30), (30, 30, 200), (30, 200, 30)]):
        write_sound(folder / "clips" / f"{i}.wav", 0.4 + 0.2 * i, pitch_hz=200 + 50 * i)
        write_picture(folder / "pictures" / f"{i}.png", colour)
    words = ["red", "blue", "green"]
    pictures, clips = ([f"{kind}/{i}.{end}" for i in range(3)] for kind, end in (("pictures", "png"), ("clips", "wav")))
    draw, look = "Generate an image based on the provided text description.\n", "What colour?\n<|image|>"
    files = {
        "t2i": [dialogue(f"{draw}a {w} thing", "<|image|>", images=[p]) for w, p in zip(words, pictures, strict=True)],
        "vqa": [dialogue(look, w, images=[p]) for w, p in zip(words, pictures, strict=True)],
        "asr": [
            dialogue("Convert the speech to text.\n<|audio|>", w, audios=[c]) for w, c in zip(words, clips, strict=True)
        ],
        "s2i": [
            dialogue(
                "<|audio|>", "<|image|>", "Please generate an image based on the input audio.", audios=[c], images=[p]
            )
            for c, p in zip(clips, pictures, strict=True)
        ],
    }
    return {name: write_jsonl(folder / f"{name}.jsonl", samples) for name, samples in files.items()}
