"""Take away half of a picture while it is drawn: that half is drawn anew, the other stays."""

from __future__ import annotations

import sys

from omnisdk import Box, Client, Edit


def main(wish: str = "draw a cat on a blue background", picture: str = "picture.png", url: str | None = None) -> None:
    client = Client(url) if url else Client.local()
    with client as omni, omni.session(output=["image"], partials="preview") as session:
        session.send(wish)
        response = session.respond(steps=24)
        for partial in response:
            if partial.image is not None and partial.progress > 0.25:
                width, height = partial.image.size
                step = response.edit(Edit.mask("image", Box(width // 2, 0, width, height))).wait()
                print(f"the right half was taken away after step {step}")
                break
        answer = response.wait()
        print(f"{answer.steps} steps")
        if answer.image:
            print("picture:", answer.image.save(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
