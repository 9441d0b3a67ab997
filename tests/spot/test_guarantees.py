"""What placement guarantees, over random days; every decision is compared with one from scratch and a plain one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.clock import SECOND
from marketplace.spot import placement
from marketplace.spot.model import Bid, Node, Plan, Policy
from tests.spot.pool import Pool
from tests.spot.simple_market import SimpleMarket

pytestmark = pytest.mark.property

Numbers = tuple[int, int, int]
Event = tuple[str, Numbers]
Day = list[Event]

# Few prices and small sizes, so that ties, tight fits and crowds are common. A unit is 2 × 3, so that halves occur.
POLICIES = st.builds(
    Policy,
    unit_cpu_millis=st.just(2),
    unit_memory_mib=st.just(3),
    reserve_micros=st.sampled_from([0, 0, 7]),
    margin_basis_points=st.sampled_from([0, 500, 5_000]),
    minimum_runtime_seconds=st.sampled_from([0, 60]),
)
SIZES = st.sampled_from([0, 0, 0, 1, 1, 2, 2, 3, 5, 7])
NUMBERS = st.tuples(SIZES, SIZES, st.integers(0, 40))
EVENTS = st.tuples(
    st.sampled_from(["bid"] * 6 + ["end"] * 3 + ["gone", "fail"] * 3 + ["wait"] * 2 + ["node", "flip"]), NUMBERS
)
DAYS = st.lists(EVENTS, max_size=40)


def begin(policy: Policy) -> Pool:
    pool = Pool(policy)
    for number, (cpu, memory) in enumerate([(6, 9), (5, 8), (3, 12)]):
        pool.put_node(Node(f"n{number}", cpu, memory))
    return pool


def happen(pool: Pool, event: str, numbers: tuple[int, int, int]) -> None:
    """Let one event happen, as far as it can."""
    first, second, third = numbers
    if event == "bid":
        pool.place(1 + first, 1 + second, 1 + third)
    elif event == "end" and (everybody := sorted({*pool.queued, *pool.leases})):
        pool.remove(everybody[third % len(everybody)])
    elif event == "gone":
        leaving = [lease.bid for lease in pool.leases.values() if lease.state == "leaving"]
        for bid in leaving[: 1 + first]:
            pool.queue(bid) if second % 2 else pool.remove(bid.bid_id)
    elif event == "fail":
        starting = [one for one in pool.leases.values() if one.state == "running" and one.started_at is None]
        for lease in starting[: 1 + first]:
            pool.queue(msgspec.structs.replace(lease.bid, avoids=lease.bid.avoids | {lease.node}))
    elif event == "wait":
        pool.start_containers()
        pool.pass_seconds(10 * first)
    elif event == "node" and first == 0 and len(pool.nodes) > 1:
        pool.remove_node(min(pool.nodes))
    elif event == "node":
        pool.put_node(Node(f"m{second}", 2 + first, 2 + second + third % 8))
    elif event == "flip":
        node = list(pool.nodes.values())[third % len(pool.nodes)]
        pool.put_node(msgspec.structs.replace(node, is_ready=not node.is_ready))


def unit_price(pool: Pool, bid: Bid) -> Fraction:
    policy = pool.policy
    units = max(Fraction(bid.cpu_millis, policy.unit_cpu_millis), Fraction(bid.memory_mib, policy.unit_memory_mib))
    return bid.max_price_micros / units


def live(policy: Policy, day: Day, check: Callable[[Pool, Plan], None] = lambda pool, plan: None) -> Pool:
    """Live through a day, deciding after every event; `check` sees the books as they are after each decision."""
    pool = begin(policy)
    for event, numbers in day:
        happen(pool, event, numbers)
        check(pool, pool.decide())
    return pool


def on(pool: Pool, node: str, *states: str) -> list[Bid]:
    return [lease.bid for lease in pool.leases.values() if lease.node == node and lease.state in states]


@given(policy=POLICIES, day=DAYS)
def test_what_is_decided_event_by_event_is_what_a_plan_from_scratch_and_a_plain_one_say(
    policy: Policy, day: Day
) -> None:
    live(policy, day)  # Pool.decide compares


@given(policy=POLICIES, day=DAYS)
def test_no_victim_is_priced_near_its_preemptor_nor_inside_its_minimum_runtime(policy: Policy, day: Day) -> None:
    def check(pool: Pool, plan: Plan) -> None:
        by = {start.bid.bid_id: start for start in plan.starts}
        margin = 1 + Fraction(policy.margin_basis_points, 10_000)
        for eviction in plan.evictions:
            victim, start = eviction.lease, by[eviction.for_bid]
            assert victim.node == start.node
            assert victim.bid.bid_id in start.waits_for
            assert unit_price(pool, victim.bid) * margin < unit_price(pool, start.bid)
            assert victim.started_at is not None
            assert pool.now - victim.started_at >= policy.minimum_runtime_seconds * SECOND

    live(policy, day, check)


@given(policy=POLICIES, day=DAYS)
def test_no_victim_is_needless(policy: Policy, day: Day) -> None:
    pool = begin(policy)
    for event, numbers in day:
        happen(pool, event, numbers)
        before = SimpleMarket(
            pool.nodes.values(), (), leases=list(pool.leases.values()), now=pool.now, policy=pool.policy
        )
        plan = pool.decide()
        for start in plan.starts:
            victims = [lease.bid for lease in before.leases.values() if lease.bid.bid_id in start.waits_for]
            for spared in victims:
                others = [bid for bid in victims if bid is not spared]
                assert not before.fits(start.bid.shape, start.node, without=others)


@given(policy=POLICIES, day=DAYS)
def test_neither_what_runs_nor_what_is_reserved_exceeds_a_node(policy: Policy, day: Day) -> None:
    def check(pool: Pool, plan: Plan) -> None:
        for node in pool.nodes.values():
            for states in (("running", "leaving"), ("running", "waiting")):
                held = on(pool, node.node, *states)
                assert sum(bid.cpu_millis for bid in held) <= node.cpu_millis
                assert sum(bid.memory_mib for bid in held) <= node.memory_mib

    live(policy, [(event, numbers) for event, numbers in day if event != "node"], check)  # no node shrinks


@given(policy=POLICIES, day=DAYS)
def test_replaying_a_plan_on_its_own_result_changes_nothing(policy: Policy, day: Day) -> None:
    def check(pool: Pool, plan: Plan) -> None:
        for again in (pool.plan(), pool.state.decide(pool.now)):
            assert again.is_empty
            assert again.price_micros == plan.price_micros

    live(policy, day, check)


@given(policy=POLICIES, day=DAYS)
def test_between_events_the_sorted_list_of_winning_prices_only_rises(policy: Policy, day: Day) -> None:
    def winners(pool: Pool) -> list[Fraction]:
        held = [lease.bid for lease in pool.leases.values() if lease.state != "leaving"]
        return sorted((unit_price(pool, bid) for bid in held), reverse=True)

    pool = begin(policy)
    for event, numbers in day:
        happen(pool, event, numbers)
        if any(lease.state == "waiting" and not pool.nodes[lease.node].is_ready for lease in pool.leases.values()):
            pool.decide()  # whoever loses a place with its node is an outside event
            continue
        before = winners(pool)
        claims = {lease.bid.bid_id for lease in pool.leases.values() if lease.state == "waiting"}
        newly_placed = [start for start in pool.decide().starts if start.bid.bid_id not in claims]
        after = winners(pool)
        assert after > before if newly_placed else after == before


@given(policy=POLICIES, day=DAYS)
def test_without_further_bids_evictions_come_to_an_end(policy: Policy, day: Day) -> None:
    """Victims leave at once and are queued again; everybody starts at once and outlives its minimum runtime."""
    pool = live(policy, day)
    for _ in range(2 + 4 * len(pool.queued | pool.leases)):  # far fewer rounds than there are orders of prices
        for lease in [lease for lease in pool.leases.values() if lease.state == "leaving"]:
            pool.queue(lease.bid)
        pool.start_containers()
        pool.pass_seconds(policy.minimum_runtime_seconds)
        if pool.decide().is_empty and not any(lease.started_at is None for lease in pool.leases.values()):
            return
    raise AssertionError("still evicting")


@given(policy=POLICIES, day=DAYS)
def test_a_node_that_is_not_ready_changes_neither_price_nor_places(policy: Policy, day: Day) -> None:
    pool = live(policy, day)
    gone = {node.node for node in pool.nodes.values() if not node.is_ready} | {min(pool.nodes)}
    nodes = [msgspec.structs.replace(node, is_ready=node.node not in gone) for node in pool.nodes.values()]
    waiting = [lease.bid for lease in pool.leases.values() if lease.node in gone and lease.state == "waiting"]
    with_it = placement.plan(
        nodes, pool.queued.values(), running=pool.leases.values(), now=pool.now, policy=pool.policy
    )
    without_it = placement.plan(
        [node for node in nodes if node.is_ready],
        [*pool.queued.values(), *waiting],
        running=[lease for lease in pool.leases.values() if lease.node not in gone],
        now=pool.now,
        policy=pool.policy,
    )
    assert with_it.price_micros == without_it.price_micros
    assert (with_it.starts, with_it.evictions) == (without_it.starts, without_it.evictions)


@given(policy=POLICIES, day=DAYS)
def test_the_price_is_no_more_than_any_winner_pays_whom_a_unit_could_replace(policy: Policy, day: Day) -> None:
    def check(pool: Pool, plan: Plan) -> None:
        now = SimpleMarket(pool.nodes.values(), (), leases=list(pool.leases.values()), now=pool.now, policy=policy)
        unit = (policy.unit_cpu_millis, policy.unit_memory_mib)
        for node in now.nodes:
            for bid in now.evictable(node):
                if now.fits(unit, node, without=[bid]):
                    assert plan.price_micros <= max(Fraction(policy.reserve_micros), unit_price(pool, bid))

    live(policy, day, check)


@given(policy=POLICIES, day=DAYS, last=EVENTS)
def test_a_decision_that_was_taken_back_is_made_again(policy: Policy, day: Day, last: Event) -> None:
    pool = live(policy, day)
    happen(pool, *last)
    first = pool.state.decide(pool.now)
    pool.state.take_back()
    assert pool.decide() == first


@given(policy=POLICIES, day=DAYS, wanted=NUMBERS)
def test_a_preview_says_what_a_bid_gets_and_the_least_price_that_gets_it(
    policy: Policy, day: Day, wanted: Numbers
) -> None:
    pool = live(policy, day)
    cpu, memory, price = (1 + number for number in wanted)
    bid = Bid(10**6, 10**6, cpu, memory, price)

    def placed(bid: Bid) -> dict[int, tuple[str, frozenset[int]]]:
        plan = placement.plan(
            pool.nodes.values(),
            [*pool.queued.values(), bid],
            running=pool.leases.values(),
            now=pool.now,
            policy=policy,
        )
        return {start.bid.bid_id: (start.node, frozenset(start.waits_for)) for start in plan.starts}

    preview = pool.state.preview(bid, now=pool.now)
    assert preview.price_micros == pool.plan().price_micros
    assert preview.runs_now == (bid.bid_id in placed(bid))
    if preview.runs_now:
        assert placed(bid) == {bid.bid_id: (preview.node, frozenset(preview.would_evict))}
    least = preview.min_price_to_run_micros
    if least is None:
        assert placed(msgspec.structs.replace(bid, max_price_micros=10**9)) == {}
    else:
        assert list(placed(msgspec.structs.replace(bid, max_price_micros=least))) == [bid.bid_id]
        assert placed(msgspec.structs.replace(bid, max_price_micros=least - 1)) == {} or least == 0


@given(policy=POLICIES, day=DAYS)
def test_a_bids_rank_is_its_place_in_the_one_order(policy: Policy, day: Day) -> None:
    pool = live(policy, day)
    ordered = sorted(pool.queued.values(), key=lambda bid: (-unit_price(pool, bid), bid.seq))
    assert [pool.state.rank(bid.bid_id) for bid in ordered] == list(range(1, len(ordered) + 1))
    assert all(pool.state.rank(bid_id) is None for bid_id in pool.leases)


@given(policy=POLICIES, day=DAYS)
def test_nobody_is_placed_where_it_failed_to_start(policy: Policy, day: Day) -> None:
    def check(pool: Pool, plan: Plan) -> None:
        assert all(lease.node not in lease.bid.avoids for lease in pool.leases.values())

    live(policy, day, check)
