"""An answer is watched as it forms: what is told on the way is what comes out, seen in the embedded model's answers."""

import base64
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from runtime.codecs.image import ImageCodec, decode_image
from tests.support.answers import (
    answered,
    ask,
    codes_of,
    done,
    of,
    picture_of,
    sound_of,
    tokens_told,
    wish,
    words_of,
)
from tests.support.embedded import embedded, serving_embedded
from tests.support.unhurried import PAUSE_S
from tests.support.wire_client import WireClient, connected, speech

WISH = "draw a cat on a red background"
BLANK = "▒"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_embedded() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[WireClient]:
    with connected(url, query="?omni=1") as opened:
        yield opened


def painted(tokens: dict[int, int]) -> np.ndarray:
    model = embedded()
    codec = ImageCodec(model.image_tokenizer, model.image_size_px)
    codes = torch.tensor([tokens[place] - model.vocabulary.image[0] for place in range(len(tokens))])
    return codec.decode(codes.view(model.image_grid))


def said(tokens: dict[int, int]) -> np.ndarray:
    codes, voice = codes_of(tokens), embedded().voice
    assert voice is not None
    return voice.pcm(torch.tensor([codes[place] for place in sorted(codes)]))


def written(tokens: dict[int, int]) -> str:
    model = embedded()
    first, stop = model.vocabulary.text
    return model.text.decode([tokens[place] for place in sorted(tokens) if first <= tokens[place] < stop])


def test_what_the_deltas_add_up_to_is_the_picture_the_words_and_the_sound(client: WireClient) -> None:
    answer = answered(client, WISH, output=["image", "text", "speech"])
    tokens = tokens_told(client, answer)
    (created,) = of(client, answer, "omni.canvas.created")
    assert {slot["name"]: slot["length"] for slot in created["slots"]} == {n: len(t) for n, t in tokens.items()}
    assert np.array_equal(painted(tokens["image"]), picture_of(client, answer))
    assert written(tokens["text"]) == words_of(client, answer)
    assert np.array_equal(said(tokens["speech"]), sound_of(client, answer))


def test_deltas_are_merged_for_a_client_that_does_not_read(url: str) -> None:
    with connected(url, query="?omni=1", sock=narrow_socket(url), max_queue=1) as client:
        heard = {"type": "input_audio", "audio": speech(14 * 24_000)}
        item = {"type": "message", "role": "user", "content": [heard]}
        item_id = client.ask({"type": "conversation.item.create", "item": item}, "conversation.item.done")["item"]["id"]
        for _ in range(8):  # 7 MB, more than the socket holds
            client.send({"type": "conversation.item.retrieve", "item_id": item_id})
        client.send(wish(WISH, output=["image"]))
        with connected(url, query="?omni=1") as other:  # whose answer ends after that of the first
            answered(other, WISH, output=["image"])
        answer = client.until("response.done")["response"]["id"]
        deltas = of(client, answer, "omni.canvas.delta")
        assert len(deltas) < deltas[-1]["steps"] - 2
        assert np.array_equal(painted(tokens_told(client, answer)["image"]), picture_of(client, answer))


def narrow_socket(url: str) -> socket.socket:
    """One that takes little of what is not read."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    narrow.connect((urlsplit(url).hostname, urlsplit(url).port))
    return narrow


def test_partial_pictures_come_nearer_to_the_picture(client: WireClient) -> None:
    answer = answered(client, WISH, output=["image"])
    partials = of(client, answer, "omni.image.partial")
    final = picture_of(client, answer).astype(float)
    away = [np.abs(decode_image(base64.b64decode(p["partial_image_b64"])) - final).mean() for p in partials]
    masked = [sum(partial["mask"]) for partial in partials]
    assert masked[0] > 80
    assert masked == sorted(masked, reverse=True)
    half = len(away) // 2
    assert away[-1] == 0
    assert np.mean(away[half:]) < np.mean(away[:half])
    # What is known of the mask is what the confidence speaks of; a bold draw may be sure to less than a thousandth.
    for partial in partials:
        sure, hidden = np.array(partial["confidence"]), np.array(partial["mask"], bool)
        assert not sure[hidden].any()
        assert np.count_nonzero(sure[~hidden]) >= 0.9 * np.count_nonzero(~hidden)


def test_words_stand_in_the_text_around_its_holes_until_all_are_known(client: WireClient) -> None:
    slow = {"text": {"steps": 8, "commit": "schedule"}}
    answer = answered(client, WISH, output=["image", "text"], generation=slow)
    partials = of(client, answer, "omni.text.partial")
    holes = [partial["text"].count(BLANK) for partial in partials]
    assert holes == sorted(holes, reverse=True)
    assert holes[0] > holes[-1] == 0
    assert partials[-1]["text"].strip() == words_of(client, answer)
    for before, after in pairwise(partials):
        known = [before["text"][span["start"] : span["end"]].strip() for span in before["spans"] if not span["masked"]]
        assert all(word in after["text"] for word in known)


def test_progress_tells_how_far_it_is_and_how_long_the_rest_takes(client: WireClient) -> None:
    began_s = time.monotonic()
    answer = ask(client, WISH, output=["image"], steps=10)
    told = []
    while not told or told[-1][0]["unmasked_ratio"] < 1:
        told.append((client.until("omni.progress"), time.monotonic() - began_s))
    shares = [progress["unmasked_ratio"] for progress, _ in told]
    assert shares == sorted(shares)
    assert [progress["step"] for progress, _ in told] == list(range(1, 11))
    for progress, elapsed_s in told[1:]:
        left = progress["steps"] - progress["step"]
        # No step is faster than the pause before it, nor were the steps so far slower than they took to come.
        assert 1000 * PAUSE_S * left <= progress["eta_ms"] + 1 <= 1000 * elapsed_s / progress["step"] * left + 2
    assert done(client, answer)["status"] == "completed"
