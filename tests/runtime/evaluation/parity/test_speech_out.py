import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from runtime.evaluation.parity.case import run
from runtime.evaluation.parity.speech_out import cases

GOLDEN = Path(__file__).parents[3] / "golden"


def test_other_noise_or_another_number_of_steps_fails(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "speech_out", tmp_path / "speech_out")
    path = tmp_path / "speech_out" / "cases.safetensors"
    golden = load_file(path)
    save_file({**golden, "case2.mel": golden["case2.mel"] + 0.01}, path)
    (outcome,) = [run(case) for case in cases(tmp_path) if case.name == "speech_out/2"]
    assert not outcome.passed
    assert "mel" in outcome.said
