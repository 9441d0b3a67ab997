"""Wallets over HTTP: money in decimal text, exact; every wrong request told and without effect."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.http.conftest import Client, Serve, serving
from tests.http.test_gate import assert_problem

REPLAYED = "idempotent-replayed"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@pytest.fixture
def bank(serve: Serve) -> Any:
    """An application of the test's own, whose wallets open with nothing."""
    with serve(open_starting_credits=0) as client:
        yield client


@pytest.fixture(scope="module")
def idle_bank(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One for all requests that are to do nothing."""
    with serving(tmp_path_factory.mktemp("idle") / "bank.db", open_starting_credits=0) as client:
        yield client


def deposit(client: Client, username: str, amount: str, **more: Any) -> Any:
    return client.post(f"/api/v1/wallets/{username}/deposits", json={"amount": amount, **more})


def withdraw(client: Client, username: str, amount: str, **more: Any) -> Any:
    return client.post(f"/api/v1/wallets/{username}/withdrawals", json={"amount": amount, **more})


def pay(client: Client, username: str, to: str, amount: str, **more: Any) -> Any:
    return client.post("/api/v1/transfers", json={"username": username, "to": to, "amount": amount, **more})


def credit(client: Client, username: str) -> dict[str, str]:
    """Return what a wallet has of credits."""
    found = client.get(f"/api/v1/wallets/{username}").json()["balances"]
    return next(one for one in found if one["asset"] == "credit")


def without_moments(content: bytes) -> str:
    return MOMENT.sub("…", content.decode())


# ── in, out, across ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deposit_is_told_with_what_the_wallet_has_after_it(bank: Client) -> None:
    answer = deposit(bank, "ann", "100", reference="inv-7")
    assert answer.status_code == 201
    assert without_moments(answer.content) == (
        '{"transfer_id":1,"seq":1,"at":"…","username":"ann","to":null,"amount":"100.00","asset":"credit",'
        '"reason":"deposit","reference":"deposit/inv-7/ann","balance":"100.00","available":"100.00"}'
    )
    assert bank.get("/api/v1/wallets/ann").content == (
        b'{"username":"ann","balances":[{"asset":"credit","balance":"100.00","held":"0.00","available":"100.00",'
        b'"credit_limit":"0.00","low_balance":null}]}'
    )


def test_money_moves_from_member_to_member_and_out(bank: Client) -> None:
    deposit(bank, "ann", "10")
    paid = pay(bank, "ann", "bob", "0.000001", reason="rent")
    assert (paid.status_code, paid.json()["to"], paid.json()["balance"]) == (201, "bob", "9.999999")
    assert withdraw(bank, "bob", "0.000001").json()["balance"] == "0.00"
    assert [credit(bank, name)["balance"] for name in ("ann", "bob")] == ["9.999999", "0.00"]


def test_what_is_not_covered_is_402_and_moves_nothing(bank: Client) -> None:
    deposit(bank, "ann", "10")
    for refused in (pay(bank, "ann", "bob", "10.01"), withdraw(bank, "ann", "10.01")):
        document = assert_problem(refused, 402, "ledger.not_covered")
        assert (document["available"], document["needed"]) == ("10.00", "10.01")
    assert credit(bank, "ann")["balance"] == "10.00"
    assert bank.get("/api/v1/events?lane=money").json()["next"] == 1


def test_a_wallet_opens_with_the_credits_that_the_settings_say(client: Client) -> None:
    assert credit(client, "newcomer")["available"] == "1000.00"
    assert pay(client, "newcomer", "shop", "1000").json()["balance"] == "0.00"
    assert credit(client, "shop")["available"] == "2000.00"
    assert_problem(pay(client, "newcomer", "shop", "1"), 402, "ledger.not_covered")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0", "ledger.bad_amount"),
        ("0.00", "ledger.bad_amount"),
        ("1.0000001", "ledger.bad_amount"),
        ("1000000000.01", "ledger.bad_amount"),
        ("9999999999999999", "ledger.bad_amount"),
        ("99999999999999999", "invalid"),
        ("-1", "invalid"),
        ("1e3", "invalid"),
        ("01", "invalid"),
        ("1,5", "invalid"),
        ("", "invalid"),
        ("1\n", "invalid"),
        (1, "invalid"),
        (1.5, "invalid"),
        (None, "invalid"),
    ],
)
def test_what_is_no_amount_is_refused_by_name(idle_bank: Client, amount: Any, code: str) -> None:
    document = assert_problem(deposit(idle_bank, "ann", amount), 400, code)
    assert document["field"] == "amount"
    assert idle_bank.get("/api/v1/events?lane=money").json()["next"] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"to": "ann"}, "to"),
        ({"to": ""}, "to"),
        ({"to": "x" * 129}, "to"),
        ({"to": " bob"}, "to"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 65}, "reason"),
        ({"reference": "a/b"}, "reference"),
        ({"reference": ""}, "reference"),
        ({"asset": "Credit"}, "asset"),
        ({"memo": "x"}, "memo"),
        ({"username": None}, "username"),
    ],
)
def test_a_wrong_field_of_a_transfer_is_named(idle_bank: Client, fields: dict[str, Any], field: str) -> None:
    body = {"username": "ann", "to": "bob", "amount": "1", **fields}
    answer = idle_bank.post("/api/v1/transfers", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_an_unknown_asset_is_404(bank: Client) -> None:
    assert_problem(deposit(bank, "ann", "1", asset="gold"), 404, "ledger.unknown_asset")
    assert_problem(bank.get("/api/v1/wallets/ann/statement?asset=gold"), 404, "ledger.unknown_asset")


@pytest.mark.parametrize("username", [".", "..", " ann", "ann%20", "a%0Ab", "x" * 129])
def test_a_name_that_cannot_be_is_no_wallet(idle_bank: Client, username: str) -> None:
    assert idle_bank.get(f"/api/v1/wallets/{username}").status_code in (400, 404)


SLASHED = ["a/b", "/", "//", "/a", "a/", "a//b", "../ann", "Zoë/ünal", "a/?b=1#c", "a/statement", "\ufdd0/"]


@pytest.mark.parametrize("name", ["ann", "Zoë", "a b", "a:b@c", "100%", "?", "#1", "\ufdd0", *SLASHED])
def test_any_other_name_is(bank: Client, name: str) -> None:
    for spelled in (quote(name, safe=""), quote(name, safe="").replace("%2F", "%2f")):
        assert deposit(bank, spelled, "2").json()["username"] == name
    path = f"/api/v1/wallets/{quote(name, safe='')}"
    assert bank.post(f"{path}/withdrawals", json={"amount": "1"}).json()["username"] == name
    assert bank.patch(path, json={"low_balance": "5"}).json()["low_balance"] == "5.00"
    assert bank.get(path).json()["username"] == name
    lines = bank.get(f"{path}/statement?limit=2").json()
    assert [line["balance"] for line in lines["items"]] == ["3.00", "4.00"]
    assert len(bank.get(f"{path}/statement?limit=2&after={lines['next']}").json()["items"]) == 1


def test_names_that_differ_by_a_slash_have_wallets_and_keys_of_their_own(bank: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    names = ("a/b", "ab", "a//b", "/a/b")
    for name in names:
        assert deposit(bank, quote(name, safe=""), "1").json()["balance"] == "1.00"
    paths = [f"/api/v1/wallets/{quote(name, safe='')}/deposits" for name in names]
    first, copy, *others = (bank.post(path, json={"amount": "1"}, headers=headers) for path in [paths[0], *paths])
    assert first.json() == copy.json()
    assert first.json()["balance"] == "2.00"
    for other in others:
        assert_problem(other, 422, "idempotency_mismatch")


def test_a_slash_that_is_not_encoded_parts_a_path_and_one_that_is_does_not(bank: Client) -> None:
    deposit(bank, "a%2Fb", "1")
    assert_problem(bank.get("/api/v1/wallets/a/b"), 404, "no_such_path")
    assert_problem(bank.get("/api/v1%2Fwallets/a"), 404, "no_such_path")
    assert_problem(bank.get("/api/v1/hours/markets/de%2Ffault"), 400, "invalid")
    assert_problem(bank.get("/docs/assets/..%2Fdocs.py"), 404, "no_such_path")
    assert_problem(bank.get("/api/v1/wallets/a%2Fb%00"), 404, "no_such_path")
    assert_problem(bank.get("/api/v1/wallets/a%00b"), 400, "invalid")


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_replays_a_transfer_and_its_refusal_byte_for_byte(bank: Client) -> None:
    deposit(bank, "ann", "10")
    body = {"username": "ann", "to": "bob", "amount": "6"}
    keyed = [
        bank.post("/api/v1/transfers", json=body, headers={"Idempotency-Key": key}) for key in ("a", "a", "b", "b")
    ]
    assert [one.status_code for one in keyed] == [201, 201, 402, 402]
    assert (keyed[0].content, keyed[2].content) == (keyed[1].content, keyed[3].content)
    assert [one.headers.get(REPLAYED) for one in keyed] == [None, "true", None, "true"]


def test_a_reference_is_carried_out_once_and_says_so(bank: Client) -> None:
    answers = [deposit(bank, "ann", "10", reference="pay-1") for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    assert [one.headers.get(REPLAYED) for one in answers] == [None, "true"]
    assert {one.json()["transfer_id"] for one in answers} == {1}
    assert_problem(deposit(bank, "ann", "11", reference="pay-1"), 409, "ledger.reference_taken")
    assert credit(bank, "ann")["balance"] == "10.00"


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wallet_is_changed_by_what_is_given_and_keeps_the_rest(bank: Client) -> None:
    def change(**fields: Any) -> Any:
        return bank.patch("/api/v1/wallets/ann", json=fields)

    assert change(credit_limit="50").json()["available"] == "50.00"
    assert change(low_balance="12.5").json() == {
        "asset": "credit",
        "balance": "0.00",
        "held": "0.00",
        "available": "50.00",
        "credit_limit": "50.00",
        "low_balance": "12.50",
    }
    pay(bank, "ann", "bob", "40")
    assert_problem(change(credit_limit="39"), 409, "ledger.limit_in_use")
    assert change(low_balance=None).json()["low_balance"] is None
    for wrong in ({"low_balance": "-1"}, {"credit_limit": None}, {"balance": "5"}, {"credit_limit": "1.1234567"}):
        assert change(**wrong).status_code == 400
    kinds = [one["kind"] for one in bank.get("/api/v1/events?lane=money").json()["items"]]
    assert kinds == ["wallet_set", "wallet_set", "transferred", "received", "wallet_low", "wallet_set"]


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_statement_is_the_same_in_pages_of_any_size(bank: Client) -> None:
    deposit(bank, "ann", "100")
    for number in range(1, 6):
        pay(bank, "ann", "bob", f"{number}", reason=f"rent {number}")
        pay(bank, "bob", "ann", "0.5")
    whole = bank.get("/api/v1/wallets/ann/statement").json()["items"]
    assert [one["balance"] for one in whole[:3]] == ["87.50", "87.00", "92.00"]
    assert (whole[1]["change"], whole[1]["counterparty"], whole[1]["reason"]) == ("-5.00", "bob", "rent 5")
    assert (whole[-1]["change"], whole[-1]["balance"], whole[-1]["counterparty"]) == ("100.00", "100.00", None)
    for size in (1, 2, 3, 11):
        pages, after = [], None
        while True:
            query = f"limit={size}" + (f"&after={after}" if after else "")
            page = bank.get(f"/api/v1/wallets/ann/statement?{query}").json()
            pages += page["items"]
            after = page["next"]
            if after is None:
                break
            pay(bank, "zoe", "ann", "1")  # refused, and what comes in meanwhile is not in older pages
        assert pages == whole


def test_a_line_leads_to_the_entry_of_the_log_that_caused_it(bank: Client) -> None:
    deposit(bank, "ann", "100")
    pay(bank, "ann", "bob", "1")
    (line, _) = bank.get("/api/v1/wallets/ann/statement").json()["items"]
    cause = line["caused_by"]
    (entry,) = bank.get(f"/api/v1/events?lane={cause['lane']}&after={cause['seq'] - 1}&limit=1").json()["items"]
    assert (entry["kind"], entry["data"]["transfer_id"]) == ("transferred", line["transfer_id"])


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=x", "after=" + "0" * 47, "asset=A"])
def test_a_wrong_parameter_of_a_statement_is_named(idle_bank: Client, query: str) -> None:
    answer = idle_bank.get(f"/api/v1/wallets/ann/statement?{query}")
    assert_problem(answer, 400, "invalid")
    assert answer.json()["field"] == query.partition("=")[0]


# ── assets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_assets_are_added_once_and_listed_by_name(bank: Client) -> None:
    added = bank.post("/api/v1/assets", json={"asset": "gram", "decimals": 3})
    assert (added.status_code, added.json()["decimals"]) == (201, 3)
    again = bank.post("/api/v1/assets", json={"asset": "gram", "decimals": 3})
    assert_problem(again, 409, "ledger.asset_exists")
    first = bank.get("/api/v1/assets?limit=2").json()
    rest = bank.get(f"/api/v1/assets?limit=2&after={first['next']}").json()
    assert [one["asset"] for one in first["items"] + rest["items"]] == ["credit", "gram", "hour"]
    assert deposit(bank, "ann", "2.5", asset="gram").json()["amount"] == "2.50"
    assert deposit(bank, "ann", "3", asset="hour").json()["amount"] == "3"
    assert_problem(deposit(bank, "ann", "2.5", asset="hour"), 400, "ledger.bad_amount")
    assert bank.post("/api/v1/assets", json={"asset": "x", "decimals": 13}).status_code == 400


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_metrics_tell_how_the_last_audit_ended(bank: Client) -> None:
    def violations() -> list[str]:
        lines = bank.get("/metrics").text.splitlines()
        return [line for line in lines if line.startswith("ledger_invariant_violations ")]

    for _ in range(200):
        if violations():
            break
    assert violations() == ["ledger_invariant_violations 0.0"]
