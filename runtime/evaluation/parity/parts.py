"""All parts of a golden folder, in the order they are reported."""

from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.evaluation.parity import (
    backbone,
    generation,
    image,
    prompts,
    sampler,
    speech_in,
    speech_out,
    speech_tokens,
    training,
)
from runtime.evaluation.parity.case import Case
from runtime.evaluation.parity.golden import integrity

PARTS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "manifest": integrity,
    "backbone": backbone.cases,
    "sampler": sampler.cases,
    "generation": generation.cases,
    "prompts": prompts.cases,
    "image": image.cases,
    "speech_in": speech_in.cases,
    "speech_tokens": speech_tokens.cases,
    "speech_out": speech_out.cases,
    "training": training.cases,
}
