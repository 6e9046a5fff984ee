"""Receipts made for tests: every part is real (keys, trees, a mined block), only small."""

from dataclasses import replace
from hashlib import sha256

from anchor.notes import cosign, key_of, sign
from anchor.receipt.bitcoin import blocktree, spv
from anchor.receipt.bitcoin.header import Header, target_of
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxIn, TxOut
from anchor.receipt.commitment import Step, commitment, op_return, walk
from anchor.receipt.container import Receipt
from anchor.receipt.note import Checkpoint, Note
from anchor.receipt.proof import LogProof
from anchor.receipt.published import Published
from anchor.receipt.statement import Statement
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
BITS = 0x207F_FFFF
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


def mine(previous: bytes, root: bytes, time_s: int) -> Header:
    """A header with the work that a regtest asks for."""
    header = Header(4, previous, root, time_s, BITS, 0)
    while int.from_bytes(header.hash, "little") > target_of(BITS):
        header = replace(header, nonce=header.nonce + 1)
    return header


def confirmed(
    committed: bytes, *, height: int = 300, successors: int = 6, batch: tuple[Step, ...] = (), others: int = 1
) -> Published:
    """The commitment in a block of a coinbase, its transaction and `others`, with blocks on top."""
    paid = TxOut(1000, b"\x00\x14" + sha256(b"change").digest()[:20])
    spent = TxIn(Outpoint(sha256(b"before").digest(), 1))
    script = b"\x02" + height.to_bytes(2, "little")
    transactions = [
        Transaction(
            (TxIn(Outpoint(bytes(32), 0xFFFF_FFFF), script),),
            (TxOut(5_000_000_000, b"\x00\x14" + bytes(20)),),
        ),
        Transaction((spent,), (TxOut(0, op_return(walk(committed, batch))), paid)),
        *(Transaction((spent,), (paid,), lock_time=at) for at in range(others)),
    ]
    chain = [mine(b"\x05" * 32, blocktree.root([each.txid for each in transactions]), 1_700_000_000)]
    for at in range(successors):
        chain.append(mine(chain[-1].hash, sha256(bytes([at])).digest(), 1_700_000_600 + at))
    return Published("regtest", batch, spv.make(transactions, transactions[1].txid, chain))


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
