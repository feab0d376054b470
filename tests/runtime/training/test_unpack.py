from pathlib import Path

import torch

from runtime.codecs.text import TextCodec
from runtime.models.image_tokenizer import ImageTokenizer
from runtime.training.run import TrainingRun
from runtime.training.unpack import unpack
from tests.support.tiny_model import tiny_model


def test_parts_become_runs_that_begin_at_their_weights(tmp_path: Path) -> None:
    model = tiny_model()
    unpack(model, tmp_path)
    network = ImageTokenizer(model.image_tokenizer.config)
    run = TrainingRun(tmp_path / "image_tokenizer", network, [torch.optim.AdamW(network.parameters())], 10)
    assert run.step == 0
    assert run.history == []
    wanted = model.image_tokenizer.state_dict()
    assert all(torch.equal(wanted[name], part) for name, part in network.state_dict().items())
    assert TextCodec.load(tmp_path / "tokenizer.json").num_tokens == model.text.num_tokens


def test_the_speech_encoder_is_there_for_its_own_run_and_the_backbones(tmp_path: Path) -> None:
    model = tiny_model()
    unpack(model, tmp_path)
    alone = torch.load(tmp_path / "speech_encoder" / "checkpoint.pt", weights_only=True)["network"]
    inside = torch.load(tmp_path / "backbone_finished" / "checkpoint.pt", weights_only=True)["network"]
    assert all(
        torch.equal(inside[f"model.audio_model.model.{n.removeprefix('encoder.')}"], p) for n, p in alone.items()
    )


def test_runs_that_exist_stay(tmp_path: Path) -> None:
    unpack(tiny_model(seed=0), tmp_path)
    before = (tmp_path / "backbone_finished" / "checkpoint.pt").read_bytes()
    unpack(tiny_model(seed=1), tmp_path)
    assert (tmp_path / "backbone_finished" / "checkpoint.pt").read_bytes() == before
