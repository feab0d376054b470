"""Inpainting: the right half of a picture is painted anew, the left half stays."""

from __future__ import annotations

import sys

from omnisdk import Box, Canvas, Client, Image


def main(first: str, second: str, path: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        before = omni.ask(f"draw {first}", output=["image"]).image
        assert before is not None
        width, height = before.size
        right_half = Image(before.pixels, mask=Box(width // 2, 0, width, height))
        after = omni.fill(Canvas(right_half, prompt=f"draw {second}")).wait().image
        assert after is not None
        print(f"{before.blocks(32)}\n{after.blocks(32)}")
        after.save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
