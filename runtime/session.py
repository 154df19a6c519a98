"""Definition and call to session settings: the only maker of what we tell the service about a session.

The accept body, the first `session.update` and every later one derive from one mapping here, so they cannot
disagree (protocol 3.6, traps 1 to 9). Nothing is sent as null but `turn_detection`, where null is a value, and
no audio format ever is: on SIP the carrier settles it (protocol 2.4).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.definition import AgentDefinition
from runtime.incoming import IncomingCall
from runtime.template import template

LINE = "switchboard"  # the metadata key by which our own responses are recognised in the service's events

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
FAREWELL = "farewell"
_FAREWELL = (
    "The line has to close now. In the language of this conversation, say in one short sentence that you are "
    "sorry, that the call ends here, and goodbye. Ask nothing."
)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What one call's session is told. `greeting` is the rendered sentence, or None.

    While `held`, the caller's turns are heard but answered by nobody, so that nothing can speak before or over
    the greeting (protocol 3.5).
    """

    session: Mapping[str, Any]
    greeting: str | None = None
    interruptible: bool = True
    wait_for_caller: bool = False

    @property
    def starts_held(self) -> bool:
        """Whether the call begins with its turns held."""
        detects = self.session["audio"]["input"]["turn_detection"] is not None
        return self.greeting is not None and detects and (self.wait_for_caller or not self.interruptible)

    @property
    def answers_turns(self) -> bool:
        """Whether the agent declares that the service answers the caller's turns by itself."""
        detection = self.session["audio"]["input"]["turn_detection"]
        return detection is not None and bool(detection.get("create_response", True))

    def accept(self) -> dict[str, Any]:
        """Return the complete body for accept (protocol 1.5)."""
        return self.declared(held=self.starts_held)

    def declared(self, *, held: bool) -> dict[str, Any]:
        """Return the complete session as it should stand at the service."""
        return {**self.session, "audio": {**self.session["audio"], "input": self._input(held)}}

    def update(self, *, held: bool, without: Iterable[str] = ()) -> dict[str, Any]:
        """Return a `session.update`'s session: all that may change, without model, voice and tracing.

        `without` names parameters that the service refused, as it names them: `session.audio.input.…`.
        """
        session = {key: value for key, value in self.session.items() if key not in _FIXED_AT_ACCEPT}
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

    def farewell(self) -> dict[str, Any]:
        """Return a `response.create`'s response that says goodbye in the conversation's own language."""
        return self._response(_FAREWELL, FAREWELL)

    def _response(self, instructions: str, line: str) -> dict[str, Any]:
        voice = self.session["audio"]["output"]["voice"]
        return {
            "instructions": instructions,
            "metadata": {LINE: line},
            "tool_choice": "none",
            "audio": {"output": {"voice": voice}},
        }


def settings_for(agent: AgentDefinition, call: IncomingCall) -> SessionSettings:
    """Render the agent's templates for a call and return its settings. Raises `TemplateError`."""
    data, names = agent.data, agent.names(call)
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
    greeting = agent.greeting
    text = greeting.text.render(names) if greeting else ""
    if greeting is None or not text:
        return SessionSettings(session)
    return SessionSettings(session, text, greeting.interruptible, greeting.wait_for_caller)


def _tracing(tracing: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(tracing, str):
        return tracing

    def rendered(value: Any) -> Any:
        return template(value).render(names) if isinstance(value, str) else value

    metadata = {key: rendered(value) for key, value in tracing["metadata"].items()}
    named = {key: rendered(tracing[key]) for key in ("workflow_name", "group_id")}
    return {**named, "metadata": metadata} if metadata else named


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
