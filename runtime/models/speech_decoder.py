"""The two networks of a speech decoder side by side, and their sizes from the published `config.yaml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from runtime.models.speech_flow.conformer import ConformerConfig
from runtime.models.speech_flow.flow import FlowConfig
from runtime.models.speech_flow.unet import UNetConfig
from runtime.models.vocoder import F0PredictorConfig, VocoderConfig
from runtime.models.weight_files import CheckpointError

C = TypeVar("C")

# What the published config may say that these networks have no other way of doing.
REQUIRED: dict[str, dict[str, object]] = {
    "flow: encoder": {
        "input_layer": "linear", "pos_enc_layer_type": "rel_pos_espnet", "normalize_before": True,
        "selfattention_layer_type": "block_rel_selfattn", "use_cnn_module": False, "macaron_style": False,
    },
    "flow: estimator": {"act_fn": "gelu"},
    "flow: cfm: cfm_params": {"solver": "euler", "t_scheduler": "cosine"},
}  # fmt: skip


@dataclass(frozen=True)
class SpeechDecoderConfig:
    flow: FlowConfig
    vocoder: VocoderConfig

    @classmethod
    def from_published(cls, sizes: Mapping[str, Any]) -> "SpeechDecoderConfig":
        """From the nested constructor arguments `flow` and `hift`.

        Raises ValueError naming the field that does not fit.
        """
        for place, required in REQUIRED.items():
            given = _inside(sizes, place)
            for name, value in required.items():
                if given.get(name, value) != value:
                    raise ValueError(f"{place}: {name} is {given[name]!r}; this decoder is built for {value!r} alone")
        flow = _mapping(sizes, "flow")
        vocoder = dict(_mapping(sizes, "hift"))
        vocoder |= _inside(sizes, "hift: istft_params")
        return cls(
            flow=_config(
                FlowConfig,
                flow,
                encoder=_config(ConformerConfig, _inside(sizes, "flow: encoder")),
                estimator=_config(UNetConfig, _inside(sizes, "flow: estimator")),
                num_regulator_convs=len(_inside(sizes, "flow: length_regulator").get("sampling_ratios", (1, 1, 1, 1))),
                inference_cfg_rate=_inside(sizes, "flow: cfm: cfm_params").get("inference_cfg_rate", 0.7),
            ),
            vocoder=_config(
                VocoderConfig, vocoder, f0_predictor=_config(F0PredictorConfig, _inside(sizes, "hift: f0_predictor"))
            ),
        )


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
        return SpeechDecoderConfig.from_published(_published_nesting(_resolved(content, content)))
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


def _config(kind: type[C], sizes: Mapping[str, Any], **nested: Any) -> C:
    """Fields the networks do not depend on (dropout, losses) are passed over; lists become tuples."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    own = {name: _frozen(value) for name, value in sizes.items() if name in names}
    return kind(**{**own, **nested})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
