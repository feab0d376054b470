from omnisdk.protocol.lifetime import Due, Lifetime


def test_without_limits_nothing_is_ever_due() -> None:
    assert Lifetime(None, None, 100.0).next() is None


def test_the_end_is_told_before_it_comes() -> None:
    lifetime = Lifetime(None, 3600.0, 100.0)
    notice = lifetime.next()
    assert notice == Due(3670.0, "max_session", False, 3700.0)
    lifetime.told(notice)
    assert lifetime.next() == Due(3700.0, "max_session", True, 3700.0)


def test_use_puts_off_the_end_and_it_is_told_anew() -> None:
    lifetime = Lifetime(10.0, None, 0.0)
    notice = lifetime.next()
    assert notice == Due(5.0, "idle", False, 10.0)
    lifetime.told(notice)
    lifetime.use(8.0)
    assert lifetime.next() == Due(13.0, "idle", False, 18.0)


def test_what_comes_first_is_due_first() -> None:
    lifetime = Lifetime(10.0, 12.0, 0.0)
    due = []
    while (one := lifetime.next()) is not None and not one.ends:
        due.append((one.at, one.why))
        lifetime.told(one)
    assert due == [(5.0, "idle"), (6.0, "max_session")]
    assert one == Due(10.0, "idle", True, 10.0)
