"""The joint vocabulary: one id space in which text, speech and pictures each have their range."""

from collections.abc import Mapping
from dataclasses import dataclass

# Special tokens, named as in the published vocabulary.
END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
MASK = "<|mask|>"
BEGIN_OF_IMAGE = "<|begin_of_image|>"
END_OF_IMAGE = "<|end_of_image|>"
BEGIN_OF_SPEECH = "<|begin_of_audio|>"
END_OF_SPEECH = "<|end_of_audio|>"
SPEECH_CONTEXT = "<|context_of_audio|>"
IMAGE_TAG, SPEECH_TAG = "<|image|>", "<|audio|>"  # what stands for media in written conversations; never on a canvas
SPECIAL_TOKENS = (
    END_OF_TEXT, TURN_START, TURN_END, MASK, BEGIN_OF_IMAGE, END_OF_IMAGE, BEGIN_OF_SPEECH, END_OF_SPEECH,
    SPEECH_CONTEXT,
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """Ranges are [start, stop) of token ids.

    special: ids of SPECIAL_TOKENS by name. answer_ends: the special tokens with which a written answer ends.
    """

    text: tuple[int, int]
    speech: tuple[int, int]
    image: tuple[int, int]
    special: Mapping[str, int]
    answer_ends: tuple[str, ...] = (END_OF_TEXT,)

    @classmethod
    def compact(cls, num_text: int, num_speech: int, num_image: int) -> "Vocabulary":
        """Text first, then the special tokens, speech codes, image codes: the order of the published ids."""
        first_speech = num_text + len(SPECIAL_TOKENS)
        first_image = first_speech + num_speech
        return cls(
            text=(0, num_text),
            speech=(first_speech, first_image),
            image=(first_image, first_image + num_image),
            special={name: num_text + i for i, name in enumerate(SPECIAL_TOKENS)},
        )

    @classmethod
    def published(cls) -> "Vocabulary":
        """Omni-Diffusion's own ids (176,264 of them)."""
        ids = (151643, 151644, 151645, 151666, 151667, 151668, 151684, 151685, 151686)
        return cls(
            text=(0, 151643),
            speech=(151688, 168072),
            image=(168072, 176264),
            special=dict(zip(SPECIAL_TOKENS, ids, strict=True)),
            answer_ends=(END_OF_TEXT, TURN_END),
        )

    def __len__(self) -> int:
        return self.image[1]

    def __getitem__(self, special_token: str) -> int:
        return self.special[special_token]

    @property
    def mask_id(self) -> int:
        return self.special[MASK]

    def ends(self, modality: str) -> tuple[int, ...]:
        """Tokens behind which nothing of a slot's answer follows; a picture always fills its slot."""
        if modality == "image":
            return ()
        names = (*self.answer_ends, END_OF_SPEECH) if modality == "speech" else self.answer_ends
        return tuple(self.special[name] for name in names)

    def slot(self, modality: str) -> tuple[int, int]:
        """The ids, [first, stop), among which a slot's tokens are chosen; `forbidden` are to be left out."""
        if modality == "image":
            return self.image
        ends = self.ends(modality)
        if modality == "text":
            return self.text[0], max(ends) + 1
        return min(ends), self.speech[1]

    def forbidden(self, modality: str) -> tuple[int, ...]:
        """Ids within `slot` that are neither content nor an end."""
        content = {"text": self.text, "speech": self.speech, "image": self.image}[modality]
        first, stop = self.slot(modality)
        between = (*range(first, min(content[0], stop)), *range(max(content[1], first), stop))
        return tuple(token for token in between if token not in self.ends(modality))
