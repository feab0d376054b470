from datetime import date, datetime, time
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import UUID4, TypeAdapter

from omnisdk.protocol.formats import Place, Shape, shape_of

READ = {"date": date, "time": time, "date-time": datetime, "uuid": UUID, "uuid4": UUID4}


def told(shape: Shape | None, choose: object = lambda choices: choices[0]) -> str:
    assert shape is not None
    return "".join(choose(part.choices) if isinstance(part, Place) else part for part in shape)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("form", "words", "offered"),
    [
        ("date", "on 5 March 2027", "2027-03-05"),
        ("date", "on the 5th of Sep. 2027", "2027-09-05"),
        ("date", "December 24th, 2027", "2027-12-24"),
        ("date", "not 2027-02-30, 2028-02-29", "2028-02-29"),
        ("date", "May 3 of 2027", "2027-05-03"),
        ("time", "at 7 pm", "19:00:00Z"),
        ("time", "at 12 a.m. exactly", "00:00:00Z"),
        ("time", "wake me at 7", "07:00:00Z"),
        ("time", "3 eggs for 7:30", "07:30:00Z"),
        ("time", "at 19:45:10 on 5 March", "19:45:10Z"),
        ("date-time", "on March 5, 2027 at 7 am", "2027-03-05T07:00:00Z"),
        ("date-time", "2027-03-05T14:30", "2027-03-05T14:30:00Z"),
        ("date-time", "2027-03-05T14:30:00+02:00", "2027-03-05T14:30:00+02:00"),
        ("uuid", "end 6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ],
)
def test_what_was_said_is_offered_alone(form: str, words: str, offered: str) -> None:
    shape = shape_of(form, words)
    assert shape is not None
    assert all(isinstance(part, str) or len(part.choices) == 1 for part in shape)
    assert told(shape) == offered


def test_a_day_without_a_year_and_a_year_without_a_day() -> None:
    assert told(shape_of("date", "on 24 December"), lambda choices: choices[-1]) == "2099-12-24"
    assert told(shape_of("date", "in 2027"), lambda choices: choices[-1]) == "2027-12-31"


@pytest.mark.parametrize("words", ["at 25:00", "21.5 degrees", "on 31 February", "room 2027", "13 pm"])
def test_what_is_no_time_is_none(words: str) -> None:
    assert len([part for part in shape_of("time", words) or [] if isinstance(part, Place)]) == 2


def test_a_uuid_of_another_version_is_no_uuid4() -> None:
    said = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert told(shape_of("uuid4", said)) == "00000000-0000-4000-8000-000000000000"


def test_other_formats_have_no_shape() -> None:
    assert shape_of("email", "a@b.c") is None


@example("date", "in \u0662\u0660\u0662\u0667", None)
@given(st.sampled_from(list(READ)), st.text() | st.from_regex(r"\d+[:. -]\d+([:-]\d+)?( [ap]m)?"), st.data())
def test_whatever_is_chosen_parses(form: str, words: str, data: st.DataObject | None) -> None:
    chosen = told(shape_of(form, words), lambda choices: data.draw(st.sampled_from(choices)) if data else choices[0])
    TypeAdapter(READ[form]).validate_python(chosen)
