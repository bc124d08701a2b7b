"""Matchers: what a replay calls when the guard lets it.

They stand for the pipeline's own service, so they count for themselves how often they were reached, and they
know nothing of the guard.
"""

from __future__ import annotations

from guard.matchers.base import Counting, Match, Matcher, open_matcher

__all__ = ["MATCHERS", "Counting", "Match", "Matcher", "open_matcher"]

MATCHERS = ("face_recognition", "sface")
"""What `guard replay --matcher` takes."""
