"""Policy: packs of Cedar rules, the engine that judges by them, and what would turn its denials."""

from __future__ import annotations

from guard.policy.columns import Column, Ruling
from guard.policy.engine import Engine
from guard.policy.lint import Finding
from guard.policy.own import Settings
from guard.policy.packs import Pack, Policy, Rule

__all__ = ["Column", "Engine", "Finding", "Pack", "Policy", "Rule", "Ruling", "Settings"]
