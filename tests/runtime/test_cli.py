import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from runtime import cli
from runtime.config import read_settings
from runtime.engine.model import BACKBONE_FILE, MODEL_FILE, save_model
from runtime.server.keys import Key, Limits
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(tiny_model(), folder, SPEECH_ENCODER)
    return folder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def omni(*arguments: str) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(cli.main, arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def assert_one_clear_line(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    for word in words:
        assert word in result.output


def test_a_port_in_use(taken_port: int, model_folder: Path) -> None:
    result = omni("serve", "--port", str(taken_port), "--model", str(model_folder))
    assert_one_clear_line(result, f"port {taken_port}", "Address already in use", "0 for any")


def test_a_host_that_is_not_ours() -> None:
    assert_one_clear_line(omni("serve", "--host", "192.0.2.1", "--api-key", "k"), "cannot listen on 192.0.2.1")


def test_a_wrong_setting() -> None:
    assert_one_clear_line(omni("serve", "--port", "70000"), "port 70000", "65535")


def test_no_model_there(tmp_path: Path) -> None:
    result = omni("serve", "--port", "0", "--model", str(tmp_path / "nowhere"))
    assert_one_clear_line(result, "nowhere", MODEL_FILE)


@pytest.mark.parametrize("broken", [MODEL_FILE, BACKBONE_FILE])
def test_a_damaged_model(broken: str, tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path, SPEECH_ENCODER)
    whole = (tmp_path / broken).read_bytes()
    (tmp_path / broken).write_bytes(whole[: len(whole) // 2])
    assert_one_clear_line(omni("serve", "--port", "0", "--model", str(tmp_path)), broken)


@pytest.fixture
def served(model_folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    command = [sys.executable, "-W", "error", "-m", "runtime.cli", "serve", "--port", "0", "--ready-json"]
    command += ["--drain-s", "3600"]  # who waits for it where nothing is being made never ends here
    server = subprocess.Popen(
        [*command, "--model", str(model_folder), "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    ready = server.stdout.readline()
    try:
        assert ready, server.communicate(timeout=30)[1]
        yield server, json.loads(ready)
    finally:
        server.kill()
        server.communicate(timeout=30)


def test_it_serves_until_it_is_told_to_stop(served: tuple[subprocess.Popen[str], dict[str, object]]) -> None:
    server, ready = served
    assert ready["pid"] == server.pid
    url = str(ready["url"])
    assert url.startswith("ws://127.0.0.1:")
    assert url.endswith("/v1/realtime")
    with connect(url) as live:
        assert json.loads(live.recv(timeout=20))["type"] == "session.created"
        with urllib.request.urlopen(url.replace("ws:", "http:").replace("/v1/realtime", "/v1/models")) as answer:
            assert json.load(answer)["data"][0]["id"] == "tiny"
        server.terminate()  # while a session is open, of which it would say that it did not end in time
        assert server.wait(timeout=60) == 0
        with pytest.raises(ConnectionClosed):
            live.recv(timeout=20)
        assert live.close_code == 1001
    assert server.communicate() == ("", "")


def test_nobody_is_let_into_an_open_port_without_a_key() -> None:
    assert_one_clear_line(omni("serve", "--host", "0.0.0.0", "--port", "0"), "0.0.0.0", "API key")


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, {"127.0.0.1", "localhost", "::1"}),
        ({"OMNI_HOST": "127.0.0.9"}, {"127.0.0.1", "localhost", "::1", "127.0.0.9"}),
        ({"OMNI_HOST": "0.0.0.0"}, {"*", "0.0.0.0"}),
        ({"OMNI_HOST": "0.0.0.0", "OMNI_ALLOWED_HOSTS": "omni.example"}, {"omni.example", "0.0.0.0"}),
    ],
)
def test_the_names_a_server_may_be_called_by(environment: dict[str, str], hosts: set[str]) -> None:
    assert set(cli.server_settings_of(read_settings({}, environment)).allowed_hosts) == hosts


def test_the_settings_reach_the_server() -> None:
    given = {"api_key": "sesame", "api_keys": "web=abc", "limits": "steps=9", "max_sessions": 3}
    settings = cli.server_settings_of(read_settings(given, {}))
    assert settings.keys == (Key.of("abc", "web", Limits(steps=9)), Key.of("sesame", limits=Limits(steps=9)))
    assert (settings.max_sessions, settings.limits) == (3, Limits(steps=9))


def test_ready_without_json_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    cli.announce("ws://127.0.0.1:1/v1/realtime", ready_json=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert "ready at ws://127.0.0.1:1/v1/realtime" in err


@pytest.mark.parametrize("group", ["bench", "eval"])
def test_a_group_finds_its_commands(group: str) -> None:
    result = omni(group, "--help")
    assert result.exit_code == 0
    assert " all " in result.output


def test_a_group_whose_packages_are_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "commands_without_packages.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    group = cli.LaterGroup(name="later", module="commands_without_packages", extra="train")
    result = CliRunner().invoke(group, ["anything"])
    assert_one_clear_line(result, "a_package_nobody_has", "pip install 'omnisdk[train]'")


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def measured(json_file: Path) -> None:
    json_file.write_text('{"steps_per_s": 3}')


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def broken(json_file: Path) -> None:
    raise click.ClickException("there is nothing to measure")


def test_all_of_a_group_in_one_file(tmp_path: Path) -> None:
    everything = cli.one_after_another({"broken": broken, "measured": measured})
    result = CliRunner().invoke(everything, ["--json", str(tmp_path / "all.json")])
    assert result.exit_code == 1
    assert "broken failed: there is nothing to measure" in result.output
    assert json.loads((tmp_path / "all.json").read_text()) == {"measured": {"steps_per_s": 3}}


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three stages that note that they ran; the second fails until a file `mended` is there."""
    code = (
        "import pathlib, sys\n"
        "with open('ran', 'a') as file: print(*sys.argv[1:], file=file)\n"
        "sys.exit(3 if 'two' in sys.argv and not pathlib.Path('mended').exists() else 0)\n"
    )
    (tmp_path / "a_stage.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    named = {name: ("a_stage", (name,)) for name in ("one", "two", "three")}
    monkeypatch.setattr(cli, "TRAINING_STAGES", named)
    monkeypatch.setattr(cli.train.params[0], "type", click.Choice(["all", *named]))
    return tmp_path / "ran"


def test_training_runs_the_stages_in_order_and_stops_at_one_that_fails(stages: Path) -> None:
    result = omni("train", "all")
    assert result.exit_code == 1
    assert "stage two ended with exit code 3" in result.output
    assert stages.read_text().split() == ["one", "two"]
    Path("mended").touch()
    assert omni("train", "all").exit_code == 0
    assert stages.read_text().split() == ["one", "two", "one", "two", "three"]


def test_one_stage_gets_its_own_arguments(stages: Path) -> None:
    assert omni("train", "three", "--", "--steps", "7").exit_code == 0
    assert stages.read_text() == "three --steps 7\n"


class TestRecipes:
    def test_those_of_the_embedded_model(self) -> None:
        printed = omni("recipes").output
        assert "speech_and_image_to_text" in printed
        assert "captioning" not in printed

    def test_one_of_the_published_model_as_json(self) -> None:
        told = json.loads(omni("recipes", "captioning", "--model", "published", "--json").output)
        assert told["captioning"]["slots"][0]["steps"] == 64

    def test_what_is_not_there(self) -> None:
        assert_one_clear_line(omni("recipes", "dancing"), "no recipe 'dancing'", "text_to_image")
        assert_one_clear_line(omni("recipes", "--model", "nowhere"), "nowhere", "published")
