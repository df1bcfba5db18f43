"""One file over a real connection that breaks, lies, and stalls: it arrives whole and right, or not under its name."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.downloads.errors import (
    Busy,
    Changed,
    Corrupted,
    Interrupted,
    InTheWay,
    Refused,
    Unreachable,
)
from scripts.downloads.http import Http
from scripts.downloads.sources import WhisperHost
from scripts.downloads.transfer import part_of
from tests.providers.download_server import DownloadServer, Fault
from tests.providers.downloading import BODY, OTHER, QUICK, Remembered, fetch, sha256, whisper_file
from tests.providers.provider_server import deaf_address

FILE = whisper_file()
PATH = f"/main/whisper/models/{sha256(BODY).digest}/tiny.pt"


@pytest.fixture
def server() -> Iterator[DownloadServer]:
    with DownloadServer() as running:
        running.put(PATH, BODY, etag='"first"')
        yield running


@pytest.fixture
def host(server: DownloadServer) -> Iterator[WhisperHost]:
    http = Http(QUICK)
    yield WhisperHost(http, server.url)
    http.close()


@pytest.fixture
def impatient(server: DownloadServer) -> Iterator[WhisperHost]:
    """As `host`, for tests of silence; the others shall not fail where the machine is slow."""
    http = Http(replace(QUICK, read_seconds=0.4))
    yield WhisperHost(http, server.url)
    http.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny.pt"


def is_whole(target: Path) -> bool:
    """The right bytes under the right name, and nothing beside them."""
    return target.read_bytes() == BODY and [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_file_arrives_in_one_request(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    progress = Remembered()
    fetch(host, FILE, target, progress=progress)
    assert is_whole(target)
    assert server.begun() == [None]
    assert progress.positions == sorted(progress.positions)
    assert progress.positions[-1] == len(BODY)


def test_a_broken_connection_goes_on_where_it_broke(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.extend([Fault(cut_at=100_000), Fault(cut_at=250_000)])
    progress = Remembered()
    fetch(host, FILE, target, progress=progress)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-", "bytes=250000-"]
    assert server.requests[-1].headers["If-Range"] == '"first"'
    assert "Trying again" in progress.said[0]


def test_a_reset_connection_goes_on(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.append(Fault(cut_at=200_000, reset=True))
    fetch(host, FILE, target)
    assert is_whole(target)
    assert len(server.begun()) == 2


def test_a_server_without_ranges_is_read_from_the_beginning(
    host: WhisperHost, server: DownloadServer, target: Path
) -> None:
    server.faults.extend([Fault(cut_at=100_000), Fault(no_range=True)])
    progress = Remembered()
    fetch(host, FILE, target, progress=progress)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-"]
    assert progress.positions[-1] == len(BODY)


def test_a_wrong_range_is_not_believed(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    lie = {"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}
    server.faults.extend([Fault(cut_at=100_000), Fault(headers=lie)])
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-", None]


def test_corrupted_bytes_are_deleted_and_fetched_once_more(
    host: WhisperHost, server: DownloadServer, target: Path
) -> None:
    server.faults.append(Fault(corrupt_at=123_456))
    progress = Remembered()
    fetch(host, FILE, target, progress=progress)
    assert is_whole(target)
    assert server.begun() == [None, None]
    assert "wrong checksum" in progress.said[0]


def test_corrupted_twice_is_an_error_and_leaves_nothing(
    host: WhisperHost, server: DownloadServer, target: Path
) -> None:
    server.faults.extend([Fault(corrupt_at=0), Fault(corrupt_at=299_999)])
    with pytest.raises(Corrupted, match=r"tiny\.pt"):
        fetch(host, FILE, target)
    assert list(target.parent.iterdir()) == []
    assert len(server.begun()) == 2


def test_corruption_before_a_break_is_found(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.append(Fault(corrupt_at=5, cut_at=100_000))
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-", None]


@pytest.mark.parametrize("length", [1000, 300_001, 10**12])
def test_a_wrong_content_length_is_tried_once_more(
    host: WhisperHost, server: DownloadServer, target: Path, length: int
) -> None:
    server.faults.append(Fault(content_length=length))
    fetch(host, FILE, target)
    assert is_whole(target)

    target.unlink()
    server.faults.extend([Fault(content_length=length), Fault(content_length=length)])
    with pytest.raises(Changed, match="announced"):
        fetch(host, FILE, target)
    assert list(target.parent.iterdir()) == []


def test_a_range_that_ends_early_is_gone_on_with(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.extend([Fault(cut_at=100_000), Fault(content_length=50_000, cut_at=150_000)])
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_silent_server_is_asked_again(impatient: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.extend([Fault(delay=1.0), Fault(cut_at=100_000, hang=1.0)])
    progress = Remembered()
    fetch(impatient, FILE, target, progress=progress)
    assert is_whole(target)
    assert all("sent nothing for 0.4 s" in said for said in progress.said)
    assert server.begun() == [None, None, "bytes=100000-"]


def test_a_trickle_is_not_waited_for(impatient: WhisperHost, server: DownloadServer, target: Path) -> None:
    # A byte every 20 ms keeps every timeout between bytes from ending it: 300,000 of them would take 100 minutes.
    server.faults.append(Fault(drip=0.02))
    progress = Remembered()
    begun = time.monotonic()
    fetch(impatient, FILE, target, progress=progress)
    assert time.monotonic() - begun < 5
    assert is_whole(target)
    assert "sent only" in progress.said[0]
    assert server.begun()[1] not in {None, "bytes=0-"}


def test_it_gives_up_after_its_attempts_and_the_next_run_goes_on(
    host: WhisperHost, server: DownloadServer, target: Path
) -> None:
    server.faults.extend(Fault(cut_at=at) for at in (50_000, 60_000, 70_000, 80_000))
    with pytest.raises(Interrupted):
        fetch(host, FILE, target)
    assert part_of(target, sha256(BODY)).stat().st_size == 80_000
    assert not target.exists()
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun()[-1] == "bytes=80000-"


def test_attempts_that_bring_much_are_not_counted(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.extend(Fault(cut_at=at) for at in range(30_000, 300_000, 30_000))
    fetch(host, FILE, target, patience=replace(QUICK, enough_bytes=30_000))
    assert is_whole(target)
    assert len(server.begun()) == 10


@pytest.mark.parametrize("etag", ['"second"', None])
def test_another_file_of_the_same_length_is_not_joined_to_the_first(
    host: WhisperHost, server: DownloadServer, target: Path, etag: str | None
) -> None:
    """Its ETag says so; and where it lies, the checksum does. What it should be comes back in the end."""

    def swap() -> None:
        server.put(PATH, OTHER, etag=etag or '"first"')

    server.faults.extend(
        [
            Fault(cut_at=100_000),
            Fault(before=swap),
            Fault(before=lambda: server.put(PATH, BODY, etag='"third"')),
        ]
    )
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == [None, "bytes=100000-", None]


def test_a_part_that_is_too_long_is_begun_anew(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target, sha256(BODY)).write_bytes(OTHER + b"more")
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == [None]


def test_a_whole_part_is_only_verified(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target, sha256(BODY)).write_bytes(BODY)
    fetch(host, FILE, target)
    assert is_whole(target)
    assert server.begun() == []


def test_parts_of_an_older_version_are_removed(host: WhisperHost, target: Path) -> None:
    target.parent.mkdir()
    part_of(target, sha256(OTHER)).write_bytes(OTHER[:1000])
    fetch(host, FILE, target)
    assert is_whole(target)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_no_is_not_asked_again(host: WhisperHost, server: DownloadServer, target: Path, status: int) -> None:
    server.faults.append(Fault(status=status))
    with pytest.raises(Refused, match=str(status)):
        fetch(host, FILE, target)
    assert len(server.begun()) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(host: WhisperHost, server: DownloadServer, target: Path, status: int) -> None:
    server.faults.extend([Fault(status=status)] * 3)
    fetch(host, FILE, target)
    assert is_whole(target)

    target.unlink()
    server.faults.extend([Fault(status=status)] * 4)
    with pytest.raises(Busy, match=str(status)):
        fetch(host, FILE, target)


def test_retry_after_is_waited_for(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.append(Fault(status=429, headers={"Retry-After": "1"}))
    begun = time.monotonic()
    fetch(host, FILE, target)
    assert 1.0 <= time.monotonic() - begun < 5
    assert is_whole(target)


@pytest.mark.parametrize("value", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_retry_after_that_is_too_long_is_not_waited_for(
    host: WhisperHost, server: DownloadServer, target: Path, value: str
) -> None:
    server.faults.append(Fault(status=503, headers={"Retry-After": value}))
    with pytest.raises(Busy, match="asks to wait"):
        fetch(host, FILE, target)
    assert len(server.begun()) == 1


def test_a_compressed_answer_is_refused(host: WhisperHost, server: DownloadServer, target: Path) -> None:
    server.faults.append(Fault(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Refused, match="compressed"):
        fetch(host, FILE, target)
    assert server.requests[-1].headers["Accept-Encoding"] == "identity"


def test_a_host_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    http = Http(replace(QUICK, connect_seconds=0.2))
    begun = time.monotonic()
    with deaf_address() as url, pytest.raises(Unreachable, match="no answer in"):
        fetch(WhisperHost(http, url), FILE, tmp_path / "tiny.pt")
    assert time.monotonic() - begun < 5
    http.close()


def test_a_second_process_at_the_same_file_is_turned_away(
    host: WhisperHost, server: DownloadServer, target: Path
) -> None:
    def second() -> None:
        with pytest.raises(InTheWay, match="Another process"):
            fetch(host, FILE, target)
        refused.append(True)

    refused: list[bool] = []
    server.faults.append(Fault(before=second))
    fetch(host, FILE, target)
    assert is_whole(target)
    assert refused == [True]


def test_a_folder_that_cannot_be_made_is_named(host: WhisperHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InTheWay, match="cannot be written"):
        fetch(host, FILE, tmp_path / "file" / "tiny.pt")
