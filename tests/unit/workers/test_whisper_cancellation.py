"""A transcription that nobody waits for any more ends between two tokens, and the next one is as if it had not been."""

import threading

import pytest

from src.domain.errors import JobCancelled
from src.models.whisper.hearing import Clip, Hearing
from src.models.whisper.network import Network
from src.models.whisper_model import WhisperModel
from tests.recordings.whisper_clips import clips, model, speech_everywhere

__all__ = ["clips", "model", "speech_everywhere"]  # fixtures


class Patience:
    """Cancels hearings at the network's question with this number, from another thread; counts the questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hearings: list[Hearing], questions: int) -> None:
        self.asked = 0
        go_on = Network.go_on

        def counted(network: Network) -> None:
            self.asked += 1
            if self.asked > questions:
                for hearing in hearings:
                    thread = threading.Thread(target=hearing.cancel)
                    thread.start()
                    thread.join()
            go_on(network)

        monkeypatch.setattr(Network, "go_on", counted)


def test_a_cancelled_hearing_stops_at_the_next_question(
    model: WhisperModel, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    hearing = model.begin(clips[0])
    with monkeypatch.context() as patched:
        patient = Patience(patched, [hearing], 10**6)
        while hearing.result is None:
            model.step([hearing])
    assert patient.asked > 2 + 20  # encoder blocks, and one for each token
    for questions in (0, 1, 3, 12, patient.asked - 1):
        hearing = model.begin(clips[0])
        with monkeypatch.context() as patched:
            caller = Patience(patched, [hearing], questions)
            for _ in range(10):
                model.step([hearing])
        assert caller.asked == questions + 1
        assert hearing.result is None


def test_a_caller_who_stays_gets_the_answer_of_the_batch(
    model: WhisperModel, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    hearings = [model.begin(clip) for clip in clips[:2]]
    with monkeypatch.context() as patched:
        Patience(patched, hearings[:1], 5)
        while hearings[1].result is None:
            model.step(hearings)
    alone = model.begin(clips[1])
    while alone.result is None:
        model.step([alone])
    assert repr(hearings[1].result) == repr(alone.result)


def test_the_network_is_ready_for_the_next_caller(model: WhisperModel, clips: list[Clip]) -> None:
    network = next(iter(model._recognisers.values())).network
    with pytest.raises(JobCancelled), network.stoppable(lambda: True):
        network.go_on()
    network.go_on()
