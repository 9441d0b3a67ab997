"""Whatever goes wrong, the answer is a problem document with a code."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import get
from litestar.exceptions import ClientException, HTTPException
from litestar.params import FromPath

from marketplace.foundation import errors
from marketplace.http import problems
from tests.http.conftest import Client, Serve
from tests.http.test_gate import assert_problem

KINDS = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Unaffordable: 402,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Mismatch: 422,
    errors.Exhausted: 503,
    errors.Busy: 503,
    errors.OutcomeUnknown: 500,
    errors.Broken: 500,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_status(kind: type[errors.Refusal]) -> None:
    assert problems.status_of(kind) == KINDS[kind]
    assert problems.render(kind("why")).status == KINDS[kind]


def test_a_refusal_of_a_module_has_the_status_of_its_kind() -> None:
    class Sold(errors.Conflict):
        code = "hours.sold"

    assert problems.status_of(Sold) == 409


def test_a_path_that_is_not_there(client: Client) -> None:
    for path in ("/nowhere", "/api/v1", "/api/v1/hours/markets/default/nothing", "/docs/assets/nothing.js"):
        assert_problem(client.get(path), 404, "no_such_path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/buy", {"POST", "OPTIONS"}),
        ("PUT", "/api/v1/hours/markets/default/bids/1", {"GET", "PATCH", "DELETE", "OPTIONS"}),
        ("DELETE", "/metrics", {"GET", "OPTIONS"}),
        ("HEAD", "/livez", {"GET", "OPTIONS"}),
        ("TRACE", "/livez", {"GET", "OPTIONS"}),
        ("BREW", "/livez", {"GET", "OPTIONS"}),
    ],
)
def test_a_method_that_a_path_does_not_take(client: Client, method: str, path: str, allowed: set[str]) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        assert_problem(response, 405, "method_not_allowed")


def test_options_names_all_methods_of_a_path(client: Client) -> None:
    response = client.options("/api/v1/hours/markets/default/bids")
    assert response.status_code == 204
    assert set(response.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
    assert_problem(client.options("/nowhere"), 404, "no_such_path")


# ── from handlers ────────────────────────────────────────────────────────────────────────────────────────────────────


@get("/fails/{how:str}", sync_to_thread=False)
def fails(how: FromPath[str]) -> None:
    match how:
        case "bug":
            raise ZeroDivisionError("the secret of the house")
        case "busy":
            raise errors.Busy("Later.", retry_after_seconds=7)
        case "exhausted":
            raise errors.Exhausted("Nothing is left.", pool="blue")
        case "teapot":
            raise HTTPException("Short and stout.", status_code=418)
        case "client":
            raise ClientException("No.")


@pytest.fixture
def failing(serve: Serve) -> Any:
    with serve(extra_handlers=(fails,)) as client:
        yield client


def test_a_bug_is_a_500_that_tells_nothing(failing: Client) -> None:
    response = failing.get("/fails/bug")
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def test_a_bug_is_explained_to_who_debugs(serve: Serve) -> None:
    with serve(extra_handlers=(fails,), debug=True) as client:
        problem = assert_problem(client.get("/fails/bug"), 500, "internal_error")
        assert "the secret of the house" in "".join(problem["traceback"])


def test_busy_says_when_to_try_again_and_exhausted_does_not(failing: Client) -> None:
    busy, exhausted = failing.get("/fails/busy"), failing.get("/fails/exhausted")
    assert_problem(busy, 503, "busy")
    assert busy.headers["retry-after"] == "7"
    assert assert_problem(exhausted, 503, "exhausted")["pool"] == "blue"
    assert "retry-after" not in exhausted.headers


def test_what_the_framework_refuses_is_a_problem_too(failing: Client) -> None:
    assert assert_problem(failing.get("/fails/teapot"), 418, "im_a_teapot")["detail"] == "Short and stout."
    assert_problem(failing.get("/fails/client"), 400, "invalid")


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_that_works_is_live_and_ready(client: Client) -> None:
    assert client.get("/livez").json() == {"status": "live"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_service_without_its_database_is_live_and_not_ready(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_database: Any) -> str:
        raise errors.Busy("The database is away.")

    with serve() as client:
        monkeypatch.setattr("marketplace.database.schema.current", away)
        problem = assert_problem(client.get("/readyz"), 503, "not_ready")
        assert problem["reasons"] == ["the database does not answer"]
        assert client.get("/livez").status_code == 200


def test_a_service_on_another_schema_is_not_ready(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(_database: Any) -> str:
        return "0000"

    with serve() as client:
        monkeypatch.setattr("marketplace.database.schema.current", old)
        assert "marketplace db upgrade" in client.get("/readyz").json()["reasons"][0]


def test_a_service_whose_lane_is_behind_is_not_ready(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as client:
        monkeypatch.setattr("marketplace.database.Lane.oldest_waiting_seconds", lambda _lane: 2.5)
        assert client.get("/readyz").json()["reasons"] == [
            f"requests wait for the lane {lane} for more than 2 s" for lane in ("hours", "addresses", "money")
        ]
