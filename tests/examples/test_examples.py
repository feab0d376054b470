"""Every example runs, as a program, against a server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omnisdk.media import Image, Speech
from omnisdk.testing import ScriptedRuntime
from tests.support import fake_runtime
from tests.support.fake_runtime import HEARD, REPLY
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

ROOT = Path(__file__).parents[2]
FAKE_SOUND = ROOT / "tests" / "support" / "fake_sound"  # a speaker, for programs that are heard
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    import json

    # Slow enough that what changes an answer comes before its end, on a busy machine too.
    command = [sys.executable, str(Path(fake_runtime.__file__)), "serve", "--ready-json", "--step-s", "0.03"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return Speech(np.full(9600, 0.1), sample_rate_hz=24000).save(tmp_path / "request.wav")


def run_example(name: str, *arguments: object, typed: str = "") -> str:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *(str(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(FAKE_SOUND)))}
    ran = subprocess.run(command, env=environment, input=typed, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", ["speech_to_image.py", "speech_to_image_sync.py"])
def test_speech_to_image(name: str, url: str, wav: Path, tmp_path: Path) -> None:
    shown = run_example(name, wav, tmp_path / "picture.png", url)
    assert f"heard: {HEARD}" in shown
    assert "100%" in shown
    assert Image(tmp_path / "picture.png").size == (80, 80)


def test_forming(url: str) -> None:
    steps = run_example("forming.py", "two apples", url).split("\nstep ")[1:]
    assert "▒" in steps[0]
    assert "\x1b[2m▒" in steps[0]  # faint
    assert "image 100%, 50% sure" in steps[-1]
    assert "".join(f"\x1b[1m{letter}" for letter in REPLY) in steps[-1]  # bold
    assert "▀" in steps[-1]


def test_picture_questions(url: str, tmp_path: Path) -> None:
    picture = Image(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert REPLY in run_example("picture_questions.py", picture, url)


def test_the_stock_openai_client(url: str) -> None:
    pytest.importorskip("openai")
    server = url.removesuffix("/v1/realtime").replace("ws://", "http://")
    assert run_example("openai_client.py", server).strip() == REPLY


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_imports_only_what_users_have(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 40
    assert "import runtime" not in source
    assert "from runtime" not in source
    assert "__main__" in source


def test_change_your_mind(url: str, tmp_path: Path) -> None:
    shown = run_example("change_your_mind.py", "apples", tmp_path / "picture.png", url)
    assert "the right half was taken away after step 2" in shown
    assert Image(tmp_path / "picture.png").size == (80, 80)


ORDER = {"arguments.count": "3", "arguments.color": '"green"', "arguments.wrapped": "true"}


@pytest.fixture(scope="module")
def real_url() -> Iterator[str]:
    """The real server, its engine on a script."""
    with serving(
        ScriptedEngine(texts={"text": REPLY, "arguments.room": '"hall"', "arguments.state": '"off"'} | ORDER)
    ) as url:
        yield url


def test_tools(real_url: str) -> None:
    shown = run_example("tools.py", "switch the lights there", real_url)
    assert 'set_light({"room": "hall", "state": "off"}) -> the light in the hall is off' in shown
    assert REPLY in shown


def test_repaint(real_url: str, tmp_path: Path) -> None:
    run_example("repaint.py", "two apples", "a banana", tmp_path / "after.png", real_url)
    assert Image(tmp_path / "after.png").size == (32, 32)


def test_structured_output(real_url: str) -> None:
    shown = run_example("structured_output.py", "three green apples, wrapped", real_url)
    assert shown.strip() == "count=3 color=<Color.GREEN: 'green'> wrapped=True"


def test_handoff(real_url: str) -> None:
    shown = run_example("handoff.py", "stop the timer", real_url)
    assert shown.splitlines() == ["handed to the cook", "stop_timer({}) -> the timer is off"]


def test_workflow(real_url: str, tmp_path: Path) -> None:
    shown = run_example("workflow.py", "two apples", tmp_path / "picture.png", real_url)
    assert "draw: partial step 4/4 100%" in shown
    assert "draw: done" in shown
    assert REPLY in shown
    assert Image(tmp_path / "picture.png").size == (32, 32)


def test_text_chat(url: str) -> None:
    shown = run_example("text_chat.py", url, typed="hello\n\n")
    assert f"omni: {REPLY}\n" in shown


def test_voice_assistant(scripted: ScriptedRuntime) -> None:
    scripted.hear("lights off").call("set_light", room="hall", state="off").expect_tool_result("off").say("It is off.")
    shown = run_example("voice_assistant.py", ROOT / "clients" / "terminal" / "request.wav", scripted.url)
    assert shown.splitlines() == [
        "you: lights off",
        'set_light({"room": "hall", "state": "off"}) -> the light in the hall is off',
        "omni: It is off.",
    ]


def test_infill(url: str, tmp_path: Path) -> None:
    picture = Image(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert REPLY in run_example("infill.py", picture, "two {mask}", url)


def test_mcp_server(scripted: ScriptedRuntime) -> None:
    pytest.importorskip("mcp")
    scripted.expect("a pizza").call("order", dish="pizza", size="large").expect_tool_result("one large pizza").say(
        "Yes."
    )
    command = f"{sys.executable} {ROOT / 'tests' / 'support' / 'mcp_server.py'}"
    shown = run_example("mcp_server.py", command, "a pizza, a large one", scripted.url).splitlines()
    assert shown[0].startswith("tools: order")
    assert shown[1:] == ['order({"dish": "pizza", "size": "large"}) -> one large pizza', "Yes."]
