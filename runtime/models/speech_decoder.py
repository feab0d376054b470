"""The two networks of a speech decoder side by side, and their sizes from the published `config.yaml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from runtime.models.config_files import checked
from runtime.models.speech_flow.conformer import ConformerConfig
from runtime.models.speech_flow.flow import MEL_HOP_SAMPLES, MEL_SAMPLE_RATE_HZ, FlowConfig
from runtime.models.speech_flow.unet import UNetConfig
from runtime.models.vocoder import F0PredictorConfig, VocoderConfig
from runtime.models.weight_files import CheckpointError

# What the published config may say that these networks have no other way of doing.
REQUIRED: dict[str, dict[str, object]] = {
    "flow: encoder": {
        "input_layer": "linear", "pos_enc_layer_type": "rel_pos_espnet", "normalize_before": True,
        "selfattention_layer_type": "block_rel_selfattn", "use_cnn_module": False, "macaron_style": False,
    },
    "flow": {"output_type": "mel"},
    "flow: estimator": {"act_fn": "gelu"},
    "flow: cfm": {"n_spks": 1},
    "hift: f0_predictor": {"num_class": 1},
    "flow: cfm: cfm_params": {"solver": "euler", "t_scheduler": "cosine"},
}  # fmt: skip

# Fields that matter in training alone, and those that hold fields of their own.
PASSED_OVER: dict[str, tuple[str, ...]] = {
    "flow": ("only_mask_loss", "encoder", "length_regulator", "cfm", "estimator"),
    "flow: encoder": ("dropout_rate", "positional_dropout_rate", "attention_dropout_rate"),
    "flow: estimator": ("dropout",),
    "hift": ("istft_params", "f0_predictor"),
}


@dataclass(frozen=True)
class SpeechDecoderConfig:
    flow: FlowConfig
    vocoder: VocoderConfig

    @classmethod
    def from_published(cls, sizes: Mapping[str, Any], where: str = "speech decoder") -> "SpeechDecoderConfig":
        """From the nested constructor arguments `flow` and `hift`. where: as errors are to name them.

        A field left out is refused: the published code has defaults of its own, which are not the published model's.
        Raises ValueError or CheckpointError naming the field that is missing, unknown or does not fit.
        """
        for place, required in REQUIRED.items():
            given = _inside(sizes, place)
            for name, value in required.items():
                if given.get(name, value) != value:
                    raise ValueError(f"{place}: {name} is {given[name]!r}; this decoder is built for {value!r} alone")
        flow = _sizes(FlowConfig, sizes, "flow", ("num_regulator_convs", "inference_cfg_rate", "encoder", "estimator"))
        flow["encoder"] = _sizes(ConformerConfig, sizes, "flow: encoder")
        flow["estimator"] = _sizes(UNetConfig, sizes, "flow: estimator")
        flow["num_regulator_convs"] = len(_named(sizes, "flow: length_regulator", "sampling_ratios"))
        flow["inference_cfg_rate"] = _named(sizes, "flow: cfm: cfm_params", "inference_cfg_rate")
        vocoder = _sizes(VocoderConfig, sizes, "hift", ("f0_predictor", "n_fft", "hop_len"))
        vocoder |= {name: _named(sizes, "hift: istft_params", name) for name in ("n_fft", "hop_len")}
        vocoder["f0_predictor"] = _sizes(F0PredictorConfig, sizes, "hift: f0_predictor")
        config = checked({"flow": flow, "vocoder": vocoder}, cls, where)
        config.refuse_misfits()
        return config

    def refuse_misfits(self) -> None:
        """Raises ValueError where one part's size is not the other's."""
        flow, vocoder, mels = self.flow, self.vocoder, self.flow.output_size
        for what, size, wanted in (
            ("flow: encoder: input_size", flow.encoder.input_size, flow.input_size),
            ("flow: estimator: in_channels", flow.estimator.in_channels, 4 * mels),
            ("flow: estimator: out_channels", flow.estimator.out_channels, mels),
            ("hift: in_channels", vocoder.in_channels, mels),
            ("hift: f0_predictor: in_channels", vocoder.f0_predictor.in_channels, mels),
            ("hift: samples a frame", vocoder.hop_samples, MEL_HOP_SAMPLES),
            ("hift: sampling_rate", vocoder.sampling_rate, MEL_SAMPLE_RATE_HZ),
            ("hift: upsample_kernel_sizes", len(vocoder.upsample_kernel_sizes), len(vocoder.upsample_rates)),
            ("hift: resblock_dilation_sizes", len(vocoder.resblock_dilation_sizes), len(vocoder.resblock_kernel_sizes)),
            ("hift: source_resblock_kernel_sizes", len(vocoder.source_resblock_kernel_sizes),
             len(vocoder.upsample_rates)),
            ("hift: source_resblock_dilation_sizes", len(vocoder.source_resblock_dilation_sizes),
             len(vocoder.upsample_rates)),
        ):  # fmt: skip
            if size != wanted:
                raise ValueError(f"{what}: {size} came, {wanted} is needed beside the other fields")
        if flow.input_frame_rate <= 0:
            raise ValueError(f"flow: input_frame_rate is {flow.input_frame_rate}; it has to be above 0")


def read_decoder_config(path: Path) -> SpeechDecoderConfig:
    """The sizes in a published `config.yaml`. Its tags name Python classes; they are read as plain fields, never made.

    Raises CheckpointError naming the file, the field and what to do.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read ({' '.join(str(error).split())}). Restore the file.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no named fields. Restore the file that came with the model.")
    try:
        return SpeechDecoderConfig.from_published(_published_nesting(_resolved(content, content)), str(path))
    except CheckpointError:
        raise
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}. Restore the file that came with the model.") from error


class _PlainLoader(yaml.SafeLoader):
    """Takes any tag for a note on the fields behind it."""


def _plain(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    value = loader.construct_scalar(node)  # type: ignore[arg-type]
    return f"!ref {value}" if tag.startswith("ref") else value


_PlainLoader.add_multi_constructor("!", _plain)


def _resolved(value: Any, top: Mapping[str, Any]) -> Any:
    """With references `!ref <name>` to fields at the top replaced by what they name."""
    if isinstance(value, dict):
        return {name: _resolved(inner, top) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, top) for inner in value]
    if isinstance(value, str) and (found := re.fullmatch(r"!ref <(\w+)>", value)) and found[1] in top:
        named = top[found[1]]
        return named if isinstance(named, str) else _resolved(named, {})
    return value


def _published_nesting(content: Mapping[str, Any]) -> dict[str, Any]:
    """The file has the estimator inside the flow's `decoder`, and its parameters inside `content`."""
    flow = dict(_mapping(content, "flow"))
    matching = dict(flow.pop("decoder", {}))
    flow.setdefault("estimator", matching.pop("estimator", {}))
    parameters = matching.get("cfm_params", {})
    if isinstance(parameters, Mapping) and "content" in parameters:
        matching["cfm_params"] = parameters["content"]
    flow.setdefault("cfm", matching)
    return {"flow": flow, "hift": _mapping(content, "hift")}


def _mapping(fields_: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields_.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {'missing' if value is None else repr(value)}; its constructor fields are needed")
    return value


def _inside(sizes: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The fields at "a: b: c"; none where there is nothing."""
    found: Any = sizes
    for name in place.split(": "):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _named(sizes: Mapping[str, Any], place: str, name: str) -> Any:
    given = _inside(sizes, place)
    if name not in given:
        raise ValueError(f"{place}: {name} is missing")
    return given[name]


def _sizes(kind: type, sizes: Mapping[str, Any], place: str, elsewhere: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of `kind` at a place, every one of them. elsewhere: those that the file has in other places."""
    given = _inside(sizes, place)
    if not given:
        raise ValueError(f"{place} is missing; its constructor fields are needed")
    own = [field.name for field in fields(kind) if field.name not in elsewhere]
    known = (*own, *REQUIRED.get(place, ()), *PASSED_OVER.get(place, ()))
    for name in given:
        if name not in known:
            raise ValueError(f"{place}: unknown field {name}; allowed: {', '.join(known)}")
    return {name: _named(sizes, place, name) for name in own}
