"""A small witness as a process of its own, written from C2SP tlog-witness: one log, its newest cosigned checkpoint in a file.

`python -m tests.anchor.witness FOLDER LOG_VKEY [MODE]` prints its port. MODE makes it misbehave: `slow` never answers, `garbage` answers with noise,
`endless` never ends its answer, `forged` signs with another key, `liar` names another size each time.
"""

import base64
import hashlib
import http.server
import itertools
import sys
import time
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NAME = "witness.example/w1"
SEED = bytes([3]) * 32


def public(seed: bytes = SEED) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def vkey() -> str:
    typed = b"\x04" + public()
    key_id = hashlib.sha256(NAME.encode() + b"\n" + typed).digest()[:4]
    return f"{NAME}+{key_id.hex()}+{base64.b64encode(typed).decode()}"


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162, 2.1.4.2, step by step."""
    if old in (0, new):
        return not proof and (old == 0 or old_root == new_root)
    if not proof:
        return False
    if old & (old - 1) == 0:
        proof = [old_root, *proof]
    first, last = old - 1, new - 1
    while first % 2:
        first, last = first >> 1, last >> 1
    found_old = found_new = proof[0]
    for each in proof[1:]:
        if last == 0:
            return False
        if first % 2 or first == last:
            found_old, found_new = node(each, found_old), node(each, found_new)
            while first % 2 == 0 and first:
                first, last = first >> 1, last >> 1
        else:
            found_new = node(found_new, each)
        first, last = first >> 1, last >> 1
    return last == 0 and (found_old, found_new) == (old_root, new_root)


class Witness:
    """Of the log with that vkey, with its memory below `folder`."""

    def __init__(self, folder: Path, log: str, mode: str) -> None:
        self.file = folder / "witness"
        self.origin, _, key = log.split("+", 2)
        self.key = base64.b64decode(key)[1:]
        self.mode = mode
        self.sizes = itertools.count(1)

    def newest(self) -> tuple[int, bytes]:
        """What was cosigned last: size and root."""
        if not self.file.exists():
            return 0, hashlib.sha256().digest()
        size, root = self.file.read_text().split()
        return int(size), base64.b64decode(root)

    def add(self, body: bytes) -> tuple[int, bytes, str]:  # noqa: PLR0911 -- one for each answer of the specification
        """`add-checkpoint`: status, body and content type."""
        head, _, note = body.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        text, _, signatures = note.decode().rpartition("\n\n")
        text += "\n"
        origin, size_line, root_line = text.split("\n")[:3]
        old, size, root = int(first.removeprefix("old ")), int(size_line), base64.b64decode(root_line)
        if origin != self.origin:
            return 404, b"", "text/plain"
        if not any(self.signed(line, text) for line in signatures.split("\n")):
            return 403, b"", "text/plain"
        if old > size or len(proof) > 63:
            return 400, b"", "text/plain"
        known, known_root = self.newest()
        if self.mode == "liar":
            return 409, b"%d\n" % (next(self.sizes) % 3 + 1), "text/x.tlog.size"
        if old != known or (old == size and root != known_root):
            return 409, b"%d\n" % known, "text/x.tlog.size"
        if not consistent(old, known_root, size, root, [base64.b64decode(each) for each in proof]):
            return 422, b"", "text/plain"
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(f"{size} {base64.b64encode(root).decode()}")
        unfinished.replace(self.file)
        return (
            200,
            self.line("somebody.else", bytes([9]) * 32, text) + self.line(NAME, SEED, text),
            "text/plain",
        )

    def signed(self, line: str, text: str) -> bool:
        """Whether a signature line is the log's over the text."""
        name, _, blob = line.removeprefix("\u2014 ").rpartition(" ")
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(base64.b64decode(blob)[4:], text.encode())
        except (InvalidSignature, ValueError):
            return False
        return name == self.origin

    def line(self, name: str, seed: bytes, text: str) -> bytes:
        """A cosignature of the text, as tlog-cosignature has it."""
        typed, at = b"\x04" + public(seed), int(time.time())
        key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        signer = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32 if self.mode == "forged" else seed)
        signature = signer.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        blob = base64.b64encode(key_id + at.to_bytes(8, "big") + signature).decode()
        return f"\u2014 {name} {blob}\n".encode()


def main() -> None:
    folder, log, mode = Path(sys.argv[1]), sys.argv[2], (sys.argv[3:] or [""])[0]
    witness = Witness(folder, log, mode)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if mode == "slow":
                time.sleep(3600)
            if mode == "garbage":
                self.wfile.write(b"\x00\xff not HTTP\r\n\r\n")
                return
            status, said, kind = (404, b"", "text/plain")
            if self.path == "/w/add-checkpoint":
                status, said, kind = witness.add(body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if mode != "endless":
                self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
            while mode == "endless":
                self.wfile.write(b"x" * 4096)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
