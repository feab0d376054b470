from pathlib import Path

import pytest
import torch

from runtime.evaluation.parity.golden import read_json
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig, block_causal

GOLDEN = Path(__file__).parents[2] / "golden" / "speech_tokens"
SMALL = SpeechTokenizerConfig(
    d_model=16, encoder_attention_heads=2, encoder_ffn_dim=24, num_mel_bins=20, max_source_positions=80,
    quantize_position=2, quantize_causal_block_size=8, quantize_vocab_size=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> SpeechTokenizer:
    torch.manual_seed(0)
    return SpeechTokenizer(SMALL).eval()


def all_real(mel: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(mel), mel.shape[-1], dtype=torch.bool)


@torch.inference_mode()
def test_eight_frames_make_a_code(network: SpeechTokenizer) -> None:
    mel = torch.randn(2, 20, 48)
    encoded = network(mel, all_real(mel))
    assert encoded.codes.shape == (2, 6)
    assert encoded.hidden.shape == (2, 6, 16)
    distance = (encoded.hidden[:, :, None] - network.codebook.weight).pow(2).sum(-1)
    assert torch.equal(encoded.codes, distance.argmin(-1))
    embedded = network.embed(encoded.codes)
    assert torch.equal(embedded, network.codebook(encoded.codes) + network.embed_positions2.weight[:6])


@torch.inference_mode()
def test_padding_is_unseen(network: SpeechTokenizer) -> None:
    mel = torch.randn(1, 20, 32)
    alone = network(mel, all_real(mel))
    padded = torch.cat([mel, torch.randn(1, 20, 32)], -1)
    mask = torch.arange(64)[None] < 32
    encoded = network(padded, mask)
    torch.testing.assert_close(encoded.hidden[:, :4], alone.hidden)
    assert encoded.mask.tolist() == [[True] * 4 + [False] * 4]


@torch.inference_mode()
def test_later_blocks_do_not_change_earlier_ones(network: SpeechTokenizer) -> None:
    mel = torch.randn(1, 20, 64)
    changed = torch.cat([mel[..., :32], torch.randn(1, 20, 32)], -1)
    hidden = [network(frames, all_real(frames)).hidden for frames in (mel, changed)]
    # A block is 8 frames behind the second convolution, so 16 mel frames, so two codes.
    torch.testing.assert_close(hidden[0][:, :4], hidden[1][:, :4])
    assert not torch.allclose(hidden[0][:, 4:], hidden[1][:, 4:])


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 2, 9])
def test_clips_of_a_batch_do_not_meet(network: SpeechTokenizer, batch: int) -> None:
    mel = torch.randn(batch, 20, 40)
    together = network(mel, all_real(mel)).hidden
    for i in range(batch):
        torch.testing.assert_close(together[i : i + 1], network(mel[i : i + 1], all_real(mel[:1])).hidden)


@torch.inference_mode()
def test_the_last_mel_frame_is_not_read(network: SpeechTokenizer) -> None:
    """The second convolution ends one before it; the codec's promise about company rests on that."""
    mel = torch.randn(1, 20, 32)
    changed = torch.cat([mel[..., :-1], torch.randn(1, 20, 1)], -1)
    assert torch.equal(network(mel, all_real(mel)).hidden, network(changed, all_real(mel)).hidden)
    changed[..., -2] += 1
    assert not torch.allclose(network(mel, all_real(mel)).hidden, network(changed, all_real(mel)).hidden)


def test_a_frame_sees_its_block_and_all_before() -> None:
    seen = block_causal(torch.tensor([[True] * 5 + [False]]), 2)[0, 0].int().tolist()
    assert seen == [[1, 1, 0, 0, 0, 0]] * 2 + [[1, 1, 1, 1, 0, 0]] * 2 + [[1, 1, 1, 1, 1, 0]] * 2


@pytest.mark.parametrize("frames", [12, 168])
def test_frames_that_do_not_fit_are_refused(network: SpeechTokenizer, frames: int) -> None:
    mel = torch.randn(1, 20, frames)
    with pytest.raises(ValueError, match=f"{frames} mel frames came; a multiple of 8, at most 160"):
        network(mel, all_real(mel))


def test_published_sizes_give_the_published_names_and_shapes() -> None:
    published = SpeechTokenizerConfig.from_published(read_json(GOLDEN / "config.json")["published"])
    assert published == SpeechTokenizerConfig()
    with torch.device("meta"):
        state = SpeechTokenizer(published).state_dict()
    listed = read_json(GOLDEN / "keys_published_size.json")
    assert len(listed) == 249
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        name: entry["shape"] for name, entry in listed.items()
    }


def test_the_published_config_is_taken_as_it_is() -> None:
    published = {"d_model": 640, "vocab_size": 51866, "encoder_layers": 32, "quantize_position": 16, "dropout": 0.0}
    assert SpeechTokenizerConfig.from_published(published) == SpeechTokenizerConfig(d_model=640)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation_function", "relu"),
        ("pooling_type", "max"),
        ("encoder_causal_convolution", False),
        ("pooling_position", 9),
    ],
)
def test_a_config_that_asks_for_another_network_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SpeechTokenizerConfig.from_published({field: value})


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"quantize_causal_block_size": None}, "quantize_causal_block_size is None; a whole number above 0"),
        ({"pooling_kernel_size": 0}, "pooling_kernel_size is 0; a whole number above 0"),
        ({"d_model": "1280"}, "d_model is '1280'; a whole number above 0"),
        ({"d_model": 30, "encoder_attention_heads": 4}, "d_model is 30, which encoder_attention_heads, 4, does not"),
    ],
)
def test_sizes_no_network_can_have_are_refused(sizes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SpeechTokenizerConfig.from_published(sizes)
