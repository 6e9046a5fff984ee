"""The OpenAPI 3.1 document: the framework says which paths there are, msgspec what the bodies are made of.

Guarantees that the document says of each Struct what the decoder enforces: both are made of the same types, by the same library.
"""

from typing import Any

import msgspec
from litestar import Litestar
from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

__all__ = ["StructSchemas", "document_of"]

_COMPONENTS = "#/components/schemas/"
_ABSENT = {"type": "null"}
_ORDER_RULES = {
    "oneOf": [
        {
            "required": [given],
            "properties": {given: {"type": "string"}, other: _ABSENT},
        }
        for given, other in (("module", "module_base64"), ("module_base64", "module"))
    ]
}
"""What `TaskOrder`'s text says of its module, in the words of JSON Schema."""

_TASK = "$response.body#/task"
_LINKS: dict[tuple[str, str, int], dict[str, tuple[str, str, dict[str, str]]]] = {
    ("/api/v1/tasks", "post", 202): {
        "story": ("get", "/api/v1/tasks/{task}", {"task": _TASK}),
        "why": ("get", "/api/v1/tasks/{task}/why", {"task": _TASK}),
        "output": ("get", "/api/v1/tasks/{task}/output", {"task": _TASK}),
        "receipt": ("get", "/api/v1/receipts/{task}", {"task": _TASK}),
        "cancel": ("delete", "/api/v1/tasks/{task}", {"task": _TASK}),
    },
    ("/api/v1/tasks", "get", 200): {
        "newest": ("get", "/api/v1/tasks/{task}", {"task": "$response.body#/tasks/0/task"}),
    },
    ("/api/v1/modules", "post", 201): {
        "report": ("get", "/api/v1/modules/{digest}", {"digest": "$response.body#/digest"}),
    },
    ("/api/v1/nodes", "get", 200): {
        "first": ("get", "/api/v1/nodes/{node}", {"node": "$response.body#/nodes/0/node"}),
        "telemetry": ("get", "/api/v1/nodes/{node}/telemetry", {"node": "$response.body#/nodes/0/node"}),
    },
}
"""Of an operation and its status: what may be asked with the answer, and where in it the parameters stand."""


class StructSchemas(OpenAPISchemaPlugin):
    """Leaves every Struct to msgspec: the framework only refers to them by name, and `structs` has what it refers to."""

    def __init__(self) -> None:
        self.structs: set[type[msgspec.Struct]] = set()

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Structs, and no unions of them: none of ours is a body by itself."""
        return not field_definition.is_union and field_definition.is_subclass_of(msgspec.Struct)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """A stand-in of the same name, which `document_of` replaces."""
        self.structs.add(field_definition.annotation)
        return schema_creator.create_component_schema(field_definition, required=[], property_fields={})


def document_of(framework: Litestar) -> dict[str, Any]:
    """The whole document."""
    document = framework.openapi_schema.to_schema()
    structs = framework.plugins.get(StructSchemas).structs
    _, components = msgspec.json.schema_components(
        sorted(structs, key=lambda each: each.__name__), ref_template=_COMPONENTS + "{name}"
    )
    components["TaskOrder"] |= _ORDER_RULES
    _link(document["paths"])
    document.setdefault("components", {})["schemas"] = {
        name: _readable(components[name]) for name in sorted(components)
    }
    return document


def _readable(node: Any) -> Any:
    """Descriptions without the line breaks of the source."""
    if isinstance(node, dict):
        return {
            key: _flow(value) if key == "description" and isinstance(value, str) else _readable(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_readable(each) for each in node]
    return node


def _flow(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _link(paths: dict[str, Any]) -> None:
    for (path, method, status), links in _LINKS.items():
        paths[path][method]["responses"][str(status)]["links"] = {
            name: {"operationId": paths[to][by]["operationId"], "parameters": parameters}
            for name, (by, to, parameters) in links.items()
        }
