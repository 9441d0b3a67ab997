"""What the lanes tell Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SHORT = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1, 2, 5, 10)

ORDERS = Counter("marketplace_lane_orders_total", "Orders answered by a transaction of the lane", ["lane"])
BATCH_ORDERS = Histogram(
    "marketplace_lane_batch_orders",
    "Orders that shared a transaction",
    ["lane"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 10_000),
)
COMMIT_SECONDS = Histogram(
    "marketplace_lane_commit_seconds", "From the lane's lock to the end of its COMMIT", ["lane"], buckets=_SHORT
)
WAIT_SECONDS = Histogram("marketplace_lane_wait_seconds", "What the first of a batch waited", ["lane"], buckets=_SHORT)
RETRIES = Counter("marketplace_lane_retries_total", "Transactions run again, by cause", ["lane", "cause"])
REFUSED_BUSY = Counter("marketplace_lane_busy_total", "Requests answered 503, by reason", ["lane", "reason"])
POISONOUS = Counter("marketplace_lane_poisonous_total", "Requests that a bug of ours met, alone", ["lane"])
UNDECIDED = Counter("marketplace_lane_outcome_unknown_total", "Requests whose COMMIT could not be settled", ["lane"])
RESTARTS = Counter("marketplace_lane_writer_failures_total", "Errors that reached the writer's outermost rim", ["lane"])
WAITING = Gauge("marketplace_lane_waiting_orders", "Orders waiting for the lane", ["lane"], multiprocess_mode="livesum")


class LaneMeters:
    """The meters of one lane, looked up once."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.orders = ORDERS.labels(lane)
        self.batch_orders = BATCH_ORDERS.labels(lane)
        self.commit_seconds = COMMIT_SECONDS.labels(lane)
        self.wait_seconds = WAIT_SECONDS.labels(lane)
        self.poisonous = POISONOUS.labels(lane)
        self.undecided = UNDECIDED.labels(lane)
        self.restarts = RESTARTS.labels(lane)
        self.waiting = WAITING.labels(lane)

    def retried(self, cause: str) -> None:
        RETRIES.labels(self.lane, cause).inc()

    def busy(self, reason: str, requests: int = 1) -> None:
        REFUSED_BUSY.labels(self.lane, reason).inc(requests)
