"""Clients of others on Node, which `make test-clients` installs: openai-node and @openai/agents-realtime."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients_in_the_wild.checks import BACKGROUND, check_heard, check_sound
from tests.clients_in_the_wild.conftest import KEY
from tests.support.tls_proxy import behind_tls

PROGRAMS = Path(__file__).parent / "node"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.wild,
    pytest.mark.skipif(
        NODE is None or not (PROGRAMS / "node_modules").is_dir(), reason="make test-clients installs these clients"
    ),
]


def run(program: str, url: str, *arguments: object, authority: Path | None = None) -> dict[str, Any]:
    trusted = {} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority)}
    ran = subprocess.run(
        [str(NODE), str(PROGRAMS / f"run_{program}.mjs"), url, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
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
        check_heard(seen["transcript"])
        if output == "text":  # who asks for sound alone is told of no pictures
            assert seen["answers"][0]["output"][0]["omni"]["images"]
        assert BACKGROUND in seen["answers"][2]["output"][0]["content"][0]["text"]
        assert seen["calls"] == [{"name": "set_light", "arguments": {"room": "hall", "state": "off"}}]
        assert seen["interrupted"]["status"] == "cancelled"
        if output == "audio":
            for answer in seen["answers"][:2]:
                check_sound(answer["sound"])
            assert len(seen["interrupted"]["sound"]) < len(seen["answers"][0]["sound"])


class TestAgentsRealtime:
    def test_a_conversation_with_the_embedded_model(
        self, embedded: tuple[str, str], spoken: Path, picture: Path
    ) -> None:
        url, output = embedded
        seen = run("agents_realtime", url, spoken, picture, output)
        written, heard, shown, _called, _told, interrupted, last = seen["answers"]
        check_heard(seen["heard"][0])
        (said,) = shown["output"][0]["content"]
        assert BACKGROUND in said["transcript" if output == "audio" else "text"]
        assert seen["called"] == [{"room": "hall", "state": "off"}]
        assert (interrupted["status"], last["status"]) == ("cancelled", "completed")
        if output == "audio":
            for answer in (written, heard, shown):
                check_sound(answer["sound"])
            assert len(interrupted["sound"]) < len(written["sound"])
