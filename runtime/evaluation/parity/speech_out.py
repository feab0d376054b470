"""The speech decoder: codes to mel frames by flow matching, mel frames to sound by the vocoder."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.codecs.speech_decoder import SEED, SpeechDecoderCodec, draw_source_noise
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import has_json, key_list, read_json, read_tensors
from runtime.models.checkpoints import load_weights
from runtime.models.speech_decoder import SpeechDecoderConfig
from runtime.models.speech_flow.flow import Prompt, SpeechFlow, step_times
from runtime.models.vocoder import SourceNoise, Vocoder

HIDDEN_ATOL, MEL_ATOL, PITCH_ATOL, GIVEN_ATOL, WAVE_ATOL = 2e-4, 1e-3, 1e-2, 1e-3, 3e-3
NOISE_ATOL = 1e-5  # processors round the same draws differently


def cases(root: Path) -> Iterator[Case]:
    folder = root / "speech_out"
    if not (path := folder / "config.json").is_file():
        return
    config, golden = read_json(path), read_tensors(folder / "cases.safetensors")
    for entry in config["cases"]:
        prefix = f"case{entry['case']}."
        own = {name.removeprefix(prefix): tensor for name, tensor in golden.items() if name.startswith(prefix)}
        if own:
            yield Case(f"speech_out/{entry['case']}", partial(_decode, folder, config["small"], entry, own))
    yield Case("speech_out/frames", partial(_frames, config))
    if has_json(keys := folder / "keys_published_size.json"):
        for name, made in (("flow", SpeechFlow), ("hift", Vocoder)):
            yield Case(f"speech_out/published keys of {name}", partial(_keys, config["published"], made, keys, name))


def _networks(sizes: dict[str, Any]) -> tuple[SpeechFlow, Vocoder]:
    config = SpeechDecoderConfig.from_published(sizes)
    return SpeechFlow(config.flow).eval(), Vocoder(config.vocoder).eval()


def _decode(
    folder: Path, sizes: dict[str, Any], entry: dict[str, Any], golden: dict[str, Tensor], check: Comparison
) -> None:
    flow, vocoder = _networks(sizes)
    load_weights(flow, folder / "flow_weights.safetensors")
    load_weights(vocoder, folder / "hift_weights.safetensors")
    prompt = Prompt(golden["prompt_tokens"].long(), golden["prompt_mel"], golden["speaker_embedding"])
    mel = _mel(flow, entry["flow_steps"], golden, prompt, check)
    pitch = vocoder.f0_predictor(mel)
    check.close("pitch", pitch, golden["f0"], PITCH_ATOL)
    drawn = _noise(flow, vocoder, entry, golden, check)
    # The golden pitch, so that a difference of the pitch is not counted again as one of the sound.
    wave = vocoder(golden["mel"], vocoder.source(golden["f0"], drawn))
    check.close("sound", wave, golden["wav"], WAVE_ATOL)
    if "vocoder_given_source" in golden:
        wave = vocoder(golden["mel"], golden["vocoder_given_source"])
        check.close("sound of a given source", wave, golden["vocoder_given_source_wav"], GIVEN_ATOL)
    whole = SpeechDecoderCodec(flow, vocoder, entry["flow_steps"]).decode(golden["tokens"][0].long(), prompt)
    check.close("all at once", whole[None], golden["wav"], WAVE_ATOL)


def _mel(flow: SpeechFlow, steps: int, golden: dict[str, Tensor], prompt: Prompt, check: Comparison) -> Tensor:
    codes, noise = golden["tokens"].long(), golden["noise_z"]
    encoded = flow.encode(torch.cat([prompt.codes, codes], 1))
    check.close("encoder", encoded, golden["encoder_out"], HIDDEN_ATOL)
    given = flow.conditions(encoded, prompt)
    check.close("mu", given.mu, golden["mu"], HIDDEN_ATOL)
    check.close("times", step_times(steps)[:-1], golden["estimator_times"], NOISE_ATOL)
    start = torch.zeros(())
    for name, conditions in (("conditional", given), ("unconditional", given.none)):
        velocity = flow.velocity(noise, start, conditions)
        check.close(f"{name} velocity", velocity, golden[f"estimator_first_out_{name}"], HIDDEN_ATOL)
    mel: Tensor = flow(codes, noise, steps, prompt)
    check.close("mel", mel, golden["mel"], MEL_ATOL)
    return mel


def _noise(
    flow: SpeechFlow, vocoder: Vocoder, entry: dict[str, Any], golden: dict[str, Tensor], check: Comparison
) -> SourceNoise:
    """All of chance, drawn as the decoder draws it."""
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(golden["noise_z"].shape, generator=generator)
    check.close("noise of the flow", noise, golden["noise_z"], NOISE_ATOL)
    drawn = draw_source_noise(vocoder, golden["mel"].shape[-1], generator, torch.device("cpu"))
    known = golden["harmonic_phase"].clone()
    known[:, 0] = drawn.phase[:, 0]  # of no consequence: the fundamental begins at 0
    check.close("phases", drawn.phase, known, NOISE_ATOL)
    if "harmonic_noise" in golden:
        check.close("noise of the source", drawn.noise, golden["harmonic_noise"], NOISE_ATOL)
    digest = hashlib.sha256(drawn.noise.contiguous().numpy().tobytes()).hexdigest()
    # Bits differ between kinds of processors; then the sound alone, in which the noise is heard, judges it.
    if digest == entry.get("harmonic_noise_sha256"):
        check.same("digest of the noise", digest, entry["harmonic_noise_sha256"])
    return drawn


def _frames(config: dict[str, Any], check: Comparison) -> None:
    flow, _ = _networks(config["small"])
    table = config["mel_frames_for_token_count"]
    ours = [flow.num_frames(entry["tokens"]) for entry in table]
    check.exact("mel frames", ours, [entry["mel_frames"] for entry in table])


def _keys(sizes: dict[str, Any], made: type[nn.Module], path: Path, name: str, check: Comparison) -> None:
    config = SpeechDecoderConfig.from_published(sizes)
    with torch.device("meta"):
        network = made(config.flow if name == "flow" else config.vocoder)
    key_list(check, network, path, name)
