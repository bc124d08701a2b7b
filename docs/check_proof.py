"""Checks a proof that `guard ledger prove` printed, with nothing but Python (and openssl for the signature).

Usage: python check_proof.py PROOF.json [PUBLIC_KEY.pem]
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

proof = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
text, _, signature = proof["checkpoint"].rpartition("\n\n")  # C2SP signed-note: text, blank line, signature
origin, size, root = text.split("\n")[:3]

# RFC 6962, section 2.1: a leaf is hashed after a zero byte, two nodes after a byte of one.
found = hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest()
index, last = proof["index"], int(size) - 1
for step in map(bytes.fromhex, proof["path"]):
    left = index % 2 == 1 or index == last
    found = hashlib.sha256(b"\x01" + (step + found if left else found + step)).digest()
    while left and index % 2 == 0 and index > 0:
        index, last = index // 2, last // 2
    index, last = index // 2, last // 2
if last != 0 or found != base64.b64decode(root):
    sys.exit("WRONG: the record is not among those that the checkpoint was signed over")

if len(sys.argv) > 2:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "text").write_text(text + "\n", encoding="utf-8")
        Path(folder, "signature").write_bytes(base64.b64decode(signature.split()[-1])[4:])
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", sys.argv[2]]
        command += ["-in", f"{folder}/text", "-sigfile", f"{folder}/signature"]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            sys.exit("WRONG: the checkpoint was not signed with this key")
print(f"right: leaf {proof['index']} of {origin}, among {size}, is {proof['leaf']}")
