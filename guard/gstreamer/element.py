"""`guardfilter`: judges each buffer; a denied one is dropped, or ends the pipeline, or every face in it is covered.

GStreamer takes a Python exception in `do_transform_ip` for success and passes the buffer on as it came. So nothing may
leave that method but a flow that was decided on.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, ClassVar

import gi  # type: ignore[import-not-found]
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstBase", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GObject, Gst, GstBase, GstVideo  # type: ignore[import-not-found] # noqa: E402

from guard.errors import GuardError, GuardFault  # noqa: E402
from guard.gstreamer.sharing import borrow, give_back  # noqa: E402
from guard.guard import Guard  # noqa: E402
from guard.integrations.filters import FrameFilter  # noqa: E402
from guard.source import Source  # noqa: E402

__all__ = ["GuardFilter"]

log = logging.getLogger("guard.gstreamer")

Gst.init(None)

_CAPS = Gst.Caps.from_string("video/x-raw, format=BGR")
_DROPPED = Gst.FlowReturn.CUSTOM_SUCCESS
"""`GST_BASE_TRANSFORM_FLOW_DROPPED`, which PyGObject does not name."""

_TEXTS = {
    "config": ("The guard.toml", None),
    "source": ("The source's id; needed where the file has several", None),
    "action": ("What is done with the frames downstream", None),
    "service": ("What they go to: a service of the vocabulary or a name under [services]", "self_hosted"),
    "mode": ("drop: a denied frame is left out; error: it ends the pipeline; redact: every face is covered", "drop"),
}


class GuardFilter(GstBase.BaseTransform):  # type: ignore[misc]
    """The element. Its properties are those of `FrameFilter`, and `config`; all are read when it starts.

    BGR in and out: put `videoconvert` before it. A source whose frames come from a live element (a camera, a stream;
    the answer to GStreamer's latency query says so) is live from then on, whatever its `use.timing` declares.
    """

    __gstmetadata__ = (
        "Facial recognition guard",
        "Filter/Video",
        "Lets through only frames that policy allows to be used",
        "guard",
    )
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, _CAPS)
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC))
    )
    __gproperties__: ClassVar[dict[str, Any]] = {
        name: (str, name, blurb, default, GObject.ParamFlags.READWRITE) for name, (blurb, default) in _TEXTS.items()
    }

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, str | None] = {name: default for name, (_, default) in _TEXTS.items()}
        self._guard: Guard | None = None
        self._filter: FrameFilter | None = None
        self._layout: Any = None
        self._number = 0
        self._asked: str | None = None

    def do_get_property(self, property: Any) -> str | None:
        """The value of a property."""
        return self._values[property.name]

    def do_set_property(self, property: Any, value: str | None) -> None:
        """Sets a property; it counts from the next start on."""
        self._values[property.name] = value

    # ---- starting and stopping

    def do_start(self) -> bool:
        """Loads the guard. Without one the pipeline does not start."""
        try:
            self.set_in_place(True)
            self.set_passthrough(False)
            if self._values["config"] is None:
                raise GuardFault("guardfilter needs its property config", mend="config=guard.toml")
            self._guard = borrow(self._values["config"])
            self._filter = FrameFilter(
                self._guard.source(self._values["source"]),
                service=self._values["service"] or "self_hosted",
                action=self._values["action"],
                mode=self._values["mode"] or "drop",  # type: ignore[arg-type]
            )
            self._number = 0
            self._asked = None
        except BaseException as error:  # noqa: BLE001 - whatever it was, nothing starts
            self._give_back()
            self._post(error)
            return False
        return True

    def do_stop(self) -> bool:
        """Gives the guard back; what comes afterwards is refused."""
        self._give_back()
        return True

    def _give_back(self) -> None:
        guard, self._guard, self._filter = self._guard, None, None
        if guard is not None:
            with contextlib.suppress(Exception):
                give_back(guard)

    def do_set_caps(self, incaps: Any, outcaps: Any) -> bool:
        """Learns where the rows lie."""
        self._layout = GstVideo.VideoInfo.new_from_caps(incaps)
        return self._layout is not None

    # ---- each buffer

    def do_transform_ip(self, buffer: Any) -> Any:
        """OK for a buffer that may go on; else dropped or an error. Raises nothing."""
        flow = _DROPPED
        try:
            try:
                flow = self._passed(buffer)
            except BaseException as error:  # noqa: BLE001 - an exception that leaves here lets the buffer pass
                flow = self._refused(error)
        except BaseException:  # noqa: BLE001 - nor may the refusal itself open the way
            flow = Gst.FlowReturn.ERROR
        return flow

    def _passed(self, buffer: Any) -> Any:
        if self._filter is None or self._layout is None:
            raise GuardFault("guardfilter has not started, or knows no format")
        self._tell_whether_live(self._filter.source)
        offset, stride = self._rows(buffer)
        width, height = self._layout.width, self._layout.height
        mapped, content = buffer.map(Gst.MapFlags.READ | Gst.MapFlags.WRITE)
        if not mapped:
            raise GuardFault("the buffer cannot be mapped for reading and writing")
        try:
            data = np.frombuffer(content.data, np.uint8)
            if offset + (height - 1) * stride + width * 3 > data.size or stride < width * 3:
                raise GuardFault("the buffer is smaller than its format says")
            rows = np.lib.stride_tricks.as_strided(data[offset:], (height, width, 3), (stride, 3, 1))
            image = rows.copy()
            self._number += 1
            released = self._filter.judge(image, index=self._number - 1)
            if released is not image:
                rows[...] = released
        finally:
            buffer.unmap(content)
        return Gst.FlowReturn.OK

    def _tell_whether_live(self, source: Source) -> None:
        """Asks upstream, once a stream, whether its frames are taken as they come; who does not answer is live."""
        pad = self.get_static_pad("sink")
        stream = pad.get_stream_id()
        if stream is not None and stream == self._asked:
            return
        query = Gst.Query.new_latency()
        if (not pad.peer_query(query) or query.parse_latency()[0]) and not source.context.live:
            source.context.goes_live()
        self._asked = stream

    def _rows(self, buffer: Any) -> tuple[int, int]:
        """Offset of the first row and bytes from row to row."""
        meta = GstVideo.buffer_get_video_meta(buffer)
        if meta is not None:
            return int(meta.offset[0]), int(meta.stride[0])
        return int(self._layout.offset[0]), int(self._layout.stride[0])

    def _refused(self, error: BaseException) -> Any:
        if not isinstance(error, GuardError):
            log.error("a frame broke the guard and was refused: %s: %s", type(error).__name__, error)
        if self._filter is not None and self._filter.mode != "error":
            return _DROPPED
        self._post(error)
        return Gst.FlowReturn.ERROR

    def _post(self, error: BaseException) -> None:
        """Says on the bus what was refused, as an error of GStreamer's own: not authorised."""
        text = str(error) if isinstance(error, GuardError) else f"{type(error).__name__}: {error}"
        self.message_full(
            Gst.MessageType.ERROR,
            Gst.ResourceError.quark(),
            Gst.ResourceError.NOT_AUTHORIZED,
            text,
            None,
            "guardfilter",
            "do_transform_ip",
            0,
        )
