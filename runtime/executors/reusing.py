"""A pass over what has changed of a canvas; what the rest tells it is remembered from passes before."""

import torch
from torch import Tensor

from runtime.diffusion.batch import Batch
from runtime.executors.executor import ForwardItem, Reuse
from runtime.models.backbone import Backbone


def scores_with(item: ForwardItem, reuse: Reuse, backbone: Backbone, device: torch.device) -> Tensor:
    """(rows, size of the vocabulary) float32 on the CPU. A refresh gives what a pass without memory gives, exactly."""
    batch = Batch.of([item.canvas]).to(device)
    embedded = batch.put_speech(backbone.embed(batch.token_ids, batch.image_cells, batch.spoken))
    read, vocabulary = (item.rows - 1).to(device), slice(*item.vocabulary)
    remembered = None
    if reuse.memory:
        active = reuse.active.to(device)
        among = torch.searchsorted(active, read)
        hidden = backbone.hidden(
            embedded[:, active], batch.positions[:, active], None, among[None], reuse.memory, active
        )
        remembered = backbone.scores(hidden[0], vocabulary)
        if not reuse.refresh:
            return remembered.float().cpu()
    hidden = backbone.hidden(embedded, batch.positions, None, read[None], reuse.memory)
    scores = backbone.scores(hidden[0], vocabulary)
    if remembered is not None and len(scores):
        reuse.agreement = float((scores.argmax(-1) == remembered.argmax(-1)).float().mean())
    return scores.float().cpu()
