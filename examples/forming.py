"""An answer while it forms: each word as sure as it is bright, what is still masked as fog, beside its picture."""

from __future__ import annotations

import sys

import numpy as np

from omnisdk import Client, ImagePartial, SlotPartial, SpeechPartial, TextPartial

SHADES = ((0.9, "1"), (0.6, "0"), (0.0, "2"))  # from so much confidence on: bold, plain, faint


def bright(text: TextPartial) -> str:
    shades = [next((shade for least, shade in SHADES if sure >= least), "2") for sure in text.letters]
    return "".join(f"\x1b[{shade}m{letter}" for letter, shade in zip(text.text, shades, strict=True)) + "\x1b[0m"


def shown(slot: SlotPartial) -> str:
    sure = f"{np.nanmean(slot.confidence):.0%} sure" if not slot.masked.all() else "nothing yet"
    match slot:
        case TextPartial():
            return f"{slot.name} {slot.progress:.0%}: {bright(slot)}"
        case ImagePartial() if slot.image is not None:
            return f"{slot.name} {slot.progress:.0%}, {sure}\n{slot.image.blocks(32)}"
        case SpeechPartial() if slot.speech is not None:
            return f"{slot.name} {slot.progress:.0%}, {sure}: {slot.speech.duration_s:.1f} s can be heard"
        case _:
            return f"{slot.name} {slot.progress:.0%}, {sure}"


def main(words: str = "draw two apples on a blue background", url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni, omni.session(output=["image", "text"]) as session:
        session.send(words)
        for partial in session.respond():
            print(f"\nstep {partial.step} of {partial.steps}", *map(shown, partial.slots.values()), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
