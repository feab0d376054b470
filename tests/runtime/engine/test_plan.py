import pytest
import torch

from runtime.engine.plan import CARDS_BYTES, CardPlan, plan, published_networks
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.speech_encoder import SpeechEncoderConfig

CONFIG = BackboneConfig(vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
                        num_key_value_heads=2)  # fmt: skip
EARS = SpeechEncoderConfig(8, 2, 8, 1, 0, ctc_vocab=4)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(CONFIG, EARS)


def test_operations_are_those_of_the_products(backbone: Backbone) -> None:
    tokens, masked = 12, 5
    step = plan({"backbone": backbone}, tokens, masked).step
    matrices = sum(
        parameter.numel()
        for name, parameter in backbone.named_parameters()
        if ".layers." in name and parameter.dim() == 2
    )
    attention = 2 * 2 * tokens * tokens * CONFIG.hidden_size * CONFIG.num_hidden_layers
    assert step.layers == 2 * matrices * tokens + attention
    assert step.head_masked == 2 * CONFIG.hidden_size * CONFIG.vocab_size * masked
    assert step.head_all == 2 * CONFIG.hidden_size * CONFIG.vocab_size * tokens


def test_parameters_and_bytes(backbone: Backbone) -> None:
    (part,) = plan({"backbone": backbone}).parts
    assert part.num_parameters == sum(parameter.numel() for parameter in Backbone(CONFIG, EARS).parameters())
    assert part.num_bytes == {"float32": 4 * part.num_parameters, "bfloat16": 2 * part.num_parameters}


def test_activations_grow_with_the_canvas_and_leave_the_weights_out(backbone: Backbone) -> None:
    few, many = (plan({"backbone": backbone}, tokens, 4).step.activation_bytes for tokens in (16, 64))
    assert 0 < few["bfloat16"] < few["float32"] < many["float32"]
    scores_bytes = 4 * 4 * CONFIG.vocab_size
    assert scores_bytes < few["float32"] < 100_000


def test_a_tied_head_is_counted_once() -> None:
    tied = BackboneConfig(50, 16, 24, 1, 4, 2, tie_word_embeddings=True)
    (part,) = plan({"backbone": Backbone(tied)}).parts
    (untied,) = plan({"backbone": Backbone(BackboneConfig(50, 16, 24, 1, 4, 2))}).parts
    assert untied.num_parameters - part.num_parameters == 50 * 16


def test_the_rest_runs_in_float32(backbone: Backbone) -> None:
    planned = plan({"backbone": backbone, "image_tokenizer": torch.nn.Linear(10, 10)})
    needed = {card.dtype: card.needed_bytes for card in planned.cards}
    parts = {part.name: part for part in planned.parts}
    for dtype in ("float32", "bfloat16"):
        weights = parts["backbone"].num_bytes[dtype] + 4 * 110
        assert needed[dtype] == weights + planned.step.activation_bytes[dtype]
    assert {card.card_bytes for card in planned.cards} == set(CARDS_BYTES)


def test_what_fits() -> None:
    assert CardPlan(100, "float32", 100).fits
    assert not CardPlan(100, "float32", 101).fits


def test_the_published_sizes() -> None:
    networks = published_networks()
    assert list(networks) == ["backbone", "image_tokenizer", "speech_tokenizer", "speech_flow", "vocoder"]
    sizes = {name: sum(parameter.numel() for parameter in network.parameters()) for name, network in networks.items()}
    assert 8.03e9 < sizes["backbone"] < 8.05e9
    assert 95e6 < sizes["image_tokenizer"] < 96e6
