import json
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.training.published.plan import Plan, PlanError, Source, Stage, read_plan

README = Path(__file__).parents[4] / "runtime" / "training" / "README.md"


def write(folder: Path, **changes: Any) -> Path:
    (folder / "a.jsonl").write_text("")
    stages = [{"name": "one", "steps": 5, "sources": [{"file": "a.jsonl"}]}]
    path = folder / "plan.json"
    path.write_text(json.dumps({"model": "start", "output": "out", "stages": stages, **changes}))
    return path


def test_paths_are_relative_to_the_plan(tmp_path: Path) -> None:
    source = {"file": "a.jsonl", "media_root": "media", "weight": 2}
    plan = read_plan(write(tmp_path, stages=[{"name": "one", "steps": 5, "sources": [source]}]))
    assert (plan.model, plan.output) == (str(tmp_path / "start"), str(tmp_path / "out"))
    assert plan.stages == [Stage("one", 5, [Source(str(tmp_path / "a.jsonl"), str(tmp_path / "media"), 2.0)])]


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert read_plan(write(tmp_path, model="/models/omni")).model == "/models/omni"


def test_what_is_not_said_is_as_published(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path))
    assert (plan.learning_rate, plan.betas, plan.weight_decay, plan.warmup) == (1e-5, (0.9, 0.95), 0.0, 0.03)
    assert (plan.sequence_length, plan.rows_per_step, plan.precision) == (3072, 128, "bfloat16")
    assert (plan.padding_mask_ratio, plan.mask_share) == (0.6, "position")
    assert not plan.stages[0].train_speech_encoder


def test_the_example_of_the_readme_is_a_plan(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    for name in re.findall(r"[\w.]+\.jsonl", example):
        (tmp_path / name).write_text("")
    (tmp_path / "plan.yaml").write_text(example)
    plan = read_plan(tmp_path / "plan.yaml")
    assert [stage.name for stage in plan.stages] == ["pictures", "speech", "spoken"]
    names = [{Path(source.file).stem for source in stage.sources} for stage in plan.stages]
    assert not names[0] & {"asr", "tts", "s2i", "svqa"}
    assert {"asr", "tts"} <= names[1]
    assert {"s2i", "svqa"} <= names[2]
    defaults = Plan("", "", [])
    for field in ("sequence_length", "rows_per_step", "learning_rate", "precision"):
        assert getattr(plan, field) == getattr(defaults, field)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": []}, "length"),
        ({"steps": 3}, "unknown field steps; allowed: model, output, stages"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"warmup": 1.5}, "warmup"),
        ({"precision": "float8"}, "'float8' is not known; allowed: float32, bfloat16"),
        ({"mask_share": "word"}, "allowed: position, sample"),
        ({"stages": [{"name": "one", "steps": 0, "sources": [{"file": "a.jsonl"}]}]}, "steps"),
        ({"stages": [{"name": "one", "steps": 1, "sources": []}]}, "length"),
        ({"stages": [{"name": "one", "steps": 1, "sources": [{"file": "gone.jsonl"}]}]}, r"gone\.jsonl: no such file"),
        ({"stages": [{"name": "x", "steps": 1, "sources": [{"file": "a.jsonl"}]}] * 2}, "a name of its own"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=rf"plan\.json.*{said}"):
        read_plan(write(tmp_path, **changes))


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"gone\.yaml: cannot be read"):
        read_plan(tmp_path / "gone.yaml")
    (tmp_path / "plan.yaml").write_text("[")
    with pytest.raises(PlanError, match=r"plan\.yaml: no valid YAML"):
        read_plan(tmp_path / "plan.yaml")
