"""The training path: masking, padding, layout, packing, the packed forward pass and its loss."""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.codecs.vocabulary import END_OF_TEXT, SPECIAL_TOKENS, Vocabulary
from runtime.evaluation.parity.backbone import golden_backbone
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import numbered, read_json, read_tensors
from runtime.models.backbone import reference_segment_bias
from runtime.models.speech_encoder import NUM_QUERY_ROWS
from runtime.training.published.layout import NOT_LEARNED, Layout, Row, SpeechPlaces
from runtime.training.published.loss import shifted_loss
from runtime.training.published.masking import MaskingRule, draw_mask, mask_row, pad_tail
from runtime.training.published.packing import pack
from runtime.training.published.samples import Message, Sample

SCORES_ATOL, LOSS_ATOL, DRAWS_ATOL, STATISTICS_ATOL = 3e-4, 1e-5, 1e-6, 0.01


def cases(root: Path) -> Iterator[Case]:
    for path in sorted((root / "backbone").glob("case_*.safetensors")):
        golden = read_tensors(path)
        if "position_ids" in golden:
            yield Case(f"training/forward {path.stem.removeprefix('case_')}", partial(_forward, root, golden))
    if not (path := root / "training" / "cases.json").is_file():
        return
    listed, golden = read_json(path), read_tensors(root / "training" / "cases.safetensors")
    for entry in listed["forward_process"]:
        yield Case(f"training/mask {entry['name']}", partial(_mask, entry, golden))
    yield Case("training/mask statistics", partial(_statistics, listed["statistics"]))
    for entry in listed["update_labels_and_inputs"]:
        yield Case(f"training/padding {entry['python_random_seed']}", partial(_padding, entry))
    for entry in listed["preprocess"]:
        yield Case(f"training/sample {entry['task']}", partial(_sample, listed, entry))
    yield Case("training/packing", partial(_packing, listed["packing"]))
    for name in numbered(golden, "loss.value"):
        yield Case(f"training/loss{name}", partial(_loss, golden))


def _forward(root: Path, golden: dict[str, Tensor], check: Comparison) -> None:
    network, real = golden_backbone(root), golden["attention_mask"].bool()
    bias = reference_segment_bias(golden["position_ids"], torch.float32, real)
    scores = network.lm_head(network.hidden(network.embed(golden["input_ids"]), golden["position_ids"], bias))
    if "logits_valid" in golden:
        check.close("scores", scores[real], golden["logits_valid"], SCORES_ATOL)
    check.close("loss", shifted_loss(scores, golden["labels"])[None], golden["loss"], LOSS_ATOL)


def _mask(entry: dict[str, Any], golden: dict[str, Tensor], check: Comparison) -> None:
    name = entry["name"]
    labels, rule = golden[f"{name}.labels"], MaskingRule(entry["special_mask_ratio"])
    generator = torch.Generator().manual_seed(entry["torch_manual_seed"])
    masked = draw_mask(labels, entry["special_token_id"], rule, generator)
    check.exact("mask", masked.int(), golden[f"{name}.masked"].int())
    generator.manual_seed(entry["torch_manual_seed"])
    draws = torch.cat([torch.rand(size, generator=generator) for size in entry["draw_sizes"]])
    check.close("draws", draws, golden[f"{name}.draws"], DRAWS_ATOL)


def _statistics(golden: dict[str, Any], check: Comparison) -> None:
    """Shares over many positions, within the error of such a sample."""
    generator = torch.Generator().manual_seed(0)
    labels, end = torch.ones(60, 1000, dtype=torch.long), 2
    for name, shown in (("masked_fraction_normal", labels), ("masked_fraction_special", labels * end)):
        masked = draw_mask(shown, end, MaskingRule(), generator).double()
        check.close(name, masked.mean(), torch.tensor(golden[name]).double(), STATISTICS_ATOL)
        if name == "masked_fraction_normal":
            wanted = torch.tensor(golden["per_sample_fraction_std_over_1000_tokens"]).double()
            check.close("spread of samples", masked.mean(1).std(), wanted, STATISTICS_ATOL / 2)
    counts = [len(pad_tail(Row((), ()), 0, random.Random(seed))) for seed in range(1000)]
    check.same("shortest and longest padding", [min(counts), max(counts)], golden["appended_pad_count_min_max"])


def _padding(entry: dict[str, Any], check: Comparison) -> None:
    row = Row(tuple(entry["input_ids"]), tuple(entry["labels"]))
    end = Vocabulary.published()[END_OF_TEXT]
    padded = pad_tail(row, end, random.Random(entry["python_random_seed"]), entry["max_n"])
    check.exact("ids", padded.token_ids, entry["out_input_ids"])
    check.exact("labels", padded.labels, entry["out_labels"])
    check.same("appended", len(padded) - len(row), entry["appended"])


class _ToyMedia:
    """Media whose codes the golden folder lists by file name."""

    def __init__(self, listed: dict[str, Any]) -> None:
        self._listed = listed

    def speech_features(self, path: Path) -> Tensor:
        return torch.zeros(self._listed["audio_frames"][path.name], 560)

    def speech_codes(self, path: Path) -> Sequence[int]:
        codes: list[int] = self._listed["audio_discrete_tokens"][path.name]
        return codes

    def image_codes(self, path: Path, size_px: int) -> Sequence[int]:
        codes: list[int] = self._listed["image_tokens"][f"{path.name}@{size_px}"]
        return codes


def _sample(listed: dict[str, Any], entry: dict[str, Any], check: Comparison) -> None:
    toy, given = listed["toy_vocabulary"], entry["sample"]
    vocabulary = Vocabulary.published()
    check.same("special tokens", [vocabulary[name] for name in SPECIAL_TOKENS if name in toy["specials"]],
               [toy["specials"][name] for name in SPECIAL_TOKENS if name in toy["specials"]])  # fmt: skip
    layout = Layout(vocabulary, partial(_toy_encode, toy["words"]), _ToyMedia(listed))
    row = layout(
        Sample(
            tuple(Message(message["role"], message["content"]) for message in given["messages"]),
            tuple(map(Path, given.get("audios", ()))),
            tuple(map(Path, given.get("images", ()))),
        )
    )
    check.exact("ids", row.token_ids, entry["layout_input_ids"])
    check.exact("labels", row.labels, entry["layout_labels"])
    check.same("speech rows", [len(heard.features) for heard in row.speech], entry["audio_frames"])
    check.same("speech positions", [list(heard.positions) for heard in row.speech], entry["audio_positions"])
    end = vocabulary[END_OF_TEXT]
    padded = pad_tail(row, end, random.Random(entry["python_random_seed"]))
    check.exact("padded ids", padded.token_ids, entry["padded_input_ids"])
    check.exact("padded labels", padded.labels, entry["padded_labels"])
    rule = MaskingRule(entry["forward_process_arguments"]["special_mask_ratio"])
    generator = torch.Generator().manual_seed(entry["torch_manual_seed"])
    shown = mask_row(padded, end, vocabulary.mask_id, rule, generator)
    check.exact("masked ids", shown.token_ids, entry["final_input_ids"])
    check.exact("masked labels", shown.labels, entry["final_labels"])


def _toy_encode(words: dict[str, int], text: str) -> list[int]:
    return [words[word] for word in text.replace("\n", " \n ").split(" ") if word]


def _packing(entry: dict[str, Any], check: Comparison) -> None:
    rows = [_row(segment) for segment in entry["segments"]]
    wanted = entry["out"]
    packed = pack(rows, entry["max_length"], Vocabulary.published()[END_OF_TEXT])
    check.exact("ids", packed.token_ids[0], wanted["input_ids"])
    check.exact("labels", packed.labels[0], wanted["labels"])
    check.exact("positions", packed.position_ids[0], wanted["position_ids"])
    check.exact("real", packed.real[0].int(), wanted["attention_mask"])
    starts = (packed.position_ids[0] == 0).nonzero()[:, 0].tolist()
    bounds = [*starts, entry["max_length"]]
    check.same("bounds", bounds, wanted["cu_seq_lens"])
    check.same("longest", max(stop - start for start, stop in pairwise(bounds)), wanted["max_seq_len"])
    check.exact("speech positions", _reference_places(packed.speech, rows), entry["audio_positions_after"])


def _reference_places(places: Sequence[SpeechPlaces], rows: Sequence[Row]) -> list[int]:
    """As the reference has them: the first clips of a pack stay where they are in their own row."""
    first = next((row.speech for row in rows if row.speech), ())
    return [position for heard in (*first, *places[len(first) :]) for position in heard.positions]


def _row(segment: dict[str, Any]) -> Row:
    places = segment["audio_positions"]
    speech = (SpeechPlaces(torch.zeros(len(places) - NUM_QUERY_ROWS, 560), places[0]),) if places else ()
    return Row(tuple(segment["input_ids"]), tuple(segment["labels"]), speech)


def _loss(golden: dict[str, Tensor], check: Comparison) -> None:
    loss = shifted_loss(golden["loss.logits"], golden["loss.labels"])
    check.close("loss", loss[None], golden["loss.value"], LOSS_ATOL)
    moved = golden["loss.labels"].clone()
    moved[:, 0] = NOT_LEARNED
    check.close("loss without the first label", shifted_loss(golden["loss.logits"], moved)[None],
                golden["loss.value"], LOSS_ATOL)  # fmt: skip
