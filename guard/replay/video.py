"""Writes the annotated video: H.264 in MP4 with the index in front, which every browser plays.

Time stamps are the clip's own, so a clip with a changing rate keeps its pace. The file gets its name when it
is whole; until then it is called ``NAME.part``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from guard._imports import native
from guard.errors import SourceError
from guard.replay.clip import Clip, Frame, Image
from guard.replay.sound import SoundTrack

with native("av"):
    import av

__all__ = ["VideoWriter"]

_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
_LAST_RESORT = "mpeg4"
_BT601, _BT709 = 5, 1


class VideoWriter:
    """One MP4 being written. `add` frames, hand packets of sound to `listen`, then `close` or `abandon`.

    Args:
        path: the file.
        clip: whose time stamps and sound it keeps.
        crf: constant rate factor of H.264, 0 to 51: higher is smaller and worse.
        sound: whether the clip's sound goes into it.
        key_every: a key frame every so many frames, which makes seeking fast; None = as the encoder likes.
        threads: of the encoder. One by default, so that it does not run beside the hook whose time is taken; 0 = as
            many as the machine has cores.

    Raises `SourceError` where the file cannot be written.

    Attributes:
        notes: what the user should know of the file, one line each.
    """

    def __init__(
        self,
        path: Path,
        clip: Clip,
        *,
        crf: int = 23,
        sound: bool = True,
        key_every: int | None = None,
        threads: int = 1,
    ) -> None:
        self.path = path
        self._threads = threads
        self.notes: list[str] = []
        self._clip = clip
        self._crf = crf
        self._with_sound = sound and clip.sound is not None
        self._key_every = key_every
        self._part = path.with_name(path.name + ".part")
        self._output: Any = None
        self._stream: Any = None
        self._sound: SoundTrack | None = None
        self._early: list[Any] = []

    def add(self, frame: Frame, drawn: Image) -> None:
        """Adds `drawn` (H x W x 3 uint8 BGR, even sides, the same size each time) at the time of `frame`."""
        try:
            if self._output is None:
                self._open(drawn.shape[1], drawn.shape[0])
            picture = av.VideoFrame.from_ndarray(drawn, format="bgr24")
            picture = picture.reformat(
                format="yuv420p", dst_colorspace=self._colours, dst_color_range=av.video.reformatter.ColorRange.MPEG
            )
            picture.pts = frame.pts
            picture.time_base = self._clip.time_base
            self._output.mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from None

    def listen(self, packet: Any) -> None:
        """Takes a packet of the clip's sound; those before the first frame wait for it."""
        if self._sound is not None:
            self._sound(packet)
        elif self._with_sound and self._output is None:
            self._early.append(packet)

    def close(self) -> Path | None:
        """Finishes the file and gives it its name; None where no frame was added."""
        if self._output is None:
            return None
        try:
            self._output.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish()
            self._output.close()
            os.replace(self._part, self.path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from None
        if self._sound is not None and self._sound.trouble is not None:
            self.notes.append(f"the sound is not all there: {self._sound.trouble}")
        return self.path

    def abandon(self) -> None:
        """Closes and removes what was written."""
        if self._output is not None:
            try:
                self._output.close()
            except (av.FFmpegError, OSError, ValueError) as error:
                self.notes.append(f"the unfinished video could not be closed: {error}")
        self._part.unlink(missing_ok=True)

    def _open(self, width: int, height: int) -> None:
        self._output = av.open(f"file:{self._part}", "w", format="mp4", options={"movflags": "+faststart"})
        name = next((name for name in _ENCODERS if name in av.codecs_available and _encodes(name)), _LAST_RESORT)
        if name == _LAST_RESORT:
            self.notes.append("no H.264 encoder is built in: the video is MPEG-4 and may not play in a browser")
        stream = self._output.add_stream(name, rate=self._clip.rate.limit_denominator(65_535))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._clip.time_base
        stream.thread_count = self._threads
        if name == "libx264":
            stream.options = {"preset": "veryfast", "crf": str(self._crf)}
        else:
            stream.bit_rate = max(500_000, width * height * 4)
        if self._key_every is not None:
            stream.codec_context.gop_size = self._key_every
        aspect = self._clip.pixel_aspect
        if aspect != 1:
            stream.codec_context.sample_aspect_ratio = aspect
        self._colours = _BT709 if height >= 720 else _BT601
        stream.codec_context.colorspace = self._colours
        self._stream = stream
        if self._with_sound:
            self._take_sound()

    def _take_sound(self) -> None:
        try:
            self._sound = SoundTrack(self._output, self._clip.sound)
        except (av.FFmpegError, ValueError) as error:
            self.notes.append(f"the sound could not be kept: {str(error).partition(chr(10))[0]}")
        for packet in self._early:
            self.listen(packet)
        self._early.clear()

    def _failed(self, error: BaseException) -> SourceError:
        said = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        return SourceError(f"the video cannot be written: {said}", where=str(self.path))


def _encodes(name: str) -> bool:
    try:
        return bool(av.Codec(name, "w").is_encoder)
    except av.codec.codec.UnknownCodecError:
        return False
