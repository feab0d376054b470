import msgspec
import pytest

from omnisdk.errors import SettingsError
from omnisdk.protocol import settings as wire
from omnisdk.settings import GenerationSettings, SlotSettings


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
        ({"output": ["smell"]}, "setting 'output' got 'smell': input should be 'image', 'text' or 'speech'$"),
        ({"output": []}, "at least 1 item"),
        ({"partials": "all"}, "'off', 'tokens', 'preview' or 'both'"),
        ({"temperature": 1}, "there is no setting 'temperature'; allowed are output, recipe, steps, slots, seed"),
        ({"recipe": ""}, "setting 'recipe' got ''"),
        ({"slots": {"image": {"steps": 0}}}, "slot 'image': setting 'steps' got 0: .* greater than or equal to 1"),
        ({"slots": {"image": {"colour": 1}}}, "slot 'image': there is no setting 'colour'; allowed are length, steps"),
        ({"slots": {"image": 3}}, "slot 'image': 3 came: input should be a valid dictionary"),
        ({"slots": 3}, "setting 'slots' got 3"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        GenerationSettings(**settings)  # type: ignore[arg-type]


def test_slots_are_merged_one_by_one() -> None:
    session = GenerationSettings(slots={"image": SlotSettings(steps=24, temperature=0.7)})
    merged = session.merged(GenerationSettings(slots={"image": {"steps": 8}, "text": {"top_k": 5}}, seed=1))
    assert merged.slots == {"image": SlotSettings(steps=8, temperature=0.7), "text": SlotSettings(top_k=5)}
    assert merged.seed == 1
    assert session.merged(GenerationSettings(seed=1)).slots == session.slots


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"length": 1025}, "setting 'length' got 1025: input should be less than or equal to 1024"),
        ({"top_p": 0}, "setting 'top_p' got 0: input should be greater than 0"),
        ({"repeat_penalty": 0.5}, "greater than or equal to 1"),
        ({"schedule": "cubic"}, "'linear' or 'cosine'"),
        ({"colour": 1}, "there is no setting 'colour'; allowed are length, steps, schedule"),
    ],
)
def test_a_wrong_number_of_a_slot(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        SlotSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(SlotSettings.model_fields))
@pytest.mark.parametrize(
    "value", [-1, 0, 0.5, 1, 2, 2.1, 10, 11, 20, 21, 1024, 1025, 200_000, 200_001, "cosine", "margin"]
)
def test_the_sdk_takes_what_the_wire_takes(name: str, value: object) -> None:
    def taken(kind: type[Exception], make: object, *given: object) -> bool:
        try:
            make(*given)  # type: ignore[operator]
        except kind:
            return False
        return True

    here = taken(SettingsError, SlotSettings.model_validate, {name: value})
    assert here == taken(msgspec.ValidationError, msgspec.convert, {name: value}, wire.SlotSettings)
