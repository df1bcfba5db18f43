"""A transcript as SubRip and as WebVTT."""

from collections.abc import Iterable

from src.domain.speech import Segment


def srt(segments: Iterable[Segment]) -> str:
    blocks = (
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_line(segment.text)}\n"
        for number, segment in enumerate(segments, start=1)
    )
    return "\n".join(blocks)


def vtt(segments: Iterable[Segment]) -> str:
    cues = (
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_line(segment.text)}\n" for segment in segments
    )
    return "\n".join(("WEBVTT\n", *cues))


def _line(text: str) -> str:
    """An arrow would begin a cue."""
    return text.strip().replace("-->", "->")


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
