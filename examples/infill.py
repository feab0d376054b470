"""Infill: some words of the answer stand, the model fills the gaps between them. {mask} is a gap."""

from __future__ import annotations

import sys

from omnisdk import Canvas, Client, Image, Text


def main(picture: str, words: str = "a {mask} on a {mask} background", url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        answer = omni.fill(Canvas(Text(words), prompt=[Image(picture), "what is this?"])).wait()
        print(answer.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
