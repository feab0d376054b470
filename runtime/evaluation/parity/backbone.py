"""The backbone's forward pass: ids, long rows, speech scattered into the row, the published key list."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import config_of, has_json, key_list, numbered, read_json, read_tensors
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import load_weights
from runtime.models.speech_encoder import SpeechEncoderConfig

HIDDEN_ATOL, SCORES_ATOL, LONG_ATOL = 1e-4, 2e-4, 3e-4
PUBLISHED = BackboneConfig(176_264, 3584, 18_944, 28, 28, 4), SpeechEncoderConfig(512, 4, 2048, 50, 20)


def golden_backbone(root: Path) -> Backbone:
    """The small random model the golden runs were made with."""
    sizes = read_json(root / "backbone" / "config.json")
    network = Backbone(
        config_of(BackboneConfig, sizes["dream"]), config_of(SpeechEncoderConfig, sizes["audio_encoder"])
    )
    load_weights(network, root / "backbone" / "weights.safetensors")
    return network.eval()


def cases(root: Path) -> Iterator[Case]:
    folder = root / "backbone"
    for path in sorted(folder.glob("case_*.safetensors")):
        golden = read_tensors(path)
        if "position_ids" not in golden:  # a packed row, which belongs to training
            yield Case(f"backbone/{path.stem.removeprefix('case_')}", partial(_forward, root, golden))
    if has_json(keys := folder / "keys_published_size.json"):
        yield Case("backbone/published keys", lambda check: key_list(check, _published(), keys))


def _published() -> Backbone:
    with torch.device("meta"):
        return Backbone(*PUBLISHED)


def _forward(root: Path, golden: dict[str, Tensor], check: Comparison) -> None:
    network = golden_backbone(root)
    embedded = network.embed(golden["input_ids"])
    if "audio_0" in golden:
        embedded = _with_speech(network, embedded, golden, check)
    states = _hidden_states(network, embedded)
    for layer in numbered(golden, "hidden_"):
        check.close(f"hidden {layer}", states[int(layer)], golden[f"hidden_{layer}"], HIDDEN_ATOL)
    scores = network.lm_head(states[-1])
    if "logits" in golden:
        check.close("scores", scores, golden["logits"], LONG_ATOL if "audio_0" in golden else SCORES_ATOL)
    if "logits_rows" in golden:
        check.close("scores", scores[0, golden["rows"]], golden["logits_rows"], LONG_ATOL)


def _hidden_states(network: Backbone, embedded: Tensor) -> list[Tensor]:
    """The embeddings, then what each layer gives; the last one after the final norm."""
    states = [embedded]
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, out: states.append(out)) for layer in network.model.layers
    ]
    normed = network.hidden(embedded)
    for hook in hooks:
        hook.remove()
    return [*states[:-1], normed]


def _with_speech(network: Backbone, embedded: Tensor, golden: dict[str, Tensor], check: Comparison) -> Tensor:
    clips = [golden[f"audio_{i}"] for i in numbered(golden, "audio_")]
    features = pad_sequence(clips, batch_first=True).bfloat16().float()  # as the reference always rounds them
    lengths = torch.tensor([len(clip) for clip in clips])
    encoded, encoded_lengths = network.model.audio_model.model(features, lengths)
    rows = network.model.audio_projection(encoded)
    check.exact("encoder lengths", encoded_lengths, golden["encoder_lengths"])
    for i, length in enumerate(encoded_lengths.tolist()):
        check.close(f"encoder {i}", encoded[i, :length], golden["encoder_out"][i, :length], HIDDEN_ATOL)
        check.close(f"projection {i}", rows[i, :length], golden["projected"][i, :length], HIDDEN_ATOL)
        batch, places = golden[f"indices_{i}"][:, 0]
        embedded[batch, places] = rows[i, :length]
    if "inputs_embeds" in golden:
        check.close("embeddings", embedded, golden["inputs_embeds"], HIDDEN_ATOL)
    return embedded
