"""The microphone and the speaker through PortAudio itself and ALSA, whose devices here are two files."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from omnisdk.media.devices import CHUNK_MS

PROGRAM = """
import asyncio
import sys

import numpy as np

from omnisdk.media import Speech, microphone, speaker


async def live() -> None:
    with speaker() as loud:
        loud.play(np.arange(1, 12_001, dtype=np.int16))
        await loud.finished()
        assert abs(loud.heard_s - 0.5) < 1e-6, loud.heard_s
    chunks = microphone()
    chunk = await anext(chunks)
    await chunks.aclose()
    print(*chunk)


asyncio.run(live())
print(*Speech.record(0.5).pcm)
"""
ALSA = """
pcm.silence {{ type null }}
pcm.!default {{ type file slave.pcm "silence" file "{said}" infile "{heard}" format "raw" }}
ctl.!default {{ type null }}
"""


def run(config: Path) -> "subprocess.CompletedProcess[str]":
    found = {**os.environ, "ALSA_CONFIG_PATH": str(config)}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=found, capture_output=True, text=True, timeout=60)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("devices of files are ALSA's, which is Linux's")
    if find_spec("sounddevice") is None:
        pytest.skip("the package sounddevice is not installed")
    try:
        __import__("sounddevice")
    except OSError as error:
        pytest.skip(f"PortAudio is not installed ({error}); on Debian: apt install libportaudio2")
    config = tmp_path / "alsa.conf"
    config.write_text(ALSA.format(said=tmp_path / "said.raw", heard=tmp_path / "heard.raw"))
    return config


def test_what_is_played_arrives_and_what_is_heard_is_what_was_said(config: Path, tmp_path: Path) -> None:
    np.arange(1, 24_001, dtype=np.int16).tofile(tmp_path / "heard.raw")
    ran = run(config)
    assert ran.returncode == 0, ran.stderr
    said = np.fromfile(tmp_path / "said.raw", np.int16)
    assert np.array_equal(said[said != 0][:12_000], np.arange(1, 12_001))
    chunk, recorded = ([int(sample) for sample in line.split()] for line in ran.stdout.splitlines())
    assert chunk == list(range(chunk[0], chunk[0] + 24 * CHUNK_MS))
    assert recorded == list(range(1, 12_001))
