"""An answer of a type: the form is given, only its values are left to the model."""

from __future__ import annotations

import sys
from enum import StrEnum

from pydantic import BaseModel, Field

from omnisdk import Client


class Color(StrEnum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Order(BaseModel):
    """Order fruit."""

    count: int = Field(ge=1, le=10)
    color: Color
    wrapped: bool


def main(words: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        print(omni.ask(words, output=Order))


if __name__ == "__main__":
    main(*sys.argv[1:])
