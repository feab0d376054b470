"""The numbers of a generation as the published code takes them, under the names they have here."""

from dataclasses import dataclass

from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.mask_schedule import LAST_TIME

BEGIN_OF_SPEECH = 151684  # the published id; a smaller vocabulary has another
PUBLISHED_ALGORITHMS: dict[str, ConfidenceRule | None] = {
    "origin": None,
    "maskgit_plus": "probability",
    "topk_margin": "margin",
    "entropy": "entropy",
    "entropy-penalty": "entropy",
}


@dataclass(frozen=True)
class ReferenceRule:
    """The numbers of one generation, with the values that are in force where the published caller says nothing.

    max_new_tokens: positions of the answer. steps: denoise steps, at most one a position; step_ratio: where given,
        steps as a share of the positions instead.
    confidence: what ranks positions; None: positions are filled by chance, with the probability the schedule gives.
    confidence_temperature: above 0, positions are drawn by their confidence instead of taking the surest.
    temperature: 0 takes the best token, more samples. top_k 0 and top_p 1 are off. The 50 is the published one, though
        no published script says it.
    repeat_penalty: for ranking by entropy only. position_penalty: see `penalise_late_ranks`.
    guidance_scale: 0 is off; scores = without + (1 + scale) * (with - without the prompt).
    block_size: positions that are finished before those behind them; None: one block.
    last_time: where the schedule's time ends, which begins at 1.
    begin_of_speech: token that stands after a fifth of the answer from the start; None: there is none.
    """

    max_new_tokens: int = 512
    steps: int = 512
    step_ratio: float | None = None
    confidence: ConfidenceRule | None = "entropy"
    confidence_temperature: float = 0.0
    temperature: float = 0.2
    top_k: int = 50
    top_p: float = 0.95
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0
    guidance_scale: float = 0.0
    block_size: int | None = None
    last_time: float = LAST_TIME
    begin_of_speech: int | None = None

    def __post_init__(self) -> None:
        _require(self.max_new_tokens >= 1, "max_new_tokens", self.max_new_tokens, "at least 1")
        _require(self.block_size is None or self.block_size >= 1, "block_size", self.block_size, "at least 1, or None")
        name = "steps" if self.step_ratio is None else "step_ratio"
        _require(
            self.num_steps >= 1, name, getattr(self, name), f"enough for a step in {self.max_new_tokens} positions"
        )
        for name in ("temperature", "confidence_temperature", "top_k", "guidance_scale"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 (off) or more")
        for name in ("repeat_penalty", "position_penalty"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0; 1 is off")
        _require(0 <= self.top_p <= 1, "top_p", self.top_p, "from 0 to 1 (off)")
        _require(0 < self.last_time < 1, "last_time", self.last_time, "between 0 and 1")
        if self.repeat_penalty != 1 and self.confidence != "entropy":
            raise ValueError(
                f"repeat_penalty is {self.repeat_penalty}, but repeats are penalised only where positions are ranked "
                f"by entropy, not by {self.confidence or 'chance'}; leave it at 1 or rank by entropy"
            )
        if self.confidence is None and self.confidence_temperature:
            raise ValueError(
                f"confidence_temperature is {self.confidence_temperature}, but positions filled by chance have no "
                "confidence to be drawn by; leave it at 0 or choose a confidence"
            )

    @property
    def num_steps(self) -> int:
        """Steps planned for the whole answer."""
        if self.step_ratio is not None:
            return int(self.max_new_tokens * self.step_ratio)
        return min(self.steps, self.max_new_tokens)

    @classmethod
    def published(
        cls,
        *,
        alg: str = "entropy",
        alg_temp: float | None = 0.0,
        max_new_tokens: int = 512,
        steps: int = 512,
        step_ratio: float | None = None,
        eps: float = LAST_TIME,
        temperature: float = 0.2,
        top_k: int | None = 50,
        top_p: float | None = 0.95,
        repeat_penalty: float = 1.0,
        max_position_penalty: float = 1.0,
        cfg: float = 0.0,
        block_size: int = -1,
        add_boa_token: bool = False,
        boa_token_id: int = BEGIN_OF_SPEECH,
    ) -> "ReferenceRule":
        """The rule that the arguments of the published `generate` mean, with its defaults. What it ignores is ignored.

        `top_k` is one of them although it is in no signature: the published code inherits it. None switches it off.
        """
        if alg not in PUBLISHED_ALGORITHMS:
            raise ValueError(f"unknown alg {alg!r}; allowed: {', '.join(PUBLISHED_ALGORITHMS)}")
        confidence = PUBLISHED_ALGORITHMS[alg]
        return cls(
            max_new_tokens=max_new_tokens,
            steps=steps,
            step_ratio=step_ratio,
            confidence=confidence,
            confidence_temperature=(alg_temp or 0.0) if confidence else 0.0,
            temperature=temperature,
            top_k=top_k or 0,
            top_p=1.0 if top_p is None else min(top_p, 1.0),
            repeat_penalty=repeat_penalty if alg == "entropy-penalty" else 1.0,
            position_penalty=max_position_penalty,
            guidance_scale=cfg,
            block_size=None if block_size < 0 else block_size,
            last_time=eps,
            begin_of_speech=boa_token_id if add_boa_token else None,
        )


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it has to be {allowed}")
