"""Say what to draw and watch the picture form, without an event loop."""

from __future__ import annotations

import sys

from omnisdk import Client, Speech


def main(recording: str, picture: str = "picture.png", url: str | None = None) -> None:
    client = Client(url) if url else Client.local()
    with client as omni, omni.session(output=["image", "text"]) as session:
        session.send(Speech(recording))
        response = session.respond()
        for partial in response:
            print(f"{partial.progress:4.0%}", partial.transcript)
        answer = response.wait()
        print("heard:", answer.transcript)
        if answer.image:
            print("picture:", answer.image.save(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
