import pytest
import torch

from runtime.diffusion.canvas import Canvas, Slot
from runtime.executors.executor import ForwardItem
from runtime.executors.scripted import ScriptedExecutor

SLOTS = (Slot("transcript", "text", 1, 3, (0, 5), 0), Slot("image", "image", 4, 2, (5, 8), 1))
CANVAS = Canvas(torch.tensor([0, 9, 9, 9, 9, 9]), torch.arange(6.0), torch.full((6,), -1), SLOTS, mask_id=9)


def test_every_position_wants_its_scripted_token_the_first_most() -> None:
    executor = ScriptedExecutor({"transcript": [4, 2]})
    (scores,) = executor.forward([ForwardItem(CANVAS, torch.tensor([1, 2, 3]), (0, 5))])
    assert scores.argmax(-1).tolist() == [4, 2, 2]
    best = scores.softmax(-1).amax(-1)
    assert best[0] > best[1] > best[2]


def test_a_slot_without_a_script_takes_its_first_token() -> None:
    (scores,) = ScriptedExecutor({}).forward([ForwardItem(CANVAS, torch.tensor([4, 5]), (5, 8))])
    assert scores.argmax(-1).tolist() == [0, 0]


def test_the_hook_sees_every_pass_and_may_raise() -> None:
    seen = []
    executor = ScriptedExecutor({}, before_forward=lambda items: seen.append(len(items)))
    executor.forward([ForwardItem(CANVAS, torch.tensor([1]), (0, 5))] * 2)
    assert (seen, executor.num_passes) == ([2], 1)


def test_a_position_outside_the_slots_is_refused() -> None:
    with pytest.raises(ValueError, match=r"position 0 .*transcript, image"):
        ScriptedExecutor({}).forward([ForwardItem(CANVAS, torch.tensor([0]), (0, 5))])
