import time

import pytest

from runtime.engine.engine import Sink
from runtime.engine.output import EngineOutput, Finished
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest
from runtime.server.watched_engine import See, WatchedEngine
from tests.support.scripted_engine import ScriptedEngine

REQUEST = GenerationRequest("r", (), EMBEDDED_RECIPES["speech_to_text"])


class Watch:
    def __init__(self) -> None:
        self.asked: list[tuple[str, GenerationRequest | None]] = []
        self.seen: list[EngineOutput] = []

    def on_request(self, request_id: str, request: GenerationRequest | None) -> See:
        self.asked.append((request_id, request))
        return self.seen.append


def test_all_outputs_are_seen_before_they_are_told() -> None:
    watch, engine = Watch(), ScriptedEngine()
    told: list[tuple[EngineOutput, int]] = []
    WatchedEngine(engine, watch.on_request).submit(REQUEST, lambda output: told.append((output, len(watch.seen))))
    deadline = time.monotonic() + 10
    while not (told and isinstance(told[-1][0], Finished)) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert watch.asked == [("r", REQUEST)]
    assert [output for output, _ in told] == watch.seen
    assert [num_seen for _, num_seen in told] == list(range(1, len(told) + 1))


def test_a_request_that_is_refused_has_ended() -> None:
    class Full(ScriptedEngine):
        def submit(self, request: GenerationRequest, sink: Sink) -> None:
            raise RuntimeError("full")

    watch = Watch()
    with pytest.raises(RuntimeError, match="full"):
        WatchedEngine(Full(), watch.on_request).submit(REQUEST, lambda _: None)
    (ended,) = watch.seen
    assert isinstance(ended, Finished)
    assert (ended.status, ended.error) == ("failed", "full")
