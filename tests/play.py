"""The playbook of one call: `>>` what happened, then what is to be done. Time comes with the events."""

from typing import Any

from runtime import events as e
from runtime.abilities import ToolReader
from runtime.call import Call
from runtime.commands import CancelTimer, Command, Record, Send, StartTimer
from runtime.conversation import Conversation
from runtime.roles import roles_for
from tests.house import MINIMAL, catalog, incoming, match


class Play:
    """One call and what it said to do. `play >> event` feeds, `play.did` holds the commands of the last event."""

    def __init__(self, more: str = "", *others: str, read_tool: ToolReader | None = None, unable: str = "") -> None:
        agents = catalog(MINIMAL + more, *others, read_tool=read_tool).agents
        definition = agents["desk"]
        roles = roles_for(definition, incoming(), agents)
        self.settings = roles["desk"].settings
        self.arrival = e.CallArrived(incoming(), match(definition), roles, unable)
        self.call = Call()
        self.did: list[Command] = []
        self.at = 100.0

    def __rshift__(self, event: e.Event) -> "Play":
        self.at += 1
        self.did = self.call.handle(event, self.at)
        return self

    def active(self) -> "Play":
        return self.attached() >> self.confirmation()

    def attached(self) -> "Play":
        return self >> self.arrival >> e.Accepted() >> e.Attached()

    def confirmation(self, **changed: Any) -> e.SessionConfirmed:
        return e.SessionConfirmed({**self.settings.declared(held=self.settings.starts_held), **changed})

    def greeted(self) -> "Play":
        return self >> e.ResponseCreated("resp_1", "greeting") >> e.AgentSaid("resp_1", "item_1", "Hello.")

    def over(self, status: str = "completed") -> "Play":
        """The greeting's generation ends."""
        return self >> e.ResponseDone("resp_1", status, line="greeting")

    @property
    def talk(self) -> Conversation:
        assert self.call.conversation is not None
        return self.call.conversation

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [dict(command.event) for command in self.did if isinstance(command, Send)]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def done(self, kind: type[Command]) -> list[Any]:
        return [command for command in self.did if isinstance(command, kind)]

    def recorded(self, what: str) -> Record:
        return next(record for record in self.done(Record) if record.what == what)

    def after(self, seconds: float) -> "Play":
        """Let the next event come so much later."""
        self.at += seconds - 1
        return self

    def talking(self) -> "Play":
        """The session stands, the greeting was heard, and the caller has said something that was answered."""
        self.active()
        if self.settings.greeting:
            self.greeted().over() >> e.PlaybackStarted("resp_1") >> e.PlaybackEnded("resp_1")
        return self.turn("resp_2")

    def turn(self, response_id: str) -> "Play":
        """The caller says something and the service answers by itself."""
        self >> e.CallerSpoke() >> e.CallerTurnEnded()
        return self.said(response_id, None)

    def said(self, response_id: str, line: str | None) -> "Play":
        """A response is made and heard to its end."""
        self >> e.ResponseCreated(response_id, line) >> e.AgentSaid(response_id, f"item_{response_id}", "Words.")
        self >> e.PlaybackStarted(response_id) >> e.ResponseDone(response_id, "completed", line=line)
        return self >> e.PlaybackEnded(response_id)

    def calls(self, name: str, arguments: str = "{}", response_id: str = "resp_9", call_id: str = "call_1") -> "Play":
        """The model calls a tool in a response that says nothing."""
        self >> e.ResponseCreated(response_id) >> e.ToolCalled(call_id, name, arguments, response_id)
        called = self.did
        self >> e.ResponseDone(response_id, "completed")
        self.did = [*called, *self.did]
        return self

    @property
    def output(self) -> str:
        """The tool output that was sent."""
        (item,) = [sent["item"] for sent in self.sent if sent["type"] == "conversation.item.create"]
        return str(item["output"])

    @property
    def says(self) -> str:
        """The instructions of the one response that was asked for."""
        (asked,) = [sent["response"] for sent in self.sent if sent["type"] == "response.create"]
        return str(asked.get("instructions", ""))

    @property
    def line(self) -> str:
        """The name of the one line that was asked for."""
        (asked,) = [sent["response"] for sent in self.sent if sent["type"] == "response.create"]
        return str(asked["metadata"]["switchboard"])

    def started(self, name: str) -> float:
        """How long a timer was started for."""
        return float(next(timer.seconds for timer in self.done(StartTimer) if timer.name == name))

    def stopped(self, name: str) -> bool:
        """Whether a timer was cancelled."""
        return CancelTimer(name) in self.did
