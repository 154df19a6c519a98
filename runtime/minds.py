"""Who decides what the model does in a rehearsal: a text model, and who judges it, out of the environment."""

from collections.abc import Mapping

from runtime.realtime.text_model import Judge, TextModel
from runtime.settings import Endpoint, text_endpoint
from runtime.simulator.mind import Asked
from runtime.simulator.script import Reply, ToolUse


class TextMind:
    """A simulated model that a text model decides for: the agent's real instructions and tools, another voice."""

    def __init__(self, model: TextModel) -> None:
        self.model = model

    async def reply(self, asked: Asked) -> Reply:
        """Return what the text model does: words, tool calls, both, or nothing. Raises `TextModelError`."""
        answer = await self.model.answer(
            asked.instructions, asked.items, asked.tools, may_use_tools=asked.may_use_tools
        )
        uses = tuple(ToolUse(wish.name, wish.arguments) for wish in answer.wishes)
        return (answer.words, *uses) if answer.words else uses

    def close(self) -> None:
        """Close the connections."""
        self.model.close()


def mind_for(model: str, environment: Mapping[str, str] | None = None) -> TextMind:
    """Return a `Mind` for `--model NAME`; without `environment`, out of the process's. Raises `SettingsError`."""
    return TextMind(_model(model, environment))


def judge_for(model: str, environment: Mapping[str, str] | None = None) -> Judge:
    """Return who judges what `judge:` asks. Raises `SettingsError`: then such an expectation is skipped with it."""
    return Judge(_model(model, environment))


def _model(name: str, environment: Mapping[str, str] | None) -> TextModel:
    endpoint: Endpoint = text_endpoint() if environment is None else text_endpoint(environment)
    return TextModel(endpoint.base_url, endpoint.api_key, name)
