"""The loss of a packed row: the mean cross-entropy of what is masked, read one position earlier as the model is."""

import torch
from torch import Tensor
from torch.nn import functional as F

from runtime.models.backbone import Backbone, segment_bias
from runtime.models.speech_encoder import NUM_QUERY_ROWS
from runtime.training.published.layout import NOT_LEARNED
from runtime.training.published.packing import Packed


def shifted_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """scores: (batch, length, vocab), labels: (batch, length). The first label has no scores and is never used."""
    return F.cross_entropy(scores[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=NOT_LEARNED)


def packed_loss(network: Backbone, packed: Packed, train_encoder: bool = False) -> Tensor:
    """The loss of a packed row; the head runs on the positions to be learned alone. Padding is never attended.

    train_encoder: whether the speech encoder learns too; frozen, as published, it runs without gradients. A row with
    nothing to learn costs 0.
    """
    hidden = network.hidden(embedded(network, packed, train_encoder), packed.position_ids, visible(network, packed))
    learned = (packed.labels[0, 1:] != NOT_LEARNED).nonzero()[:, 0]
    if not len(learned):
        return hidden.sum() * 0
    scores: Tensor = network.lm_head(hidden[0, learned])
    return F.cross_entropy(scores.float(), packed.labels[0, 1:][learned])


def embedded(network: Backbone, packed: Packed, train_encoder: bool = False) -> Tensor:
    """(1, length, hidden), speech in its places."""
    rows = network.embed(packed.token_ids)
    if not packed.speech:
        return rows
    features = torch.nn.utils.rnn.pad_sequence([heard.features for heard in packed.speech], batch_first=True)
    lengths = torch.tensor([len(heard.features) for heard in packed.speech])
    with torch.set_grad_enabled(train_encoder and torch.is_grad_enabled()):
        encoded, _ = network.model.audio_model.model(features.to(rows), lengths.to(rows.device))
    projected = network.model.audio_projection(encoded)
    rows = rows.clone()
    for heard, own in zip(packed.speech, projected, strict=True):
        rows[0, heard.start : heard.start + len(heard.features) + NUM_QUERY_ROWS] = own[: len(heard.positions)]
    return rows


def visible(network: Backbone, packed: Packed) -> Tensor:
    return segment_bias(packed.position_ids, network.lm_head.weight.dtype, packed.real)
