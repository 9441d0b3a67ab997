"""The description of the API (OpenAPI 3.1), made from the handlers themselves.

Paths, parameters, bodies and docstrings are read from Litestar's handlers; the schemas are msgspec's own, since it is
msgspec that decides what is accepted. What a handler may be refused with is in its `opt`:

    refuses      classes of refusals, besides those that follow from what the handler is
    idempotent   it takes an Idempotency-Key
    linked       its answer has the next page in a Link header
    reads        False where it never asks the database
    scope        which scope a key must have, or one of which; None where nobody need say who they are
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_origin

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from litestar.utils import get_enum_string_value

from marketplace.foundation import errors
from marketplace.http import callers, idempotency, problems
from marketplace.wire.problems import MEDIA_TYPE, Problem

JSON = "application/json"
Schema = dict[str, Any]

_BOUNDS = ("ge", "le", "min_length", "max_length", "pattern")
_DESCRIPTION = """Errors are problem documents (RFC 9457) with a stable `code`; lists are pages (`limit`, `after`).
A POST that creates something takes an `Idempotency-Key`: the same request under the same key is answered once more,
byte for byte. 503 means that nothing happened. Where the operator has switched keys on, send yours as
`Authorization: Bearer mk_…`; each operation says which scope it takes, and `admin` may everything."""
_SCHEME = "key"
_OF_KEYS = (errors.Unauthenticated, callers.ScopeNeeded, problems.RateLimited, errors.Busy)
"""What a request may meet before its handler."""


def describe(app: Litestar, *, version: str, has_keys: bool) -> bytes:
    """Return the OpenAPI document of the application's routes; what it says of keys, only where callers have some."""
    handlers = list(_handlers(app))
    schemas, components = _schemas([handler for _, handler in handlers])
    paths: dict[str, Schema] = {}
    for path, handler in handlers:
        for method in sorted(handler.http_methods):
            scopes = callers.scopes_of(handler) if has_keys else ()
            paths.setdefault(path, {})[method.lower()] = _operation(method, handler, schemas, scopes)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Marketplace", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(components.items()))},
    }
    if has_keys:
        scheme = {"type": "http", "scheme": "bearer", "description": "an API key: `mk_…`"}
        document["components"]["securitySchemes"] = {_SCHEME: scheme}
    return msgspec.json.encode(document)


def _handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            yield from ((route.path_format, one) for one in route.route_handlers if one.resolve_include_in_schema())


def _schemas(handlers: Iterable[HTTPRouteHandler]) -> tuple[dict[Any, Schema], dict[str, Any]]:
    """Return the schema of each body and answer, and the components that they refer to."""
    types = {Problem: None}
    for handler in handlers:
        types |= dict.fromkeys(_struct_types(handler))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return dict(zip(types, schemas, strict=True)), components


def _struct_types(handler: HTTPRouteHandler) -> Iterator[Any]:
    if handler.parsed_data_field is not None:
        yield handler.parsed_data_field.annotation
    answer = _answer_type(handler)
    if get_origin(answer) is list or (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        yield answer


def _answer_type(handler: HTTPRouteHandler) -> Any:
    return handler.parsed_fn_signature.return_type.annotation


def _operation(
    method: str, handler: HTTPRouteHandler, schemas: dict[Any, Schema], scopes: tuple[callers.ScopeName, ...]
) -> Schema:
    name = handler.handler_name.rpartition(".")[2]
    summary, _, rest = inspect.cleandoc(handler.fn.__doc__ or name).partition("\n")
    operation: Schema = {"operationId": name, "summary": summary.rstrip("."), "tags": sorted(handler.resolve_tags())}
    if rest.strip():
        operation["description"] = rest.strip()
    if scopes:
        operation["security"] = [{_SCHEME: [scope]} for scope in scopes]
    parameters = [*_parameters(handler), *_header_parameters(handler)]
    if parameters:
        operation["parameters"] = parameters
    if handler.parsed_data_field is not None:
        body = schemas[handler.parsed_data_field.annotation]
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    answers: dict[str, Schema] = {str(handler.status_code): _success(handler, schemas)}
    refusals = [*_refusals(method, handler, has_parameters=bool(parameters)), *(_OF_KEYS if scopes else ())]
    return operation | {"responses": answers | _refused(refusals)}


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _parameters(handler: HTTPRouteHandler) -> Iterator[Schema]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        marker = field.kwarg_definition
        if isinstance(marker, ParameterKwarg):
            where = marker.param_type.value
            parameter = {"name": marker.name or name, "in": where, "required": where == "path" or field.is_required}
            yield parameter | {"schema": _parameter_schema(field, marker)}


def _parameter_schema(field: FieldDefinition, marker: ParameterKwarg) -> Schema:
    bounds = {name: value for name in _BOUNDS if (value := getattr(marker, name)) is not None}
    inner = [one.annotation for one in field.inner_types if not one.is_none_type] if field.is_optional else []
    annotation = inner[0] if inner else field.annotation
    schema = msgspec.json.schema(Annotated[annotation, msgspec.Meta(description=marker.description, **bounds)])
    if marker.enum:
        schema = {"type": "string", "enum": list(marker.enum)}
    if marker.format:
        schema["format"] = marker.format
    if field.has_default and field.default is not None:
        schema["default"] = field.default
    return schema


def _header_parameters(handler: HTTPRouteHandler) -> Iterator[Schema]:
    if handler.opt.get("idempotent"):
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Makes the request safe to send again: kept with the answer for 72 h.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": idempotency.MAX_LENGTH,
                "pattern": "^[!-~]+$",
            },
        }


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _success(handler: HTTPRouteHandler, schemas: dict[Any, Schema]) -> Schema:
    media_type = get_enum_string_value(handler.media_type or JSON)
    schema = schemas.get(_answer_type(handler), {"type": "string"})
    answer: Schema = {"description": "Done.", "content": {media_type: {"schema": schema}}}
    if handler.opt.get("idempotent"):
        text = "`true` where this is the answer to an earlier copy of the request"
        answer["headers"] = {"Idempotent-Replayed": {"description": text, "schema": {"type": "string"}}}
    if handler.opt.get("linked"):
        text = 'the next page as `<URL>; rel="next"`; not there on the last one'
        answer["headers"] = {"Link": {"description": text, "schema": {"type": "string"}}}
    return answer


def _refused(refusals: Iterable[type[errors.Refusal]]) -> dict[str, Schema]:
    by_status: dict[int, list[type[errors.Refusal]]] = {}
    for refusal in dict.fromkeys(refusals):
        by_status.setdefault(problems.status_of(refusal), []).append(refusal)
    return {str(status): _problem(refusals) for status, refusals in sorted(by_status.items())}


def _refusals(method: str, handler: HTTPRouteHandler, *, has_parameters: bool) -> Iterator[type[errors.Refusal]]:
    yield from (problems.WrongHost, errors.Broken)
    has_body = handler.parsed_data_field is not None
    if has_body or has_parameters:
        yield errors.Invalid
    if method != "GET":
        yield from (problems.CrossSite, problems.BodyTooLarge, problems.UnsupportedMediaType, errors.OutcomeUnknown)
    if handler.opt.get("idempotent"):
        yield errors.Mismatch
    if handler.opt.get("reads", True):
        yield errors.Busy
    yield from handler.opt.get("refuses", ())


def _problem(refusals: list[type[errors.Refusal]]) -> Schema:
    answer: Schema = {
        "description": "; ".join(f"`{one.code}`: {one.title}" for one in refusals),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if errors.Busy in refusals or problems.RateLimited in refusals:
        text = "seconds; only where trying again may help"
        answer["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer"}}}
    return answer
