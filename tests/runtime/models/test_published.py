import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.models import published
from runtime.models.published import (
    BACKBONE,
    IMAGE_TOKENIZER,
    SPEECH_DECODER,
    SPEECH_ENCODER,
    published_backbone,
    published_image_tokenizer,
    published_speech_decoder,
    published_speech_encoder,
    published_speech_tokenizer,
)
from runtime.models.speech_tokenizer import SpeechTokenizerConfig
from runtime.models.weight_files import CheckpointError
from tests.support import published_layout
from tests.support.published_layout import BACKBONE_CONFIG, DECODER_CONFIG, SPEECH_ENCODER_CONFIG

LARGE = BACKBONE_CONFIG | {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4,
}  # fmt: skip


def write(folder: Path, fields: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(fields))
    return folder


def test_the_published_config_means_the_published_sizes(tmp_path: Path) -> None:
    assert published_backbone(write(tmp_path, LARGE), {}) == BACKBONE


def test_a_rotary_base_in_the_newer_place(tmp_path: Path) -> None:
    newer = {name: value for name, value in LARGE.items() if name != "rope_theta"}
    newer["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5}
    assert published_backbone(write(tmp_path, newer), {}).rope_theta == 5e5
    newer["rope_parameters"] = {"rope_type": "yarn", "rope_theta": 5e5}
    with pytest.raises(CheckpointError, match="rope_parameters"):
        published_backbone(write(tmp_path, newer), {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_act", "relu"),
        ("rope_scaling", {"type": "yarn", "factor": 4}),
        ("use_sliding_window", True),
        ("attention_bias", False),
        ("quantization_config", {"bits": 4}),
        ("final_logit_softcapping", 30.0),
        ("use_qk_norm", True),
        ("residual_multiplier", 0.2),
        ("num_experts", 8),
        ("partial_rotary_factor", 0.5),
    ],
)
def test_a_field_that_means_another_computation(name: str, value: object, tmp_path: Path) -> None:
    write(tmp_path, LARGE | {name: value})
    with pytest.raises(CheckpointError, match=rf"config\.json: {name} is .*which this runtime does not compute"):
        published_backbone(tmp_path, {})
    as_ours = published.BACKBONE_AS_OURS.get(name, (None,))[0]
    assert published_backbone(tmp_path, {name: as_ours}) == BACKBONE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 50),
        ("audio_model_name_or_path", "x"),
        ("model_max_length", 3072),
        ("num_experts", 0),
        ("chunk_size", -1),
    ],
)
def test_a_field_that_changes_nothing(name: str, value: object, tmp_path: Path) -> None:
    assert published_backbone(write(tmp_path, LARGE | {name: value}), {}) == BACKBONE


def test_overrides_win_and_must_be_known(tmp_path: Path) -> None:
    write(tmp_path, LARGE)
    assert published_backbone(tmp_path, {"num_hidden_layers": 2}) == replace(BACKBONE, num_hidden_layers=2)
    with pytest.raises(CheckpointError, match=r"num_layers cannot override .*num_hidden_layers"):
        published_backbone(tmp_path, {"num_layers": 2})


@pytest.mark.parametrize("missing", ["hidden_size", "vocab_size"])
def test_a_config_without_a_size(missing: str, tmp_path: Path) -> None:
    write(tmp_path, {name: value for name, value in LARGE.items() if name != missing})
    with pytest.raises(CheckpointError, match=missing):
        published_backbone(tmp_path, {})


def test_a_backbone_without_config(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        published_backbone(tmp_path, {})


def test_the_speech_encoder_is_the_published_one_unless_told(tmp_path: Path) -> None:
    assert published_speech_encoder(tmp_path, {}) == SPEECH_ENCODER
    assert published_speech_encoder(tmp_path, {"tp_blocks": 3}) == replace(SPEECH_ENCODER, tp_blocks=3)
    (tmp_path / "config.yaml").write_text(SPEECH_ENCODER_CONFIG)
    assert published_speech_encoder(tmp_path, {}) == published_layout.SPEECH_ENCODER


@pytest.mark.parametrize(
    ("was", "now"), [("sanm_shfit: 0", "sanm_shfit: 1"), ("input_layer: pe", "input_layer: conv2d")]
)
def test_a_speech_encoder_that_computes_something_else(was: str, now: str, tmp_path: Path) -> None:
    assert was in SPEECH_ENCODER_CONFIG
    (tmp_path / "config.yaml").write_text(SPEECH_ENCODER_CONFIG.replace(was, now))
    with pytest.raises(CheckpointError, match=r"config\.yaml: .* which this runtime does not compute"):
        published_speech_encoder(tmp_path, {})


@pytest.mark.parametrize("content", ["encoder_conf: 3", "encoder_conf: [a]", "encoder_conf: {num_blocks: many}"])
def test_a_speech_encoder_without_sizes(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        published_speech_encoder(tmp_path, {})


def test_the_image_tokenizers_config_names_no_size(tmp_path: Path) -> None:
    assert published_image_tokenizer(tmp_path, {}) == IMAGE_TOKENIZER
    write(tmp_path, {"_class_name": "MAGVITv2", "_diffusers_version": "0.30.1"})
    assert published_image_tokenizer(tmp_path, {}) == IMAGE_TOKENIZER
    smaller = published_image_tokenizer(tmp_path, {"encoder": {"ch": 64}, "codebook_dim": 9})
    assert smaller == replace(IMAGE_TOKENIZER, encoder=replace(IMAGE_TOKENIZER.encoder, ch=64), codebook_dim=9)
    with pytest.raises(CheckpointError, match="unknown field channels"):
        published_image_tokenizer(tmp_path, {"encoder": {"channels": 64}})


def test_the_image_tokenizers_config_may_name_sizes(tmp_path: Path) -> None:
    write(tmp_path, {"encoder": {"ch": 64, "resolution": 256}, "codebook_dim": 9})
    config = published_image_tokenizer(tmp_path, {})
    assert (config.encoder.ch, config.decoder.ch, config.codebook_dim) == (64, 128, 9)
    write(tmp_path, {"encoder": 64})
    with pytest.raises(CheckpointError, match="encoder holds no named fields"):
        published_image_tokenizer(tmp_path, {})


def test_the_speech_parts(tmp_path: Path) -> None:
    assert published_speech_tokenizer(tmp_path, {}) == SpeechTokenizerConfig()
    assert published_speech_decoder(tmp_path, {}) == SPEECH_DECODER
    write(tmp_path, published_layout.SPEECH_TOKENIZER)
    (tmp_path / "config.yaml").write_text(DECODER_CONFIG)
    assert published_speech_tokenizer(tmp_path, {}).d_model == 8
    assert published_speech_tokenizer(tmp_path, {"d_model": 16}).d_model == 16
    assert published_speech_decoder(tmp_path, {"flow": {"vocab_size": 7}}).flow.vocab_size == 7
    write(tmp_path, published_layout.SPEECH_TOKENIZER | {"pooling_type": "max"})
    with pytest.raises(CheckpointError, match=r"config\.json: pooling_type"):
        published_speech_tokenizer(tmp_path, {})
