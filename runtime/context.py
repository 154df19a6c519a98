"""What a tool may know about the call it runs in. No import but the standard library, ever."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call a tool runs in; given to a tool whose first parameter is annotated `CallContext`.

    Numbers are E.164 strings such as `"+15550100001"`, or `""` when the carrier did not tell. The caller's
    number is a hint and never a proof of identity: whoever rings chooses it. Make one by hand to test a tool:
    `CallContext(call_id="test", called="+15550100001", caller="+15557654321", agent="front-desk")`.
    """

    call_id: str
    called: str
    caller: str
    agent: str
    headers: Mapping[str, str] = field(default_factory=_nothing)
    variables: Mapping[str, Any] = field(default_factory=_nothing)
