"""Speech on a canvas: stretches of it are kept, put in and said anew, heard in the embedded model's answers."""

import base64
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.answers import (
    CODE_MS,
    SAMPLES_PER_MS,
    answered,
    ask,
    change,
    codes_of,
    done,
    of,
    sound_of,
    tokens_told,
    unlike,
    until_step,
    words_of,
)
from tests.support.embedded import embedded, serving_embedded
from tests.support.wire_client import Event, WireClient, connected

SAID, OTHER = "a cat on a red background", "a dog on a red background"
PART_MS = (400, 800)
PLACES = range(PART_MS[0] // CODE_MS, PART_MS[1] // CODE_MS)


@pytest.fixture(scope="module")
def client() -> Iterator[WireClient]:
    with serving_embedded() as url, connected(url, query="?omni=1") as opened:
        yield opened


@pytest.fixture(scope="module")
def recording(client: WireClient) -> NDArray[np.int16]:
    return sound_of(client, answered(client, SAID, output=["speech"]))


def respoken(recording: NDArray[np.int16], ms: tuple[int, int] = PART_MS) -> Event:
    return {"type": "speech", "audio": base64.b64encode(recording.tobytes()).decode(), "ms": ms}


def codes_heard(recording: NDArray[np.int16]) -> list[int]:
    voice = embedded().voice
    codes: torch.Tensor = voice.encode(recording, 24_000)  # type: ignore[union-attr]
    return codes.tolist()  # type: ignore[no-any-return]


def test_only_the_stretch_of_a_recording_is_said_anew(client: WireClient, recording: NDArray[np.int16]) -> None:
    answer = answered(client, OTHER, output=["speech"], given=[respoken(recording)])
    before, after = codes_heard(recording), codes_of(tokens_told(client, answer)["speech"])
    changed = {place for place, code in enumerate(before) if after[place] != code}
    assert changed
    assert changed <= set(PLACES)
    sound = sound_of(client, answer)
    assert len(sound) == len(recording)
    assert unlike(sound, recording, (PART_MS[1] + 200, 1400)) < unlike(sound, recording, PART_MS) / 1.5


def test_a_recording_stays_where_its_words_are_given_or_found(client: WireClient, recording: NDArray[np.int16]) -> None:
    layout = [{"slot": "text"}, {"slot": "speech"}]
    before = codes_heard(recording)
    for text, begin in ((OTHER, OTHER), ("a {mask} on a red background", "a ")):
        given = [{"type": "text", "text": text}, respoken(recording)]
        answer = answered(client, "draw", canvas=layout, given=given)
        after = codes_of(tokens_told(client, answer)["speech"])
        assert words_of(client, answer).startswith(begin)
        assert sorted(after) == list(range(len(before)))
        assert {place for place, code in enumerate(before) if after[place] != code} <= set(PLACES)


def test_the_stretch_that_is_masked_while_it_forms_is_said_anew_and_the_rest_stays(client: WireClient) -> None:
    answer = ask(client, SAID, output=["speech"])
    until_step(client, 9)
    step = change(client, "edit", answer, edits=[{"action": "mask", "slot": "speech", "ms": PART_MS}])
    client.send(
        {"type": "omni.response.tune", "response_id": answer, "temperature": 2.0}
    )  # so that it is said otherwise
    assert done(client, answer)["status"] == "completed"
    before, after = tokens_told(client, answer, until=step)["speech"], tokens_told(client, answer)["speech"]
    kept = {place for place in before if place not in PLACES}
    assert len(kept) > 10
    assert all(after[place] == before[place] for place in kept)
    opened = {p for e in of(client, answer, "omni.canvas.delta") for slot in e["slots"] for p in slot["remasked"]}
    assert opened
    assert opened <= set(PLACES)  # what was filled again in the same step is not told as opened
    assert any(after[place] != before[place] for place in PLACES if place in before)
    # As long as it was, and not what is said where nothing is masked.
    assert len(sound_of(client, answer)) == len(codes_of(after)) * CODE_MS * SAMPLES_PER_MS


def test_codes_that_are_put_between_two_moments_sound_there(client: WireClient) -> None:
    source = codes_of(tokens_told(client, answered(client, OTHER, output=["speech"]))["speech"])
    first = embedded().vocabulary.speech[0]
    put = [source[place] + first for place in PLACES]
    answer = ask(client, SAID, output=["speech"])
    until_step(client, 4)
    change(client, "edit", answer, edits=[{"action": "set", "slot": "speech", "ms": PART_MS, "tokens": put}])
    done(client, answer)
    after = tokens_told(client, answer)["speech"]
    assert [after[place] for place in PLACES] == put


def test_what_is_pinned_by_its_time_is_said_whatever_the_words_become(client: WireClient) -> None:
    answer = ask(client, SAID, output=["speech"])
    until_step(client, 8)
    known = sorted(tokens_told(client, answer)["speech"])
    place = next(place for place in known if place + 1 in known)
    ms = [place * CODE_MS, (place + 2) * CODE_MS]
    pinned = change(client, "edit", answer, edits=[{"action": "pin", "slot": "speech", "ms": ms}])
    change(client, "steer", answer, steer={"instructions": OTHER, "bound": 1.0})
    done(client, answer)
    before, after = tokens_told(client, answer, until=pinned)["speech"], tokens_told(client, answer)["speech"]
    assert [after[p] for p in (place, place + 1)] == [before[p] for p in (place, place + 1)]
    assert any(after[p] != before[p] for p in before)


def test_the_same_seed_says_the_same_bytes(client: WireClient, recording: NDArray[np.int16]) -> None:
    assert sound_of(client, answered(client, SAID, output=["speech"])).tobytes() == recording.tobytes()
