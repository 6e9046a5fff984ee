"""What Schemathesis must be told to send a WebAssembly module: that it is bytes."""

import schemathesis


@schemathesis.serializer("application/wasm")
def wasm(_: object, value: object) -> object:
    """As they are."""
    return value if isinstance(value, bytes) else str(value).encode()
