"""``python -m guard.policy`` seals the shipped rules as they are now. For those who change them."""

from __future__ import annotations

from guard.policy.seal import write

print(write())
