"""Chat by keyboard: one live session, turn after turn, words shown as they are unmasked."""

from __future__ import annotations

import sys

from omnisdk import Client, OmniError


def main(url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni, omni.session(output=["text"]) as session:
        while words := input("you: ").strip():
            try:
                session.send(words)
                response = session.respond()
                for partial in response:
                    print(f"\romni: {partial.text}", end="", flush=True)
                print(f"\romni: {response.wait().text}")
            except OmniError as error:
                print(error)


if __name__ == "__main__":
    main(*sys.argv[1:])
