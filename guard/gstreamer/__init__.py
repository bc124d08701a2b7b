"""The GStreamer element `guardfilter`, for the Python that GStreamer was built for.

::

    GST_PLUGIN_PATH=$(python3 -c 'import guard.gstreamer as g; print(g.PLUGIN_PATH)') \\
        gst-launch-1.0 ... ! videoconvert ! guardfilter config=guard.toml source=bodycam action=identify ! ...

This module imports no GStreamer; `guard.gstreamer.element` does.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["PLUGIN_PATH"]

PLUGIN_PATH = str(Path(__file__).parent / "plugins")
"""For `GST_PLUGIN_PATH`: where GStreamer's Python loader finds the element."""
