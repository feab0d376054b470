"""What both forms of the wire can say: MessagePack knows more than JSON, and JSON knows longer numbers."""

from __future__ import annotations

import math
from typing import Any

from omnisdk.protocol.limits import MAX_DEPTH

_SIMPLE = {str, bool, type(None), bytes}


def unfit(value: Any, path: str = "", depth: int = 0) -> tuple[str, str] | None:
    """Path and problem of the first thing in a decoded message that the other form could not say; None if all fits.

    Bytes fit: in JSON they are base64.
    """
    match value:
        case dict() | list() if depth == MAX_DEPTH:
            return path, f"more than {MAX_DEPTH} objects and lists stand inside of each other; nest them less"
        case dict():
            return _unfit_in_dict(value, path, depth)
        case list():
            return next(
                (
                    found
                    for index, item in enumerate(value)
                    if type(item) not in _SIMPLE and (found := unfit(item, f"{path}[{index}]", depth + 1))
                ),
                None,
            )
        case int() if not -(2**63) <= value < 2**64:
            return path, f"an integer of {value.bit_length()} bits came; at most 64 are taken; send it as text"
        case float() if not math.isfinite(value):
            return path, f"{value} came; send a finite number"
        case int() | float():
            return None
    return None if type(value) in _SIMPLE else (path, f"a {type(value).__name__} came; send what JSON can say as well")


def _unfit_in_dict(value: dict[Any, Any], path: str, depth: int) -> tuple[str, str] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return path, f"a key of type {type(key).__name__} came; keys are text"
        if type(item) not in _SIMPLE and (found := unfit(item, f"{path}.{key}" if path else key, depth + 1)):
            return found
    return None
