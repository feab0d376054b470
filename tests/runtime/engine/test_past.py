from dataclasses import replace

from runtime.engine.past import Past
from tests.runtime.engine.test_active_response import response


def test_the_newest_that_remember_a_step_are_kept_until_forgotten() -> None:
    past, forgetful = Past(most=1), response()
    past.keep(forgetful)
    assert past.get(forgetful.request.request_id) is None
    answers = [response(), response()]
    for answer, name in zip(answers, "ab", strict=True):
        answer.request = replace(answer.request, request_id=name, kept_steps=1)
        answer.remember()
        past.keep(answer)
    assert past.get("a") is None
    assert past.get("b") is answers[1]
    past.forget("b")
    assert past.get("b") is None
