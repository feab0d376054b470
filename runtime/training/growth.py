"""A trained backbone taken over into a larger one, which begins by doing exactly what the small one did.

Token ids move with their range (text, special tokens, speech, pictures), new ones begin as the larger model has them.
New layers stand behind every other old one and add nothing yet: their last matrices are zero.
"""

import re

import torch
from torch import Tensor

from runtime.codecs.vocabulary import Vocabulary

LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
LAST_MATRICES = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def places_of_layers(num_before: int, num_after: int) -> list[int]:
    """Where each old layer stands among the new: the added ones are spread evenly behind the first old layers."""
    added = num_after - num_before
    if added < 0:
        raise ValueError(f"a model of {num_before} layers cannot be taken over into one of {num_after}")
    return [index + min(added, index * (added + 1) // num_before) for index in range(num_before)]


def moved_rows(weight: Tensor, before: Vocabulary, into: Tensor, after: Vocabulary) -> Tensor:
    """Rows of an embedding (ids before, width) in their places of `into` (ids after, width)."""
    rows = into.clone()
    for (first, stop), (new_first, new_stop) in zip(_ranges(before), _ranges(after), strict=True):
        if stop - first > new_stop - new_first:
            raise ValueError(f"{stop - first} ids do not go into a range of {new_stop - new_first}")
        rows[new_first : new_first + stop - first] = weight[first:stop]
    return rows


def _ranges(vocabulary: Vocabulary) -> list[tuple[int, int]]:
    special = vocabulary.special.values()
    return [vocabulary.text, (min(special), max(special) + 1), vocabulary.speech, vocabulary.image]


def grown(
    saved: dict[str, Tensor], before: Vocabulary, larger: dict[str, Tensor], after: Vocabulary
) -> dict[str, Tensor]:
    """The state of the larger model with everything of `saved` in it.

    saved, larger: states under published names; `larger` as initialised. Raises ValueError where it is not larger.
    """
    places = places_of_layers(_num_layers(saved), _num_layers(larger))
    state = {
        name: torch.zeros_like(part) if name.endswith(LAST_MATRICES) and "audio_model" not in name else part.clone()
        for name, part in larger.items()
    }
    for name, part in saved.items():
        found = LAYER.fullmatch(name)
        if found:
            state[f"model.layers.{places[int(found[1])]}.{found[2]}"] = part.float()
        elif name in ("model.embed_tokens.weight", "lm_head.weight"):
            state[name] = moved_rows(part.float(), before, larger[name], after)
        else:
            state[name] = part.float()
    return state


def _num_layers(state: dict[str, Tensor]) -> int:
    return 1 + max(int(found[1]) for name in state if (found := LAYER.fullmatch(name)))
