"""The wallet methods of the SDK, sync and async, against a real server; and the same by the command line."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from marketplace.cli import root
from marketplace.client import AsyncClient, Client, Conflict, NotFound, Unaffordable
from tests.conftest import StartServer

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def url(start_server: StartServer, sqlite_url: str) -> str:
    return start_server(sqlite_url, "--open-starting-credits", "0").url


def test_money_moves_by_the_sdk(url: str) -> None:
    with Client(url) as market:
        assert market.deposit("ann", 100, reference="p1").balance == "100.00"
        assert market.deposit("ann", "100.00", reference="p1").balance == "100.00"
        with pytest.raises(Conflict) as taken:
            market.deposit("ann", 101, reference="p1")
        assert taken.value.code == "ledger.reference_taken"
        assert market.transfer("bob", Decimal("0.000001"), username="ann", reason="dust").to == "bob"
        with pytest.raises(Unaffordable) as refused:
            market.withdraw("bob", "1")
        assert (refused.value.problem["available"], refused.value.problem["needed"]) == ("0.000001", "1.00")
        assert market.set_wallet("ann", low_balance=5, credit_limit="2.5").available == "102.499999"
        assert market.set_wallet("ann", low_balance=None).low_balance is None
        (credits_,) = market.wallet("ann").balances
        assert (credits_.balance, credits_.credit_limit) == ("99.999999", "2.50")
        assert [line.change for line in market.statement("ann", page_size=1)] == ["-0.000001", "100.00"]
        assert market.add_asset("gram", decimals=3).decimals == 3
        assert [one.asset for one in market.assets(page_size=2)] == ["credit", "gram", "hour"]
        with pytest.raises(NotFound):
            market.deposit("ann", 1, asset="gold")


async def test_money_moves_by_the_async_sdk(url: str) -> None:
    async with AsyncClient(url) as market:
        await market.deposit("ann", 10)
        await market.transfer("bob", "4", username="ann")
        await market.withdraw("bob", "1")
        assert [line.balance async for line in market.statement("bob")] == ["3.00", "4.00"]
        assert (await market.wallet("ann")).balances[0].available == "6.00"


def test_a_username_may_have_a_slash(url: str, capsys: Capture) -> None:
    with Client(url) as market:
        for name in ("lab/7", "lab%2F7", "lab%2f/7", "/", "lab%00/"):
            deposited = market.deposit(name, 3)
            assert (deposited.username, deposited.balance) == (name, "3.00")
            assert market.wallet(name).username == name
        assert market.set_wallet("lab/7", low_balance=1).low_balance == "1.00"
        assert market.withdraw("lab/7", 1).balance == "2.00"
        assert [line.balance for line in market.statement("lab/7", page_size=1)] == ["2.00", "3.00"]
        assert market.create_member("lab/8").username == market.member("lab/8").username == "lab/8"
    for line in ("wallet show lab/7", "wallet statement lab/7", "wallet deposit lab/7 1 --reason a/b"):
        assert root.run([*line.split(), "--url", url]) == 0, capsys.readouterr().err
    assert "lab/7 has 3.00" in capsys.readouterr().out


def test_money_moves_by_the_command_line(url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETPLACE_URL", url)

    def printed(line: str, *, code: int = 0) -> str:
        assert root.run(["wallet", *line.split()]) == code, line
        captured = capsys.readouterr()
        return (captured.err if code else captured.out).strip()

    assert printed("statement ann") == "Nothing has happened yet."
    assert printed("deposit ann 250 --reference r") == "deposit: 250.00 credit; ann has 250.00, 250.00 of it available."
    assert printed("transfer ann bob 12.5 --reason rent") == (
        "rent: 12.50 credit to bob; ann has 237.50, 237.50 of it available."
    )
    assert "Refused: 'bob' has 12.50 credit available" in printed("withdraw bob 13", code=1)
    assert printed("set ann --low-balance 9 --credit-limit 1") == "ann: credit limit 1.00 credit, told of below 9.00."
    assert printed("set ann --low-balance never") == "ann: credit limit 1.00 credit, never told of."
    assert printed("show ann").splitlines()[1].split() == ["credit", "237.50", "0.00", "238.50", "1.00", "never"]
    lines = printed("statement ann --limit 1").splitlines()
    assert lines[1].split()[2:] == ["transfer", "-12.50", "0.00", "237.50", "bob", "rent", "2"]
    told = [json.loads(line) for line in printed("statement ann --json").splitlines()]
    assert [one["balance"] for one in told] == ["237.50", "250.00"]
    assert "is no amount of credit" in printed("deposit ann 0", code=1)
