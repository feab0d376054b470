import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from runtime.models.speech_encoder import SpeechEncoder, SpeechEncoderConfig, SpeechProjector

GOLDEN = Path(__file__).parents[2] / "golden" / "speech_in"
TENSORS = load_file(GOLDEN / "encoder.safetensors")
ENCODER, PROJECTOR = "audio_model.model.", "audio_projection."


@pytest.fixture(scope="module")
def golden() -> tuple[SpeechEncoder, SpeechProjector]:
    sizes = json.loads((GOLDEN / "encoder.json").read_text())
    names = {field.name for field in fields(SpeechEncoderConfig)} - {"dropout"}
    encoder = SpeechEncoder(SpeechEncoderConfig(**{k: v for k, v in sizes["encoder"].items() if k in names}))
    projector = SpeechProjector(sizes["projector"]["proj_input_size"], sizes["projector"]["hidden_size"])
    weights = load_file(GOLDEN / "encoder_weights.safetensors")
    for part, prefix in ((encoder, ENCODER), (projector, PROJECTOR)):
        part.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        part.eval()
    return encoder, projector


@pytest.mark.parametrize("clip", [0, 1, 2])
@torch.inference_mode()
def test_a_clip_alone_encodes_as_published(golden: tuple[SpeechEncoder, SpeechProjector], clip: int) -> None:
    encoder, projector = golden
    features = TENSORS[f"features_{clip}"]
    encoded, lengths = encoder(features[None], torch.tensor([len(features)]))
    assert lengths.tolist() == [len(features) + 4]
    torch.testing.assert_close(encoded[0], TENSORS[f"single_fp32_encoder_out_{clip}"], atol=2e-4, rtol=0)
    torch.testing.assert_close(projector(encoded)[0], TENSORS[f"single_fp32_projected_{clip}"], atol=2e-4, rtol=0)


@torch.inference_mode()
def test_a_padded_batch_encodes_as_published(golden: tuple[SpeechEncoder, SpeechProjector]) -> None:
    encoder, projector = golden
    clips = [TENSORS[f"features_{i}"] for i in range(3)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).bfloat16().float()
    encoded, lengths = encoder(batch, torch.tensor([len(clip) for clip in clips]))
    projected = projector(encoded)
    assert torch.equal(lengths, TENSORS["batch_lengths"])
    for i, length in enumerate(lengths):
        for found, name in ((encoded, "encoder_out"), (projected, "projected")):
            expected = TENSORS[f"batch_bf16features_{name}"][i, :length]
            torch.testing.assert_close(found[i, :length], expected, atol=2e-4, rtol=0)


@torch.inference_mode()
def test_other_query_rows_ask_for_another_language(golden: tuple[SpeechEncoder, SpeechProjector]) -> None:
    encoder, _ = golden
    features = TENSORS["features_1"]
    encoded, _ = encoder(features[None], torch.tensor([len(features)]), query_ids=(4, 1, 2, 14))
    torch.testing.assert_close(encoded[0], TENSORS["query_en_withitn_encoder_out_1"], atol=2e-4, rtol=0)


def test_dropout_works_in_training_alone() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechEncoderConfig(32, 2, 32, 2, 0, ctc_vocab=4, dropout=0.5))
    features, lengths = torch.randn(1, 6, 560), torch.tensor([6])
    assert not torch.equal(encoder(features, lengths)[0], encoder(features, lengths)[0])
    encoder.eval()
    assert torch.equal(encoder(features, lengths)[0], encoder(features, lengths)[0])
