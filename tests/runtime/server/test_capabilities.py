from dataclasses import replace

from omnisdk.protocol import wire
from omnisdk.protocol.events import AdaptiveLength
from omnisdk.protocol.limits import MAX_OUTBOUND_FRAME_BYTES
from omnisdk.protocol.settings import SlotSettings
from runtime.engine.recipe import PUBLISHED_RECIPES
from runtime.server.capabilities import capabilities_of, details_of
from tests.support.live_server import MODEL, SPEAKING_MODEL


def test_every_recipe_is_told_with_its_numbers() -> None:
    told = capabilities_of(SPEAKING_MODEL)
    assert [recipe.name for recipe in told.recipe_details] == told.recipes == list(PUBLISHED_RECIPES)
    details = {recipe.name: recipe for recipe in told.recipe_details}["text_to_speech"]
    assert (details.task, details.reads, details.instruction) == ("TTS", ["text"], "Convert the text to speech.")
    (slot,) = details.slots
    assert (slot.length, slot.steps, slot.confidence, slot.repeat_penalty) == (1024, 512, "entropy", 1.2)
    assert slot.adaptive == AdaptiveLength(of="text", ratio=3.5)


def test_what_can_be_set_is_told() -> None:
    (slot,) = details_of(PUBLISHED_RECIPES["captioning"]).slots
    assert all(hasattr(slot, name) for name in SlotSettings.__struct_fields__)


def test_it_survives_the_wire_in_a_small_frame() -> None:
    told = capabilities_of(SPEAKING_MODEL)
    frame = wire.encode(told)
    assert wire.decode_server_event(frame) == told
    assert len(frame) < MAX_OUTBOUND_FRAME_BYTES // 16


def test_the_model_and_the_limits() -> None:
    told = capabilities_of(MODEL)
    assert told.image is not None
    assert (told.image.width, told.image.columns, told.modalities_out) == (32, 4, ["text", "image"])
    assert told.limits.max_steps == 100
    assert capabilities_of(replace(MODEL, picture=None)).image is None
