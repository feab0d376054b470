from runtime.server.assets import AssetStore


def test_what_was_put_can_be_fetched() -> None:
    store = AssetStore(100)
    store.put("a", b"png")
    assert store.get("a") == b"png"
    assert store.get("b") is None


def test_the_one_not_asked_for_the_longest_goes_first() -> None:
    store = AssetStore(100)
    store.put("a", bytes(40))
    store.put("b", bytes(40))
    store.get("a")
    store.put("c", bytes(40))
    assert [name for name in "abc" if store.get(name)] == ["a", "c"]


def test_putting_again_does_not_count_twice() -> None:
    store = AssetStore(100)
    for _ in range(5):
        store.put("a", bytes(60))
    store.put("b", bytes(40))
    assert store.get("a") is not None


def test_one_picture_is_kept_however_large() -> None:
    store = AssetStore(10)
    store.put("a", bytes(60))
    assert store.get("a") is not None
