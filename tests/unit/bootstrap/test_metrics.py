"""What is told of GPUs, and what is not told of callers."""

from types import SimpleNamespace

import pynvml
import pytest
from prometheus_client import REGISTRY

from src.utils import metrics


def test_memory_is_told_of_each_gpu_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(gpu: int) -> SimpleNamespace:
        if gpu:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        return SimpleNamespace(used=3, total=8)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda gpu: gpu)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)
    told = {sample.name: sample for family in metrics.GpuMemory().collect() for sample in family.samples}
    assert {name: (sample.labels, sample.value) for name, sample in told.items()} == {
        "voice_gpu_memory_used_bytes": ({"gpu": "0"}, 3),
        "voice_gpu_memory_bytes": ({"gpu": "0"}, 8),
    }


def test_a_made_up_method_makes_no_label() -> None:
    metrics.request("BREW", "(none)", 405, 0.1)
    labels = {"route": "(none)", "status": "405"}
    assert REGISTRY.get_sample_value("voice_request_seconds_count", {**labels, "method": "other"}) == 1
    assert REGISTRY.get_sample_value("voice_request_seconds_count", {**labels, "method": "BREW"}) is None
