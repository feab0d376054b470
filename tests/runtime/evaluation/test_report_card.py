import random
from collections import Counter

from runtime.evaluation.picture_checks import Verdict
from runtime.evaluation.report_card import questions_of_each_kind, rights_of


def test_each_measure_takes_its_own_part_of_a_verdict() -> None:
    single = Verdict("single", (True,), background=False, count=True, relation=None)
    pair = Verdict("beside", (True, False), background=True, count=True, relation=False)
    assert rights_of(single, "things_single") == [True]
    assert rights_of(single, "things_multiple") == []
    assert rights_of(pair, "things") == [True, False]
    assert rights_of(single, "relation") == []
    assert rights_of(pair, "relation") == [False]


def test_every_kind_of_question_is_asked_as_often() -> None:
    asked = questions_of_each_kind(5, random.Random(0))
    assert set(Counter(question.about for question, _ in asked).values()) == {5}
    assert all(scene.held_out for _, scene in asked)
