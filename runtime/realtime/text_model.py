"""A text model behind any address that speaks OpenAI's Chat Completions: asked, tried again, and its failures told.

Blocks in threads of its own, so that one model serves the event loops of many rehearsals, and a clock that jumps
waits for it (`threads.at_work`). An answer is asked for as a stream, whose first word may come late and whose length
is free; a server that sends it whole is understood as well. What was said in a call is sent to the address that was
named and to no other.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import DefaultHttpxClient, Omit, OpenAI

from runtime import chat
from runtime.errors import TextModelError, did_you_mean, some
from runtime.foreign import data_in
from runtime.threads import in_thread
from runtime.verdict import Verdict

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # without a word: a model on a laptop reads long instructions for that long
ANSWER_SECONDS = 180.0  # for a whole answer, however steadily it comes
TRY_AGAIN_SECONDS = 30.0
_PAUSES_SECONDS = (0.5, 2.0, 8.0)
_AGAIN = {408, 409, 429}
_SHOWN = 300  # characters of what a server says
_MAX_ANSWER = 1_000_000  # characters; nobody says so much
_MAX_SENT = 50_000_000  # bytes: a stream may take 300 for a word
_DONE = "[DONE]"


class TextModel:
    """One model at one address. `api_key` is `""` for a server that needs none.

    A failure that will not pass, such as an unknown name, is kept: further questions fail with it at once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        try_again_seconds: float = TRY_AGAIN_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.model = model
        self.failure: TextModelError | None = None
        self._key = api_key
        self._place = urlsplit(base_url).netloc.rpartition("@")[2]
        self._streams = True
        self._patience = patience_seconds
        self._try_again_seconds = try_again_seconds
        self._answer_seconds = answer_seconds
        timeout = httpx2.Timeout(patience_seconds, connect=CONNECT_SECONDS)
        self._headers: dict[str, Any] = {} if api_key else {"Authorization": Omit()}
        client = DefaultHttpxClient(timeout=timeout, follow_redirects=False)
        self._client = OpenAI(
            api_key=api_key or "none", base_url=base_url, max_retries=0, timeout=timeout, http_client=client
        )

    async def answer(
        self,
        instructions: str,
        items: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        may_use_tools: bool = True,
    ) -> chat.Answer:
        """Return the model's next answer in a conversation of the Realtime API's items. Raises `TextModelError`."""
        body: dict[str, Any] = {"messages": chat.messages(instructions, items)}
        if declared := chat.tools(tools):
            body |= {"tools": declared, "tool_choice": "auto" if may_use_tools else "none"}
        found = await self.ask(body)
        if found.end == "content_filter" and not found.words and not found.wishes:
            raise TextModelError(f"{self._place} withheld the answer of '{self.model}': its filter found it unfit")
        return found if may_use_tools else chat.Answer(found.words, (), found.end)

    async def ask(self, body: Mapping[str, Any]) -> chat.Answer:
        """Send one request and return its answer; try again what may pass. Raises `TextModelError`."""
        return await in_thread(lambda: self._ask({"model": self.model, **body}), "switchboard-model")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, body: Mapping[str, Any]) -> chat.Answer:
        if self.failure is not None:
            raise replace(self.failure)  # many may ask at once, and an exception keeps where it was raised
        give_up_at = time.monotonic() + self._try_again_seconds
        pauses = iter(_PAUSES_SECONDS)
        while True:
            try:
                return self._read(body)
            except openai.APIStatusError as error:
                failure, pause = self._refusal(error), None
                if self._streams and re.search(r"\bstream", self._said(error), re.IGNORECASE):
                    self._streams = False  # not every server streams, or not where there are tools
                    continue
                if failure.lasting:
                    self.failure = failure
                elif error.status_code in _AGAIN or error.status_code >= 500:
                    pause = next(pauses, None)
                    pause = pause and max(pause, _wish(error.response.headers))
            except (openai.APITimeoutError, httpx2.TimeoutException) as error:
                if isinstance(error.__cause__ or error, httpx2.ConnectTimeout):
                    failure, pause = self._unreachable("no answer within 5 s"), next(pauses, None)
                else:
                    said = f"'{self.model}' at {self._place} said nothing for {self._patience:g} s"
                    failure, pause = TextModelError(said, "Is the model too large for its machine?"), None
            except (openai.APIConnectionError, httpx2.HTTPError) as error:
                failure, pause = self._unreachable(_reason(error)), next(pauses, None)
            except _CutOff:
                failure = TextModelError(f"'{self.model}' at {self._place} broke off in the middle of its answer")
                pause = next(pauses, None)
            except UnicodeError:
                said = "what was said or told in the call is no text that can be sent"
                raise TextModelError(f"'{self.model}' at {self._place} cannot be asked: {said}") from None
            except TextModelError as error:
                if error.lasting:
                    self.failure = error
                raise
            if pause is None or time.monotonic() + pause > give_up_at:
                raise failure
            time.sleep(pause)

    # ── one request ───────────────────────────────────────────────────────────────────────────────────────

    def _read(self, body: Mapping[str, Any]) -> chat.Answer:
        """Send one request and read its answer, in whichever form it comes."""
        reading, is_json, is_whole = chat.Reading(), False, False
        written: Any = {**body, "stream": self._streams, "extra_headers": self._headers}
        with self._client.chat.completions.with_streaming_response.create(**written) as response:
            for data in _data(_lines(self._in_time(response.iter_bytes()))):
                self._demand_no_error(data)
                reading.take(data)
                is_json, is_whole = is_json or isinstance(data, dict), is_whole or data == _DONE
                if len(reading.words) > _MAX_ANSWER:
                    raise self._endless()
        if not reading.choices:
            cure = "Does its address end as its maker says, mostly with /v1?"
            raise TextModelError(f"{self._place} answered with no Chat Completion", cure, lasting=not is_json)
        if not is_whole and not reading.end:
            raise _CutOff
        return reading.answer()

    def _in_time(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what a server sends, as long as it comes to an end: also one that sends nothing but signs of life."""
        until, sent = time.monotonic() + self._answer_seconds, 0
        for part in parts:
            sent += len(part)
            if time.monotonic() > until or sent > _MAX_SENT:
                raise self._endless()
            yield part

    def _endless(self) -> TextModelError:
        return TextModelError(f"'{self.model}' at {self._place} came to no end")

    def _demand_no_error(self, data: Any) -> None:
        """Raise for an error that came where an answer was expected: its status had been sent before."""
        error = data.get("error") if isinstance(data, dict) else None
        if error:
            said = error.get("message") if isinstance(error, dict) else error
            raise TextModelError(f"'{self.model}' at {self._place} broke off: {self._shown(said)}")

    # ── what went wrong ───────────────────────────────────────────────────────────────────────────────────

    def _refusal(self, error: openai.APIStatusError) -> TextModelError:
        status, said, code = error.status_code, self._said(error), str(error.code or "")
        if status in (401, 403):
            known = "does not know the key" if self._key else "wants a key"
            if status == 403 and self._key:
                known = f"does not let this key use '{self.model}': {said}"
            return TextModelError(f"{self._place} {known}", "OPENAI_API_KEY holds it.", lasting=True)
        if code == "model_not_found" or (status in (400, 404) and _is_about_model(said, self.model)):
            return TextModelError(f"{self._place} has no model '{self.model}'", self._others(), lasting=True)
        if 300 <= status < 400:
            where = self._shown(error.response.headers.get("location") or "another address")
            cure = "Write that address in SWITCHBOARD_TEXT_BASE_URL or OPENAI_BASE_URL."
            return TextModelError(f"{self._place} sends the request on to {where}", cure, lasting=True)
        if status in (404, 405):
            cure = "Correct SWITCHBOARD_TEXT_BASE_URL or OPENAI_BASE_URL; most addresses end with /v1."
            return TextModelError(f"{self._place} takes no Chat Completions at {error.request.url.path}", cure, True)
        if status == 402 or code == "insufficient_quota":
            return TextModelError(f"{self._place} has no credit left for this key", "Look at its billing.", True)
        if status == 429:
            return TextModelError(f"{self._place} has too many requests at the moment: {said}")
        if status >= 500:
            return TextModelError(f"{self._place} failed ({status}): {said}")
        return TextModelError(f"{self._place} refused the request for '{self.model}' ({status}): {said}")

    def _unreachable(self, reason: str) -> TextModelError:
        return TextModelError(f"{self._place} cannot be reached ({self._shown(reason)})", "Is the server running?")

    def _others(self) -> str:
        """Return what to name instead of a model that is not there, as far as the server tells."""
        try:
            listed = self._client.with_options(timeout=CONNECT_SECONDS).models.list(extra_headers=self._headers)
            names = sorted({str(one.id) for one in listed.data} - {self.model})  # some are listed and not for chats
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError, AttributeError):
            names = []  # not every server lists its models
        near = did_you_mean(self.model, names)
        return near or (f"It has {some(names)}." if names else "Name one that it has.")

    def _said(self, error: openai.APIStatusError) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        return self._shown(body.get("message") or body.get("detail") or error.body or "without a reason")

    def _shown(self, said: Any) -> str:
        line = " ".join((str(said).replace(self._key, "…") if self._key else str(said)).split()).rstrip(".")
        return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


class Judge:
    """Judges conversations by rules in plain words, with a text model."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._takes_form = True  # not every server takes a form for its answers

    async def judge(self, rule: str, conversation: str) -> Verdict:
        """Judge one rule. Raises nothing: a judge that cannot answer gives a verdict that says why."""
        body: dict[str, Any] = {"messages": chat.case(rule, conversation)}
        try:
            answer = await self._answer(body)
        except TextModelError as error:
            return Verdict(None, str(error))
        found = chat.verdict(answer.words)
        if found is None:
            return Verdict(None, f"'{self._model.model}' answered with no verdict")
        passed, reason = found
        return Verdict(passed, reason or "the judge gave no reason")

    def close(self) -> None:
        """Close the connections."""
        self._model.close()

    async def _answer(self, body: Mapping[str, Any]) -> chat.Answer:
        if self._takes_form:
            try:
                return await self._model.ask({**body, "response_format": chat.VERDICT})
            except TextModelError as error:
                if error.lasting or "response_format" not in str(error):
                    raise
                self._takes_form = False
        return await self._model.ask(body)


class _CutOff(Exception):
    """A stream ended in the middle of an answer, and its connection did not."""


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield lines as the API ends them. JSON may hold signs that Python takes for line ends, as U+2028."""
    pieces: list[bytes] = []  # of the line that is still coming
    for part in parts:
        first, *more = part.split(b"\n")
        pieces.append(first)
        for begun in more:
            yield b"".join(pieces).decode("utf-8", "replace").rstrip("\r")
            pieces = [begun]
    yield b"".join(pieces).decode("utf-8", "replace").rstrip("\r")


def _data(lines: Iterator[str]) -> Iterator[Any]:
    """Yield the JSON of an answer: each event of a stream, or the one body of a whole answer; `[DONE]` as it is.

    A whole answer is as long as its sender said, so that it is done.
    """
    whole: list[str] = []
    streams = False
    for line in lines:
        if line.startswith("data:"):
            streams = True
            said = line.removeprefix("data:").strip()
            yield _DONE if said == _DONE else data_in(said)
        elif not streams:
            whole.append(line)
    if not streams:
        yield data_in("\n".join(whole))
        yield _DONE


def _wish(headers: httpx2.Headers) -> float:
    """Return for how many seconds the server asks to be left alone."""
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:  # a date
        return 0.0


def _is_about_model(said: str, model: str) -> bool:
    return model.lower() in said.lower() and re.search(r"not found|does not exist|not exist|no such", said) is not None


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if error.__cause__ is not None else error
    return re.sub(r"^\[.*?\] ", "", str(cause)) or type(cause).__name__
