"""How answers and conversations show themselves in a notebook."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from omnisdk.conversation import Conversation, Part
from omnisdk.media import Image, Speech
from omnisdk.media.plots import animation


def answer_html(frames: Sequence[Image], speech: Speech | None, words: str) -> str:
    """The picture as it was unmasked, a player, and what is said; nothing where a picture or words alone say it."""
    film = b64encode(animation(frames)).decode() if len(frames) > 1 else ""
    shown = [f'<img src="data:image/webp;base64,{film}">'] if film else []
    shown += [speech._repr_html_()] if speech is not None else []
    shown += [f"<p>{escape(words)}</p>"] if shown and words else []
    return "".join(shown)


def partial_html(picture: Image | None, progress: float, words: str) -> str:
    """How far it is, the picture so far, and the words so far."""
    shown = [f'<progress value="{progress:.2f}"></progress>']
    shown += [_picture_html(picture)] if picture is not None else []
    shown += [f"<p>{escape(words)}</p>"] if words else []
    return "".join(shown)


def conversation_html(conversation: Conversation) -> str:
    """Who said what, with players and pictures."""
    lines = [("system", escape(conversation.system))] if conversation.system else []
    lines += [(item.role, " ".join(map(_part_html, item.parts)) or "(nothing)") for item in conversation.items]
    return "".join(f"<p><b>{role}</b> {shown}</p>" for role, shown in lines)


def _part_html(part: Part) -> str:
    match part:
        case Speech():
            return f"{part._repr_html_()} {escape(part.transcript or '')}"
        case Image():
            return _picture_html(part)
        case _:
            return escape(str(part))


def _picture_html(picture: Image) -> str:
    return f'<img src="data:image/png;base64,{b64encode(picture.png).decode()}">'
