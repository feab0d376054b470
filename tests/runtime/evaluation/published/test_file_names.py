from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from runtime.evaluation.published.file_names import file_name


def test_what_can_be_a_file_name_is_one() -> None:
    assert file_name("1089-134686-0000") == "1089-134686-0000"


@given(st.text(min_size=1))
def test_every_id_has_a_file_name_that_stays_in_its_folder(item_id: str) -> None:
    name = file_name(item_id)
    assert PurePosixPath(name).name == name
    assert name not in ("", ".", "..")
    assert not name.startswith(".")
    assert len(name.encode()) < 100


@given(st.sets(st.text(alphabet="a/.é ", min_size=1, max_size=4), min_size=2, max_size=6))
def test_different_ids_have_different_file_names(ids: set[str]) -> None:
    assert len({file_name(item_id) for item_id in ids}) == len(ids)
