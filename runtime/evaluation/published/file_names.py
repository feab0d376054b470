"""File names from the ids of items."""

import hashlib
import re

LONGEST = 80


def file_name(item_id: str) -> str:
    """The id itself where it can be a file name, else what can be of it and a digest that keeps names apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", item_id)[:LONGEST].lstrip(".")
    if plain == item_id:
        return plain
    return f"{plain}-{hashlib.sha256(item_id.encode()).hexdigest()[:8]}"
