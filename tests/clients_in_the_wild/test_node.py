"""Clients of others on Node, which `make test-clients` installs: openai-node and @openai/agents-realtime."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients_in_the_wild.conftest import KEY
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tls_proxy import behind_tls

PROGRAMS = Path(__file__).parent / "node"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.wild,
    pytest.mark.skipif(
        NODE is None or not (PROGRAMS / "node_modules").is_dir(), reason="make test-clients installs these clients"
    ),
]


@pytest.fixture(scope="module")
def voice() -> Iterator[str]:
    """A model that speaks, played from a script slow enough to be interrupted."""
    engine = ScriptedEngine(texts={"arguments.room": "hall", "arguments.state": "off"}, step_s=0.02)
    with serving(engine, SPEAKING_MODEL) as url:
        yield url


def run(program: str, url: str, *arguments: object, authority: Path | None = None) -> dict[str, Any]:
    trusted = {} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority)}
    ran = subprocess.run(
        [str(NODE), str(PROGRAMS / f"run_{program}.mjs"), url, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | trusted | {"API_KEY": KEY},
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert seen["errors"] == []
    return seen


@pytest.mark.parametrize("program", ["openai_node", "openai_browser"])
class TestOpenaiNode:
    def test_a_conversation_with_the_embedded_model(
        self, program: str, embedded: tuple[str, str], spoken: Path, picture: Path, tmp_path: Path
    ) -> None:
        url, output = embedded
        with behind_tls(url, tmp_path) as (https, authority):
            seen = run(program, https, spoken, picture, output, authority=authority)
        assert [answer["status"] for answer in seen["answers"]] == ["completed"] * 5
        assert len(seen["transcript"].split()) > 2
        if output == "text":  # who asks for sound alone is told of no pictures
            assert seen["answers"][0]["output"][0]["omni"]["images"]
        assert seen["answers"][2]["output"][0]["content"][0]["text"]
        assert seen["calls"] == [{"name": "set_light", "arguments": {"room": "hall", "state": "off"}}]
        assert seen["interrupted"] == "cancelled"
        assert (seen["audioBytes"] > 0) == (output == "audio")

    def test_a_conversation_with_a_voice(
        self, program: str, voice: str, spoken: Path, picture: Path, tmp_path: Path
    ) -> None:
        with behind_tls(voice, tmp_path) as (https, authority):
            seen = run(program, https, spoken, picture, "audio", authority=authority)
        assert [answer["modality"] for answer in seen["answers"]][:4] == ["audio", "audio", "text", "text"]
        assert seen["audioBytes"] >= 2 * 0.5 * 48_000
        assert seen["interrupted"] == "cancelled"


class TestAgentsRealtime:
    def test_a_conversation_with_the_embedded_model(
        self, embedded: tuple[str, str], spoken: Path, picture: Path
    ) -> None:
        url, output = embedded
        seen = run("agents_realtime", url, spoken, picture, output)
        assert seen["called"] == [{"room": "hall", "state": "off"}]
        assert (seen["ends"], seen["interrupted"]) == (7, "cancelled")
        assert (seen["audioBytes"] > 0) == (output == "audio")

    def test_a_conversation_with_a_voice(self, voice: str, spoken: Path, picture: Path) -> None:
        seen = run("agents_realtime", voice, spoken, picture, "audio")
        assert seen["called"] == [{"room": "hall", "state": "off"}]
        assert seen["audioBytes"] >= 0.5 * 48_000
        assert (seen["ends"], seen["interrupted"]) == (7, "cancelled")
