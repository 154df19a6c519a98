"""The account side of the simulated service: models with their last day, webhooks of a project, and test events.

Holds what a project has, and the routes that tell it (protocol 7.3 and 9). Delivers nothing by itself.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runtime.simulator.checks import Refused


@dataclass(frozen=True)
class Webhook:
    """A webhook of the project, with the secret that its deliveries are signed with."""

    url: str
    secret: str
    event_types: tuple[str, ...] = ("realtime.call.incoming",)
    id: str = "wh_ep_simulated"

    def told(self) -> dict[str, Any]:
        """As the service tells it: never with its secret."""
        kinds = {"event_types": list(self.event_types), "object": "webhook_endpoint", "signing_secret_hint": None}
        return {"id": self.id, "created_at": 1_790_000_000, "name": "simulated", "url": self.url, **kinds}


@dataclass
class Account:
    """What a project has: `models` by name with their last day or None, and its webhooks.

    Its clock is `clock_behind` seconds behind this machine's.
    `refuses` maps `models` or `webhook_endpoints` to what the service says instead, as to a restricted key.
    """

    models: dict[str, str | None] = field(default_factory=lambda: dict(MODELS))
    webhooks: list[Webhook] = field(default_factory=list)
    refuses: dict[str, Refused] = field(default_factory=dict)
    clock_behind: float = 0.0

    def model(self, name: str) -> dict[str, Any]:
        self._may("models")
        if name not in self.models:
            raise Refused(404, "model_not_found", f"The model '{name}' does not exist or you do not have access to it.")
        made = {"object": "model", "created": 1_790_000_000, "owned_by": "system"}
        return {"id": name, **made, "shutdown_date": self.models[name]}

    def listed(self) -> dict[str, Any]:
        self._may("webhook_endpoints")
        data = [webhook.told() for webhook in self.webhooks]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return {"object": "list", "data": data, "has_more": False, **ends}

    def webhook(self, webhook_id: str) -> Webhook:
        self._may("webhook_endpoints")
        found = next((webhook for webhook in self.webhooks if webhook.id == webhook_id), None)
        if found is None:
            raise Refused(404, "not_found", f"No webhook endpoint found with id '{webhook_id}'.")
        return found

    def _may(self, what: str) -> None:
        if what in self.refuses:
            raise self.refuses[what]


MODELS: dict[str, str | None] = {
    "gpt-realtime-2.1": None,
    "gpt-realtime-2.1-mini": None,
    "gpt-realtime": "2027-01-20",
    "gpt-transcribe": None,
    "whisper-1": "2027-02-26",
}

Check = Callable[[Request], None]
"""Raises `Refused` for a request without the key."""

Deliver = Callable[[Webhook, str], Awaitable[int]]
"""Posts an empty event of a type to a webhook, signed, and returns the status."""


def routes(account: Account, check: Check, refusal: Callable[[Refused], JSONResponse], deliver: Deliver) -> list[Route]:
    """The routes of an account."""

    def route(path: str, answer: Callable[[Request], Awaitable[dict[str, Any]]], method: str = "GET") -> Route:
        async def answered(request: Request) -> JSONResponse:
            try:
                check(request)
                response = JSONResponse(await answer(request))
            except Refused as refused:
                response = refusal(refused)
            response.headers["date"] = formatdate(time.time() - account.clock_behind, usegmt=True)
            return response

        return Route(f"/v1/{path}", answered, methods=[method])

    async def model(request: Request) -> dict[str, Any]:
        return account.model(request.path_params["name"])

    async def listed(request: Request) -> dict[str, Any]:
        return account.listed()

    async def test(request: Request) -> dict[str, Any]:
        webhook = account.webhook(request.path_params["webhook_id"])
        kind = str((await request.json())["event_type"])
        try:
            status = await deliver(webhook, kind)
        except httpx2.HTTPError:
            raise Refused(400, "webhook_test_failed", "The endpoint could not be reached.") from None
        told = {"object": "webhook_endpoint.test", "success": True, "webhook_endpoint_id": webhook.id}
        return {**told, "event_type": kind, "status_code": status}

    return [
        route("models/{name}", model),
        route("webhook_endpoints", listed),
        route("webhook_endpoints/{webhook_id}/test", test, "POST"),
    ]
