import numpy as np
import pytest

from omnisdk.media import Speech
from omnisdk.testing.script import Call, Expect, ExpectImage, ExpectResult, Fail, Hear, Said, Say, Script, ScriptError

NOTHING = Said()
SPEECH = Speech.from_pcm(np.ones(2400, np.int16), 24_000)


def script(*steps: object) -> Script:
    made = Script()
    for step in steps:
        made.add(step)  # type: ignore[arg-type]
    return made


def test_answers_come_in_order_once_what_is_expected_was_found() -> None:
    steps = script(Expect("off"), Hear("please"), Call("f", "{}"), ExpectResult("ok"), Say("done"))
    following = steps.next(Said(["lights off"], [SPEECH]))
    assert (following.answer, following.heard) == (Call("f", "{}"), "please")
    assert steps.next(Said(results=["it is ok"])).answer == Say("done")
    steps.verify()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Expect("on"), "answer 1: expected the user to say 'on', came nothing"),
        (Hear("on"), r"answer 1: expected the user to speak \('on'\), came nothing"),
        (Hear("on", SPEECH), r"answer 1: expected the user to speak \('on'\), came nothing"),
        (ExpectImage(), "answer 1: expected the user to show a picture, came nothing"),
        (ExpectResult("ok"), "answer 1: expected a tool to give 'ok', came nothing"),
    ],
)
def test_what_is_missing_is_told(step: object, told: str) -> None:
    steps = script(step, Say("x"))
    assert isinstance(steps.next(NOTHING).answer, Fail)
    with pytest.raises(ScriptError, match=told):
        steps.verify()
