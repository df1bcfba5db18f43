"""Decodes packet after packet, and keeps account of what could not be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.codec.context import Flags2

from src.adapters.decoding.whole_parts import amr_frame_bytes

AMR = frozenset({"amrnb", "amrwb", "amr_nb", "amr_wb"})
_AMR_FRAME_SECONDS = 0.02
_AMR_PAUSE_BYTES = 6
"""A frame that says what silence sounds like; shorter ones say that nothing was sent."""


@dataclass(slots=True)
class Packets:
    """A damaged packet is left out: the decoder goes on with the next.

    `begins_at`: where in the file the first one is.
    `passed_over_bytes` are in packets that say less than they are long. `gap_seconds`: what the time stamps have more
    than was decoded. `ended_early`: nothing behind a place in the file could be read.
    """

    seconds: float = 0.0
    begins_at: int = 0
    good_bytes: int = 0
    bad_bytes: int = 0
    passed_over_bytes: int = 0
    gap_seconds: float = 0.0
    ended_early: bool = False
    _bad_seconds: float = 0.0
    _began: float | None = None
    _lengths_are_right: bool = False

    def frames(self, container: "av.container.InputContainer", stream: av.AudioStream) -> "Iterator[av.AudioFrame]":
        codec = stream.codec_context
        if codec.name == "flac":
            codec.options = {"err_detect": "crccheck+explode"}  # else a frame with a wrong checksum is noise
        if codec.name == "alac":  # its last packet is short; ffmpeg takes what CAF's header says it lacks off it again
            codec.flags2 |= Flags2.skip_manual
        for packet in self._demuxed(container, stream):
            self.begins_at = self.begins_at or packet.pos or 0
            self._note_time(packet)
            if codec.name in AMR:
                yield from self._amr_frames(packet, codec)
            else:
                yield from self._decoded(packet, codec)

    def _note_time(self, packet: "av.Packet[Any]") -> None:
        """Keep `gap_seconds` as it is before this packet."""
        if packet.pts is None or packet.time_base is None:
            return
        at = float(packet.pts * packet.time_base)
        if self._began is None:
            self._began = at
        self.gap_seconds = at - self._began - self.seconds - self._bad_seconds

    def _decoded(self, packet: "av.Packet[Any]", codec: av.AudioCodecContext) -> "Iterator[av.AudioFrame]":
        try:
            frames = codec.decode(packet)
        except av.FFmpegError:
            frames = None
        if frames is None or self._is_other_length(frames, packet, codec):
            self._count_bad(packet)
            return
        plain_bytes = sum(frame.samples * frame.layout.nb_channels * frame.format.bytes for frame in frames)
        surplus = max(0, packet.size - plain_bytes) if plain_bytes else 0
        self.good_bytes += packet.size - surplus
        self.passed_over_bytes += surplus
        self.seconds += sum(frame.samples / frame.sample_rate for frame in frames)
        yield from frames

    def _amr_frames(self, packet: "av.Packet[Any]", codec: av.AudioCodecContext) -> "Iterator[av.AudioFrame]":
        """One after the other, as ffmpeg decodes whatever a damaged one has, and knows no pauses."""
        data, wide = bytes(packet), "wb" in codec.name
        while data:
            length = amr_frame_bytes(data[0], wide=wide)
            frame = data[:length] if 0 < length <= len(data) else data
            data = data[len(frame) :]
            if len(frame) != length:
                self.bad_bytes += len(frame)
            elif length <= _AMR_PAUSE_BYTES:
                yield self._pause(length, codec)
            else:
                yield from self._decoded(av.Packet(frame), codec)

    def _pause(self, size: int, codec: av.AudioCodecContext) -> av.AudioFrame:
        """As long as a frame: what is said before and after is not moved together."""
        silence = np.zeros((1, codec.sample_rate // 50), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, codec.format.name, "mono")
        frame.sample_rate = codec.sample_rate
        self.good_bytes += size
        self.seconds += _AMR_FRAME_SECONDS
        return frame

    def _is_other_length(
        self, frames: list[av.AudioFrame], packet: "av.Packet[Any]", codec: av.AudioCodecContext
    ) -> bool:
        """Opus has no checksum, but each packet says how long it is. So does the container, which is believed once it
        was right.
        """
        if codec.name != "opus" or not frames:
            return False
        decoded = sum(frame.samples / frame.sample_rate for frame in frames)
        stated = float(packet.duration * packet.time_base) if packet.duration and packet.time_base else decoded
        right = 0.8 < decoded / stated < 1.3
        self._lengths_are_right |= right
        return self._lengths_are_right and not right

    def _count_bad(self, packet: "av.Packet[Any]") -> None:
        self.bad_bytes += packet.size
        if packet.duration and packet.time_base:
            self._bad_seconds += float(packet.duration * packet.time_base)

    def _demuxed(self, container: "av.container.InputContainer", stream: av.AudioStream) -> "Iterator[av.Packet[Any]]":
        try:
            yield from container.demux(stream)
        except av.FFmpegError:
            self.ended_early = True
