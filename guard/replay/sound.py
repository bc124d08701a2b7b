"""The sound of a clip on its way into the annotated video: untouched where MP4 and browsers take it, else as
AAC.

Sound is a companion: what goes wrong with it is noted, and the run goes on without.
"""

from __future__ import annotations

from typing import Any

from guard._imports import native

with native("av"):
    import av

__all__ = ["SoundTrack"]

_AS_IT_IS = frozenset({"aac", "mp3", "mp3float"})
"""Names of decoders; FFmpeg has two of MP3."""
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class SoundTrack:
    """One stream of sound in an MP4 being written.

    Args:
        output: the open output container, before its first packet.
        stream: the stream of the input.

    Attributes:
        trouble: why the sound ends early, None while all is well.
    """

    def __init__(self, output: Any, stream: Any) -> None:
        self.trouble: str | None = None
        self._output = output
        self._resampler: Any = None
        context = stream.codec_context
        # AAC from a transport stream carries its headers in every packet and none in front: MP4 wants the opposite.
        if context.name in _AS_IT_IS and (context.name != "aac" or context.extradata):
            self._stream = output.add_stream_from_template(stream)
        else:
            rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48_000
            layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._stream = output.add_stream("aac", rate=rate, layout=layout)
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)

    def __call__(self, packet: Any) -> None:
        """Takes one packet of the input."""
        if self.trouble is not None:
            return
        try:
            if self._resampler is None:
                packet.stream = self._stream
                self._output.mux(packet)
            else:
                for sound in packet.decode():
                    self._encode(sound)
        except (av.FFmpegError, ValueError) as error:
            self.trouble = str(error).partition("\n")[0]

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self._resampler is None or self.trouble is not None:
            return
        try:
            self._encode(None)
            self._output.mux(self._stream.encode(None))
        except (av.FFmpegError, ValueError) as error:
            self.trouble = str(error).partition("\n")[0]

    def _encode(self, sound: Any) -> None:
        for piece in self._resampler.resample(sound):
            self._output.mux(self._stream.encode(piece))
