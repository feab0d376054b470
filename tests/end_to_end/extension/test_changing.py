"""An answer is changed while it forms, or ended early, and what comes out is seen to follow; the embedded model."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.training.world import BACKGROUNDS
from tests.support.answers import (
    answered,
    ask,
    background,
    canvas_of,
    change,
    done,
    of,
    picture_of,
    tokens_told,
    until_known,
    until_step,
    words_of,
)
from tests.support.embedded import embedded, serving_embedded
from tests.support.unhurried import PAUSE_S
from tests.support.wire_client import WireClient, connected

BLUE, GREEN = "draw a cat on a blue background", "draw a cat on a green background"
SLOW_TEXT = {"text": {"steps": 8, "commit": "schedule"}}
LEFT = [0, 0, 40, 80]  # px
MIDDLE = [16, 16, 64, 64]  # where things are drawn
ROWS = COLUMNS = 10
LEFT_CELLS = {row * COLUMNS + column for row in range(ROWS) for column in range(COLUMNS // 2)}


@pytest.fixture(scope="module")
def client() -> Iterator[WireClient]:
    with serving_embedded() as url, connected(url, query="?omni=1") as opened:
        yield opened


def color(pixels: NDArray[np.uint8]) -> str:
    """The background that these pixels are nearest to."""
    mean = pixels.reshape(-1, 3).mean(0)
    return min(BACKGROUNDS, key=lambda name: float(np.abs(np.array(BACKGROUNDS[name]) - mean).sum()))


def test_a_rectangle_that_is_pinned_stays_and_the_rest_follows_the_other_request(client: WireClient) -> None:
    answer = ask(client, BLUE, output=["image", "text"], generation=SLOW_TEXT)
    until_known(client, answer, "image")
    pinned = change(client, "edit", answer, edits=[{"action": "pin", "slot": "image", "box": LEFT}])
    change(client, "steer", answer, steer={"instructions": GREEN, "bound": 1.0})
    done(client, answer)
    before, after = tokens_told(client, answer, until=pinned)["image"], tokens_told(client, answer)["image"]
    assert all(after[cell] == before[cell] for cell in LEFT_CELLS)
    picture = picture_of(client, answer)
    assert (color(picture[:, :2]), color(picture[:, -2:])) == ("blue", "green")


def test_a_rectangle_that_is_masked_is_painted_anew_and_the_rest_stays(client: WireClient) -> None:
    answer = ask(client, BLUE, output=["image", "text"], generation=SLOW_TEXT)
    until_known(client, answer, "image")
    masked = change(client, "edit", answer, edits=[{"action": "mask", "slot": "image", "box": MIDDLE}])
    assert done(client, answer)["status"] == "completed"
    before, after = tokens_told(client, answer, until=masked)["image"], tokens_told(client, answer)["image"]
    changed = {cell for cell in before if after[cell] != before[cell]}
    assert changed
    assert changed <= {row * COLUMNS + column for row in range(2, 8) for column in range(2, 8)}
    assert background(client, answer) == "blue"


def test_tokens_that_are_put_into_a_rectangle_are_seen_there(client: WireClient) -> None:
    green = tokens_told(client, answered(client, GREEN, output=["image"]))["image"]
    rows = [0, 0, 80, 24]
    put = [green[cell] for cell in range(3 * COLUMNS)]
    answer = ask(client, BLUE, output=["image"])
    until_step(client, 5)
    change(client, "edit", answer, edits=[{"action": "set", "slot": "image", "box": rows, "tokens": put}])
    done(client, answer)
    after, picture = tokens_told(client, answer)["image"], picture_of(client, answer)
    assert [after[cell] for cell in range(3 * COLUMNS)] == put
    assert (color(picture[:2]), color(picture[-2:])) == ("green", "blue")


def test_words_are_taken_away_and_put_and_the_rest_of_the_text_stays(client: WireClient) -> None:
    slow = {"text": {"steps": 16, "commit": "schedule"}}
    answer = ask(client, BLUE, canvas=[{"slot": "text"}], generation=slow)
    while not (known := whole_words(client.until("omni.text.partial")["text"])):
        pass
    step = client.until("omni.progress")["step"]
    taken = {"action": "mask", "slot": "text", "words": [known[0], known[0] + 1], "of_step": step}
    (word,) = embedded().text.encode("yellow")
    put = {"action": "set", "slot": "text", "positions": [0], "tokens": [word]}
    at_step = change(client, "edit", answer, edits=[taken, put])
    done(client, answer)
    before, after = tokens_told(client, answer, until=at_step)["text"], tokens_told(client, answer)["text"]
    assert words_of(client, answer).startswith("yellow")
    assert "▒" not in words_of(client, answer)
    (edit,) = of(client, answer, "omni.canvas.done")[0]["changes"]
    places = edit["edits"][0]["positions"]
    assert places
    changed = {0, *places}
    assert all(after[place] == token for place, token in before.items() if place not in changed)


def whole_words(text: str) -> list[int]:
    """Which words of a partial text have no hole."""
    return [index for index, word in enumerate(text.split()) if "▒" not in word]


def test_finalizing_ends_at_once_with_all_of_a_picture(client: WireClient) -> None:
    answer = ask(client, BLUE, output=["image"], steps=60)
    step = until_step(client, 4)["step"]
    client.send({"type": "omni.response.finalize", "response_id": answer})
    response = done(client, answer)
    assert (response["status"], response["omni"]["reason"]) == ("incomplete", "finalized")
    assert of(client, answer, "omni.canvas.done")[0]["steps"] < step + 20
    assert len(tokens_told(client, answer)["image"]) == ROWS * COLUMNS
    assert background(client, answer) == "blue"


def test_half_of_the_steps_that_are_left_are_left_out(client: WireClient) -> None:
    answer = ask(client, BLUE, output=["image"], steps=24)
    left = 24 - until_step(client, 4)["step"]
    tune = {"type": "omni.response.tune", "response_id": answer, "steps_left": left // 2}
    at_step = client.ask(tune, "omni.response.tuned")["applied_at_step"]
    assert done(client, answer)["status"] == "completed"
    assert of(client, answer, "omni.canvas.done")[0]["steps"] == at_step + left // 2
    assert of(client, answer, "omni.progress")[-1]["steps"] == at_step + left // 2
    assert background(client, answer) == "blue"


def test_a_temperature_holds_from_its_step_on(client: WireClient) -> None:
    plain = answered(client, BLUE, output=["image"])
    answer = ask(client, BLUE, output=["image"])
    until_step(client, 2)
    tune = {"type": "omni.response.tune", "response_id": answer, "temperature": 2.0}
    at_step = client.ask(tune, "omni.response.tuned")["applied_at_step"]
    done(client, answer)
    assert tokens_told(client, answer, until=at_step) == tokens_told(client, plain, until=at_step)
    assert tokens_told(client, answer) != tokens_told(client, plain)


def test_a_fork_shares_what_was_known_and_then_goes_its_own_way(client: WireClient) -> None:
    answer = answered(client, BLUE, output=["image"])
    fork = {"type": "omni.canvas.fork", "canvas_id": canvas_of(client, answer), "at_step": 4, "seed": 11}
    twin = client.ask(fork, "omni.canvas.created")["response_id"]
    done(client, twin)
    shared, one, other = (tokens_told(client, *of_whom) for of_whom in ((answer, 4), (answer,), (twin,)))
    assert all(other["image"][cell] == token for cell, token in shared["image"].items())
    assert one != other


def test_a_deadline_gives_the_best_so_far_in_as_many_steps_as_fit(client: WireClient) -> None:
    answer = ask(client, BLUE, output=["image"], steps=100, deadline_ms=500)
    done(client, answer)
    # Each step pauses, so more than these cannot have been run within the deadline.
    assert of(client, answer, "omni.canvas.done")[0]["steps"] <= 500 / (1000 * PAUSE_S) + 2
    assert len(tokens_told(client, answer)["image"]) == ROWS * COLUMNS
    assert picture_of(client, answer).shape == (80, 80, 3)


def test_a_seed_is_the_same_picture_to_the_byte_and_another_one_another(client: WireClient) -> None:
    one, again, other = (
        of(client, answered(client, BLUE, output=["image", "text"], seed=seed), "omni.image.done")[0]["b64"]
        for seed in (7, 7, 8)
    )
    assert one == again
    assert one != other
