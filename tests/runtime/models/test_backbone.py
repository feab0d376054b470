import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from runtime.models.backbone import Backbone, BackboneConfig, padding_bias, segment_bias
from runtime.models.speech_encoder import SpeechEncoderConfig

GOLDEN = Path(__file__).parents[2] / "golden" / "backbone"
C = TypeVar("C", BackboneConfig, SpeechEncoderConfig)


def from_json(kind: type[C], sizes: dict[str, Any]) -> C:
    names = {field.name for field in fields(kind)}
    return kind(**{name: size for name, size in sizes.items() if name in names})


@pytest.fixture(scope="module")
def golden() -> Backbone:
    sizes = json.loads((GOLDEN / "config.json").read_text())
    backbone = Backbone(
        from_json(BackboneConfig, sizes["dream"]), from_json(SpeechEncoderConfig, sizes["audio_encoder"])
    )
    backbone.load_state_dict(load_file(GOLDEN / "weights.safetensors"))
    return backbone.eval()


def case(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"case_{name}.safetensors")


@torch.inference_mode()
def test_scores_are_the_published_ones(golden: Backbone) -> None:
    expected = case("ids")
    scores = golden(expected["input_ids"])[:, ::5]
    torch.testing.assert_close(scores, expected["logits_every_fifth"], atol=2e-4, rtol=0)


@torch.inference_mode()
def test_long_rows_score_as_published(golden: Backbone) -> None:
    expected = case("long")
    scores = golden(expected["input_ids"])[0, expected["rows"]]
    torch.testing.assert_close(scores, expected["logits_rows"], atol=3e-4, rtol=0)


@torch.inference_mode()
def test_segments_of_a_packed_row_see_themselves_alone(golden: Backbone) -> None:
    expected = case("train_forward")
    position_ids = expected["position_ids"]
    hidden = golden.hidden(golden.embed(expected["input_ids"]), position_ids, segment_bias(position_ids, torch.float32))
    scores = golden.lm_head(hidden)[0][expected["attention_mask"][0].bool()]
    # The last segment runs on into the padding, where the published rows differ; the first two end before row 38.
    torch.testing.assert_close(scores[:38:5], expected["logits_every_fifth"][:8], atol=3e-4, rtol=0)


@torch.inference_mode()
def test_speech_in_the_row_scores_as_published(golden: Backbone) -> None:
    expected = case("audio_scatter")
    clips = [expected["audio_0"], expected["audio_1"]]
    features = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).bfloat16().float()
    rows, lengths = golden.encode_speech(features, torch.tensor([len(clip) for clip in clips]))
    assert torch.equal(lengths, expected["encoder_lengths"])
    embedded = golden.embed(expected["input_ids"])
    for i, length in enumerate(lengths):
        torch.testing.assert_close(rows[i, :length], expected["projected"][i, :length], atol=1e-4, rtol=0)
        batch, places = expected[f"indices_{i}"][:, 0]
        embedded[batch, places] = rows[i, :length]
    torch.testing.assert_close(embedded, expected["inputs_embeds"], atol=1e-4, rtol=0)
    scores = golden.lm_head(golden.hidden(embedded))[:, ::8]
    torch.testing.assert_close(scores, expected["logits_every_eighth"], atol=3e-4, rtol=0)


def test_at_published_size_every_key_has_the_published_shape() -> None:
    with torch.device("meta"):
        backbone = Backbone(BackboneConfig(176_264, 3584, 18_944, 28, 28, 4), SpeechEncoderConfig(512, 4, 2048, 50, 20))
    shapes = {name: list(tensor.shape) for name, tensor in backbone.state_dict().items()}
    assert shapes == json.loads((GOLDEN / "keys_published_size.json").read_text())


@pytest.fixture(scope="module")
def small() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(60, 32, 48, 2, 4, 2, image_grid=3)).eval()


@torch.inference_mode()
def test_padding_is_unseen(small: Backbone) -> None:
    ids = torch.randint(0, 60, (2, 9))
    bias = padding_bias(torch.tensor([6, 9]), 9, torch.float32)
    padded = small.hidden(small.embed(ids), bias=bias)
    torch.testing.assert_close(padded[0, :6], small.hidden(small.embed(ids[:1, :6]))[0])
    assert padding_bias(torch.tensor([9, 9]), 9, torch.float32) is None


@torch.inference_mode()
def test_every_position_sees_every_other(small: Backbone) -> None:
    ids = torch.randint(0, 60, (1, 8))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 60
    assert not torch.allclose(small(ids)[0, 0], small(changed)[0, 0])


@torch.inference_mode()
def test_only_distances_between_positions_count_and_fractions_are_allowed(small: Backbone) -> None:
    embedded = small.embed(torch.randint(0, 60, (1, 8)))
    positions = torch.arange(8)[None] * 0.5
    hidden = small.hidden(embedded, positions)
    torch.testing.assert_close(hidden, small.hidden(embedded, positions + 3.25), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(hidden, small.hidden(embedded))


@torch.inference_mode()
def test_picture_positions_know_their_row_and_column(small: Backbone) -> None:
    ids = torch.full((1, 4), 7)
    embedded = small.embed(ids, torch.tensor([[-1, 0, 5, 8]]))[0]
    rows, columns = small.model.image_row_embeddings.weight, small.model.image_column_embeddings.weight
    plain = small.embed(ids)[0]
    torch.testing.assert_close(
        embedded - plain, torch.stack([0 * rows[0], rows[0] + columns[0], rows[1] + columns[2], rows[2] + columns[2]])
    )


@torch.inference_mode()
def test_scores_of_a_position_are_read_one_before_it(small: Backbone) -> None:
    ids = torch.randint(0, 60, (1, 8))
    scores = small.scores(small.hidden(small.embed(ids))[0], torch.tensor([1, 7]), slice(10, 20))
    torch.testing.assert_close(scores, small(ids)[0, [0, 6], 10:20])


def test_tied_embeddings_are_one_tensor() -> None:
    tied = Backbone(BackboneConfig(60, 32, 48, 1, 2, 1, tie_word_embeddings=True))
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
