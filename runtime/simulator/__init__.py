"""The simulator: a local stand-in for OpenAI's side of telephone calls, for tests, demos and benchmarks.

An independent witness: it imports nothing from the rest of `runtime`. `Peer` is one call without I/O,
`Service` many calls on loopback, `Script` what a caller does and the model says.
"""

from runtime.simulator.account import Account, Webhook
from runtime.simulator.checks import Refused
from runtime.simulator.mind import Asked, Mind
from runtime.simulator.peer import Behavior, Peer
from runtime.simulator.script import Interrupt, Keys, Script, Silence, ToolUse, Turn, spoken_line
from runtime.simulator.service import Service, SimulatedCall, serving
from runtime.simulator.webhook import empty_event, incoming, sign

__all__ = [
    "Account",
    "Asked",
    "Behavior",
    "Interrupt",
    "Keys",
    "Mind",
    "Peer",
    "Refused",
    "Script",
    "Service",
    "Silence",
    "SimulatedCall",
    "ToolUse",
    "Turn",
    "Webhook",
    "empty_event",
    "incoming",
    "serving",
    "sign",
    "spoken_line",
]
