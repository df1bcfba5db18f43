"""Signatures, checked by the library that the authors of Standard Webhooks publish for receivers."""

import json
import time
from datetime import datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from src.adapters.callbacks.http_sender import body_of, signed_headers
from src.config.values import signing_keys
from src.domain.callbacks import Callback
from src.domain.jobs import now
from tests.servers.receiver import SECRET

OTHER = "whsec_" + "QUJD" * 16


def signed(secrets: str, seconds_ago: int = 0) -> tuple[bytes, dict[str, str]]:
    callback = Callback("msg_1", "j", "ann", "https://example.com", "job.completed", {"job_id": "j", "ü": "ß"})
    body = body_of(callback)
    return body, signed_headers(callback.id, body, signing_keys(secrets), int(time.time()) - seconds_ago)


def test_a_receiver_verifies_what_was_signed() -> None:
    body, headers = signed(SECRET)
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    assert headers["webhook-id"] == "msg_1"


def test_while_the_secret_changes_both_verify() -> None:
    body, headers = signed(f"{SECRET}, {OTHER}")
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(body, headers)["type"] == "job.completed"


@pytest.mark.parametrize(
    ("secret", "header", "value"),
    [(OTHER, "webhook-id", "msg_1"), (SECRET, "webhook-id", "msg_2"), (SECRET, "webhook-timestamp", "a minute ago")],
)
def test_another_secret_id_or_time_is_found_out(secret: str, header: str, value: str) -> None:
    body, headers = signed(SECRET)
    value = str(int(time.time()) - 60) if value == "a minute ago" else value
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {header: value})


def test_an_old_message_cannot_be_played_again() -> None:
    body, headers = signed(SECRET, seconds_ago=600)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(body, headers)


def test_the_time_in_the_body_is_that_of_the_event() -> None:
    body, _ = signed(SECRET)
    said = datetime.fromisoformat(json.loads(body)["timestamp"])
    assert timedelta() <= now() - said < timedelta(minutes=1)


@pytest.mark.parametrize(
    "secret", ["MfKQ", "whsec_", "whsec_MfKQ", "whsec_" + "QUJD" * 22, "whsec_=?" + "QUJD" * 8, ",", f"{SECRET} MfKQ"]
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_") as refused:
        signing_keys(secret)
    assert "MfKQ" not in str(refused.value)
