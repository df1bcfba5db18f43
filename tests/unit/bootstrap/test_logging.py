"""How lines of the log look, and what they must not hold, whatever LOG_LEVEL says."""

import asyncio
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from src.bootstrap.process import configure_logging
from src.domain.identity import Trace, working_for
from src.utils.tracing import FIELDS, JsonLines, TextLines, where

TRACE = Trace("phone-17", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
SECRET = "what somebody said"


@pytest.fixture
def as_before() -> Iterator[None]:
    """Whatever a process's log is set to is as it was for the tests that follow."""
    names = ("", "src", "httpx", "boto3", "botocore", "urllib3")
    levels = {name: logging.getLogger(name).level for name in names}
    root = logging.getLogger()
    handlers, hooks = root.handlers[:], (sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.handlers[:] = handlers
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


@pytest.fixture
def stderr(as_before: None, capsys: pytest.CaptureFixture[str]) -> "Lines":
    return Lines(capsys)


def configure(level: str, form: str, role: str) -> None:
    """As in a process of its own: pytest's handlers are taken away, until the test has ended."""
    logging.getLogger().handlers[:] = []
    configure_logging(level, form, role)


class Lines:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self) -> str:
        return self._capsys.readouterr().err

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


def failed(words: str) -> BaseException:
    """An error with a cause, both of these words, as it was caught."""
    try:
        raise_both(words)
    except ValueError as error:
        return error
    raise AssertionError


def raise_both(words: str) -> None:
    try:
        dict[str, str]()[words]
    except KeyError as cause:
        raise ValueError(words) from cause


def test_a_json_line_says_when_who_where_and_for_which_request(stderr: Lines) -> None:
    configure("info", "json", "worker")
    with working_for(TRACE, "job1"):
        logging.getLogger("src.services.jobs.jobs").info(
            "job %s goes on", "job1", extra={FIELDS: {"http.response.status_code": 200}}
        )
    (line,) = stderr.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("@timestamp"))
    assert isinstance(line.pop("process.pid"), int)
    assert line == {
        "log.level": "info",
        "ecs.version": "8.11.0",
        "log.logger": "src.services.jobs.jobs",
        "message": "job job1 goes on",
        "http.request.id": "phone-17",
        "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span.id": "00f067aa0ba902b7",
        "labels.job_id": "job1",
        "http.response.status_code": 200,
        "service.name": "voice-translation",
        "labels.role": "worker",
    }


def test_outside_of_a_request_a_line_names_none(stderr: Lines) -> None:
    configure("info", "json", "api")
    logging.getLogger("src").warning("alone")
    assert not {"http.request.id", "trace.id", "labels.job_id"} & stderr.json()[0].keys()


def test_where_there_is_no_terminal_lines_are_json_unless_text_is_wanted(stderr: Lines) -> None:
    configure("info", "auto", "api")
    logging.getLogger("src").info("hello")
    assert stderr.json()[0]["message"] == "hello"
    configure("info", "text", "api")
    with working_for(TRACE):
        logging.getLogger("src").info("hello")
    assert re.fullmatch(r"20\S+Z INFO src \[phone-17\] hello\n", stderr.text())


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_told_by_type_and_place_and_never_by_its_words(stderr: Lines, form: str) -> None:
    configure("debug", form, "api")
    error = failed(SECRET)
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
    logging.getLogger("src").error("job %s failed by a defect\n%s", "j", where(error))
    said = stderr.text()
    assert SECRET not in said
    assert said.count("builtins.ValueError") == (4 if form == "json" else 2)  # in JSON as the type, and in the stack
    assert said.count("KeyError") == 2
    assert "in raise_both" in said
    if form == "json":
        first, second = map(json.loads, said.splitlines())
        assert [first["message"], second["message"]] == ["Exception in ASGI application", "job j failed by a defect"]
        assert first["error.stack_trace"] == second["error.stack_trace"]
        assert first["error.type"] == second["error.type"] == "builtins.ValueError"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "evil",
    ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\x85b", "a\u2028b", "a\x9b31mb", "a\x7fb", "a\nERROR src [-] forged"],
)
def test_no_value_forges_a_line_or_steers_a_terminal(form: str, evil: str) -> None:
    formatter = JsonLines("api") if form == "json" else TextLines()
    record = logging.LogRecord("src", logging.INFO, "", 0, "the caller sent %s", (evil,), None)
    written = formatter.format(record)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x80-\x9f\u2028\u2029]", written)
    if form == "json":
        assert "\n" not in written
        assert json.loads(written)["message"] == f"the caller sent {evil}"
    else:
        assert all(line.startswith("    ") for line in written.split("\n")[1:])
        assert written.startswith("20")


def test_what_nobody_catches_is_logged_by_its_place(stderr: Lines) -> None:
    configure("info", "json", "api")
    sys.excepthook(ValueError, failed(SECRET), None)
    thread = threading.Thread(target=lambda: [0].index(1))
    thread.start()
    thread.join()
    lines = stderr.json()
    assert [line["error.type"] for line in lines] == ["builtins.ValueError", "builtins.ValueError"]
    assert SECRET not in str(lines)


def test_warnings_are_lines_too(stderr: Lines) -> None:
    configure("info", "json", "api")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # catch_warnings has taken it back
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = stderr.json()
    assert line["log.logger"] == "py.warnings"
    assert "old" in line["message"]


async def test_a_task_that_nobody_waited_for_does_not_show_what_it_raised(stderr: Lines) -> None:
    configure("info", "json", "api")

    async def fail() -> None:
        raise ValueError(SECRET)

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task
    (line,) = stderr.json()
    assert line["message"] == "Task exception was never retrieved"
    assert line["error.type"] == "builtins.ValueError"
    assert SECRET not in str(line)


async def test_stored_values_are_not_logged(stderr: Lines, tmp_path: Path) -> None:
    configure("debug", "json", "api")
    async with aiosqlite.connect(tmp_path / "test.db") as database:
        await database.execute("CREATE TABLE said (words TEXT)")
        await database.execute("INSERT INTO said VALUES (?)", (SECRET,))
    logging.getLogger("src").debug("our own debugging is there")
    assert [line["message"] for line in stderr.json()] == ["our own debugging is there"]
