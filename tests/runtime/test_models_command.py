import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime import cli
from runtime.engine.model import save_model
from tests.support.published_layout import write_backbone
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "model", SPEECH_ENCODER)
    return tmp_path / "model"


def omni(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["models", *arguments])


def test_a_model_that_can_be_loaded(folder: Path) -> None:
    result = omni("verify", str(folder))
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", "backbone"],
        ["ok", "image_tokenizer"],
        ["ok", "speech_front_end"],
        ["ok", "text"],
    ]
    assert "1 file, " in lines[0]
    assert lines[0].endswith("MB, float16")


def test_the_embedded_model_by_itself() -> None:
    assert omni("verify").exit_code == 0


def test_one_that_cannot(folder: Path, tmp_path: Path) -> None:
    weights = folder / "backbone.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    result = omni("verify", str(folder / "model.json"), "--json", str(tmp_path / "found.json"))
    assert result.exit_code == 1
    assert "WRONG  backbone" in result.output
    assert "backbone.safetensors: damaged" in result.output
    parts = {part["name"]: part for part in json.loads((tmp_path / "found.json").read_text())["parts"]}
    assert "damaged" in parts["backbone"]["problems"][0]
    assert parts["image_tokenizer"]["problems"] == []
    assert parts["image_tokenizer"]["files"] == [str(folder / "image_tokenizer.safetensors")]


def test_json_in_place_of_lines(folder: Path) -> None:
    result = omni("verify", str(folder), "--json", "-")
    assert json.loads(result.output)["parts"][0]["name"] == "backbone"


@pytest.mark.parametrize("command", ["verify", "plan"])
def test_what_is_no_model(command: str, tmp_path: Path) -> None:
    result = omni(command, str(tmp_path))
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "no model.json here" in result.output


def test_a_backbone_alone_gets_its_model_file_to_copy(tmp_path: Path) -> None:
    write_backbone(tmp_path / "omni")
    result = omni("verify", str(tmp_path / "omni"))
    template = json.loads(result.output[result.output.index("{") :])
    assert template["parts"]["backbone"] == "."
    assert omni("verify", str(tmp_path / "omni")).exit_code == 1


def test_a_plan(folder: Path, tmp_path: Path) -> None:
    result = omni("plan", str(folder), "--tokens", "40", "--masked", "99", "--json", str(tmp_path / "plan.json"))
    assert result.exit_code == 0, result.output
    assert "nothing here was measured on a GPU" in result.output
    assert "a denoise step of 40 tokens, 40 of them masked" in result.output
    assert "24 GB card, backbone in bfloat16" in result.output
    figures = json.loads((tmp_path / "plan.json").read_text())
    assert figures["measured"] is False
    assert [part["name"] for part in figures["parts"]] == ["backbone", "image_tokenizer"]
    assert figures["step"]["head_masked"] == figures["step"]["head_all"] > 0
    assert len(figures["cards"]) == 6
    assert all(card["fits"] for card in figures["cards"])


def test_the_plan_of_the_published_model_says_which_card_holds_it() -> None:
    result = omni("plan")
    assert "24 GB card, backbone in float32, the rest in float32: 34." in result.output
    assert result.output.count("does not fit") == 1
