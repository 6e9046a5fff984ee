"""Receipts made for tests: every part is real (keys, trees, a mined block), only small."""

from hashlib import sha256

from anchor.notes import cosign, key_of, sign
from anchor.receipt.commitment import Step, commitment, op_return, walk
from anchor.receipt.container import Receipt
from anchor.receipt.note import Checkpoint, Note
from anchor.receipt.proof import LogProof
from anchor.receipt.spv import BitcoinProof
from anchor.receipt.statement import Statement
from anchor.receipt.transaction import double_sha256
from bus import merkle
from bus.messages import Quorum, Result, Verdict
from bus.signing import RESULTS, VERDICTS, Identity
from bus.wire import encode
from tests.anchor import rfc6962

ORIGIN = "home.example/verdicts"
VERIFIER, LOG, WITNESS = (Identity.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
WITNESS_NAME = "witness.example"
WITNESS_KEY = key_of(WITNESS, WITNESS_NAME, cosigner=True)
LOG_KEY = key_of(LOG, ORIGIN)
NODES = {name: Identity.from_seed(name.encode().ljust(32)) for name in ("node-1", "node-2", "node-3")}
WITNESSED_S = 1_700_000_100
BITS = bytes.fromhex("ffff7f20")
OUTPUT = b"42"


def result(node: str, task: str = "me.t1", output: bytes = OUTPUT) -> Result:
    return Result(
        decision=3,
        task=task,
        attempt=1,
        node=node,
        status="ok",
        spec="1" * 64,
        module="2" * 64,
        input="3" * 64,
        output=output,
        output_digest=sha256(output).hexdigest(),
        output_size=len(output),
        trace="4" * 64,
        fuel=1234,
    )


def verdict(task: str = "me.t1", **changes: object) -> Verdict:
    fields: dict[str, object] = {
        "task": task,
        "status": "verified",
        "output": OUTPUT,
        "output_digest": sha256(OUTPUT).hexdigest(),
        "output_size": len(OUTPUT),
        "agree": ("node-1", "node-2"),
        "dissent": ("node-3",),
        "evidence": ((1, 0), (2, 0), (3, 0)),
        "verify": Quorum(agree=2, of=3),
        "spec": "1" * 64,
        "module": "2" * 64,
        "input": "3" * 64,
        "trace": "4" * 64,
        "attempts": 1,
        "fuel": 1234,
        "source": (1, 0),
    }
    return Verdict(**(fields | changes))  # type: ignore[arg-type]


def shown(identity: Identity, payload_type: str, members: list[bytes], at: int) -> Statement:
    """One member of a signed message, with its steps."""
    envelope = identity.seal(payload_type, members).split(b"\n")[0]
    return Statement(envelope, members[at], steps(merkle.path(members, at), at, len(members)))


def steps(path: list[bytes], index: int, size: int) -> tuple[Step, ...]:
    """A path of RFC 6962 with its sides: RFC 9162's walk, written down."""
    found, last = [], size - 1
    for sibling in path:
        is_left = bool(index % 2) or index == last
        found.append(Step(is_left=is_left, sibling=sibling))
        while is_left and index % 2 == 0 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return tuple(found)


def evidence(task: str = "me.t1") -> tuple[Statement, ...]:
    outputs = {"node-1": OUTPUT, "node-2": OUTPUT, "node-3": b"43"}
    return tuple(
        shown(key, RESULTS, [encode(result(node, task, outputs[node])), b'{"other":1}'], 0)
        for node, key in NODES.items()
    )


def proof_of(leaf: bytes, others: list[bytes], at: int, *, witnessed: bool = True) -> LogProof:
    leaves = [*others[:at], leaf, *others[at:]]
    note = sign(LOG, Checkpoint(ORIGIN, len(leaves), rfc6962.mth(leaves)))
    if witnessed:
        note = Note(note.text, (*note.signatures, cosign(WITNESS, WITNESS_NAME, note, WITNESSED_S)))
    return LogProof(at, tuple(rfc6962.path(at, leaves)), note)


def mine(previous: bytes, root: bytes, time_s: int) -> bytes:
    """A header with the work that a regtest asks for."""
    nonce = 0
    while True:
        header = (
            (4).to_bytes(4, "little")
            + previous
            + root
            + time_s.to_bytes(4, "little")
            + BITS
            + nonce.to_bytes(4, "little")
        )
        if int.from_bytes(double_sha256(header), "little") <= 0x7FFFFF << 8 * 29:
            return header
        nonce += 1


def _transaction(outpoint: bytes, script: bytes, outputs: list[bytes]) -> bytes:
    body = (2).to_bytes(4, "little") + b"\x01" + outpoint + bytes([len(script)]) + script + b"\xff" * 4
    body += bytes([len(outputs)]) + b"".join(bytes(8) + bytes([len(each)]) + each for each in outputs)
    return body + bytes(4)


def confirmed(
    committed: bytes, *, height: int = 300, successors: int = 6, batch: tuple[Step, ...] = ()
) -> BitcoinProof:
    """The commitment in a block of three transactions, with blocks on top."""
    transaction = _transaction(
        b"\x07" * 36, b"", [op_return(walk(committed, batch)), b"\x00\x14" + b"\x09" * 20]
    )
    coinbase = _transaction(
        bytes(32) + b"\xff" * 4, b"\x02" + height.to_bytes(2, "little") + b"\x00", [b"\x51"]
    )
    third = double_sha256(b"another transaction")
    ids = [double_sha256(coinbase), double_sha256(transaction), third]
    left, right = double_sha256(ids[0] + ids[1]), double_sha256(third + third)
    header = mine(b"\x05" * 32, double_sha256(left + right), 1_700_000_000)
    chain = [header]
    for at in range(successors):
        chain.append(mine(double_sha256(chain[-1]), sha256(bytes([at])).digest(), 1_700_000_600 + at))
    return BitcoinProof(
        batch=batch,
        transaction=transaction,
        branch=(Step(is_left=True, sibling=ids[0]), Step(is_left=False, sibling=right)),
        coinbase=coinbase,
        coinbase_branch=(ids[1], right),
        header=header,
        successors=tuple(chain[1:]),
    )


def made(
    *, final: bool = True, witnessed: bool = True, with_evidence: bool = True, line: bytes | None = None
) -> Receipt:
    """A whole receipt: the verdict was signed together with another one, and is leaf 2 of 5."""
    members = [line or encode(verdict()), encode(verdict("me.t2"))]
    statement = shown(VERIFIER, VERDICTS, members, 0)
    proof = proof_of(statement.leaf, [b"a", b"b", b"c", b"d"], 2, witnessed=witnessed)
    checkpoint = proof.checkpoint
    return Receipt(
        verdict=statement,
        keys=(LOG_KEY, WITNESS_KEY) if witnessed else (LOG_KEY,),
        proof=proof,
        bitcoin=confirmed(commitment(ORIGIN, checkpoint.size, checkpoint.root)) if final else None,
        evidence=evidence() if with_evidence else (),
    )
