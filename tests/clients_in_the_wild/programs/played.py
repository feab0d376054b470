"""What every program is given: python run_NAME.py URL WAV PNG, the key in API_KEY. And how it tells what it saw."""

import base64
import json
import os
import sys
import wave
from pathlib import Path
from typing import Any

URL, WAV, PNG = sys.argv[1:4]
KEY = os.environ["API_KEY"]
ROOMS, STATES = ["kitchen", "hall"], ["on", "off"]


def recording() -> tuple[bytes, int]:
    """What is said to the model: PCM16, and its rate."""
    with wave.open(WAV) as file:
        return file.readframes(file.getnframes()), file.getframerate()


def picture() -> bytes:
    """What is shown to the model, a PNG."""
    return Path(PNG).read_bytes()


def tell(**seen: Any) -> None:
    """The last line a program prints. Bytes are told in base64."""
    print(json.dumps(seen, default=lambda value: base64.b64encode(value).decode()))
