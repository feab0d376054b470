"""Prompts: the chat template of every task, and the layout of the published ids."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from runtime.codecs.vocabulary import IMAGE_TAG, SPECIAL_TOKENS, SPEECH_TAG, Vocabulary
from runtime.engine.prompt import (
    REFERENCE_CHAT,
    Content,
    EncodedImage,
    EncodedSpeech,
    EncodedTurn,
    render,
    with_instructions,
)
from runtime.engine.recipe import PUBLISHED_RECIPES, Recipe
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import read_json

SPEECH, IMAGE = EncodedSpeech(torch.empty(0, 0)), EncodedImage(torch.empty(0, 0))


def cases(root: Path) -> Iterator[Case]:
    if (path := root / "prompts" / "rendered.json").is_file():
        for i, entry in enumerate(read_json(path)):
            yield Case(f"prompts/{i} {entry['task']}", partial(_rendered, entry))
    if (path := root / "prompts" / "token_layout.json").is_file():
        yield Case("prompts/ids", partial(_ids, read_json(path)))


def _rendered(entry: dict[str, Any], check: Comparison) -> None:
    """What the user said is read out of the golden messages; all else is put there by our recipe and our template."""
    recipe = next(recipe for recipe in PUBLISHED_RECIPES.values() if recipe.task == entry["task"])
    turn = EncodedTurn("user", _said(entry["messages"][-1]["content"], recipe))
    told = with_instructions([turn], recipe, REFERENCE_CHAT)
    check.same("messages", _messages(told), entry["messages"])
    check.same("text", render(told, REFERENCE_CHAT), entry["rendered"])


def _said(content: str, recipe: Recipe) -> tuple[Content, ...]:
    words = content.replace(SPEECH_TAG, "").replace(IMAGE_TAG, "").removeprefix(recipe.instruction).strip("\n")
    media = ((SPEECH_TAG, SPEECH), (IMAGE_TAG, IMAGE))
    return (*([words] if words else []), *(medium for tag, medium in media if tag in content))


def _messages(turns: Sequence[EncodedTurn]) -> list[dict[str, str]]:
    tags = {EncodedSpeech: SPEECH_TAG, EncodedImage: IMAGE_TAG}
    return [
        {
            "role": turn.role,
            "content": REFERENCE_CHAT.separator.join(
                content if isinstance(content, str) else tags[type(content)]
                for content in REFERENCE_CHAT.ordered(turn.contents)
            ),
        }
        for turn in turns
    ]


def _ids(layout: dict[str, Any], check: Comparison) -> None:
    vocabulary = Vocabulary.published()
    first, last = layout["text_ids"]
    check.same("text", vocabulary.text, (first, last + 1))
    check.same("special tokens", dict(vocabulary.special), {name: layout["named"][name] for name in SPECIAL_TOKENS})
    for name, ours in (("audio", vocabulary.speech), ("image", vocabulary.image)):
        check.same(name, ours, (layout[name]["first_id"], layout[name]["last_id"] + 1))
    check.same("size", len(vocabulary), layout["vocab_size"])
    dropped = layout["skipped_when_decoding_with_skip_special_tokens"]
    check.same("ids that are never read as text", [token for token in dropped if token < vocabulary.text[1]], [])
