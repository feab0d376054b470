from runtime.server.responses import new_id


def test_ids_are_their_own() -> None:
    """What answers do is tested over a socket, in test_session.py."""
    assert len({new_id("resp") for _ in range(100)}) == 100
    assert new_id("resp").startswith("resp_")
