"""A stock client's session with the embedded model: answers are spoken unless it says otherwise, and each turn is
answered as what it asks for, whatever was shown before it."""

import base64
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from runtime.codecs.image import decode_image, encode_png
from runtime.evaluation.picture_checks import background_of
from runtime.training.world import BACKGROUNDS
from tests.support.embedded import Crank, serving_embedded, slot_of
from tests.support.wire_client import Event, WireClient, connected, image_item

CAT, QUESTION = "draw a cat on a green background", "what color is the background?"
WHAT = "what is this?"  # a question that is heard well


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_embedded() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[WireClient]:
    with connected(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def spoken() -> dict[str, str]:
    """Requests in the model's own voice, as an append carries them."""
    crank = Crank()
    for words in (CAT, WHAT):
        crank.ask(words, words, "text_to_speech", seed=1)
    sounds = {words: slot_of(crank.finished(words), "speech").speech for words in (CAT, WHAT)}
    return {
        words: base64.b64encode(sound.pcm.astype("<i2").tobytes()).decode()
        for words, sound in sounds.items()
        if sound is not None
    }


def say(client: WireClient, words: str, spoken: dict[str, str] | None = None) -> Event:
    """The response that answers it."""
    if spoken is None:
        client.say(words)
    else:
        client.send({"type": "input_audio_buffer.append", "audio": spoken[words]})
        client.ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")
    return client.answer()


def show(client: WireClient) -> None:
    """A yellow picture."""
    plain = np.full((80, 80, 3), BACKGROUNDS["yellow"], np.uint8)
    plain[20:60, 20:60] = 20
    item = image_item(encode_png(plain))
    item["content"].append({"type": "input_text", "text": QUESTION})
    client.ask({"type": "conversation.item.create", "item": item}, "conversation.item.done")
    assert "yellow" in transcript(client.answer())


def transcript(response: Event) -> str:
    (item,) = response["output"]
    assert [part["type"] for part in item["content"]] == ["output_audio"]
    return str(item["content"][0]["transcript"])


def num_read(response: Event) -> int:
    """Tokens of pictures."""
    return int(response["usage"]["input_token_details"]["image_tokens"])


def pictures(response: Event) -> list[str]:
    return [image["url"] for image in response["output"][0].get("omni", {}).get("images", [])]


def test_answers_are_spoken_unless_the_client_says_otherwise(client: WireClient) -> None:
    assert client.seen[0]["session"]["output_modalities"] == ["audio"]
    hello = say(client, "hello")
    assert (hello["output_modalities"], pictures(hello)) == (["audio"], [])
    assert transcript(hello)
    assert client.of_type("response.output_audio.delta")
    client.ask({"type": "session.update", "session": {"output_modalities": ["text"]}}, "session.updated")
    assert say(client, "hello")["output_modalities"] == ["text"]


def test_a_drawing_that_is_asked_for_aloud_comes_beside_the_spoken_answer(
    client: WireClient, spoken: dict[str, str]
) -> None:
    drawn = say(client, CAT, spoken)
    assert ("green" in transcript(drawn), len(pictures(drawn))) == (True, 1)
    (heard,) = client.of_type("conversation.item.input_audio_transcription.completed")
    read = drawn["usage"]["input_token_details"]
    assert ("green" in heard["transcript"], read["audio_tokens"] > 0, read["text_tokens"] > 0) == (True, True, True)
    item_id = heard["item_id"]
    asked = client.ask({"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved")
    assert asked["item"]["content"][0]["transcript"] == heard["transcript"]


@pytest.mark.parametrize("aloud", [False, True])
def test_after_a_picture_was_shown_each_turn_is_answered_as_what_it_asks(
    client: WireClient, spoken: dict[str, str], aloud: bool
) -> None:
    voice = spoken if aloud else None
    show(client)
    drawn = say(client, CAT, voice)
    (address,) = pictures(drawn)
    assert background_of(decode_image(httpx.get(address).content)) == "green"
    assert "green" in transcript(drawn)
    asked = say(client, WHAT, voice)
    assert (num_read(asked), pictures(asked)) == (100, [])
    assert "cat" in transcript(asked)  # of the picture that was drawn last
    greeted = say(client, "good morning")
    assert (num_read(greeted), pictures(greeted)) == (0, [])
    heard = client.of_type("conversation.item.input_audio_transcription.completed")
    assert len(heard) == (2 if aloud else 0)  # each once


def test_a_request_named_a_drawing_in_text_is_drawn_after_a_picture(client: WireClient) -> None:
    client.ask({"type": "session.update", "session": {"output_modalities": ["text"]}}, "session.updated")
    plain = np.full((80, 80, 3), BACKGROUNDS["yellow"], np.uint8)
    client.ask({"type": "conversation.item.create", "item": image_item(encode_png(plain))}, "conversation.item.done")
    client.answer()
    assert pictures(say(client, "a dog on a pink background"))
    asked = say(client, QUESTION)
    assert ("pink" in asked["output"][0]["content"][0]["text"], pictures(asked)) == (True, [])
