"""The tiny model with a voice of the embedded model's kind."""

from dataclasses import replace

import torch

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.engine.model import OmniModel
from runtime.engine.narration import Timing
from runtime.engine.recipe import SPEAKING_RECIPES
from tests.support.compact_voice import compact_voice
from tests.support.tiny_model import tiny_model

NUM_CODES = 32


def speaking_model() -> OmniModel:
    """A token lasts two codes, three as the last; one code of silence before and two behind."""
    model = tiny_model(num_speech=NUM_CODES)
    voice = compact_voice(model.text.num_tokens)
    timing = Timing(torch.tensor([2.0, 3.0]).expand(model.text.num_tokens, 2), (1.0, 2.0))
    return replace(model, voice=CompactVoiceCodec(voice), timing=timing, recipes=SPEAKING_RECIPES)
