"""Limits on virtual time, against a count of everything that was ever used."""

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alcove.server.access.quota import Account, Quota

ROUNDING_S = 1e-6
LIMITS = st.none() | st.integers(1, 5)


class Use(NamedTuple):
    at: float
    amount: int


class Caller(RuleBasedStateMachine):
    """One caller, who does what it likes. A request is let in exactly if nothing is used up in the 60 s before."""

    @initialize(concurrency=LIMITS, requests=LIMITS, tokens=st.none() | st.integers(1, 40))
    def begin_with(self, concurrency: int | None, requests: int | None, tokens: int | None) -> None:
        self.now = 1_000_000.1  # as large and as odd as a machine's clock
        self.quota = Quota(concurrency=concurrency, requests=requests, tokens=tokens)
        self.account = Account(self.quota, lambda: self.now)
        self.running = 0
        self.begun: list[Use] = []
        self.used: list[Use] = []

    def in_last_minute(self, uses: list[Use], now: float) -> int:
        return sum(use.amount for use in uses if now - use.at < 60)

    def has_room(self, now: float) -> bool:
        quota = self.quota
        return (
            (quota.requests is None or self.in_last_minute(self.begun, now) < quota.requests)
            and (quota.tokens is None or self.in_last_minute(self.used, now) < quota.tokens)
            and (quota.concurrency is None or self.running < quota.concurrency)
        )

    @rule()
    def request(self) -> None:
        expected = self.has_room(self.now)
        refused = self.account.begin()
        assert (refused is None) == expected
        if refused is None:
            self.running += 1
            self.begun.append(Use(self.now, 1))
            return
        assert 1 <= refused.retry_after_s <= 60
        if "at a time" not in refused.reason:
            kind, limit = (
                (self.begun, self.quota.requests) if "requests" in refused.reason else (self.used, self.quota.tokens)
            )
            assert limit is not None
            then = self.now + refused.retry_after_s + ROUNDING_S
            assert self.in_last_minute(kind, then) < limit, "the time told is enough"
            earlier = then - 1 - 2 * ROUNDING_S
            assert self.in_last_minute(kind, earlier) >= limit or refused.retry_after_s == 1, "and not too much"

    @precondition(lambda self: self.running)
    @rule(tokens=st.integers(0, 30))
    def end(self, tokens: int) -> None:
        self.account.end(tokens)
        self.running -= 1
        self.used.append(Use(self.now, tokens))

    @rule(seconds=st.floats(0, 90) | st.sampled_from([0.5, 1.0, 59.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def never_more_in_any_minute(self) -> None:
        if self.quota.requests is not None:
            assert all(self.in_last_minute(self.begun[: n + 1], use.at) <= self.quota.requests
                       for n, use in enumerate(self.begun))  # fmt: skip
        if self.quota.concurrency is not None:
            assert self.running <= self.quota.concurrency

    @invariant()
    def little_is_kept(self) -> None:
        """What an account remembers is bounded by its limits, however long it lives."""
        assert len(self.account._requests._uses) <= (self.quota.requests or 0)


TestCaller = Caller.TestCase
TestCaller.settings = settings(stateful_step_count=60)  # how many sequences is a matter of the profile


def test_one_caller_is_nothing_to_another() -> None:
    quota = Quota(concurrency=1, requests=1, tokens=1)
    one, other = Account(quota, lambda: 0.0), Account(quota, lambda: 0.0)
    assert one.begin() is None
    refused = one.begin()
    assert refused is not None
    assert refused.retry_after_s == 1, "a running request may end at any time"
    assert other.begin() is None


def test_the_time_told_is_that_of_the_use_which_must_be_forgotten() -> None:
    now = 0.0
    account = Account(Quota(tokens=5), lambda: now)
    account.begin(), account.begin()
    account.end(1)
    now = 10.0
    account.end(5)
    refused = account.begin()
    assert refused is not None
    assert refused.retry_after_s == 60, "without the first use the second is still too much"
