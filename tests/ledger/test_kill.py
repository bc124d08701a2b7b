"""Killed at any instant: every released call has its record, the file opens, verifies, and goes on.

A few rounds in `make test`; GUARD_KILLS=300 (`make test-kill`) makes it a few hundred, all on one file.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from guard.ledger import Ledger, read, summary
from guard.ledger.keys import public_key
from guard.ledger.verifying import verify
from tests.ledger.test_ledger import _root

KILLS = int(os.environ.get("GUARD_KILLS", "6"))

# Opens, records from three threads, closes, opens again: a kill may fall into any of it. A release is printed after
# `record` has returned, so it must be in the file; so must be the calls that were taken before a `flush` that returned.
LOAD = textwrap.dedent(
    """
    import itertools, os, sys, threading
    sys.path[:0] = {path!r}
    from pathlib import Path
    from tests.ledger.test_ledger import entry
    from guard.ledger import Ledger

    numbers = itertools.count()
    taken = []
    def work(ledger, thread):
        for turn in range(40):
            number = {first} + next(numbers)
            verdict = "allow" if turn % 4 == 0 else "deny"
            ledger.record(entry(number, verdict, purpose=str(turn % 8 // 3)))
            taken.append(number)
            if verdict == "allow":
                os.write(1, b"%d\\n" % number)
            if turn % 10 == 7:
                before = len(taken)
                ledger.flush()
                os.write(1, b"flushed %d\\n" % before)
    os.write(1, b"ready\\n")
    while True:
        with Ledger(Path({file!r}), checkpoint_records=25, checkpoint_seconds=0.1) as ledger:
            threads = [threading.Thread(target=work, args=(ledger, thread)) for thread in range(3)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
    """
)


def test_killed_at_any_instant_every_release_has_its_record(tmp_path: Path):
    path = tmp_path / "d.db"
    chance = random.Random(KILLS)
    released: set[str] = set()
    flushed = open_sessions = 0
    for number in range(KILLS):
        script = LOAD.format(path=sys.path, file=str(path), first=number * 10_000_000)
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=_root())
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.random() ** 2 * 1.2)
        child.kill()
        told = child.stdout.readlines()
        child.wait()
        child.stdout.close()
        lines = [line.strip() for line in told if line.endswith("\n")]
        released |= {f"id-{line}" for line in lines if line.isdecimal()}
        flushed += max((int(line.split()[1]) for line in lines if line.startswith("flushed")), default=0)
        if not path.exists() or not path.stat().st_size:
            assert not released
            continue
        if number % 10 == 0 or number == KILLS - 1:
            found = verify(path)
            assert found.problems == [], (number, found.problems)
            open_sessions = found.open_sessions
        assert released <= {record["id"] for record in read(path, verdict="allow")}, number
        assert summary(path)["total"] >= flushed, number
    assert open_sessions > 0
    assert len(released) > KILLS
    assert flushed > KILLS
    with Ledger(path):
        pass
    found = verify(path, public_keys=[public_key(tmp_path / "d.db.pub")])
    assert found.problems == []
    assert found.unsealed_calls == 0
    assert len(found.keys) == 1
    ids = [record["id"] for record in read(path)]
    assert len(ids) == len(set(ids))
