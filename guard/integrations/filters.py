"""Filters on the way of frames: what may not be looked at does not come out at the other end.

::

    for frame in guard_frames(container.decode(video=0), cam, action="identify", service="my-matcher"):
        search(frame.to_ndarray(format="bgr24"))

For loops over PyAV's frames, OpenCV's captures and arrays, where the call that identifies people is out of reach: in
another process, or in a library that nobody guards. Each frame is judged as that call and leaves one record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from guard.errors import ConfigError, Denied, GuardFault
from guard.facts import VLM_SERVICES
from guard.source import check_action

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.source import Source

__all__ = ["FrameFilter", "Mode", "guard_frames"]

log = logging.getLogger("guard.integrations")

Mode = Literal["drop", "error", "redact"]


class FrameFilter:
    """Judges frames one by one.

    Args:
        source: whose frames they are.
        service: what they go to: a service of the vocabulary or a name under `[services]`.
        action: what is done with them there; it may be left out towards a vision-language service only, and is always
            ``redact`` in the mode of that name.
        mode: ``redact`` covers every face that is seen, whatever comes after; it is for viewers and recorders, since a
            face that is missed stays. In the others a frame goes on as the verdict says, redacted where it says so.

    Raises `ConfigError` for an unknown service, action or mode.
    """

    def __init__(self, source: Source, *, service: str = "self_hosted", action: str | None = None, mode: Mode = "drop"):
        if mode not in get_args(Mode):
            raise ConfigError(f"no mode is called {mode!r}", mend=f"known are {', '.join(get_args(Mode))}")
        self.source = source
        self.service = source.guard.resolve_service(service)
        self.mode = mode
        if mode == "redact":
            if action not in (None, "redact"):
                raise ConfigError(
                    f"frames for {action} are not freed by covering faces: one that is missed would be used",
                    where=f"source {source.id}",
                    mend='choose the mode "drop" or "error", or leave the action out',
                )
            action = "redact"
            source.pixels_matter = True
        elif action is not None:
            check_action(action)
        elif self.service not in VLM_SERVICES:
            raise ConfigError(
                f"frames for {self.service} need an action",
                where=f"source {source.id}",
                mend='name what is done with them, e.g. action="identify"',
            )
        if action in (None, "vlm_describe"):
            source.pixels_matter = True
        self.action = action

    def judge(self, image: NDArray[Any], *, at: datetime | None = None, index: int | None = None) -> NDArray[Any]:
        """The frame that may go on: `image` itself, or a read-only array of the same shape with its faces covered.

        Args:
            image: H x W x 3 uint8 BGR (grey and BGRA work too); not changed.
            at, index: as for `Source.frame`.

        Raises `Denied`, or `GuardFault` where the frame cannot be judged, in every mode; `SourceError` for what cannot
        be a frame.
        """
        from guard.gate import Call

        with self.source.frame(image, at=at, index=index) as seen:
            (released,), _ = Call(self.source, (self.action,), self.service, (image,), {}).pass_through()
            if self.mode != "redact":
                return released  # type: ignore[no-any-return]
            faces = seen.look()
            covered = seen.covered or faces
            looked_at = image if seen.snapshot is None else seen.snapshot
            return self.source.guard.redact(looked_at, covered) if len(covered) else released


def guard_frames(
    frames: Any,
    source: Source,
    *,
    service: str = "self_hosted",
    action: str | None = None,
    mode: Mode = "drop",
) -> Iterator[Any]:
    """The frames that may go on, of the kind that comes in.

    Args:
        frames: an opened ``cv2.VideoCapture`` or PyAV container (its first video), PyAV video frames, BGR uint8 arrays.
        source, service, action, mode: as for `FrameFilter`. A frame that is denied, or cannot be judged, is left out
            in the modes ``drop`` and ``redact``; in the mode ``error`` the loop ends with `Denied` or `GuardFault`.

    A capture that does not say how many frames it has, as a file does, and a container that does not say how long it
    lasts, is a camera or a stream: its source is live from then on, whatever `use.timing` declares.

    The frame is judged before it is handed out, and is not open while it is used: calls in the loop are judged anew.
    """
    judging = FrameFilter(source, service=service, action=action, mode=mode)
    if hasattr(frames, "read"):
        from guard.integrations.captures import is_recording

        if not is_recording(frames):
            source.context.goes_live()
        frames = _read(frames)
    elif hasattr(frames, "demux"):
        from guard.integrations.captures import lasts

        if not lasts(frames):
            source.context.goes_live()
        frames = frames.decode(video=0)
    return _filtered(frames, judging)


def _filtered(frames: Any, judging: FrameFilter) -> Iterator[Any]:
    refused = False
    for index, frame in enumerate(frames):
        is_array = not hasattr(frame, "to_ndarray")
        try:
            image = frame if is_array else frame.to_ndarray(format="bgr24")
            released = judging.judge(image, index=index)
        except (Denied, GuardFault) as error:
            if judging.mode == "error":
                raise
            if not refused:
                log.warning("source %s: frames are left out: %s", judging.source.id, error)
            refused = True
            continue
        yield released if is_array else _video_frame(released, image, frame)


def _read(capture: Any) -> Iterator[Any]:
    while True:
        is_there, image = capture.read()
        if not is_there:
            return
        yield image


def _video_frame(released: NDArray[Any], image: NDArray[Any], like: Any) -> Any:
    """A PyAV frame of what was released, of the format and at the time of the one that was judged; that one itself
    where nothing in it changed."""
    import numpy as np

    if released is image or np.array_equal(released, image):
        return like
    made = type(like).from_ndarray(np.ascontiguousarray(released), format="bgr24").reformat(format=like.format.name)
    made.pts, made.time_base = like.pts, like.time_base
    return made
