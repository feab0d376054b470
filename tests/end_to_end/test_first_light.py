"""The main job as a newcomer runs it: the embedded model, the real server, the real SDK, the real command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from omnisdk import Client, Image, Speech
from runtime.engine.model import EMBEDDED
from runtime.evaluation.word_errors import word_error_rate

REQUEST_WAV = Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"
SAID = "draw an umbrella on a yellow background"


def omni(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omnisdk.command", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)


@pytest.fixture(scope="module")
def client() -> Client:
    with Client.local() as opened:
        yield opened


def test_the_demo_hears_draws_and_replies(tmp_path: Path) -> None:
    done = omni("demo", "--json", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {"time_to_first_partial_s", "time_to_final_s", "steps", "partials", "transcript", "text", "files"} <= set(
        figures
    )
    assert 0 < figures["time_to_first_partial_s"] < figures["time_to_final_s"]
    assert figures["partials"] > 3
    assert word_error_rate([(SAID, figures["transcript"])]) < 0.5
    assert figures["text"]
    with Picture.open(figures["files"]["image"]) as picture:
        assert picture.size == (320, 320)
    assert Path(figures["files"]["filmstrip"]).stat().st_size > 1000


def test_it_works_over_a_pipe_and_without_color(tmp_path: Path) -> None:
    done = omni("demo", "--text", "a star on a blue background", "--out", str(tmp_path), NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert "\x1b[" not in done.stdout
    assert "step" in done.stdout


def test_a_picture_forms_out_of_its_partials(client: Client) -> None:
    with client.session(output=["image", "text"]) as session:
        session.send(Speech(REQUEST_WAV))
        response = session.respond()
        shares = [partial.progress for partial in response]
        answer = response.wait()
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert answer.image is not None
    assert answer.image.size == (80, 80)
    assert np.ptp(answer.image.pixels) > 50  # no blank sheet


def test_the_same_seed_draws_the_same_picture(client: Client) -> None:
    with client.session(output=["image"], seed=7) as session:
        pictures = [session.ask("draw a lemon on a red background").image.pixels for _ in range(2)]
    assert np.array_equal(*pictures)


def test_a_picture_is_read(client: Client) -> None:
    with client.session(output=["text"]) as session:
        blue = np.full((80, 80, 3), (125, 180, 250), np.uint8)
        answer = session.ask(Image(blue), "what color is the background?")
    assert answer.text


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    done = omni("serve", "--port", "0", "--model", str(tmp_path))
    assert done.returncode == 1
    assert "no model.json here" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_model_is_one_clear_line(tmp_path: Path) -> None:
    for file in EMBEDDED.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes()[:5000])
    (tmp_path / "model.json").write_bytes((EMBEDDED / "model.json").read_bytes())
    done = omni("serve", "--port", "0", "--model", str(tmp_path))
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr
