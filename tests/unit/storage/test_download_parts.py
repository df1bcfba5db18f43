"""Downloads, part by part: the catalogue, checksums, what is said on the way, and the disk."""

import errno
import io
import os
from pathlib import Path

import pytest
import whisper

from scripts.downloads import catalogue
from scripts.downloads.checksums import Checksum, read_manifest
from scripts.downloads.errors import DownloadError, InTheWay, NoSpace
from scripts.downloads.progress import Bars, Lines, for_terminal
from scripts.downloads.transfer import _writing, check_room
from src.domain.errors import EngineUnavailable
from src.models import whisper_model
from src.models.xtts import coqui


class TestCatalogue:
    def test_it_has_openai_whispers_models_and_checksums(self) -> None:
        published = {
            f"whisper:{url.split('/')[-1].removesuffix('.pt')}": url.split("/")[-2] for url in whisper._MODELS.values()
        }
        ours = {
            model.name: model.files[0].checksum.digest
            for model in catalogue.MODELS.values()
            if model.files[0].checksum is not None
        }
        assert ours == published
        for name in whisper._MODELS:
            assert catalogue.choose([f"whisper:{name}"])[0].files[0].name == whisper._MODELS[name].split("/")[-1]

    def test_it_has_what_the_service_can_name(self) -> None:
        for name in (*whisper_model.MODELS, *whisper_model._ALIASES):
            assert catalogue.choose([f"whisper:{name}"])
        assert set(coqui.FILES) <= set(catalogue.XTTS_FILES)

    def test_a_model_that_is_missing_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable, match=r"scripts/download_models\.py whisper:large-v3-turbo`"):
            whisper_model.weights_file("turbo", tmp_path)
        with pytest.raises(EngineUnavailable, match=r"scripts/download_models\.py xtts`"):
            coqui.load_xtts(tmp_path, licence_accepted=True)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_a_terminal_gets_bars(self) -> None:
        stream = _Terminal()
        progress = for_terminal(stream)
        assert isinstance(progress, Bars)
        with progress.meter("base.pt", 1000) as meter:
            meter.at(400)
            meter.at(1000)
            progress.say("said in between")
        assert "base.pt: 100%" in stream.getvalue()
        assert "said in between" in stream.getvalue()

    def test_a_bar_goes_back_when_the_file_is_begun_anew(self) -> None:
        stream = _Terminal()
        with Bars(stream).meter("base.pt", 1000) as meter:
            meter.at(900)
            meter.at(0)
            meter.at(500)
        assert "base.pt:  50%" in stream.getvalue().split("\r")[-1]

    def test_a_file_gets_lines(self) -> None:
        stream = io.StringIO()
        assert isinstance(for_terminal(stream), Lines)
        with Lines(stream, seconds_between=0).meter("base.pt", 145_000_000) as meter:
            meter.at(14_500_000)
        assert stream.getvalue() == "base.pt: 145 MB\nbase.pt: 14.5 MB of 145 MB (10%)\n"

    def test_lines_are_not_many(self) -> None:
        stream = io.StringIO()
        with Lines(stream).meter("base.pt", 1000) as meter:
            for position in range(1000):
                meter.at(position)
        assert stream.getvalue().count("\n") == 1


def test_a_manifest_is_read_as_sha256sum_writes_it() -> None:
    digest = "0123456789abcdef" * 4
    text = f"{digest}  xtts/model.pth\n{digest.upper()} *base.pt\r\n{digest}  ./tiny.pt\n# note\n{digest[:40]}  short\n"
    checksum = Checksum("sha256", digest)
    assert read_manifest(text) == {"xtts/model.pth": checksum, "base.pt": checksum, "tiny.pt": checksum}


def test_the_id_in_git_is_gits_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")
    # printf 'hello\n' | git hash-object --stdin
    checksum = Checksum.from_etag('W/"ce013625030ba8dba906f756967f9e9ca394464a"')
    assert checksum is not None
    assert checksum.fits(tmp_path / "file")
    assert Checksum.from_etag('"0x8D9F"') is None


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, NoSpace), (errno.EIO, InTheWay)])
def test_errors_of_the_disk_say_what_to_do(tmp_path: Path, number: int, kind: type[DownloadError]) -> None:
    with pytest.raises(kind, match=str(tmp_path)), _writing(tmp_path / "file"):
        raise OSError(number, os.strerror(number))


def test_room_is_counted_for_all_files_together(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    check_room({tmp_path / "new" / "a": 1000, tmp_path / "b": 1000})
    with pytest.raises(NoSpace, match="are needed"):
        check_room({tmp_path / "new" / "a": free * 2 // 3, tmp_path / "b": free * 2 // 3})
