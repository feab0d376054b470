"""Answers of the embedded model steered, forked and made again, through the SDK."""

from collections.abc import Iterator

import numpy as np
import pytest

from omnisdk.client import AsyncClient, Client
from omnisdk.editing import Box, Chars, Edit, Region, Span, Words
from omnisdk.errors import MediaError, OmniError
from omnisdk.media import Image
from omnisdk.response import Response
from runtime.evaluation.picture_checks import background_of
from runtime.training.world import BACKGROUNDS
from tests.support.embedded import serving_embedded

pytestmark = pytest.mark.anyio
BLUE, GREEN = "draw a cat on a blue background", "draw a cat on a green background"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_embedded() as address:
        yield address


def background(answer: Response) -> str:
    assert answer.image is not None
    return background_of(answer.image.pixels)


def test_an_answer_is_steered_forked_before_that_and_made_again(url: str) -> None:
    with Client(url) as omni, omni.session() as session:
        session.send(BLUE)
        response = session.respond(seed=3)
        next(partial for partial in response if partial.step >= 4)
        assert response.edit(Edit.mask("image", Region(np.eye(80)))).wait() >= 4
        assert 4 <= response.steer(GREEN, bound=0.2).wait() < 14
        steered = response.wait()
        undone = steered.fork(seed=3, at_step=3).wait()
        again, fork_again = steered.replay().wait(), undone.replay().wait()
        assert [background(answer) for answer in (steered, undone)] == ["green", "blue"]
        assert (again.image, again.text) == (steered.image, steered.text)
        assert (fork_again.image, fork_again.text) == (undone.image, undone.text)
        assert again.changes == steered.changes
        with pytest.raises(OmniError, match="at_step"):
            steered.fork()


async def test_the_async_client_opens_exactly_what_it_names(url: str) -> None:
    async with AsyncClient(url) as omni, omni.session(output=["image"]) as session:
        await session.send(BLUE)
        response = session.respond(seed=3, steps=30)
        with pytest.raises(OmniError, match="await it first"):
            response.replay()
        async for partial in response:
            if partial.step >= 10:
                await response.steer(GREEN, opened=[Edit.mask("image", Box(40, 0, 80, 80))])
                break
        answer = await response
        assert answer.changes[0].steer.opened[0].positions[:2] == [5, 6]  # type: ignore[union-attr,index]
        replayed = await answer.replay()
        assert replayed.image == answer.image


def test_the_next_turn_takes_the_picture_that_was_shown(url: str) -> None:
    plain = np.full((80, 80, 3), BACKGROUNDS["yellow"], np.uint8)
    plain[20:60, 20:60] = 20
    with Client(url) as omni, omni.session(output=["text"]) as session:
        session.show(Image(plain))
        assert "yellow" in session.ask("what is the background color?").text


def test_places_of_every_kind_are_sent_by_their_names() -> None:
    wheres = [Box(0, 0, 8, 8), Chars(0, 3), Words(1, 2), Span(1.2, 1.8), (0, 2)]
    named = [Edit.mask("slot", where).to_wire_place(of_step=4) for where in wheres]
    assert (named[0].box, named[1].span, named[2].words) == ((0, 0, 8, 8), (0, 3), (1, 2))
    assert (named[3].ms, named[4].positions) == ((1200, 1800), [0, 2])
    assert [place.of_step for place in named] == [None, 4, 4, None, None]
    with pytest.raises(MediaError, match="something true"):
        Region(np.zeros((4, 4)))
