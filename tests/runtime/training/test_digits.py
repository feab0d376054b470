import copy

import torch
from torch import nn

from runtime.codecs.vocabulary import Vocabulary
from runtime.training.digits import SharedDigits, digits_of


def test_every_code_has_its_own_digits_and_text_has_none() -> None:
    vocabulary = Vocabulary.compact(50, 1024, 2048)
    digits = digits_of(vocabulary)
    assert digits.shape == (len(vocabulary), 11 + 5 * 4)
    assert not digits[: vocabulary.speech[0]].any()
    for first, stop in (vocabulary.speech, vocabulary.image):
        assert len(digits[first:stop].unique(dim=0)) == stop - first
    assert (digits[vocabulary.image[0] :, :11].abs() == 1).all()
    assert (digits[slice(*vocabulary.speech)].sum(1) == 5).all()


def test_a_model_without_speech_has_digits_of_pictures_only() -> None:
    assert digits_of(Vocabulary.compact(50, 0, 2048)).shape[1] == 11


def _taught(shared: bool) -> float:
    """Error at codes that were never seen, after learning half of what is a sum over digits."""
    torch.manual_seed(0)
    digits = digits_of(Vocabulary.compact(4, 1024, 16))
    wanted = digits @ torch.randn(digits.shape[1], 3)
    table = nn.Parameter(torch.zeros(len(digits), 3))
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW([table], lr=0.02, weight_decay=0)]
    if shared:
        optimizers.append(SharedDigits(table, digits, lr=0.02))
    seen = torch.randperm(len(digits))[: len(digits) // 2]
    for _ in range(150):
        table.grad = None
        (table[seen] - wanted[seen]).pow(2).mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    return float((table - wanted).pow(2).mean().detach())


def test_what_is_learnt_of_some_codes_is_known_of_others() -> None:
    assert _taught(shared=True) < 0.5 * _taught(shared=False)


def test_it_goes_on_where_it_was_stopped() -> None:
    torch.manual_seed(0)
    digits = digits_of(Vocabulary.compact(4, 1024, 16))
    first, second = (nn.Parameter(torch.zeros(len(digits), 3)) for _ in range(2))
    one, other = SharedDigits(first, digits, lr=0.1), SharedDigits(second, digits, lr=0.1)
    for _ in range(3):
        first.grad = torch.randn_like(first)
        one.step()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    with torch.no_grad():
        second.copy_(first)
    first.grad = second.grad = torch.randn_like(first)
    one.step()
    other.step()
    assert torch.equal(first, second)
