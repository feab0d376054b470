from omnisdk.server_items import ServerItems, stand_in_of


def items(*ids: str) -> ServerItems:
    kept, before = ServerItems(), None
    for item_id in ids:
        kept.add(item_id, before)
        before = item_id
    return kept


def test_their_order_is_the_servers() -> None:
    kept = items("a", "b", "c")
    kept.add("first", None)
    kept.add("behind_a", "a")
    kept.add("c", "b")  # told again
    kept.remove("b")
    kept.remove("b")
    assert kept.ids == ("first", "a", "behind_a", "c")
    assert (kept.before("first"), kept.before("c")) == ("root", "behind_a")


def test_a_picture_is_shown_by_another_item_in_a_session_begun_anew() -> None:
    shown = stand_in_of("drawing")
    assert items("a", "drawing").as_told(["a", "drawing"]) == ["a", "drawing"]
    assert items("a", shown).as_told(["a", "drawing"]) == ["a", shown]
    both = items("a", shown, "drawing")
    assert both.as_told(["a", "drawing"]) == both.as_told(["a", shown, "drawing"]) == ["a", shown, "drawing"]


def test_an_item_that_is_nowhere_is_left_for_the_server_to_refuse() -> None:
    assert items("a").as_told(["a", "gone"]) == ["a", "gone"]
