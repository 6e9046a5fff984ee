"""Modules made by the hundred, and modules that cost their compiler a lot: written byte for byte, in no time."""

__all__ = ["constant_module", "laborious_module"]

_HEAD = b"\0asm\1\0\0\0"
_I64 = b"\x7e"


def _leb(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _vector(items: list[bytes]) -> bytes:
    return _leb(len(items)) + b"".join(items)


def _section(number: int, content: bytes) -> bytes:
    return bytes((number,)) + _leb(len(content)) + content


def _module(bodies: list[bytes], data: bytes = b"") -> bytes:
    """Functions i64 -> i64; the first is exported as `f`. `data` is a custom section, there to make modules different."""
    coded = [_leb(len(body) + 2) + b"\0" + body + b"\x0b" for body in bodies]
    return b"".join(
        (
            _HEAD,
            _section(1, _vector([b"\x60\1" + _I64 + b"\1" + _I64])),
            _section(3, _vector([b"\0"] * len(bodies))),
            _section(7, _vector([b"\1f\0\0"])),
            _section(10, _vector(coded)),
            _section(0, b"\4note" + data),
        )
    )


def constant_module(number: int) -> bytes:
    """f(x) is `number`, up to 63."""
    return _module([b"\x42" + bytes((number,))], data=b"constant")


def laborious_module(functions: int, steps: int) -> bytes:
    """f(x) is x · 3^steps; every function is as long, and different from the others."""
    work = b"\x20\0" + b"\x42\3\x7e" * steps
    return _module([work + b"\x42" + bytes((at % 64,)) + b"\x1a" for at in range(functions)])
