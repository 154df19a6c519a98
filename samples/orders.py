"""An order book with an HTTP interface, for agents that ask addresses and no Python: `python -m samples.orders`.

It listens on 127.0.0.1:8765. `GET /orders/NUMBER` tells an order, `POST /orders/NUMBER/notes` adds a note to it, and
`GET /guests?number=+15557654321` tells who rings. The book is kept in memory and begins anew with each start. Where
`SWITCHBOARD_SAMPLES_ORDERS_TOKEN` is set, each request must have it as its `Authorization`.
"""

import hmac
import os
import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PORT = 8765
TOKEN_VARIABLE = "SWITCHBOARD_SAMPLES_ORDERS_TOKEN"

_GUESTS = {"+15557654321": "Rivera", "+493012345678": "Schmidt"}


def book() -> Starlette:
    """Return the app of a new order book."""
    orders: dict[str, dict[str, Any]] = {
        "1017": {"number": "1017", "status": "in the oven", "minutes": 10, "items": ["Margherita"], "notes": []},
        "1018": {"number": "1018", "status": "on its way", "minutes": 5, "items": ["Frutti di Mare"], "notes": []},
    }

    async def tell(request: Request) -> Response:
        order = orders.get(request.path_params["number"])
        return _unknown(request) if order is None else JSONResponse({"order": order})

    async def add_note(request: Request) -> Response:
        order = orders.get(request.path_params["number"])
        if order is None:
            return _unknown(request)
        note = (await request.json()).get("note", "")
        if note not in order["notes"]:  # a model may say the same thing twice
            order["notes"].append(note)
        return JSONResponse({"order": order}, 201)

    async def tell_guest(request: Request) -> Response:
        name = _GUESTS.get(request.query_params.get("number", ""), "")
        return JSONResponse({"guest": name, "regular": bool(name)})

    routes = [
        Route("/orders/{number}", tell),
        Route("/orders/{number}/notes", add_note, methods=["POST"]),
        Route("/guests", tell_guest),
    ]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_admit)])


async def _admit(request: Request, answer: RequestResponseEndpoint) -> Response:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not hmac.compare_digest(request.headers.get("authorization", "") if token else "", token):
        return JSONResponse({"error": "the token is not right"}, 401)
    return await answer(request)


def _unknown(request: Request) -> Response:
    return JSONResponse({"error": f"there is no order {request.path_params['number']}"}, 404)


if __name__ == "__main__":
    print(f"The order book listens on http://127.0.0.1:{PORT}", file=sys.stderr)
    uvicorn.run(book(), host="127.0.0.1", port=PORT, log_level="warning")
