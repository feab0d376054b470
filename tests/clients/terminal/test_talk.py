import asyncio
import io
import os
import pty
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clients.terminal.talk import HELP, NEEDED, chat, next_line, talk
from clients.terminal.view import PlainView
from omnisdk import local_runtime
from omnisdk.client import AsyncClient
from omnisdk.media import Image, Speech
from omnisdk.settings import GenerationSettings, SlotSettings
from tests.support import fake_runtime
from tests.support.fake_runtime import HEARD, REPLY, TONE, FakeRuntime

pytestmark = pytest.mark.anyio


async def talked(
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    out: Path = Path("nowhere"),
    *,
    speak: bool = False,
    settings: GenerationSettings | None = None,
) -> tuple[str, FakeRuntime]:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    shown = io.StringIO()
    async with FakeRuntime() as fake:
        await talk(AsyncClient(fake.url), PlainView(shown), out, settings, speak=speak)
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
    assert wanted == [["text", "image"], ["text"], ["text", "image"], ["text"]]


async def test_spoken_answers_are_saved_one_after_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "said"
    shown, fake = await talked(["hello", "and bye"], monkeypatch, out, speak=True)
    assert [path.name for path in sorted(out.iterdir())] == ["reply-1.wav", "reply-2.wav"]
    assert Speech(out / "reply-1.wav").pcm.astype("<i2").tobytes() == TONE
    assert f"{out / 'reply-2.wav'}: Speech 0.53 s at 24000 Hz {REPLY!r}" in shown
    assert fake.received_of("response.create")[0]["response"]["omni"]["output"] == ["speech", "text", "image"]


async def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown, _fake = await talked(["hello", "again"], monkeypatch, tmp_path / "file", speak=True)
    assert shown.count("cannot be written") == 2


async def test_numbers_hold_from_the_line_that_sets_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GenerationSettings(recipe="text_to_image", slots={"image": SlotSettings(steps=9)})
    lines = ["a cat", "/set image.steps=4 text.top_k=5", "a dog", "/set", "/set image.steps=0"]
    shown, fake = await talked(lines, monkeypatch, settings=settings)
    asked = [event["response"]["omni"] for event in fake.received_of("response.create")]
    assert [omni["recipe"] for omni in asked] == ["text_to_image"] * 2
    assert asked[0]["generation"] == {"image": {"steps": 9}}
    assert asked[1]["generation"] == {"image": {"steps": 4}, "text": {"top_k": 5}}
    assert "\nimage: steps 4\ntext: top_k 5\n" in shown
    assert "nothing to set; write SLOT.SETTING=VALUE" in shown
    assert "error: image.steps=0: setting 'steps' got '0'" in shown


async def test_the_last_drawing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "cat.png"
    lines = [f"/save {kept}", "draw a cat", "/ask what is it?", f"/save {kept}", f"/save {tmp_path / 'cat.doc'}"]
    shown, _fake = await talked(lines, monkeypatch)
    assert "nothing was drawn yet; ask for a drawing first" in shown
    assert f"{kept}: Image" in shown
    assert max(Image(kept).size) >= 320
    assert "error: pictures cannot be saved as .doc" in shown


@pytest.mark.parametrize("command", NEEDED)
async def test_what_a_command_needs(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    shown, fake = await talked([command, f"{command}  "], monkeypatch)
    assert shown.count(f"{command} needs {NEEDED[command]}") == 2
    assert not fake.received_of("response.create")


async def test_help(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await talked(["/help"], monkeypatch))[0].count(HELP) == 2


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


async def test_who_stops_waiting_for_a_line_leaves_nobody_waiting_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread left behind would take the next line, and keep the program from ending at Ctrl-C."""
    far, near = pty.openpty()
    with os.fdopen(near) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(next_line(), 0.1)
        os.write(far, b"draw a cat\n")
        assert await asyncio.wait_for(next_line(), 5) == "draw a cat"
    os.close(far)
