from datetime import UTC, datetime, timedelta

from runtime.delivery.retry import crowd, is_given_up, wait

_CREATED = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_waits_grow_threefold_up_to_an_hour_a_quarter_more_or_less() -> None:
    for attempts, seconds in enumerate((5, 15, 45, 135, 405, 1215, 3600, 3600, 3600), start=1):
        for key in "abcdefgh":
            assert 0.75 * seconds <= wait(attempts, key=key).total_seconds() <= 1.25 * seconds
    assert wait(1_000, key="a") <= timedelta(hours=1.25)


def test_many_requests_do_not_come_back_at_once_and_one_always_waits_as_long() -> None:
    waits = [wait(3, key=f"key {number}") for number in range(100)]
    assert len(set(waits)) == 100
    assert wait(3, key="key 7") == waits[7]
    pauses = {crowd(4, key=f"key {number}") for number in range(100)}
    assert len(pauses) == 100
    assert max(pauses) <= timedelta(seconds=16)
    assert crowd(60, key="a") <= timedelta(minutes=1)


def test_nobody_comes_earlier_than_the_provider_asked() -> None:
    for key in "abcdefgh":
        asked = wait(1, key=key, retry_after=timedelta(minutes=10))
        assert timedelta(minutes=10) <= asked <= timedelta(minutes=12)


def test_a_request_is_given_up_when_it_is_old_and_was_tried_often() -> None:
    day = _CREATED + timedelta(hours=24)
    assert is_given_up(8, created_at=_CREATED, now=day)
    assert not is_given_up(7, created_at=_CREATED, now=day)
    assert not is_given_up(50, created_at=_CREATED, now=day - timedelta(seconds=1))
