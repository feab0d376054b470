"""Voice frameworks as their users run them, in an environment of their own: `make test-clients` makes it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine

PROGRAMS = Path(__file__).parent / "programs"
PYTHON = Path(os.environ.get("OMNI_CLIENTS_PYTHON", Path(__file__).parents[2] / ".venv-clients/bin/python"))

pytestmark = [
    pytest.mark.wild,
    pytest.mark.skipif(not PYTHON.exists(), reason="make test-clients sets up the environment of these clients"),
]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(texts={"text": "it is done", "arguments.room": "hall"})


@pytest.fixture
def url(engine: ScriptedEngine) -> Iterator[str]:
    with serving(engine, SPEAKING_MODEL) as url:
        yield url


def run(program: str, url: str) -> dict[str, Any]:
    command = [str(PYTHON), str(PROGRAMS / f"run_{program}.py"), url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert seen["errors"] == []
    return seen


@pytest.mark.parametrize("program", ["openai_agents", "pydantic_ai", "livekit"])
def test_a_turn_a_tool_call_and_a_spoken_answer(program: str, url: str, engine: ScriptedEngine) -> None:
    seen = run(program, url)
    assert seen["called"] == ["hall"]
    assert "stopped" in str(seen["history"][-1])
    assert [request.recipe.name for request in engine.submitted] == ["tool_call", "text_to_speech"]
    assert [turn.role for turn in engine.submitted[-1].turns] == ["system", "user", "assistant", "user"]


def test_pipecat_speaks(url: str) -> None:
    seen = run("pipecat", url)
    assert "TTSAudioRawFrame" in seen["kinds"]
    assert seen["history"] == ["stop the timer in the hall"]
