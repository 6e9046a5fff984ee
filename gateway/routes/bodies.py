"""Bodies that are files and no JSON: how they are read, and how they are documented."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from gateway.errors import Refused, TooLarge
from gateway.parts import ApiRequest

__all__ = ["FILE", "FileOperation", "WasmOperation", "file_of"]

FILE = "application/octet-stream"
WASM = "application/wasm"


def _body(media_type: str, says: str) -> RequestBody:
    content = OpenAPIMediaType(
        schema=Schema(type=OpenAPIType.STRING, content_media_type=media_type, min_length=1)
    )
    return RequestBody(content={media_type: content}, description=says, required=True)


@dataclass
class FileOperation(Operation):
    """An operation whose body is a file."""

    def __post_init__(self) -> None:
        """Say so."""
        self.request_body = _body(FILE, "The file, as it is.")


@dataclass
class WasmOperation(Operation):
    """An operation whose body is a WebAssembly module."""

    def __post_init__(self) -> None:
        """Say so."""
        self.request_body = _body(WASM, "The module in the binary format.")


async def file_of(request: ApiRequest, most_bytes: int) -> bytes:
    """The body as it is. Raises `Refused` for an empty one, `TooLarge` for one with more than `most_bytes`."""
    said = request.headers.get("content-length", "")
    limit = f"1 to {most_bytes} bytes"
    if said.isdigit() and int(said) > most_bytes:
        raise TooLarge(f"the body may hold {limit}", field="body", limit=limit)
    body = await request.body()
    if len(body) > most_bytes:
        raise TooLarge(f"the body may hold {limit}", field="body", limit=limit)
    if not body:
        raise Refused(f"body: {limit}", field="body", limit=limit)
    return body
