"""What the queue keeps so that not every bid is tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.spot.model import Bid, Policy
from marketplace.spot.queue import Frontier, Queue

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@pytest.mark.property
@given(shapes=st.lists(SHAPES, max_size=12), asked=SHAPES)
def test_a_shape_is_covered_by_whatever_is_no_larger_in_both(
    shapes: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    frontier = Frontier()
    for shape in shapes:
        if not frontier.covers(shape):
            frontier.add(shape)
    assert frontier.covers(asked) == any(cpu <= asked[0] and memory <= asked[1] for cpu, memory in shapes)


def test_the_first_of_each_shape_stands_at_its_head() -> None:
    queue = Queue(Policy())
    for bid_id, cpu_millis, price in ((1, 1_000, 5), (2, 1_000, 6), (3, 2_000, 6), (4, 1_000, 6)):
        queue.put(Bid(bid_id, bid_id, cpu_millis, 1_024, price))
    assert [head.bid.bid_id for head in queue.heads()] == [2, 3]
    queue.discard(2)
    queue.discard(3)
    assert [head.bid.bid_id for head in queue.heads()] == [4]
    assert queue.head(((2_000, 1_024), frozenset())) is None
    assert [queue.rank(bid_id) for bid_id in (4, 1)] == [1, 2]
