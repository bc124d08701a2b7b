"""Packs: finding them, reading them, and knowing what each rule says of itself.

A pack is one ``NAME.cedar`` file; its name is the file's stem. A rule is one or more Cedar policies, its
branches: the id of a branch is that of its rule, or that followed by ``/`` and a name. Every policy carries
``@id``, ``@title``, ``@cite``, ``@sure`` and ``@reviewed``; decisions cite the rule.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import cedarpy

from guard.errors import PolicyError
from guard.facts import ACTIONS, Reason
from guard.policy.tree import Asked, read

__all__ = ["BASE", "SHELF", "SURENESS", "Pack", "Policy", "Rule", "find", "parse", "rules_of", "shipped"]

SHELF: Final = Path(__file__).parent / "packs"
BASE: Final = Path(__file__).parent / "base.cedar"
SURENESS: Final = ("text", "quoted", "interp", "memory")
_REQUIRED: Final = ("id", "title", "cite", "sure", "reviewed")
_ID: Final = re.compile(r"[A-Z][A-Za-z0-9]*([.-][A-Za-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?")


@dataclass(frozen=True, slots=True)
class Policy:
    """One Cedar policy: a branch of a rule. `actions` are those of its scope; `source` is its JSON form."""

    id: str
    rule: str
    pack: str
    effect: str
    title: str
    cite: str
    sure: str
    reviewed: datetime
    actions: frozenset[str]
    asked: Asked
    source: dict[str, Any]

    def concerns(self, action: str, service: str | None) -> bool:
        """Whether the policy could forbid this action towards this service (None = unknown) at any time."""
        services = self.asked.services
        return action in self.actions and (service is None or services is None or service in services)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as decisions cite it: its branches speak for it."""

    id: str
    branches: tuple[Policy, ...]

    def reason(self, fired: frozenset[str]) -> Reason:
        """The rule as the branches among `fired` make it a reason: their dates, the titles of all of them.

        Source and mark are those of the first; a branch that is less or more sure bears its own mark behind its title.
        """
        spoke = [branch for branch in self.branches if branch.id in fired] or list(self.branches)
        starts = [branch.asked.effective[0] for branch in spoke]
        ends = [branch.asked.effective[1] for branch in spoke]
        titles = [f"{each.title} [{each.sure}]" if each.sure != spoke[0].sure else each.title for each in spoke]
        return Reason(
            rule=self.id,
            pack=spoke[0].pack,
            title=". ".join(dict.fromkeys(titles)),
            cite=spoke[0].cite,
            sure=spoke[0].sure,
            effective=(
                None if None in starts else min(s for s in starts if s is not None),
                None if None in ends else max(e for e in ends if e is not None),
            ),
        )


@dataclass(frozen=True)
class Pack:
    """One file of rules. `path` is where it was read, `text` what it held."""

    name: str
    path: Path
    text: str
    policies: tuple[Policy, ...]

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_of(self.policies)

    @cached_property
    def notes(self) -> str:
        """The comment at the head of the file, without its slashes: what the pack covers, its dates, open
        points."""
        head = takewhile(lambda line: line.startswith("//"), self.text.splitlines())
        return "\n".join(line[2:].strip() for line in head).strip()

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the name and the text."""
        return hashlib.sha256(f"{self.name}\n{self.text}".encode()).hexdigest()

    @property
    def reviewed(self) -> datetime:
        """The newest day on which one of its rules was reviewed."""
        return max(policy.reviewed for policy in self.policies)


def rules_of(policies: Sequence[Policy]) -> tuple[Rule, ...]:
    """The rules of which these are the branches, in the order of their first."""
    branches: dict[str, list[Policy]] = {}
    for policy in policies:
        branches.setdefault(policy.rule, []).append(policy)
    return tuple(Rule(id, tuple(of_rule)) for id, of_rule in branches.items())


def shipped(shelf: Path = SHELF) -> dict[str, Path]:
    """The packs on the shelf: name -> file, in order of their names. `PolicyError` where two bear one
    name."""
    found: dict[str, Path] = {}
    for path in sorted(shelf.rglob("*.cedar"), key=lambda path: path.stem):
        if path.stem in found:
            raise PolicyError(f"two packs are called {path.stem!r}", where=_shown(path), mend="rename one")
        found[path.stem] = path
    return found


def find(packs: Sequence[str | Path], shelf: Path = SHELF) -> list[Path]:
    """The files of the named packs: names, paths of ``*.cedar`` files, or ``"all"``. No file twice, none left
    out."""
    on_shelf = shipped(shelf)
    found: dict[str, Path] = {}
    for pack in [packs] if isinstance(packs, str) else packs:
        if pack == "all":
            wanted = list(on_shelf.values())
        elif isinstance(pack, Path) or pack.endswith(".cedar") or "/" in pack:
            wanted = [Path(pack)]
        elif pack in on_shelf:
            wanted = [on_shelf[pack]]
        else:
            close = difflib.get_close_matches(pack, on_shelf, n=1)
            mend = f"did you mean {close[0]!r}?" if close else "see `guard policy list`"
            raise PolicyError(f"no pack is called {pack!r}", where="policy.packs", mend=mend)
        for path in wanted:
            if found.setdefault(path.stem, path).resolve() != path.resolve():
                raise PolicyError(f"two packs are called {path.stem!r}", where=_shown(path), mend="rename one")
    if not found:
        raise PolicyError("no policy pack is named", where="policy.packs", mend='name packs, or write ["all"]')
    return list(found.values())


def parse(path: Path, name: str | None = None) -> Pack:
    """Read and parse one pack. `PolicyError` where it cannot be read, does not parse, or a policy lacks an
    annotation."""
    where = _shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the pack cannot be read: {error}", where=where, mend="check the path") from None
    try:
        tree = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyError(f"the pack does not parse: {_one_line(error)}", where=where, mend="mend the rule") from None
    if tree["templates"] or tree["templateLinks"]:
        raise PolicyError("a pack holds rules, not templates", where=where, mend="leave ?principal and ?resource out")
    # The parser numbers policies as they stand in the file; its JSON sorts policy10 before policy2.
    numbered = sorted(tree["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy")))
    policies = tuple(_policy(source, name or path.stem, where) for _, source in numbered)
    if not policies:
        raise PolicyError("the pack holds no rule", where=where, mend="restore the file")
    return Pack(name or path.stem, path, text, policies)


def _policy(source: dict[str, Any], pack: str, where: str) -> Policy:
    said: dict[str, str] = source.get("annotations", {})
    id = said.get("id") or ""
    for key in _REQUIRED:
        if not said.get(key):
            raise PolicyError(f"rule {id or '?'} has no @{key}", where=where, mend=f'add @{key}("...")')
    if not _ID.fullmatch(id):
        raise PolicyError(
            f"{id!r} is no id of a rule", where=where, mend='write it as "MS-FACE.limited" or "MS-FACE.uses/minor"'
        )
    rule = said.get("rule", id.partition("/")[0])
    if rule != id.partition("/")[0]:
        raise PolicyError(f"{id} says that it belongs to {rule}", where=where, mend=f'call it "{rule}/..."')
    if said["sure"] not in SURENESS:
        raise PolicyError(
            f"rule {id}: {said['sure']!r} is no mark of sureness", where=where, mend=f"one of {', '.join(SURENESS)}"
        )
    try:
        reviewed = datetime.strptime(said["reviewed"], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise PolicyError(
            f"rule {id}: {said['reviewed']!r} is no day", where=where, mend='write @reviewed("2026-11-22")'
        ) from None
    return Policy(
        id=id,
        rule=rule,
        pack=pack,
        effect=source["effect"],
        title=said["title"],
        cite=said["cite"],
        sure=said["sure"],
        reviewed=reviewed,
        actions=_actions(source["action"]),
        asked=read(source["conditions"]),
        source=source,
    )


def _actions(scope: dict[str, Any]) -> frozenset[str]:
    if scope["op"] == "All":
        return frozenset(ACTIONS)
    entities = scope["entities"] if "entities" in scope else [scope["entity"]]
    return frozenset(entity["id"] for entity in entities)


def _shown(path: Path) -> str:
    """A path as a message shows it: relative where it can be."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return path.name if path.is_relative_to(SHELF.parent) else str(path)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
