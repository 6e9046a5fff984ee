"""What all resources share: names, pages of a list, and the problem that a refused request is answered with."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Count", "Millis", "Name", "Problem", "TaskName"]

type Count = Annotated[int, Meta(ge=0)]
type Millis = Annotated[int, Meta(ge=0, description="milliseconds since 1970, by the servers' clock")]
type Name = Annotated[str, Meta(max_length=64, description="1 to 64 letters, digits, '_' or '-'")]
type TaskName = Annotated[str, Meta(max_length=130, description="<client>.<id>")]


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details, as `application/problem+json`.

    `type` is `urn:ambient:problem:<kind>`. `field` names what in the request is wrong and `limit` what is allowed there. `request` is the id under
    which the gateway's log has this request; `task` the task that it was about.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    field: str = ""
    limit: str = ""
    task: str = ""
    request: str = ""
