"""What other tools read of a receipt says the same to them as the receipt does to us."""

from io import BytesIO

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.op import OpSHA256
from opentimestamps.core.serialize import BytesDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from anchor.receipt.extract import extracted
from anchor.receipt.proof import read_proof
from tests.anchor import receipts


def test_the_stock_library_of_opentimestamps_follows_the_same_path() -> None:
    """From the file that is stamped to the root of the block at the height that the receipt shows."""
    receipt = receipts.made()
    files = extracted(receipt)
    stamp = DetachedTimestampFile.deserialize(BytesDeserializationContext(files["leaf.ots"]))
    ((root, attestation),) = stamp.timestamp.all_attestations()

    assert stamp.file_digest == OpSHA256().hash_fd(BytesIO(files["leaf"]))
    assert isinstance(attestation, BitcoinBlockHeaderAttestation)
    assert attestation.height == 300
    assert receipt.bitcoin is not None
    assert root == receipt.bitcoin.proof.headers[0].merkle_root


def test_the_proof_and_the_verdict_are_those_of_the_receipt() -> None:
    """Without a block there is nothing to stamp with."""
    receipt = receipts.made(final=False)
    files = extracted(receipt)

    assert set(files) == {"verdict.json", "leaf", "verdict.tlog-proof"}
    assert read_proof(files["verdict.tlog-proof"]) == receipt.proof
    assert files["verdict.json"] == receipt.verdict.member
