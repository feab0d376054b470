import io
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clients.terminal.talk import chat, talk
from clients.terminal.view import PlainView
from omnisdk import local_runtime
from omnisdk.client import AsyncClient
from omnisdk.media import Image, Speech
from tests.support import fake_runtime
from tests.support.fake_runtime import HEARD, REPLY, FakeRuntime, Script

pytestmark = pytest.mark.anyio


async def talked(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, script: Script | None = None
) -> tuple[str, FakeRuntime]:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    shown = io.StringIO()
    async with FakeRuntime(script or Script()) as fake:
        await talk(AsyncClient(fake.url), PlainView(shown))
    return shown.getvalue(), fake


async def test_requests_in_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, fake = await talked(["two red apples", "", "and a cat", "/quit", "never said"], monkeypatch)
    assert shown.count(f"\n{REPLY}\n") == 2
    assert "step  4/4" in shown
    assert len(fake.received_of("session.update")) == 1
    assert len(fake.received_of("response.create")) == 2


async def test_a_recording_and_a_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wav = Speech(np.full(9600, 0.1), sample_rate_hz=24000).save(tmp_path / "a.wav")
    png = Image(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    shown, fake = await talked(
        [f"/wav {wav}", f"/image {png}", "what is it?", "draw it", "/ask and this?"], monkeypatch
    )
    assert f"heard: {HEARD}" in shown
    assert "Image 8x8; now ask about it" in shown
    wanted = [event["response"]["omni"]["output"] for event in fake.received_of("response.create")]
    assert wanted == [["image", "text"], ["text"], ["image", "text"], ["text"]]


async def test_an_error_of_one_turn_does_not_end_the_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, _fake = await talked(["/wav nothing.wav", "/dance", "a cat"], monkeypatch)
    assert "error: there is no file nothing.wav" in shown
    assert "there is no /dance; type a request" in shown
    assert shown.rstrip().endswith(REPLY)


def test_the_command_starts_a_runtime_and_ends_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, str(Path(fake_runtime.__file__)), "serve"]
    monkeypatch.setattr(local_runtime, "_serve_command", lambda: command)
    result = CliRunner().invoke(chat, input="a cat\n")
    assert result.exit_code == 0, result.output
    assert REPLY in result.stdout
    command += ["--vanish-at-step", "2"]
    lost = CliRunner().invoke(chat, input="a cat\n")
    assert lost.exit_code == 1
    assert "connection broke" in lost.stderr
