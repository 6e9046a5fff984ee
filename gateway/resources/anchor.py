"""The anchor: signed states of the log of verdicts, and their publication on Bitcoin."""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["AnchorView", "Checkpoint", "Publication", "PublicationStep", "SignedState"]


class SignedState(Struct, frozen=True, kw_only=True):
    """A C2SP signed note, and the hashes (hex) of the proof that its log begins with an older one."""

    note: str
    proof: list[str]


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A signed state of the log: `size` verdicts, those of VERDICTS up to `verdicts`; `note` is the C2SP signed note."""

    size: Count
    verdicts: Count
    at_ms: Count
    sequence: Count
    note: str


class PublicationStep(Struct, frozen=True, kw_only=True):
    """What happened to a publication: `built`, `broadcast`, `mined`, `reorged`, `final` or `stranded`."""

    kind: str
    at_ms: Count
    txid: str = ""
    height: Count = 0
    block: str = ""
    fee_sat: Count = 0
    reason: str = ""


class Publication(Struct, frozen=True, kw_only=True):
    """One publication: what it commits to, its newest transaction, and every step. `status` is the newest step's kind."""

    number: Count
    status: str
    chain: str
    network: str
    txid: str
    height: Count
    block: str
    fee_sat: Count
    begun_ms: Count
    roots: dict[str, int]
    steps: list[PublicationStep]


class AnchorView(Struct, frozen=True, kw_only=True):
    """The log's origin and key (a C2SP vkey), its newest checkpoints and publications, newest first, as far as the gateway remembers."""

    origin: str
    key: str
    checkpoints: list[Checkpoint]
    publications: list[Publication]
    unlogged: Count
