"""What a client with the extension is told of the model and the server's limits."""

import msgspec

from omnisdk.protocol import events, limits
from omnisdk.protocol.settings import OMNI_VERSION
from runtime.engine.recipe import Recipe
from runtime.server.model_card import ModelCard, PictureShape, reads


def capabilities_of(model: ModelCard) -> events.OmniSessionCapabilities:
    return events.OmniSessionCapabilities(
        version=OMNI_VERSION,
        modalities_in=list(model.modalities_in),
        modalities_out=list(model.modalities_out),
        image=_shape(model.picture),
        speech_in=events.SpeechInput(sample_rate_hz=model.speech_sample_rate_hz, max_seconds=model.max_speech_s),
        recipes=list(model.recipes),
        recipe_details=[details_of(recipe) for recipe in model.recipes.values()],
        limits=events.CapabilityLimits(
            max_image_bytes=limits.MAX_IMAGE_BYTES,
            max_image_pixels=limits.MAX_IMAGE_PIXELS,
            max_frame_bytes=limits.MAX_INBOUND_FRAME_BYTES,
            max_steps=limits.MAX_STEPS,
        ),
    )


def details_of(recipe: Recipe) -> events.RecipeDetails:
    return events.RecipeDetails(
        name=recipe.name,
        reads=list(reads(recipe)),
        slots=[msgspec.convert(slot, events.SlotDetails, from_attributes=True) for slot in recipe.slots],
        task=recipe.task,
        system=recipe.system,
        instruction=recipe.instruction,
    )


def _shape(picture: PictureShape | None) -> events.ImageShape | None:
    if picture is None:
        return None
    return events.ImageShape(width=picture.width, height=picture.height, columns=picture.columns, rows=picture.rows)
