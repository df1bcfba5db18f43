"""The converted network beside its checkpoint."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from src.models.xtts import onnx_files
from src.models.xtts.onnx_files import step_session
from tests.checkpoints.xtts_checkpoint import load, tiny_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the checkpoint, without what other tests converted."""
    return Path(shutil.copytree(tiny_checkpoint(), tmp_path / "xtts", ignore=shutil.ignore_patterns(".converted")))


def kept(checkpoint: Path) -> list[Path]:
    return [path for path in (checkpoint / ".converted").iterdir() if path.is_dir()]


def refuse(*_: Any) -> None:
    raise AssertionError("converted")


def test_the_second_start_converts_nothing_and_maps_the_packed_weights(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        step_session(load().gpt, checkpoint)
    assert "packs its own copy" not in caplog.text
    monkeypatch.setattr(onnx_files, "write_step_graph", refuse)
    assert step_session(load().gpt, checkpoint).get_inputs()


def test_a_kept_network_that_was_cut_off_is_made_again(checkpoint: Path) -> None:
    step_session(load().gpt, checkpoint)
    [weights] = kept(checkpoint)[0].glob("*.data")
    os.truncate(weights, 1000)
    assert step_session(load().gpt, checkpoint).get_inputs()
    assert weights.stat().st_size > 1000


def test_another_checkpoint_replaces_the_network_of_the_first(checkpoint: Path) -> None:
    step_session(load().gpt, checkpoint)
    [first] = kept(checkpoint)
    (checkpoint / ".converted" / "unfinished.by-a-killed-process").mkdir()
    weights = torch.load(checkpoint / "model.pth", weights_only=True)
    weights["model"]["gpt.mel_head.bias"][0] += 1
    torch.save(weights, checkpoint / "model.pth")
    step_session(load().gpt, checkpoint)
    [second] = kept(checkpoint)
    assert second != first


def test_a_folder_that_cannot_be_written_to_keeps_nothing_and_is_told(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (checkpoint / ".converted").write_text("in the way")
    with caplog.at_level("WARNING"):
        assert step_session(load().gpt, checkpoint).get_inputs()
    assert "each start converts it" in caplog.text


def test_weights_that_are_misread_from_the_file_are_packed_by_each_process(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch.equal", lambda *_: False)
    with caplog.at_level("WARNING"):
        assert step_session(load().gpt, checkpoint).get_inputs()
    assert "packs its own copy" in caplog.text
