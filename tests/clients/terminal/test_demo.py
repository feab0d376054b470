import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from clients.terminal import demo as demo_module
from clients.terminal.demo import DEFAULT_QUESTION, compose_request, demo, enlarged, one_line
from omnisdk import local_runtime
from omnisdk.errors import LocalRuntimeError, OmniError
from omnisdk.media import Image, Speech
from tests.support import fake_runtime
from tests.support.fake_runtime import GRID, HEARD, REPLY, TONE, FakeRuntime, Script

ROOT = Path(__file__).parents[3]
FAKE_COMMAND = [sys.executable, str(Path(fake_runtime.__file__)), "serve"]
KEYS = {"time_to_first_partial_s", "time_to_final_s", "steps", "partials", "transcript", "text", "files"}


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    speech = Speech((np.sin(np.arange(12000) / 9) * 9000).astype(np.int16), sample_rate_hz=16000)
    return speech.save(tmp_path / "request.wav")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return Image(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "cat.png")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def fake_local(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    command = list(FAKE_COMMAND)
    monkeypatch.setattr(local_runtime, "_serve_command", lambda: command)
    return command


def run_demo(*options: object) -> Result:
    return CliRunner().invoke(demo, [str(option) for option in options])


def test_a_spoken_request(wav: Path, out: Path) -> None:
    result = run_demo("--wav", wav, "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / "transcript.txt").read_text() == HEARD + "\n"
    assert (out / "reply.txt").read_text() == REPLY + "\n"
    assert Image(out / "image.png").size == (320, 320)
    assert Image(out / "filmstrip.png").size[0] > 320
    for promised in (
        "step  1/4",
        "step  4/4",
        "time to first partial",
        "time to final",
        "unmasked a step",
        "16 16 16 16",
    ):
        assert promised in result.stdout
    assert str(out / "image.png") in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_the_one_line_of_stdout(wav: Path, out: Path) -> None:
    result = run_demo("--wav", wav, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert set(outcome) >= KEYS
    assert result.stdout.count("\n") == 1
    assert (outcome["transcript"], outcome["text"], outcome["steps"], outcome["partials"]) == (HEARD, REPLY, 4, 4)
    assert 0 < outcome["time_to_first_partial_s"] < outcome["time_to_final_s"] < 5
    assert set(outcome["files"]) == {"image", "filmstrip", "transcript", "reply"}
    assert all(Path(path).stat().st_size > 0 for path in outcome["files"].values())
    assert sum(outcome["unmasked_per_step"]) == GRID * GRID
    assert "time to final" in result.stderr


def test_the_shipped_request_is_said_by_default(wav: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "SHIPPED_REQUEST", wav)
    assert json.loads(run_demo("--out", out, "--json").stdout)["transcript"] == HEARD
    monkeypatch.setattr(demo_module, "SHIPPED_REQUEST", wav.with_name("nothing.wav"))
    result = run_demo("--out", out)
    assert result.exit_code == 1
    assert "give --wav FILE" in result.stderr


def test_a_written_request(out: Path) -> None:
    outcome = json.loads(run_demo("--text", "two red apples", "--out", out, "--json", "--steps", 7, "--seed", 3).stdout)
    assert (outcome["steps"], outcome["seed"], outcome["transcript"]) == (7, 3, None)
    assert set(outcome["files"]) == {"image", "filmstrip", "reply"}


def test_a_spoken_reply(wav: Path, out: Path) -> None:
    outcome = json.loads(run_demo("--wav", wav, "--out", out, "--speak", "--json").stdout)
    assert {"transcript", "reply", "speech"} <= set(outcome["files"])
    spoken = Speech(out / "reply.wav")
    assert (spoken.sample_rate_hz, spoken.pcm.astype("<i2").tobytes()) == (24_000, TONE)
    assert str(out / "reply.wav") in run_demo("--wav", wav, "--out", out, "--speak").stdout


def test_a_question_about_a_picture(picture: Path, out: Path) -> None:
    outcome = json.loads(run_demo("--image", picture, "--question", "what is it?", "--out", out, "--json").stdout)
    assert outcome["text"] == REPLY
    assert set(outcome["files"]) == {"reply"}


@pytest.fixture
def fake_server() -> Iterator[FakeRuntime]:
    started, loop, ended = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    fake = FakeRuntime(Script(api_key="secret"))

    async def play() -> None:
        async with fake:
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()))
    thread.start()
    started.wait(5)
    yield fake
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


def test_a_server_elsewhere(fake_server: FakeRuntime, wav: Path, picture: Path, out: Path) -> None:
    options = ("--url", fake_server.url, "--api-key", "secret", "--out", out, "--json")
    assert run_demo("--wav", wav, "--image", picture, *options).exit_code == 0
    content = fake_server.received_of("conversation.item.create")[0]["item"]["content"]
    assert [part["type"] for part in content] == ["input_audio", "input_image"]
    assert fake_server.received_of("session.update")[0]["session"]["omni"]["output"] == ["text"]
    assert run_demo("--text", "a cat", "--set", "image.steps=9", "--recipe", "text_to_image", *options).exit_code == 0
    omni = fake_server.received_of("response.create")[-1]["response"]["omni"]
    assert (omni["recipe"], omni["generation"]) == ("text_to_image", {"image": {"steps": 9}})
    refused = run_demo("--text", "a cat", "--url", fake_server.url, "--api-key", "wrong", "--out", out)
    assert refused.exit_code == 1
    assert "refused the session (HTTP 401: wrong key)" in refused.stderr


class TestBadInput:
    """Each one clear line on stderr and a non-zero exit."""

    def failed(self, *options: object) -> str:
        result = run_demo(*options)
        assert result.exit_code != 0
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        return result.stderr

    def test_no_such_file(self, out: Path) -> None:
        assert "there is no file nothing.wav" in self.failed("--wav", "nothing.wav", "--out", out)
        assert "there is no file nothing.png" in self.failed("--image", "nothing.png", "--out", out)

    def test_files_of_another_kind(self, tmp_path: Path, out: Path) -> None:
        noise = tmp_path / "noise.bin"
        noise.write_bytes(b"hello world" * 9)
        assert "is no audio" in self.failed("--wav", noise, "--out", out)
        assert "is no picture" in self.failed("--image", noise, "--out", out)

    def test_a_truncated_recording(self, wav: Path, out: Path) -> None:
        wav.write_bytes(wav.read_bytes()[:5000])
        assert "is truncated" in self.failed("--wav", wav, "--out", out)

    def test_a_taken_port(self, fake_server: FakeRuntime, wav: Path, out: Path) -> None:
        told = self.failed("--wav", wav, "--port", fake_server.port, "--out", out)
        assert f"port {fake_server.port} is in use" in told

    def test_a_missing_model(self, fake_local: list[str], wav: Path, out: Path) -> None:
        line = "no checkpoint in /models/small; train one with `omni train`"
        fake_local[:] = [sys.executable, "-c", f"import sys; print('loading', file=sys.stderr); sys.exit({line!r})"]
        told = self.failed("--wav", wav, "--out", out)
        assert line in told

    def test_a_runtime_that_is_not_installed(self, wav: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> list[str]:
            raise LocalRuntimeError("the runtime is not installed in this Python")

        monkeypatch.setattr(local_runtime, "_serve_command", missing)
        assert "not installed" in self.failed("--wav", wav, "--out", out)

    def test_nobody_listens(self, wav: Path, out: Path) -> None:
        assert "no server at ws://127.0.0.1:9" in self.failed("--wav", wav, "--url", "ws://127.0.0.1:9", "--out", out)

    def test_a_server_that_vanishes(self, fake_local: list[str], wav: Path, out: Path) -> None:
        fake_local += ["--vanish-at-step", "2"]
        result = run_demo("--wav", wav, "--out", out)
        assert result.exit_code == 1
        assert "connection broke" in result.stderr

    def test_an_out_folder_that_is_a_file(self, wav: Path) -> None:
        assert "cannot be written" in self.failed("--wav", wav, "--out", wav)

    def test_options_that_do_not_go_together(self, wav: Path, out: Path) -> None:
        assert "give one of them" in self.failed("--wav", wav, "--text", "a cat", "--out", out)
        assert "give --image" in self.failed("--question", "what?", "--out", out)
        assert "image.steps=0: setting 'steps' got '0'" in self.failed("--set", "image.steps=0", "--out", out)
        assert "--text is empty" in self.failed("--text", " ", "--out", out)


def test_over_a_pipe_there_is_neither_colour_nor_cursor_movement(wav: Path, out: Path) -> None:
    code = (
        "import sys; from omnisdk import local_runtime; from clients.terminal.demo import demo; "
        f"local_runtime._serve_command = lambda: {FAKE_COMMAND!r}; demo()"
    )
    command = [sys.executable, "-c", code, "--wav", str(wav), "--out", str(out)]
    environment = {**os.environ, "NO_COLOR": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "\x1b" not in ran.stdout
    assert "\r" not in ran.stdout
    assert "time to final" in ran.stdout
    assert ran.stderr == ""


def test_small_pictures_are_enlarged_and_large_ones_kept() -> None:
    assert enlarged(Image(np.zeros((40, 80, 3), np.uint8))).size == (320, 160)
    assert enlarged(Image(np.zeros((400, 300, 3), np.uint8))).size == (300, 400)


def test_what_is_asked_about_a_picture(picture: Path) -> None:
    assert compose_request(None, None, picture, None).caption == DEFAULT_QUESTION
    assert compose_request(None, "how many?", picture, None).parts[1] == "how many?"
    assert compose_request(None, None, picture, None).output == ("text",)


def test_an_error_is_one_line() -> None:
    assert one_line(OmniError("a\nb")) == "a"
    assert one_line(LocalRuntimeError("it died", stderr_tail="x\nError: no model\n\n")) == "it died: no model"
