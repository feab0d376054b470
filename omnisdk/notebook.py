"""How an answer shows itself in a notebook."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from omnisdk.media import Image, Speech
from omnisdk.media.plots import animation


def answer_html(frames: Sequence[Image], speech: Speech | None, words: str) -> str:
    """The picture as it was unmasked, a player, and what is said; nothing where a picture or words alone say it."""
    film = b64encode(animation(frames)).decode() if len(frames) > 1 else ""
    shown = [f'<img src="data:image/webp;base64,{film}">'] if film else []
    shown += [speech._repr_html_()] if speech is not None else []
    shown += [f"<p>{escape(words)}</p>"] if shown and words else []
    return "".join(shown)
