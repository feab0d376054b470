"""Answers of the embedded model over the wire: begun, watched, and what became of them."""

import base64
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.codecs.compact_voice import log_mel
from runtime.codecs.image import decode_image
from runtime.evaluation.picture_checks import background_of
from tests.support.embedded import embedded
from tests.support.wire_client import Event, WireClient, text_item

Tokens = dict[str, dict[int, int]]  # by slot, what stands at its positions
CODE_MS = 40
SAMPLES_PER_MS = 24


def ask(client: WireClient, words: str, **omni: Any) -> str:
    """The response of an answer that has begun, beside the conversation."""
    return str(client.ask(wish(words, **omni), "omni.canvas.created")["response_id"])


def wish(words: str, **omni: Any) -> Event:
    """The event that begins it."""
    response = {"conversation": "none", "input": [text_item(words)], "omni": {"seed": 3, **omni}}
    return {"type": "response.create", "response": response}


def answered(client: WireClient, words: str, **omni: Any) -> str:
    """The response of an answer that is complete."""
    response_id = ask(client, words, **omni)
    assert done(client, response_id)["status"] == "completed"
    return response_id


def canvas_of(client: WireClient, response_id: str) -> str:
    return str(of(client, response_id, "omni.canvas.created")[0]["canvas_id"])


def of(client: WireClient, response_id: str, kind: str) -> list[Event]:
    """The events of one kind that a response has had so far."""
    return [event for event in client.of_type(kind) if event["response_id"] == response_id]


def until_step(client: WireClient, step: int) -> Event:
    """The omni.progress of that step or the first after it."""
    while (progress := client.until("omni.progress"))["step"] < step:
        pass
    return progress


def until_known(client: WireClient, response_id: str, slot: str) -> None:
    """Until all of a slot is filled, while others still form."""
    while not any(event["slots"].get(slot) == 1.0 for event in of(client, response_id, "omni.progress")):
        client.until("omni.progress")


def done(client: WireClient, response_id: str) -> Event:
    """Its response.done, read if need be."""
    while not (found := [e["response"] for e in client.of_type("response.done") if e["response"]["id"] == response_id]):
        client.until("response.done")
    return found[0]


def change(client: WireClient, kind: str, answer: str, **fields: Any) -> int:
    """Ask for a change by `omni.canvas.<kind>` -> after how many steps it was made."""
    told = {"edit": "edited", "steer": "steered"}[kind]
    event = {"type": f"omni.canvas.{kind}", "canvas_id": canvas_of(client, answer), **fields}
    return int(client.ask(event, f"omni.canvas.{told}")["applied_at_step"])


def tokens_told(client: WireClient, response_id: str, until: int | None = None) -> Tokens:
    """What its deltas add up to, all of them or those up to a step."""
    canvas: Tokens = {}
    for delta in of(client, response_id, "omni.canvas.delta"):
        for slot in delta["slots"] if until is None or delta["step"] <= until else ():
            known = canvas.setdefault(slot["name"], {})
            for place in slot["remasked"]:
                del known[place]
            known.update({place: token for place, token, _ in slot["updates"]})
    return canvas


def sound_of(client: WireClient, response_id: str) -> NDArray[np.int16]:
    """(samples,) at 24 kHz."""
    told = of(client, response_id, "response.output_audio.delta")
    return np.frombuffer(b"".join(base64.b64decode(event["delta"]) for event in told), "<i2")


def picture_of(client: WireClient, response_id: str) -> NDArray[np.uint8]:
    """(height, width, 3)."""
    (image,) = of(client, response_id, "omni.image.done")
    return decode_image(base64.b64decode(image["b64"]))


def background(client: WireClient, response_id: str) -> str:
    return background_of(picture_of(client, response_id))


def words_of(client: WireClient, response_id: str) -> str:
    part = done(client, response_id)["output"][0]["content"][0]
    return str(part.get("text") or part["transcript"])


def codes_of(tokens: dict[int, int]) -> dict[int, int]:
    """Of the tokens of a speech slot those that sound, as codes."""
    first, stop = embedded().vocabulary.speech
    return {place: token - first for place, token in tokens.items() if first <= token < stop}


def loudness_of_bands(sound: NDArray[np.int16]) -> NDArray[np.float32]:
    """(10 ms frames, 80) log mel energies: how it sounds, whatever the phase."""
    frames: NDArray[np.float32] = log_mel(torch.from_numpy(sound.astype(np.float32) / 32768)[None])[0].numpy()
    return frames


def unlike(one: NDArray[np.int16], other: NDArray[np.int16], ms: tuple[int, int]) -> float:
    """How differently two sounds sound between these times, in nepers on average."""
    first, stop = ms[0] // 10, ms[1] // 10
    return float(np.abs(loudness_of_bands(one)[first:stop] - loudness_of_bands(other)[first:stop]).mean())
