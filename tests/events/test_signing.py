"""Signatures as Standard Webhooks has them, verified by its own library; and its schedule."""

from __future__ import annotations

import time

import pytest
import standardwebhooks

from marketplace.events import schedule, signing

BODY = '{"type":"hours.bid_placed","data":{"member":"Zoë"}}'.encode()


def headers(signature: str, *, at: int) -> dict[str, str]:
    return {"webhook-id": "msg_hours_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_the_example_of_the_specification() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signature = signing.sign(
        [secret], message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_seconds=1614265330, body=body
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_we_sign_the_library_of_the_specification_verifies() -> None:
    now = int(time.time())
    for _ in range(20):
        secret = signing.new_secret()
        signature = signing.sign([secret], message_id="msg_hours_1", timestamp_seconds=now, body=BODY)
        verifier = standardwebhooks.Webhook(secret)
        verifier.verify(BODY.decode(), headers(signature, at=now))
        for wrong in (
            (BODY + b" ", headers(signature, at=now)),
            (BODY, headers(signature, at=now + 1)),
            (BODY, headers(signature, at=now) | {"webhook-id": "msg_hours_2"}),
        ):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                verifier.verify(wrong[0].decode(), wrong[1])


def test_while_a_secret_is_replaced_both_verify() -> None:
    now, old, new = int(time.time()), signing.new_secret(), signing.new_secret()
    signature = signing.sign([new, old], message_id="msg_hours_1", timestamp_seconds=now, body=BODY)
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY.decode(), headers(signature, at=now))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(signing.new_secret()).verify(BODY.decode(), headers(signature, at=now))


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {signing.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {len("whsec_") + 44}


def test_ten_tries_over_75_hours() -> None:
    delays = [schedule.delay_seconds(tries) for tries in range(1, 11)]
    assert delays[:3] == [5, 300, 1800]
    assert delays[-1] is None
    assert sum(delay for delay in delays if delay) == 75 * 3600 + 35 * 60 + 5
    assert schedule.delay_seconds(1, scale=0.01) == 0.05


def test_only_a_2xx_is_a_success() -> None:
    assert [
        status
        for status in (None, 100, 199, 200, 204, 299, 300, 301, 307, 400, 410, 500)
        if schedule.is_success(status)
    ] == [200, 204, 299]
