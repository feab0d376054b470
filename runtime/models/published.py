"""The published model's sizes: what its own config files say, and its code's defaults where they say nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.models.backbone import BackboneConfig
from runtime.models.config_files import checked, overridden, read_fields
from runtime.models.image_tokenizer import ImageTokenizerConfig, StageConfig
from runtime.models.speech_decoder import SpeechDecoderConfig, read_decoder_config
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.models.speech_flow.flow import FlowConfig
from runtime.models.speech_tokenizer import SpeechTokenizerConfig
from runtime.models.vocoder import VocoderConfig
from runtime.models.weight_files import CheckpointError, one_line

BACKBONE = BackboneConfig(
    vocab_size=176_264,
    hidden_size=3584,
    intermediate_size=18_944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
)
SPEECH_ENCODER = SpeechEncoderConfig(output_size=512, attention_heads=4, linear_units=2048, num_blocks=50, tp_blocks=20)
IMAGE_TOKENIZER = ImageTokenizerConfig(
    encoder=StageConfig(ch=128, ch_mult=(1, 2, 2, 4, 4), num_res_blocks=(4, 3, 4, 3, 4)),
    decoder=StageConfig(ch=128, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=(4, 4, 3, 4, 3)),
    codebook_dim=13,
)
SPEECH_DECODER = SpeechDecoderConfig(FlowConfig(), VocoderConfig())
CONFIG_FILE, SPEECH_ENCODER_FILE, DECODER_FILE = "config.json", "config.yaml", "config.yaml"

BACKBONE_FIELDS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "initializer_range",
)  # fmt: skip
OUR_FIELDS = ("image_grid", "spoken_offsets")  # which the published config has not
STAGE_FIELDS = ("ch", "ch_mult", "num_res_blocks", "patch_size")
SPEECH_ENCODER_FIELDS = (
    "output_size", "attention_heads", "linear_units", "num_blocks", "tp_blocks", "input_size", "kernel_size",
    "ctc_vocab",
)  # fmt: skip

# What other fields of a config may hold: with these values the network computes what ours does.
BACKBONE_AS_OURS: Mapping[str, tuple[object, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (True,),
    "mlp_bias": (False,),
    "partial_rotary_factor": (1.0,),
}
SPEECH_ENCODER_AS_OURS: Mapping[str, tuple[object, ...]] = {
    "input_layer": ("pe",),
    "normalize_before": (True,),
    "pos_enc_class": ("SinusoidalPositionEncoder",),
    "sanm_shfit": (0,),  # spelt so there
    "selfattention_layer_type": ("sanm",),
}
# A field with one of these in its name speaks of the computation; others (names, ids, versions, training) do not.
COMPUTES = (
    "activation", "alibi", "bias", "expert", "hidden_act", "multiplier", "norm", "quant", "residual", "rope", "rotary",
    "scal", "shfit", "softcap", "use_mrope", "use_sliding_window",
)  # fmt: skip
OFF: tuple[object, ...] = (None, False, 0, "", [], {})  # values that ask for nothing


def published_backbone(folder: Path, overrides: Mapping[str, Any]) -> BackboneConfig:
    """Sizes of a backbone in the published layout: of `config.json`, with `overrides` on top."""
    path = folder / CONFIG_FILE
    raw = _overridden(path, _with_plain_rope(read_fields(path)), (*BACKBONE_FIELDS, *OUR_FIELDS), overrides)
    _refuse_other_computations(path, raw, BACKBONE_FIELDS, BACKBONE_AS_OURS)
    return checked(_only(raw, (*BACKBONE_FIELDS, *OUR_FIELDS)), BackboneConfig, str(path))


def published_speech_encoder(folder: Path, overrides: Mapping[str, Any]) -> SpeechEncoderConfig:
    """Sizes of the speech encoder inside: of `config.yaml` (SenseVoice's) if it lies beside, else the published."""
    path = folder / SPEECH_ENCODER_FILE
    raw = read_fields(path).get("encoder_conf", {}) if path.is_file() else {}
    raw = _overridden(path, _record(raw, path, "encoder_conf"), SPEECH_ENCODER_FIELDS, overrides)
    _refuse_other_computations(path, raw, SPEECH_ENCODER_FIELDS, SPEECH_ENCODER_AS_OURS)
    sizes = _values(SPEECH_ENCODER, SPEECH_ENCODER_FIELDS) | _only(raw, SPEECH_ENCODER_FIELDS)
    return checked(sizes, SpeechEncoderConfig, str(path))


def published_image_tokenizer(folder: Path, overrides: Mapping[str, Any]) -> ImageTokenizerConfig:
    """Sizes of the image tokenizer; its published `config.json` names none of them."""
    path = folder / CONFIG_FILE
    raw = read_fields(path) if path.is_file() else {}
    sizes = _only(raw, ("codebook_dim",))
    for half in ("encoder", "decoder"):
        sizes[half] = _only(_record(raw.get(half, {}), path, half), STAGE_FIELDS)
    return overridden(overridden(IMAGE_TOKENIZER, sizes, str(path)), overrides, f"overrides of {path}")


def published_speech_tokenizer(folder: Path, overrides: Mapping[str, Any]) -> SpeechTokenizerConfig:
    path = folder / CONFIG_FILE
    try:
        config = SpeechTokenizerConfig.from_published(read_fields(path) if path.is_file() else {})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {one_line(error)}. Restore the file that came with the model.") from error
    return overridden(config, overrides, f"overrides of {path}")


def published_speech_decoder(folder: Path, overrides: Mapping[str, Any]) -> SpeechDecoderConfig:
    path = folder / DECODER_FILE
    config = read_decoder_config(path) if path.is_file() else SPEECH_DECODER
    return overridden(config, overrides, f"overrides of {path}")


def _overridden(
    path: Path, raw: Mapping[str, Any], fields: tuple[str, ...], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    unknown = ", ".join(name for name in overrides if name not in (*fields, *raw))
    if unknown:
        raise CheckpointError(f"model file: {unknown} cannot override a field of {path}; allowed: {', '.join(fields)}.")
    return {**raw, **overrides}


def _refuse_other_computations(
    path: Path, raw: Mapping[str, Any], read: tuple[str, ...], as_ours: Mapping[str, tuple[object, ...]]
) -> None:
    """Fields by which a checkpoint of fitting shapes would still mean another computation."""
    for name, value in raw.items():
        speaks = name in as_ours or any(word in name for word in COMPUTES)
        if name in read or not speaks or value in as_ours.get(name, OFF):
            continue
        allowed = " or ".join(repr(option) for option in as_ours.get(name, (None,)))
        raise CheckpointError(
            f"{path}: {name} is {value!r}, which this runtime does not compute; allowed: {allowed}. "
            "If it changes nothing, override it with that in the model file's config of the part."
        )


def _with_plain_rope(raw: dict[str, Any]) -> dict[str, Any]:
    """Newer writers of config.json put the rotary base into `rope_parameters`."""
    parameters = raw.get("rope_parameters")
    if isinstance(parameters, dict) and parameters.get("rope_type") == "default":
        raw = {**raw, "rope_parameters": None, "rope_theta": parameters.get("rope_theta", BACKBONE.rope_theta)}
    return raw


def _record(raw: object, path: Path, name: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path}: {name} holds no named fields. Restore or correct the file.")
    return raw


def _only(raw: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: raw[name] for name in fields if name in raw}


def _values(config: object, fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in fields}
