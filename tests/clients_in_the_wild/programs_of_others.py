"""Programs that use clients of others, run in an environment of their own, and what must be true of what they saw."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients_in_the_wild.conftest import KEY

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("OMNI_CLIENTS_PYTHON", ROOT / ".venv-clients/bin/python"))
NEEDED = pytest.mark.skipif(not PYTHON.exists(), reason="make test-clients sets up the environment of these clients")
SAID = "draw an umbrella on a yellow background"  # in the recording that is played to the model
RATE_HZ = 24_000


def run(program: str, url: str, *arguments: object) -> dict[str, Any]:
    """What a program of `programs/` tells it saw. It must have seen no errors."""
    command = [str(PYTHON), str(Path(__file__).parent / "programs" / f"run_{program}.py"), url, *map(str, arguments)]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment() | {"API_KEY": KEY}
    )
    assert told.returncode == 0, told.stderr
    seen: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    assert seen["errors"] == []
    return seen


def environment() -> dict[str, str]:
    """Without the paths of this one: the programs have their own packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def check_sound(sound: str) -> None:
    """Base64 of PCM16 at 24 kHz: more than half a second, and loud enough to be heard."""
    pcm = np.frombuffer(base64.b64decode(sound), "<i2").astype(np.float32)
    assert len(pcm) > RATE_HZ / 2
    assert np.sqrt(np.mean(pcm**2)) > 100


def check_heard(transcript: str) -> None:
    """At least half of the words that were said to the model."""
    words = SAID.split()
    assert sum(word in transcript.lower().split() for word in words) >= len(words) / 2, transcript
