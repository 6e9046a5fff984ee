"""Modules and their compiled forms on disk, by content.

Guarantees: a module is stored only under its own SHA-256, and given out only if its bytes still have it; files
appear whole or not at all; two processes may share a folder. A compiled artefact is loaded only if this store made
it: the engine trusts an artefact's machine code completely (deserialising a forged one runs whatever it says), so
each file begins with an HMAC under a key that lies in the folder with mode 0600, and must be a regular file of our
own that others cannot write. A digest alone would not do: whoever can swap a file can swap its digest. Artefacts
are verified and loaded from the same bytes in memory, so that no swap fits between.

It leaves to others: what a module may do (`sandbox.module`), and compiling it (`sandbox.compiler`). It does not
defend against code that already runs as the same user.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from sandbox.errors import DigestMismatch, UnknownModule, UnsafeArtefact, UnsafeStore
from sandbox.reader import MODULE_BYTES_MAX

MAC_BYTES = 32
ARTEFACT_BYTES_MAX = 1 << 30
"""No compiler output comes near; bounds what a planted file can make us read."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class ModuleStore:
    """A folder of modules (`<digest>.wasm`) and artefacts (`<digest>.<configuration>.native`)."""

    def __init__(self, path: Path | str) -> None:
        """Open the folder, creating it with mode 0700.

        Raises:
            UnsafeStore: it belongs to another user, or others can write to it, or it is a symbolic link.
        """
        self.path = Path(path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.path.lstat()
        if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
            raise UnsafeStore(f"{self.path} is not a folder of its own; give the module store a real folder")
        if found.st_uid != os.geteuid():
            raise UnsafeStore(
                f"{self.path} belongs to user {found.st_uid}; give the module store a folder of your own"
            )
        if found.st_mode & _OTHERS:
            raise UnsafeStore(f"others can write to {self.path}; run: chmod 700 {self.path}")
        self._key = self._load_key()

    def __repr__(self) -> str:
        return f"ModuleStore({str(self.path)!r})"

    def add(self, wasm: bytes, digest: str | None = None) -> str:
        """Store a module and return its digest; storing it again changes nothing.

        Raises:
            DigestMismatch: `digest` was given and is not that of the bytes.
        """
        actual = hashlib.sha256(wasm).hexdigest()
        if digest is not None and digest != actual:
            raise DigestMismatch(
                f"module was offered as {digest[:80]}, but its SHA-256 is {actual}; fetch it again"
            )
        target = self._module_path(actual)
        if not self.has(actual):
            self._write(target, wasm)
        return actual

    def has(self, digest: str) -> bool:
        """Whether the module's bytes are here (their digest is checked when they are read)."""
        return bool(_DIGEST.match(digest)) and self._module_path(digest).is_file()

    def read(self, digest: str) -> bytes:
        """A module's bytes.

        Raises:
            UnknownModule: not here, or no longer what it was; a damaged file is removed so that it can be added again.
        """
        if not _DIGEST.match(digest):
            raise UnknownModule(f"{digest[:80]!r} is not a SHA-256 in lower-case hexadecimal")
        path = self._module_path(digest)
        try:
            wasm = path.read_bytes()
        except FileNotFoundError:
            raise UnknownModule(f"module {digest} is not in {self.path}; add it first") from None
        if len(wasm) > MODULE_BYTES_MAX or hashlib.sha256(wasm).hexdigest() != digest:
            path.unlink(missing_ok=True)
            raise UnknownModule(f"the file of module {digest} was damaged and has been removed; add it again")
        return wasm

    def has_artefact(self, digest: str, configuration: str) -> bool:
        """Whether a compiled form is here; whether it can be trusted is told when it is read."""
        return bool(_DIGEST.match(digest)) and self._artefact_path(digest, configuration).is_file()

    def write_artefact(self, digest: str, configuration: str, code: bytes) -> None:
        """Keep what the compiler made of a module."""
        mac = self._mac(digest, configuration, code)
        self._write(self._artefact_path(digest, configuration), mac + code)

    def read_artefact(self, digest: str, configuration: str) -> bytes:
        """A compiled form that this store made.

        Raises:
            UnsafeArtefact: missing, damaged, of another store, or open to others.
        """
        data = self._read_own(self._artefact_path(digest, configuration), ARTEFACT_BYTES_MAX)
        code = data[MAC_BYTES:]
        if not hmac.compare_digest(data[:MAC_BYTES], self._mac(digest, configuration, code)):
            raise UnsafeArtefact(
                f"the compiled form of {digest} was not made by this store; it must be compiled again"
            )
        return code

    def _mac(self, digest: str, configuration: str, code: bytes) -> bytes:
        mac = hmac.new(self._key, f"{digest}.{configuration}\0".encode(), "sha256")
        mac.update(code)
        return mac.digest()

    def _module_path(self, digest: str) -> Path:
        return self.path / f"{digest}.wasm"

    def _artefact_path(self, digest: str, configuration: str) -> Path:
        if not _DIGEST.match(digest):
            raise UnsafeArtefact(f"{digest[:80]!r} is not a SHA-256 in lower-case hexadecimal")
        return self.path / f"{digest}.{configuration}.native"

    def _load_key(self) -> bytes:
        path = self.path / "artefact.key"
        if not path.exists():
            staged = self._stage(secrets.token_bytes(32))
            try:
                # A link fails if another process was first: both then use the same key.
                os.link(staged, path)
            except FileExistsError:
                pass
            finally:
                staged.unlink()
        try:
            return self._read_own(path, 32, secret=True)
        except UnsafeArtefact as error:
            raise UnsafeStore(f"{error}; remove {path} and every .native file beside it") from None

    def _read_own(self, path: Path, limit: int, *, secret: bool = False) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise UnsafeArtefact(f"{path.name} cannot be opened: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            forbidden = _OTHERS | (stat.S_IRGRP | stat.S_IROTH if secret else 0)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & forbidden:
                raise UnsafeArtefact(f"{path.name} is not a file of our own, or open to others")
            if found.st_size > limit:
                raise UnsafeArtefact(f"{path.name} has {found.st_size} bytes, at most {limit} are read")
            return file.read(limit + 1)

    def _stage(self, data: bytes) -> Path:
        staged = self.path / f".{secrets.token_hex(8)}.part"
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return staged

    def _write(self, target: Path, data: bytes) -> None:
        # No fsync: after a power cut a damaged file fails its digest or its HMAC and is made again.
        staged = self._stage(data)
        staged.replace(target)
