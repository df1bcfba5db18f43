"""Moderation through the whole service: someone says a listed word, and it is told of, or refused and nowhere kept."""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from src.adapters.translators.remote import Budget
from src.config.settings import Settings
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber
from tests.providers.provider_server import Answer
from tests.servers.moderator import ModeratorServer, told
from tests.servers.receiver import SECRET, Receiver, verified
from tests.support.messages import AUDIO, MESSAGE
from tests.support.options import applied

WORD, ITS_TRANSLATION = "sister", "retsis"  # the fake translator says it backwards
PLACE, ITS_PLACE = "airport", "tropria"
SENTENCE = f"my {WORD} will arrive at the {PLACE} tomorrow evening"
SHORTER = f"my {WORD} will arrive tomorrow evening"
TRANSLATE, TRANSCRIBE, CLONE = (f"/api/v1/voice/{name}" for name in ("translate", "transcribe", "clone"))


@contextmanager
def serving(
    folder: Path, lists: dict[str, str], transcriber: FakeTranscriber, **changes: Any
) -> Iterator[httpx.Client]:
    """On fake engines, of which this one hears; `lists` are the operator's, `changes` are settings."""
    words = folder / "lists"
    words.mkdir()
    for name, content in lists.items():
        (words / f"{name}.txt").write_text(content, encoding="utf-8")
    options = {"moderation_words_dir": words, "min_reference_seconds": 0.5, **changes}
    with serve(folder / "data", fake_engines(transcriber=transcriber), **options) as http:
        yield http


def traces(folder: Path, *words: str) -> list[str]:
    """Files of the service that hold one of the words: database, its journal, stored audio and keys."""
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    return [str(path) for path in files if any(word.encode() in path.read_bytes().lower() for word in words)]


def rows(folder: Path, query: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(folder / "data" / "voice.db")
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query)]
    connection.close()
    return found


def test_under_flag_the_answer_says_which_text_and_of_which_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "src")
    transcriber = FakeTranscriber(sentences=(SENTENCE,))
    with serving(tmp_path, {"en": f"[family low]\n{WORD}"}, transcriber, moderation_policy="flag") as http:
        headers = {"Idempotency-Key": "once"}
        answer = http.post(TRANSLATE, json=MESSAGE, headers=headers).json()
        clean = {"flagged": False, "categories": [], "severity": None, "reviewed_by": ["words"]}
        found = {"flagged": True, "categories": ["family"], "severity": "low", "reviewed_by": ["words"]}
        assert answer["moderation"] == {
            "policy": "flag",
            "flagged": True,
            "categories": ["family"],
            "engines": ["words"],
            "stages": {"transcript": found, "translation": clean},
        }
        assert answer["original_text"] == SENTENCE
        assert ITS_TRANSLATION in answer["translated_text"]
        # as it was, for whoever asks again
        assert http.get(f"/api/v1/voice/job/{answer['job_id']}").json()["moderation"] == answer["moderation"]
        assert http.post(TRANSLATE, json=MESSAGE, headers=headers).json()["moderation"] == answer["moderation"]

        heard = http.post(TRANSCRIBE, json={"audio": AUDIO, "source_language": "en"}).json()
        assert heard["moderation"]["stages"] == {"transcript": found}
        asked = {"text": f"My {WORD}.", "target_language": "en", "reference_audio": AUDIO}
        first, again = (http.post(CLONE, json=asked, headers={"Idempotency-Key": "spoken"}).json() for _ in range(2))
        assert first["moderation"]["stages"] == {"text": found}
        assert again == first | {"audio_url": again["audio_url"]}

    events = rows(
        tmp_path, "SELECT action, subject, details FROM audit_log WHERE action LIKE 'moderation%' ORDER BY id"
    )
    assert [event["action"] for event in events] == ["moderation.flag"] * 3
    assert events[0]["subject"] == f"job:{answer['job_id']}"
    assert all(WORD not in str(event) for event in events)
    assert WORD not in caplog.text.lower()


def test_under_block_requests_fail_and_nothing_of_them_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "src")
    options: dict[str, Any] = {
        "moderation_policy": "block",
        "webhook_secret": SECRET,
        "callback_allow_http": True,
        "callback_allowed_networks": "127.0.0.0/8",
    }
    transcriber = FakeTranscriber()
    lists = {"en": PLACE, "es": ITS_TRANSLATION}
    secret_words = (WORD, ITS_TRANSLATION, PLACE, ITS_PLACE)
    with Receiver() as receiver, serving(tmp_path, lists, transcriber, **options) as http:
        refused = []
        for stage, text in (("transcript", SENTENCE), ("translation", SHORTER)):
            transcriber.sentences = (text,)
            body = MESSAGE | {"callback_url": receiver.at("127.0.0.1")}
            answers = [http.post(TRANSLATE, json=body, headers={"Idempotency-Key": stage}) for _ in range(2)]
            assert stage in answers[0].json()["detail"]
            assert answers[0].json()["detail"] == answers[1].json()["detail"]
            refused += answers
        transcriber.sentences = (SENTENCE,)
        refused.append(http.post(TRANSCRIBE, json={"audio": AUDIO, "source_language": "en"}))
        text = f"Mi {ITS_TRANSLATION}."
        refused.append(http.post(CLONE, json={"text": text, "target_language": "es", "reference_audio": AUDIO}))
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (422, "content_blocked"), answer.text
            assert answer.json()["retryable"] is False
            assert "profanity" in answer.json()["detail"]
        await_messages(receiver, 2)
        for message in receiver.requests:
            data = verified(message)["data"]
            assert isinstance(data, dict)
            assert data["error_code"] == "content_blocked"
            assert http.get(data["job_path"]).json()["error"]["code"] == "content_blocked"
        said = [answer.content for answer in refused] + [message.body for message in receiver.requests]
        assert not any(word.encode() in content for content in said for word in secret_words)
        assert traces(tmp_path, *secret_words) == []  # while it runs: rows, journal, files, log

    assert traces(tmp_path, *secret_words) == []
    assert not any(word in caplog.text.lower() for word in secret_words)
    assert [path for path in (tmp_path / "data").rglob("*") if path.suffix == ".wav"] == []
    outcomes = rows(tmp_path, "SELECT operation, outcome FROM usage")
    assert sorted((row["operation"], row["outcome"]) for row in outcomes) == [
        ("clone", "content_blocked"),
        ("transcribe", "content_blocked"),
        ("translate", "content_blocked"),
        ("translate", "content_blocked"),
    ]
    events = rows(tmp_path, "SELECT action, details FROM audit_log WHERE action LIKE 'moderation%' ORDER BY id")
    assert [event["action"] for event in events] == ["moderation.block"] * 4
    assert [json.loads(event["details"])["stage"] for event in events] == [
        "transcript",
        "translation",
        "transcript",
        "text",
    ]


def await_messages(receiver: Receiver, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(receiver.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


HEARD = "good morning the train is late"
"""What the fake engines hear."""


@contextmanager
def faked(folder: Path, moderator: ModeratorServer, **changes: Any) -> Iterator[httpx.Client]:
    """A service in this process, on fake engines, with a webhook; `changes` are settings."""
    options: dict[str, Any] = {
        "moderation_engines": ["webhook"],
        "moderation_webhook_url": moderator.at("127.0.0.1", "/review?token=of-the-operator"),
        "moderation_webhook_secret": SecretStr(SECRET),
    }
    once = {"src.adapters.moderation.webhook.ModerationWebhook": {"budget": Budget(attempts=1)}}
    with applied(once), serve(folder / "data", **(options | changes)) as http:
        yield http


def test_a_webhook_decides_and_without_its_word_nothing_passes_under_block(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ModeratorServer("train") as moderator, faked(tmp_path, moderator, moderation_policy="block") as http:
        refused = http.post(TRANSLATE, json=MESSAGE)
        assert (refused.status_code, refused.json()["code"]) == (422, "content_blocked")
        assert "threat" in refused.json()["detail"]
        assert " ".join(told(moderator.requests[0])["texts"]) == HEARD
        moderator.always = Answer(500)
        for path in (TRANSLATE, TRANSCRIBE):
            away = http.post(path, json=MESSAGE if path == TRANSLATE else {"audio": AUDIO})
            assert (away.status_code, away.json()["code"]) == (503, "engine_unavailable")
            assert away.json()["retryable"] is True
            assert int(away.headers["Retry-After"]) >= 1
        moderator.always, moderator.word = None, "nothing of it"
        answer = http.post(TRANSLATE, json=MESSAGE).json()
        assert answer["moderation"]["flagged"] is False
        assert [told(request)["stage"] for request in moderator.requests[-2:]] == ["transcript", "translation"]
    assert "train" not in caplog.text


def test_what_a_webhook_did_not_look_at_passes_under_flag_and_is_said(tmp_path: Path) -> None:
    with ModeratorServer("train") as moderator, faked(tmp_path, moderator, moderation_policy="flag") as http:
        moderator.always = Answer(500)
        answer = http.post(TRANSLATE, json=MESSAGE)
        assert answer.json()["moderation"]["flagged"] is None
        assert answer.json()["moderation"]["stages"]["transcript"]["reviewed_by"] == []
        assert "The transcript was not reviewed: webhook did not answer." in answer.json()["degraded"]
        for _ in range(2):
            http.post(TRANSLATE, json=MESSAGE)
        notices = http.get("/health").json()["degraded"]
        assert "moderation: the webhook failed several times and is left alone for a while" in notices


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"moderation_policy": "block", "moderation_engines": ["webhook"]}, "MODERATION_WEBHOOK_URL"),
        ({"moderation_engines": ["words", "words"]}, "each once"),
        ({"moderation_engines": []}, "each once"),
        ({"moderation_engines": ["oracle"]}, "each once"),
        ({"moderation_policy": "maybe"}, "off"),
        ({"moderation_webhook_url": "ftp://x"}, "http://"),
        ({"moderation_webhook_secret": SecretStr("whsec_c2VjcmV0")}, "24 to 64"),
        ({"moderation_user_key": SecretStr("c2VjcmV0")}, "32 characters"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_without_repeating_a_secret(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        Settings(_env_file=None, **wrong)
    assert "c2VjcmV0" not in str(refused.value)
