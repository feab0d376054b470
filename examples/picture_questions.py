"""Ask about a picture, then go on from there: a conversation is a value, so keeping the old one is a branch."""

from __future__ import annotations

import sys

from omnisdk import Client, Conversation, Image


def main(picture: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        chat = Conversation().user(Image(picture), "what is in this picture?")
        answer = omni.respond(chat, output=["text"])
        print(answer.text)
        chat = chat.add(answer).user("draw it again")
        drawing = omni.respond(chat, output=["image"]).image
        if drawing:
            print(drawing.blocks(32))


if __name__ == "__main__":
    main(*sys.argv[1:])
