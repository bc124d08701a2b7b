"""The guard beside a pipeline: a reverse proxy and Envoy's check, for whatever language makes the call.

Each request is read whole, translated, judged for the source that is named, and only then sent on. What cannot be
read, judged, recorded or answered in time is refused.
"""

from __future__ import annotations

from guard.gateway.serving import Gateway

__all__ = ["Gateway"]
