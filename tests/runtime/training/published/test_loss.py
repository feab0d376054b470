import math

import pytest
import torch
from torch import Tensor

from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.training.published.layout import NOT_LEARNED, Row, SpeechPlaces
from runtime.training.published.loss import embedded, packed_loss, shifted_loss, visible
from runtime.training.published.packing import pack

PADDING = 2
EARS = SpeechEncoderConfig(
    output_size=16, attention_heads=2, linear_units=16, num_blocks=2, tp_blocks=1, ctc_vocab=8, input_size=16
)


@pytest.fixture
def network() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(40, 16, 24, 2, 2, 1), EARS)


def row(*tokens: int, speech: tuple[SpeechPlaces, ...] = ()) -> Row:
    return Row(tokens, tuple(token if i else NOT_LEARNED for i, token in enumerate(tokens)), speech)


def heard(seed: int = 0, start: int = 1) -> SpeechPlaces:
    return SpeechPlaces(torch.randn(2, 16, generator=torch.Generator().manual_seed(seed)), start)


def test_a_position_is_read_one_before_it() -> None:
    scores = torch.full((1, 3, 4), -30.0)
    scores[0, 0, 3] = scores[0, 1, 1] = 30.0
    assert float(shifted_loss(scores, torch.tensor([[NOT_LEARNED, 3, 1]]))) == pytest.approx(0, abs=1e-6)
    assert float(shifted_loss(scores, torch.tensor([[NOT_LEARNED, 1, 3]]))) > 10


def test_it_is_the_plain_mean_over_all_rows_of_a_batch() -> None:
    labels = torch.tensor([[NOT_LEARNED, 1, NOT_LEARNED], [NOT_LEARNED, 2, 3]])
    assert float(shifted_loss(torch.zeros(2, 3, 5), labels)) == pytest.approx(math.log(5))


def test_the_head_on_what_is_learned_alone_gives_the_whole_loss(network: Backbone) -> None:
    packed = pack([row(5, 6, 7), row(8, 9, 10, 11)], 12, PADDING)
    hidden = network.hidden(network.embed(packed.token_ids), packed.position_ids, visible(network, packed))
    assert torch.allclose(packed_loss(network, packed), shifted_loss(network.lm_head(hidden), packed.labels))


def hidden_of(network: Backbone, *rows: Row, length: int = 14, padding: int = PADDING) -> Tensor:
    packed = pack(rows, length, padding)
    rows_in = embedded(network, packed)
    hidden: Tensor = network.hidden(rows_in, packed.position_ids, visible(network, packed))
    return hidden[packed.real]


def test_a_row_is_the_same_alone_and_in_company(network: Backbone) -> None:
    together = hidden_of(network, row(5, 6, 7), row(8, 9, 10, 11))
    alone = torch.cat([hidden_of(network, row(5, 6, 7)), hidden_of(network, row(8, 9, 10, 11))])
    assert torch.allclose(together, alone, atol=1e-5)


def test_padding_is_never_attended(network: Backbone) -> None:
    short, long = (hidden_of(network, row(5, 6, 7), length=length) for length in (3, 14))
    assert torch.allclose(short, long, atol=1e-5)
    assert torch.allclose(long, hidden_of(network, row(5, 6, 7), padding=30), atol=1e-5)


def test_padding_leaves_every_gradient_a_number(network: Backbone) -> None:
    packed_loss(network, pack([row(5, 6, 7)], 12, PADDING)).backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_speech_takes_its_places_and_no_others(network: Backbone) -> None:
    rows = [row(*range(5, 13), speech=(heard(),)), row(*range(15, 23), speech=(heard(1, 2),))]
    packed = pack(rows, 18, PADDING)
    with torch.no_grad():
        put, plain = embedded(network, packed)[0], network.embed(packed.token_ids)[0]
    changed = (put != plain).any(-1).nonzero()[:, 0].tolist()
    assert changed == [place for places in packed.speech for place in places.positions]


def test_clips_of_unlike_lengths_do_not_change_each_other(network: Backbone) -> None:
    longer = SpeechPlaces(torch.randn(5, 16, generator=torch.Generator().manual_seed(4)), 1)
    one, other = row(*range(5, 13), speech=(heard(),)), row(*range(15, 26), speech=(longer,))
    network.eval()
    together = hidden_of(network, one, other, length=20)
    assert torch.allclose(together[:8], hidden_of(network, one), atol=1e-5)


def gradient_of_the_encoder(network: Backbone, train_encoder: bool) -> bool:
    packed = pack([row(*range(5, 13), speech=(heard(),))], 10, PADDING)
    packed_loss(network, packed, train_encoder).backward()
    assert network.model.audio_projection.mlp[0].weight.grad is not None
    return any(parameter.grad is not None for parameter in network.model.audio_model.parameters())


@pytest.mark.parametrize("train_encoder", [False, True])
def test_the_encoder_learns_only_if_told_and_the_projection_always(network: Backbone, train_encoder: bool) -> None:
    assert gradient_of_the_encoder(network, train_encoder) == train_encoder


def test_with_nothing_to_learn_it_is_nought_and_has_gradients(network: Backbone) -> None:
    loss = packed_loss(network, pack([Row((5, 6), (NOT_LEARNED, NOT_LEARNED))], 4, PADDING))
    loss.backward()
    assert float(loss.detach()) == 0
    assert network.model.embed_tokens.weight.grad is not None


def test_under_autocast_it_is_the_same_but_for_rounding(network: Backbone) -> None:
    packed = pack([row(*range(5, 13), speech=(heard(),)), row(8, 9)], 14, PADDING)
    whole = packed_loss(network, packed)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(packed_loss(network, packed).detach()) == pytest.approx(float(whole.detach()), abs=0.05)
