"""Definition and call to session settings: the only maker of what we tell the service about a session.

The accept body, the first `session.update` and every later one derive from one mapping here, so they cannot
disagree (protocol 3.6, traps 1 to 9). Nothing is sent as null but `turn_detection`, where null is a value, and
no audio format ever is: on SIP the carrier settles it (protocol 2.4).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.definition import AgentDefinition
from runtime.foreign import inner, text
from runtime.incoming import IncomingCall
from runtime.template import template

LINE = "switchboard"  # the metadata key by which our own responses are recognised in the service's events
GREETING = "greeting"  # the agent's first line
ANSWER, AFTER = "answer", "after "  # the lines whose words the model finds; the second goes before a response's id

_OPTIONAL = ("max_output_tokens", "tool_choice", "parallel_tool_calls", "reasoning", "truncation")
_FIXED_AT_ACCEPT = (
    "model",
    "tracing",
    "output_modalities",
)  # protocol 2.4: may not change, so is not repeated
_SAY = (
    "Say exactly the words between the triple quotes, in their own language, and nothing before or after them:\n"
    '"""{text}"""'
)
_SOUND = {"type": "audio/pcm", "rate": 24_000}  # of a session that no telephone belongs to
FREELY = {
    "close": "say in one short sentence that you are sorry, that the call ends here, and goodbye. Ask nothing.",
    "goodbye": "say goodbye in one short sentence. Ask nothing.",
    "silence": "ask in one short sentence whether the caller is still there.",
    "unheard": "say in one short sentence that you cannot hear the caller and that the call ends here. Ask nothing.",
    "warning": "say in one short sentence that the call has to end soon. Then go on.",
    "instead": "say in one short sentence that you cannot say anything about that, and ask what else you can do.",
}
"""What an agent is asked to say where its file declares no line, without the words "in the language of …"."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What one call's session is told. `greeting` is the rendered sentence, or None.

    While `held`, the caller's turns are heard but answered by nobody, so that nothing can speak before or over
    the greeting (protocol 3.5). `tracing_is_late`: it needs what a lookup finds, so that accept goes without it and
    the first update brings it; once on it could not be changed (protocol 2.4).
    """

    session: Mapping[str, Any]
    greeting: str | None = None
    interruptible: bool = True
    wait_for_caller: bool = False
    tracing_is_late: bool = False

    @property
    def detects_turns(self) -> bool:
        """Whether the service hears by itself that the caller has finished a turn."""
        return self.session["audio"]["input"]["turn_detection"] is not None

    @property
    def starts_held(self) -> bool:
        """Whether the call begins with its turns held."""
        return self.greeting is not None and self.detects_turns and (self.wait_for_caller or not self.interruptible)

    @property
    def answers_turns(self) -> bool:
        """Whether the agent declares that the service answers the caller's turns by itself."""
        detection = self.session["audio"]["input"]["turn_detection"]
        return detection is not None and bool(detection.get("create_response", True))

    def accept(self, *, held: bool = False) -> dict[str, Any]:
        """Return the complete body for accept (protocol 1.5); `held`, also where the greeting would not ask for it."""
        body = self.declared(held=held or self.starts_held)
        return {key: value for key, value in body.items() if key != "tracing" or not self.tracing_is_late}

    def declared(self, *, held: bool) -> dict[str, Any]:
        """Return the complete session as it should stand at the service."""
        return {**self.session, "audio": {**self.session["audio"], "input": self._input(held)}}

    def update(self, *, held: bool, without: Iterable[str] = (), first: bool = False) -> dict[str, Any]:
        """Return a `session.update`'s session: all that may change, without model, voice and tracing.

        `without` names parameters that the service refused, as it names them: `session.audio.input.…`. The `first`
        one brings late tracing.
        """
        session = {key: value for key, value in self.session.items() if key not in _FIXED_AT_ACCEPT}
        if first and self.tracing_is_late:
            session["tracing"] = self.session["tracing"]
        session["audio"] = {"input": self._input(held)}
        return _without(session, without)

    def release(self, without: Iterable[str] = ()) -> dict[str, Any]:
        """Return the update that lets the caller's turns be answered again.

        The whole `audio.input` group: a partial one was seen to lose the transcription (protocol 2.4).
        """
        session: dict[str, Any] = {"type": "realtime", "audio": {"input": self._input(False)}}
        return _without(session, without)

    def _input(self, held: bool) -> dict[str, Any]:
        group = dict(self.session["audio"]["input"])
        if held and group["turn_detection"] is not None:
            hold = {"create_response": False, "interrupt_response": False}
            group["turn_detection"] = {**group["turn_detection"], **hold}
        return group

    def say(self, text: str, line: str) -> dict[str, Any]:
        """Return a `response.create`'s response that says one sentence, in the declared voice, without tools."""
        return self._response(_SAY.format(text=text.replace('"""', '"')), line)

    def say_freely(self, what: str, line: str) -> dict[str, Any]:
        """Return a `response.create`'s response that says in one sentence, in the conversation's language, what is
        asked: one of `FREELY`."""
        return self._response(f"In the language of this conversation, {FREELY[what]}", line)

    def _response(self, instructions: str, line: str) -> dict[str, Any]:
        voice = self.session["audio"]["output"]["voice"]
        return {
            "instructions": instructions,
            "metadata": {LINE: line},
            "tool_choice": "none",
            "audio": {"output": {"voice": voice}},
        }


def line_of(response: Mapping[str, Any]) -> str:
    """Return the line of ours that a response of the API says, `""` where it is none."""
    return text(inner(response, "metadata"), LINE)


def is_models_own(line: str) -> bool:
    """Tell whether the model chose the words of a response by itself: it has no line of ours, or was asked to go on."""
    return not line or line == ANSWER or line.startswith(AFTER)


def settings_for(agent: AgentDefinition, call: IncomingCall, names: Mapping[str, Any] | None = None) -> SessionSettings:
    """Render the agent's templates for a call and return its settings. Raises `TemplateError`.

    `names` are what templates see; without them, what they see before a lookup has found anything.
    """
    data, names = agent.data, agent.names(call) if names is None else names
    audio_input: dict[str, Any] = {"turn_detection": data["turn_detection"]}
    audio_input |= {key: data[key] for key in ("transcription", "noise_reduction") if data[key] is not None}
    session: dict[str, Any] = {
        "type": "realtime",
        "model": data["model"],
        "output_modalities": ["audio"],
        "instructions": agent.instructions.render(names),
        "audio": {"input": audio_input, "output": {"voice": data["voice"], "speed": data["speed"]}},
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
            for tool in agent.tools
        ],
    }
    session |= {key: data[key] for key in _OPTIONAL if key in data}
    if data["tracing"] is not None:
        session["tracing"] = _tracing(data["tracing"], names)
    late = _needs_lookup(data)
    greeting = agent.greeting
    text = greeting.text.render(names) if greeting else ""
    if greeting is None or not text:
        return SessionSettings(session, tracing_is_late=late)
    return SessionSettings(session, text, greeting.interruptible, greeting.wait_for_caller, late)


def _needs_lookup(data: Mapping[str, Any]) -> bool:
    """Tell whether a template of `tracing` may name a field that the lookup finds."""
    if data["lookup"] is None or not isinstance(data["tracing"], Mapping):
        return False
    written = str(data["tracing"])
    return any(field in written for field in data["lookup"]["defaults"])


def _tracing(tracing: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(tracing, str):
        return tracing

    def rendered(value: Any) -> Any:
        return template(value).render(names) if isinstance(value, str) else value

    metadata = {key: rendered(value) for key, value in tracing["metadata"].items()}
    named = {key: rendered(tracing[key]) for key in ("workflow_name", "group_id")}
    return {**named, "metadata": metadata} if metadata else named


def without_telephone(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return session settings as a session of its own takes them, on a WebSocket that carries no telephone call.

    The model stands in its address; answers are text, as the caller's turns are; no carrier settles the formats.
    """
    told = {key: value for key, value in session.items() if key != "model"}
    if "output_modalities" in told:
        told["output_modalities"] = ["text"]
    if "audio" in told:
        told["audio"] = {way: {**group, "format": _SOUND} for way, group in told["audio"].items()}
    return told


def _without(session: dict[str, Any], parameters: Iterable[str]) -> dict[str, Any]:
    for parameter in parameters:
        session = leave_out(session, parameter)
    return session


def leave_out(session: Mapping[str, Any], parameter: str) -> dict[str, Any]:
    """Return the session without one parameter, named as the service names it: `session.audio.input.x`."""
    head, _, rest = parameter.removeprefix("session.").partition(".")
    kept = dict(session)
    if head not in kept:
        return kept
    if not rest:
        del kept[head]
    elif isinstance(kept[head], Mapping):
        kept[head] = leave_out(kept[head], rest)
    return kept
