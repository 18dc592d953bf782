"""Parts that several schemas have."""

from ninja import Schema
from pydantic import ConfigDict, Field


class Strict(Schema):
    """What programs send: fields that are not known are refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class FieldProblem(Schema):
    """What is wrong with one value."""

    field: str = Field(description="Its name; empty if it concerns several.")
    detail: str


class ProblemOut(Schema):
    """Why a request was not answered (RFC 9457); further members depend on `type`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="For programs, such as “tag:xraysite,2026:conflict”.")
    title: str
    status: int
    detail: str = Field(description="A sentence for people, in the language of Accept-Language.")
