"""The API: its endpoints, how errors are stated, and its OpenAPI description."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from exchange.api.endpoints import batches, files, patients, readings, reviews, site
from exchange.api.problems import CONTENT_TYPE, problem_of, response_of, unexpected
from exchange.api.schemas.common import ProblemOut

VERSION = "1.0.0"
DESCRIPTION = (
    "X-rays in, readings out. Decision support only; it does not replace a doctor. Errors are "
    "problem details (RFC 9457). Texts follow Accept-Language: English or Traditional Chinese."
)
# Statuses that any endpoint may answer with; a few, such as 412, only where they make sense.
STATED = {
    400: "The request cannot be understood.",
    401: "No valid token.",
    403: "The token lacks a scope, or the account may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    405: "The address has no such method.",
    409: "It contradicts what is stored; see `type`.",
    412: "It has changed since it was fetched.",
    413: "The request or file is too large.",
    422: "Values are not valid.",
    429: "Too many requests; see Retry-After.",
    500: "An error of the server.",
    503: "Not possible now; see Retry-After.",
}


@dataclass(frozen=True)
class Endpoint:
    """What a program can ask for.

    Attributes:
        name: the operation's id.
        path: after `/api/v1`.
        summary: a few words, in English; translatable.
        scope: what the token must permit; None if any token will do.
        is_open: whether it needs no token.
    """

    name: str
    method: str
    path: str
    summary: str
    group: str
    scope: str | None
    is_open: bool


class Interface(NinjaAPI):
    """The API with problems for errors."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the description, with the errors that every endpoint may answer with."""
        schema = super().get_openapi_schema(path_prefix="api/v1/", **options)
        problem = {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
        schema["components"]["schemas"]["ProblemOut"] = ProblemOut.model_json_schema()
        scopes = {each.name: each.scope for each in self.operations()}
        for methods in schema["paths"].values():
            for operation in methods.values():
                _state_errors(operation["responses"], problem)
                if scope := scopes[operation["operationId"]]:
                    operation["security"] = [{"Token": [scope]}]
        return schema

    def operations(self) -> Iterator[Endpoint]:
        """Yield what programs can ask for, in the order of the description."""
        for router in self._get_bound_routers():
            for path, view in router.path_operations.items():
                plain = re.sub(r"{[^}:]+:", "{", path)
                for each in view.operations:
                    token = next(iter(each.auth_callbacks), None)
                    yield Endpoint(
                        name=str(each.operation_id),
                        method=each.methods[0],
                        path=plain,
                        summary=str(each.summary),
                        group=str(next(iter(each.tags or router.tags or []), "")),
                        scope=getattr(token, "scope", None),
                        is_open=token is None,
                    )

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        """Answer an exception of an endpoint with a problem."""
        return response_of(problem_of(exc) or unexpected(request, exc))


def _state_errors(responses: dict[Any, Any], problem: dict[str, Any]) -> None:
    for status, description in STATED.items():
        if status not in responses:
            responses[status] = {"description": description, "content": {CONTENT_TYPE: problem}}


api = Interface(
    title="xraysite",
    version=VERSION,
    description=DESCRIPTION,
    urls_namespace="api",
    docs_url=None,
    openapi_url="/openapi.json",
)
for part in (readings, files, patients, reviews, batches, site):
    api.add_router("", part.router)
