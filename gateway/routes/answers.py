"""What the paths have in common: how their problems are documented."""

from litestar.openapi.datastructures import ResponseSpec

from gateway.problems import PROBLEM_JSON
from gateway.resources.common import Problem

__all__ = ["LEAST_0", "problems"]

LEAST_0 = {"minimum": 0}
"""Goes with `ge=0`, which the framework would leave out of the description."""

_SAYS = {
    400: "The request breaks the contract: `field` and `limit` say where and how.",
    401: "No token, or one that is not known.",
    403: "The token's role, or its client, may not do this.",
    404: "There is no such thing, or no longer.",
    409: "It does not fit what is there.",
    413: "The body is too large.",
    415: "The body is of another type than is taken.",
    422: "The idempotency key was used for another request.",
    429: "More requests than the token may make.",
    503: "The bus, a log or a service does not answer, or is full: try again after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that a path may answer with; every path that wants a token also with 401 and 429."""
    shared = (401, 429)
    return {
        status: ResponseSpec(
            Problem, description=_SAYS[status], media_type=PROBLEM_JSON, generate_examples=False
        )
        for status in sorted({*shared, *statuses})
    }
