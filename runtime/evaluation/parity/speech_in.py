"""Speech in: front end, resampling, stacked frames, encoder and projector."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from runtime.codecs.speech import NUM_BINS, SAMPLE_RATE_HZ, SpeechFrontEnd, filterbank, resample, stack_frames
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import config_of, numbered, read_json, read_tensors
from runtime.models.backbone import AudioModel
from runtime.models.checkpoints import load_weights
from runtime.models.speech_encoder import SpeechEncoderConfig, SpeechProjector, position_encoding

FRAMES_ATOL, FEATURES_ATOL, RESAMPLED_ATOL, ENCODER_ATOL = 3e-3, 1e-3, 1e-5, 2e-4
ENGLISH_WITH_NORMALISED_TEXT = (4, 1, 2, 14)  # other query rows than the recipes use


class _Ears(nn.Module):
    """Encoder and projector under the names they have inside the backbone."""

    def __init__(self, config: SpeechEncoderConfig, hidden_size: int) -> None:
        super().__init__()
        self.audio_model = AudioModel(config)
        self.audio_projection = SpeechProjector(config.output_size, hidden_size)


def cases(root: Path) -> Iterator[Case]:
    folder = root / "speech_in"
    if (path := folder / "frontend.safetensors").is_file():
        golden = read_tensors(path)
        for name in numbered(golden, "wav_"):
            yield Case(f"speech_in/front end {name}", partial(_front_end, folder, golden, name))
        for rate in numbered(golden, "resample_in_"):
            yield Case(f"speech_in/resample {rate}", partial(_resample, golden, rate))
    if (path := folder / "lfr_index_table.json").is_file():
        table = read_json(path)
        yield Case("speech_in/stacked frames", partial(_stacking, table))
    if (path := folder / "encoder.safetensors").is_file():
        golden = read_tensors(path)
        for name in numbered(golden, "features_"):
            yield Case(f"speech_in/encoder {name}", partial(_alone, folder, golden, name))
        yield Case("speech_in/encoder batch", partial(_batch, folder, golden))
        for name in numbered(golden, "position_encoding_rows_"):
            yield Case(f"speech_in/positions {name}", partial(_positions, golden, name))


def _front_end(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    front_end = SpeechFrontEnd.from_mvn(folder / "am.mvn")
    if "cmvn" in golden:
        check.close("shift and scale", torch.stack([front_end.shift, front_end.scale]), golden["cmvn"], 1e-6)
    samples = golden[f"wav_{name}"]
    frames = filterbank(samples)
    check.close("filterbank", frames, golden[f"fbank_{name}"], FRAMES_ATOL)
    check.close("stacked", stack_frames(frames), golden[f"lfr_{name}"], FRAMES_ATOL)
    pcm = (samples * 32768).round().short().numpy()
    check.close("features", front_end(pcm, SAMPLE_RATE_HZ), golden[f"features_{name}"], FEATURES_ATOL)


def _resample(golden: dict[str, Tensor], rate: str, check: Comparison) -> None:
    resampled = resample(golden[f"resample_in_{rate}"], int(rate))
    check.close("samples", resampled, golden[f"resample_out_{rate}"], RESAMPLED_ATOL)


def _stacking(table: list[dict[str, Any]], check: Comparison) -> None:
    for entry in table:
        frames = torch.arange(entry["frames"]).float()[:, None].expand(-1, NUM_BINS)
        rows = stack_frames(frames)[:, ::NUM_BINS].int().tolist()
        check.same(f"{entry['frames']} frames", rows, entry["frame_index_of_each_slot"])


def _ears(folder: Path) -> _Ears:
    sizes = read_json(folder / "encoder.json")
    ears = _Ears(config_of(SpeechEncoderConfig, sizes["encoder"]), sizes["projector"]["hidden_size"])
    load_weights(ears, folder / "encoder_weights.safetensors")
    return ears.eval()


def _alone(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    ears = _ears(folder)
    encoder, features = ears.audio_model.model, golden[f"features_{name}"][None]
    lengths = torch.tensor([features.shape[1]])
    stages: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, inputs, out, at=at: stages.update({at: out, f"{at} in": inputs[0]})
        )
        for at, module in (("first block", encoder.encoder.encoders0[0]), ("main norm", encoder.encoder.after_norm))
    ]
    encoded, _ = encoder(features, lengths)
    for hook in hooks:
        hook.remove()
    check.close("encoder", encoded[0], golden[f"single_fp32_encoder_out_{name}"], ENCODER_ATOL)
    projected = ears.audio_projection(encoded)[0]
    check.close("projection", projected, golden[f"single_fp32_projected_{name}"], ENCODER_ATOL)
    seen = {
        "after_first_block": stages["first block"][0],
        "after_main_norm": stages["main norm"][0],
        "ctc_logits": encoder.ctc.ctc_lo(encoded)[0],
        "encoder_input": torch.cat([encoder.embed(torch.tensor((0, 1, 2, 15))), features[0]]),
    }
    for what, ours in seen.items():
        if f"{what}_{name}" in golden:
            check.close(what.replace("_", " "), ours, golden[f"{what}_{name}"], ENCODER_ATOL)
    other = golden.get(f"query_en_withitn_encoder_out_{name}")
    if other is not None:
        encoded, _ = encoder(features, lengths, query_ids=ENGLISH_WITH_NORMALISED_TEXT)
        check.close("other query rows", encoded[0], other, ENCODER_ATOL)


def _batch(folder: Path, golden: dict[str, Tensor], check: Comparison) -> None:
    ears = _ears(folder)
    clips = [golden[f"features_{name}"] for name in numbered(golden, "features_")]
    features = pad_sequence(clips, batch_first=True).bfloat16().float()
    encoded, lengths = ears.audio_model.model(features, torch.tensor([len(clip) for clip in clips]))
    projected = ears.audio_projection(encoded)
    check.exact("lengths", lengths, golden["batch_lengths"])
    for i, length in enumerate(lengths.tolist()):
        wanted = golden["batch_bf16features_encoder_out"][i, :length]
        check.close(f"encoder {i}", encoded[i, :length], wanted, ENCODER_ATOL)
        wanted = golden["batch_bf16features_projected"][i, :length]
        check.close(f"projection {i}", projected[i, :length], wanted, ENCODER_ATOL)


def _positions(golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    """The rows are in the tensor's own name: "0_1_2_257_299"."""
    rows = [int(row) for row in name.split("_")]
    wanted = golden[f"position_encoding_rows_{name}"]
    check.close("encoding", position_encoding(max(rows) + 1, wanted.shape[1])[rows], wanted, ENCODER_ATOL)
