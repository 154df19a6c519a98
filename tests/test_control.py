"""Call control against the simulator's endpoints: what is tried again, and what never is."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.errors import CallControlError
from runtime.realtime.control import CallControl, is_gone
from runtime.session import settings_for
from runtime.simulator import Behavior, Service, SimulatedCall, serving
from tests.house import agent, incoming, run
from tests.line import KEY

SESSION = settings_for(agent("turn_detection: {type: server_vad, threshold: 0.6}\n"), incoming()).accept()


async def accepted(behavior: Behavior, key: str = KEY, **patience: float) -> tuple[SimulatedCall, Any]:
    """Accept one call of a service that behaves so, and return the call with the result or the error."""
    service = Service(api_key=KEY, pace=0, behavior=behavior)
    async with serving(service.app) as url:
        control = CallControl(key, f"{url}/v1", **patience)
        call = service.new_call()
        try:
            return call, await control.accept(call.call_id, SESSION)
        except CallControlError as error:
            return call, error
        finally:
            await control.close()


def test_a_2xx_is_accepted_once() -> None:
    call, dropped = run(accepted(Behavior()))
    assert dropped == ((), True)
    assert [what for _, what in call.timeline] == ["accepted"]


def test_the_client_never_tries_again_by_itself() -> None:
    """Trap 10: its retries send no idempotency key."""
    assert CallControl(KEY, "http://127.0.0.1:9/v1")._client.max_retries == 0


def test_no_request_may_hang_for_the_clients_ten_minutes() -> None:
    """Trap 11."""
    assert CallControl(KEY, "http://127.0.0.1:9/v1")._client.timeout == 3.0


def test_a_server_error_is_tried_again_within_three_seconds() -> None:
    _, taken = run(accepted(Behavior(accept_fails=(503,))))
    assert taken == ((), True)


def test_server_errors_without_end_are_given_up() -> None:
    _, error = run(accepted(Behavior(accept_fails=(500,) * 100), try_again_seconds=0.3))
    assert (error.status, error.sent) == (500, False)


def test_an_unknown_parameter_is_left_out_once() -> None:
    """Trap 26."""
    refused = "session.audio.input.turn_detection.threshold"
    call, dropped = run(accepted(Behavior(refused_at_accept=frozenset({refused}))))
    assert dropped == ((refused,), True)
    assert call.peer.accepted is not None
    assert "threshold" not in call.peer.accepted["audio"]["input"]["turn_detection"]


def test_every_unknown_parameter_is_left_out_once() -> None:
    """Trap 26: three fields of server_vad are refused, one at a time."""
    two = {"session.audio.input.turn_detection.threshold", "session.tracing"}
    _, taken = run(accepted(Behavior(refused_at_accept=frozenset(two))))
    assert set(taken.dropped) == two


def test_a_refusal_after_a_lost_answer_counts_as_accepted() -> None:
    """Trap 10: the answer was lost, the accept was not; attaching tells the truth."""
    call, taken = run(accepted(Behavior(accept_response="lost")))
    assert taken == ((), False)
    assert call.peer.state == "accepted"


def test_a_call_is_gone_by_code_as_well_as_by_status() -> None:
    assert is_gone(CallControlError("", 404))
    assert is_gone(CallControlError("", 400, "call_id_not_found"))
    assert is_gone(CallControlError("", 400, "decision_already_made"))
    assert not is_gone(CallControlError("", 400, "unknown_parameter"))


def test_a_wrong_key_is_no_call_that_is_gone() -> None:
    _, error = run(accepted(Behavior(), key="sk-wrong"))
    assert error.status == 401
    assert not is_gone(error)


def test_nobody_listening_is_an_error_that_was_not_sent() -> None:
    async def work() -> None:
        control = CallControl(KEY, "http://127.0.0.1:1/v1")
        with pytest.raises(CallControlError, match="cannot be reached") as error:
            await control.reject("rtc_1", 404)
        assert (error.value.status, error.value.sent) == (None, False)
        await control.close()

    run(work())


def test_a_gateway_that_gave_up_waiting_may_have_passed_the_accept_on() -> None:
    """Trap 10."""
    _, taken = run(accepted(Behavior(accept_fails=(504,) * 100), try_again_seconds=0.3))
    assert taken == ((), False)


def test_hanging_up_is_tried_again() -> None:
    async def work() -> None:
        tries = 0

        async def hangup(request: Request) -> Response:
            nonlocal tries
            tries += 1
            return Response(status_code=503 if tries < 3 else 200)

        async with serving(
            Starlette(routes=[Route("/v1/realtime/calls/{id}/hangup", hangup, methods=["POST"])])
        ) as url:
            control = CallControl(KEY, f"{url}/v1")
            await control.hang_up("rtc_1")
            await control.close()
        assert tries == 3

    run(work())


def test_hanging_up_a_call_that_is_over_is_fine() -> None:
    async def work() -> None:
        service = Service(api_key=KEY, pace=0)
        async with serving(service.app) as url:
            control = CallControl(KEY, f"{url}/v1")
            await control.hang_up("rtc_gone")
            await control.close()

    run(work())
