import torch

from runtime.models.speech_encoder import SpeechEncoder, SpeechEncoderConfig

SMALL = SpeechEncoderConfig(32, 2, 32, 2, 1, ctc_vocab=4)


@torch.inference_mode()
def test_clips_of_a_batch_do_not_see_each_other_nor_the_padding() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SMALL).eval()
    clips = [torch.randn(length, 560) for length in (9, 4)]
    together, lengths = encoder(torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([9, 4]))
    assert lengths.tolist() == [13, 8]
    for i, clip in enumerate(clips):
        alone, _ = encoder(clip[None], torch.tensor([len(clip)]))
        torch.testing.assert_close(together[i, : lengths[i]], alone[0])


@torch.inference_mode()
def test_the_query_rows_ask_for_something_else() -> None:
    torch.manual_seed(0)
    encoder, features = SpeechEncoder(SMALL).eval(), torch.randn(1, 5, 560)
    usual, _ = encoder(features, torch.tensor([5]))
    english, _ = encoder(features, torch.tensor([5]), query_ids=(4, 1, 2, 14))
    assert not torch.allclose(usual, english)


def test_dropout_works_in_training_alone() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechEncoderConfig(32, 2, 32, 2, 0, ctc_vocab=4, dropout=0.5))
    features, lengths = torch.randn(1, 6, 560), torch.tensor([6])
    assert not torch.equal(encoder(features, lengths)[0], encoder(features, lengths)[0])
    encoder.eval()
    assert torch.equal(encoder(features, lengths)[0], encoder(features, lengths)[0])
