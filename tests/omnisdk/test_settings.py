import pytest

from omnisdk.errors import SettingsError
from omnisdk.settings import GenerationSettings


def test_only_what_was_given_is_sent() -> None:
    assert GenerationSettings().given == {}
    assert GenerationSettings(output=["image"], steps=4).given == {"output": ("image",), "steps": 4}


def test_merging_keeps_the_later_value() -> None:
    merged = GenerationSettings(steps=4, seed=1).merged(GenerationSettings(steps=8))
    assert merged.given == {"steps": 8, "seed": 1}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"steps": 0}, "setting 'steps' got 0: input should be greater than or equal to 1"),
        ({"steps": 101}, "less than or equal to 100"),
        ({"output": ["smell"]}, "setting 'output' got 'smell': input should be 'image' or 'text'"),
        ({"output": []}, "at least 1 item"),
        ({"partials": "all"}, "'off', 'tokens', 'preview' or 'both'"),
        ({"temperature": 1}, "there is no setting 'temperature'; allowed are output, steps, seed"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        GenerationSettings(**settings)  # type: ignore[arg-type]
