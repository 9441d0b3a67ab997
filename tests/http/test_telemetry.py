"""One line and two numbers a request, and nothing in them that is nobody's business."""

from __future__ import annotations

import re
import uuid

from prometheus_client import CONTENT_TYPE_LATEST
from structlog.testing import capture_logs

from tests.http.conftest import Client, Serve


def test_a_request_leaves_one_line_without_body_or_query(serve: Serve) -> None:
    secret = uuid.uuid4().hex
    with serve() as client, capture_logs() as lines:
        client.post(f"/buy?token={secret}", json={"username": f"u{secret}", "volume": 0, "price": 1})
        client.get(f"/allocation?username={secret}")
        client.get("/api/v1/hours/markets/default/bids/77")
        client.get(f"/nowhere?token={secret}")
        client.get("/livez", headers={"Host": "rebound.example"})
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["path"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/buy", "/buy", 200),
        ("GET", "/allocation", "/allocation", 404),
        ("GET", "/api/v1/hours/markets/default/bids/77", "/api/v1/hours/markets/{market}/bids/{bid_id}", 404),
        ("GET", "/nowhere", "(none)", 404),
        ("GET", "/livez", "(none)", 421),
    ]
    assert all(line["ms"] >= 0 for line in requests)
    assert secret not in str(lines)


def test_the_line_can_be_turned_off(serve: Serve) -> None:
    with serve(access_log=False) as client, capture_logs() as lines:
        client.get("/livez")
    assert [line for line in lines if line["event"] == "request"] == []


def count(client: Client, *labels: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("marketplace_http_requests_total{") and all(label in line for label in labels):
            return float(line.rsplit(" ", 1)[1])
    return 0


def test_requests_are_counted_by_route_and_never_by_path(client: Client) -> None:
    labels = ('method="GET"', 'route="/api/v1/hours/markets/{market}/bids/{bid_id}"', 'status="4xx"')
    before = count(client, *labels)
    for number in range(3):
        client.get(f"/api/v1/hours/markets/default/bids/{900 + number}")
        client.get(f"/nowhere/{number}")
        client.request(f"BREW{number}", "/livez")
    assert count(client, *labels) == before + 3
    text = client.get("/metrics").text
    assert not re.search(r"nowhere|BREW|bids/90", text)
    assert 'method="OTHER"' in text


def test_metrics_tell_of_http_and_of_the_lane(client: Client) -> None:
    client.post("/sell", json={"volume": 1})
    response = client.get("/metrics")
    assert response.headers["content-type"] == CONTENT_TYPE_LATEST
    for name in (
        "marketplace_http_requests_total",
        "marketplace_http_request_seconds_bucket",
        "marketplace_lane_orders_total",
        "marketplace_lane_batch_orders_bucket",
        "marketplace_lane_commit_seconds_bucket",
        "marketplace_lane_waiting_orders",
        "marketplace_job_runs_total",
    ):
        assert name in response.text, name
