"""A broken promise, and how it is told."""

from bus.wire import split_lines

__all__ = ["Violation", "hold", "members"]

_ENVELOPE = b'{"payloadType"'


class Violation(AssertionError):
    """A promise is broken. `rule` names it, so that a shorter history can be recognised as the same failure."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


def members(body: bytes) -> list[bytes]:
    """The lines of a message, without the envelope of a signed one."""
    lines = split_lines(body)
    return lines[1:] if lines[0].startswith(_ENVELOPE) else lines


def hold(fact: bool, rule: str, detail: str) -> None:  # noqa: FBT001 -- the fact that must hold
    """Raise `Violation` unless the fact holds."""
    if not fact:
        raise Violation(rule, detail)
