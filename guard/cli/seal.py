"""`guard seal`: a clip keeps the rules under which it was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import ConfigPath, Json, SourceId, wrong_option
from guard.cli.output import print_json
from guard.cli.source import write_document
from guard.errors import SourceError
from guard.guard import load_for_questions
from guard.keys import read_private

__all__ = ["seal"]


def seal(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", show_default=False, help="The video to seal.")],
    config: ConfigPath,
    key: Annotated[Path, typer.Option(help="The private key, as `guard policy keygen` writes it.", show_default=False)],
    source: SourceId = None,
    out: Annotated[Path | None, typer.Option(help="The sidecar instead of CLIP.seal.json.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Looks at a clip as `guard source check` does, and signs what it found, what is declared and what follows."""
    from guard.context.seal import seal as sealed
    from guard.context.seal import sidecar_of
    from guard.facts import ACTIONS
    from guard.replay.checking import check_source
    from guard.replay.clip import open_clip

    with wrong_option("--key"):
        private = read_private(key)
    if not clip.is_file():
        raise SourceError("there is no such video", where=str(clip), mend="name a file")
    with load_for_questions(config) as guard:
        with wrong_option("--source"):
            cam = guard.source(source)
        check_source(open_clip(clip), cam, sealing=True)
        before = cam.context.findings.get("seal")
        if before is not None and before.verdict == "contradicted":
            raise SourceError(
                f"the clip has a seal already: {before.evidence}",
                where=str(clip),
                mend="remove that seal where you answer for the clip as it is",
            )
        services = dict.fromkeys(["self_hosted", *guard.config.services.values()])
        verdicts = {name: {act: cam.authorize(act, name).verdict.value for act in ACTIONS} for name in services}
        document = sealed(
            clip,
            cam.context,
            private,
            now=guard.clock.now(),
            policy=guard.policy_digest,
            verdicts=verdicts,
        )
    path = out or sidecar_of(clip)
    write_document(document, path)
    if json:
        print_json({"schema": "guard.seal-result/1", "file": str(path), **document["seal"]})
        return
    print(f"{path}: source {cam.id}, policy {guard.policy_digest[:16]}, sealed {document['seal']['sealed']}")
    for line in cam.context.contradictions:
        print(f"sealed as contradicted: {line}")
