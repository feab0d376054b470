import pytest

from runtime.evaluation.wanted import WANTED, Wanted


def test_errors_may_be_fewer_and_shares_more() -> None:
    assert Wanted(0.1, most=True).reached(0.08, None)
    assert not Wanted(0.1, most=True).reached(0.12, None)
    assert Wanted(0.85).reached(0.85, None)


def test_a_share_of_the_ceiling() -> None:
    wanted = Wanted(0.5, of_ceiling=True)
    assert wanted.reached(0.3, ceiling=0.57)
    assert not wanted.reached(0.28, ceiling=0.57)
    assert str(wanted) == "at least 50 % of the ceiling"
    assert str(Wanted(3.6)) == "at least 3.6"


def test_speech_may_be_eight_points_behind() -> None:
    text, speech = (WANTED[f"{source} to image: count"].value for source in ("text", "speech"))
    assert text - speech == pytest.approx(0.08)
