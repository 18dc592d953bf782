"""Checking resources against the definitions of FHIR before they leave.

`fhir.resources` has classes of R4B, whose definitions of the resources used here are those of R4
(decision 0062). It checks elements, types and cardinality; codes of required value sets are checked
in the tests.
"""

from typing import Any

from fhir.resources.R4B import get_fhir_model_class


class InvalidResourceError(Exception):
    """Raised when this site has made an invalid resource; the message names no values."""


def checked(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the resource if it is valid.

    Raises:
        InvalidResourceError: it is not, which is a fault of this site.
    """
    kind = resource["resourceType"]
    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValueError as error:
        raise InvalidResourceError(f"{kind}: {_places(error)}") from None
    return resource


def _places(error: ValueError) -> str:
    """Return where a resource is invalid: pydantic's message quotes the values."""
    found: list[Any] = getattr(error, "errors", list)()
    places = [f"{'.'.join(map(str, each['loc']))} ({each['type']})" for each in found]
    return ", ".join(places) or type(error).__name__
