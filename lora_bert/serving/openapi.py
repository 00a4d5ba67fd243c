"""The operations of all protocols as an OpenAPI document, and the pages that ship."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from lora_bert import __version__
from lora_bert.serving.operations import Call, Operation, Protocol, plain_error
from lora_bert.serving.refusals import STATUS

_REFERENCES = "#/components/schemas/{name}"
_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def document(protocols: Sequence[Protocol]) -> dict[str, Any]:
    """All operations, by path and method."""
    import msgspec

    every = [(protocol, each) for protocol in protocols for each in protocol.operations]
    bodies = list(dict.fromkeys(each.body for _, each in every if each.body))
    schemas, components = msgspec.json.schema_components(bodies, ref_template=_REFERENCES)
    by_body = dict(zip(bodies, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for protocol, each in every:
        said = paths.setdefault(each.path, {})
        said.setdefault(each.method.lower(), _operation(protocol, each, by_body))
    return {
        "openapi": "3.1.0",
        "info": {"title": "lora-bert", "version": __version__,
                 "description": "Adapters of one backbone, in the protocols of several servers."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _operation(
    protocol: Protocol, operation: Operation, schemas: dict[type, Any]
) -> dict[str, Any]:
    codes = {protocol.statuses.get(kind, status) for kind, status in STATUS.items()}
    said: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [protocol.name],
        "security": [{"key": []}] if operation.key else [],
        "responses": {
            "200": {"description": "The answer.", "content": {operation.content: {}}},
            **{str(code): {"description": "Why there is none."} for code in sorted(codes)},
        },
    }
    if names := [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]:
        said["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if operation.body:
        content = {"schema": schemas[operation.body], "example": operation.example}
        said["requestBody"] = {"required": True, "content": {"application/json": content}}
    return said


def pages(protocols: Sequence[Protocol]) -> Protocol:
    """The page to try adapters on, that of the operations, and their document."""
    from starlette.responses import HTMLResponse

    made = document(protocols)

    def page(name: str) -> Operation:
        text = files("lora_bert.serving").joinpath("pages", f"{name}.html").read_text("utf-8")

        async def shown(call: Call) -> Any:
            return HTMLResponse(text, headers={"content-security-policy": _CONTENT_POLICY})

        path = "/" if name == "index" else f"/{name}"
        return Operation("GET", path, shown, "A page.", key="", content="text/html")

    async def described(call: Call) -> Any:
        return made

    operations = (page("index"), page("docs"), Operation(
        "GET", "/openapi.json", described, "All operations, in OpenAPI's words.", key=""
    ))  # fmt: skip
    return Protocol("lora-bert", operations, plain_error)
