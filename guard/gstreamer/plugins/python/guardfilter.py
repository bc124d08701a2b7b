"""What GStreamer's Python loader reads: the element, by its name."""

from gi.repository import Gst  # type: ignore[import-not-found]

from guard.gstreamer.element import GuardFilter

__gstelementfactory__ = ("guardfilter", Gst.Rank.NONE, GuardFilter)
