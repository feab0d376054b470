from runtime.server.resume_token import ResumeToken


def test_only_the_newest_is_good_once_it_is_known_to_have_come() -> None:
    token = ResumeToken("key")
    first = token.renew()
    second = token.renew()
    assert token.accepts(first, "key")  # the second may be lost
    assert token.accepts(second, "key")
    token.confirm()
    assert not token.accepts(first, "key")
    assert token.accepts(second, "key")


def test_a_lost_successor_does_not_lock_the_client_out() -> None:
    token = ResumeToken("")
    first = token.renew()
    token.confirm()
    token.renew()
    third = token.renew()
    assert token.accepts(first, "")
    assert token.accepts(third, "")


def test_it_is_bound_to_the_key_and_cannot_be_guessed() -> None:
    token = ResumeToken("key")
    told = token.renew()
    assert not token.accepts(told, "another key")
    assert not token.accepts("", "key")
    assert not token.accepts("\ud800", "key")
    assert len(told) >= 40
    assert told not in repr(vars(token))
