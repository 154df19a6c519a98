"""The account side of the service: which models the key's project has, its webhooks, and a test event.

Blocks, so that each question belongs into a thread of its own. Nothing is tried again, and no answer holds a secret:
what the service says of a key is left out.
"""

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from openai import OpenAI

from runtime.doctor import INCOMING, Answer, Endpoint

TIMEOUT_SECONDS = 3.0
_SHOWN = 200  # characters of what the service says
_PAGE = 100  # webhooks of a project; nobody has more


class Account:
    """Asks for one project. Every question gives an `Answer` and raises nothing."""

    def __init__(self, api_key: str, base_url: str, now: Callable[[], float] = time.time) -> None:
        self._key = api_key
        self._now = now
        self._client = OpenAI(api_key=api_key, base_url=base_url, max_retries=0, timeout=TIMEOUT_SECONDS)

    def model(self, name: str) -> Answer:
        """Ask for a model; `data` is the day when it shuts down, or None."""
        retrieve = self._client.models.with_raw_response.retrieve
        return self._ask(lambda: retrieve(name), lambda model: model.shutdown_date)

    def webhooks(self) -> Answer:
        """Ask for the project's webhooks; `data` is a tuple of `Endpoint`s."""
        return self._ask(lambda: self._client.webhooks.with_raw_response.list(limit=_PAGE), _endpoints)

    def test(self, endpoint_id: str) -> Answer:
        """Have a test event of an incoming call sent, without a call in it; `data` is the host's HTTP status."""
        test = self._client.webhooks.with_raw_response.test
        return self._ask(lambda: test(endpoint_id, event_type=INCOMING), lambda result: result.status_code)

    def _ask(self, question: Callable[[], Any], read: Callable[[Any], Any]) -> Answer:
        try:
            response = question()
            return Answer(response.status_code, data=read(response.parse()), ahead=self._ahead(response.headers))
        except openai.APIStatusError as error:
            code, ahead = str(error.code or ""), self._ahead(error.response.headers)
            return Answer(error.status_code, self._said(error), ahead=ahead, code=code)
        except openai.APITimeoutError:
            return Answer(None, f"no answer within {TIMEOUT_SECONDS:g} s")
        except openai.APIConnectionError as error:
            return Answer(None, self._without_key(re.sub(r"^\[.*?\] ", "", str(error.__cause__ or error))))
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:  # no JSON, or not what was told
            return Answer(None, f"the answer cannot be read ({type(error).__name__})")

    def _ahead(self, headers: httpx2.Headers) -> float | None:
        try:
            return self._now() - parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None

    def _said(self, error: openai.APIStatusError) -> str:
        if error.status_code == 401:
            return "the key is not known"  # the service's own sentence shows a part of it
        body = error.body if isinstance(error.body, dict) else {}
        return self._without_key(str(body.get("message") or error.code or "without a reason"))

    def _without_key(self, said: str) -> str:
        line = " ".join(said.replace(self._key, "…").split())
        return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _endpoints(listed: Any) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(one.id, one.url, tuple(one.event_types or ())) for one in listed.data)
