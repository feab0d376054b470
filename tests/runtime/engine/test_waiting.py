from runtime.engine.output import EngineOutput, Finished
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest
from runtime.engine.waiting import Waiting, WaitingRoom, deliver


def waiting(request_id: str, outputs: list[EngineOutput]) -> Waiting:
    return Waiting(GenerationRequest(request_id, (), Recipe("none", ())), outputs.append, 0.0)


def test_first_come_first_served_and_only_so_many() -> None:
    room, outputs = WaitingRoom(2), list[EngineOutput]()
    for name in "abc":
        room.enter(waiting(name, outputs))
    (refused,) = outputs
    assert isinstance(refused, Finished)
    assert (refused.request_id, refused.status) == ("c", "failed")
    assert ("a" in room, "c" in room, len(room)) == (True, False, 2)
    assert [entry.request_id for entry in (room.next(), room.next()) if entry] == ["a", "b"]
    assert room.next() is None


def test_who_is_cancelled_leaves_and_is_told_once() -> None:
    room, outputs = WaitingRoom(9), list[EngineOutput]()
    for name in "ab":
        room.enter(waiting(name, outputs))
    room.cancel("a")
    room.cancel("a")
    room.finalize("b")
    assert [(o.request_id, o.status) for o in outputs if isinstance(o, Finished)] == [("a", "cancelled")]
    assert [entry.finalize for entry in room] == [True]


def test_a_receiver_that_raises_is_noticed() -> None:
    def fail(output: EngineOutput) -> None:
        raise ConnectionError

    assert not deliver(fail, Finished("a", "completed", (), None, steps=0))  # type: ignore[arg-type]
