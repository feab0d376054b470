from pathlib import Path

import pytest

from runtime.engine.model_file import read_model_file
from runtime.engine.rules import asked_as
from runtime.models.weight_files import CheckpointError
from tests.support.published_layout import write_model_file as write


@pytest.mark.parametrize(
    ("asked", "drawn", "message"),
    [
        ("what (is", ["draw {answer}"], r"'what \(is' is no regular expression"),
        ("what", ["{answer}", "draw it"], "'draw it' has no place for the answer; write {answer} where it stands"),
        ("what is (.+)", ["{answer} {2}"], r"asks for group 2; 'what is \(\.\+\)' has 1"),
        ("what is this", [], "nothing would be drawn of an answer to 'what is this'"),
    ],
)
def test_claims_that_say_nothing(asked: str, drawn: list[str], message: str, tmp_path: Path) -> None:
    explained = {"claims": [{"asked": asked, "drawn": drawn}], "recipes": [], "weight": 0.1}
    path = write(tmp_path / "model.json", explained=explained)
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("implied", "message"),
    [
        ({"asked": "is (it"}, r"'is \(it' is no regular expression"),
        ({"answers": {}}, r"nothing is said to 'is it \(a\|b\)'; name an answer at least"),
        ({"answers": {"yes": "(x"}}, r"'\(x' is no regular expression"),
        ({"answers": {"yes": "{2}"}}, r"asks for group 2; 'is it \(a\|b\)' has 1"),
        ({"by": "who is it?"}, "no claim is about 'who is it\\?'"),
    ],
)
def test_answers_that_follow_from_nothing(implied: dict[str, object], message: str, tmp_path: Path) -> None:
    whole = {"asked": "is it (a|b)", "by": "What is it?", "answers": {"yes": "{1}{3,4}"}}
    explained = {"claims": [{"asked": r"what is it\?", "drawn": ["{answer}"]}], "recipes": [], "weight": 0.1}
    path = write(tmp_path / "model.json", explained=explained | {"implied": [whole]})
    read_model_file(path)
    write(path, explained=explained | {"implied": [whole | implied]})
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"asked": "make it ("}, r"'make it \(' is no regular expression"),
        ({"before": "(?P<noun"}, "is no regular expression"),
        ({"drawn": "draw {2}"}, r"'draw \{2\}' has a place '2'; name one of 1, noun, alone or behind one, many, a"),
        ({"drawn": "draw {few noun}"}, "has a place 'few noun'"),
        ({"drawn": "draw {thing}"}, "has a place 'thing'"),
    ],
)
def test_follow_ups_that_cannot_be_put_in_full(rule: dict[str, str], message: str, tmp_path: Path) -> None:
    whole = {"asked": "make it (.+)", "before": "an? (?P<noun>.+)", "drawn": "draw {1} {many noun}, not {one noun}"}
    path = write(tmp_path / "model.json", follow_ups={"rules": [whole], "plurals": {}})
    read_model_file(path)
    write(path, follow_ups={"rules": [whole | rule], "plurals": {}})
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("said", "meant", "message"),
    [
        ("what(", "what", r"'what\(' is no regular expression"),
        ("draw (.+)", "draw {2}", r"asks for group 2; 'draw \(\.\+\)' has 1"),
        ("draw (.+)", "draw {it}", "has a place 'it'; name the number of a group"),
    ],
)
def test_wordings_that_mean_nothing(said: str, meant: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.json", wordings=[{"said": said, "meant": meant}])
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


def test_however_a_question_is_written_it_is_of_its_form() -> None:
    found = asked_as("is it (red|blue)", "  Is it RED\n")
    assert found is not None
    assert found[1] == "red"
    assert asked_as("is it", "is it red") is None


def test_what_is_long_is_of_no_form_and_takes_no_time() -> None:
    assert asked_as(".*", "a" * 400) is not None
    assert asked_as(".*", "a" * 401) is None
    assert asked_as("(?:a ?)*(?:a ?)*b", "a " * 15_000) is None  # for hours
