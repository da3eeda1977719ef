"""The group lease on a clock of the test's own."""

from __future__ import annotations

from streams.transport.lease import GroupLease


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lease_expires_a_session_after_the_last_answered_heartbeat_was_sent() -> None:
    clock = Clock()
    lease = GroupLease(10.0, clock)
    clock.now = 105.0
    lease.renew(sent_at=104.0)
    clock.now = 114.0
    assert not lease.expired
    clock.now = 114.5
    assert lease.expired
    assert lease.age_s == 10.5


def test_late_news_of_an_old_heartbeat_does_not_shorten_the_lease() -> None:
    clock = Clock()
    lease = GroupLease(10.0, clock)
    lease.renew(sent_at=104.0)
    lease.renew(sent_at=101.0)
    clock.now = 113.0
    assert not lease.expired


def test_pause_of_the_process_expires_the_lease() -> None:
    clock = Clock()
    lease = GroupLease(10.0, clock)
    clock.now += 60.0
    assert lease.expired
    lease.renew(lease.now())
    assert not lease.expired
