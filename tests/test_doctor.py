"""What each step of the chain means: values in, steps out."""

from datetime import date

import pytest

from runtime import doctor, host
from runtime.doctor import Answer, Endpoint, Mark, Reached, Step, Use
from runtime.errors import Problem, SettingsError
from runtime.realtime import webhook
from tests.house import MINIMAL, catalog

KEY, SECRET, URL = "sk-1", "whsec_YQ==", "https://api.openai.com/v1"
TODAY = date(2026, 11, 23)
HERE = Endpoint("wh_1", "https://voice.example.com/openai/webhook", (doctor.INCOMING,))


def marks(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.name, step.mark.value) for step in steps]


def test_what_is_known_elsewhere_is_the_same_here() -> None:
    assert doctor.INCOMING == webhook.INCOMING
    assert doctor.TOLERANCE_SECONDS == webhook.TOLERANCE_SECONDS
    assert doctor.FRESH_SECONDS == host.FRESH_SECONDS


def test_only_a_failed_step_makes_the_command_fail() -> None:
    fine, warning, failed = (Step("x", mark, "y") for mark in Mark)
    assert doctor.exit_code([fine, warning]) == 0
    assert doctor.exit_code([fine, failed]) == 1


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_that_are_well_formed_are_one_fine_step() -> None:
    (step,) = doctor.settings(KEY, (SECRET, "whsec_Yg=="), URL, [])
    assert step.mark is Mark.FINE
    assert "2 webhook secrets" in step.saw


def test_everything_that_is_wrong_says_what_it_means_for_calls() -> None:
    wrong = [SettingsError("OPENAI_API_KEY", "is written with quotes around it", "Remove the quotes.")]
    (step,) = doctor.settings("", (SECRET,), URL, wrong)
    assert (step.mark, step.means, step.do) == (
        Mark.FAILED,
        "Without the key no call is accepted.",
        "Remove the quotes.",
    )


@pytest.mark.parametrize(("key", "secret"), [("whsec_YQ==", SECRET), (KEY, "sk-1"), ("whsec_YQ==", "sk-1")])
def test_a_key_and_a_secret_that_changed_places_are_seen(key: str, secret: str) -> None:
    (step,) = doctor.settings(key, (secret,), URL, [])
    assert step.mark is Mark.FAILED
    assert "the other way round" in step.saw


def test_a_secret_without_its_beginning_and_one_written_twice_are_warnings() -> None:
    steps = doctor.settings(KEY, ("abc", "abc"), URL, [])
    assert [step.mark for step in steps] == [Mark.WARNING, Mark.WARNING]


def test_no_step_shows_a_secret_or_what_may_hold_one() -> None:
    told = str(doctor.settings("sk-secret", ("whsec_c2VjcmV0",), "https://ann:pw@host:8/v1?token=t", []))
    assert not any(word in told for word in ("sk-secret", "c2VjcmV0", "ann", "pw", "token"))
    assert doctor.shown("https://ann:pw@host:8/v1?token=t") == "https://host:8/v1?…"
    assert doctor.shown("http://[::1]:8080/x") == "http://[::1]:8080/x"
    assert doctor.shown("http://[") == "an address that cannot be read"


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [
        (0.4, "fine"),
        (-2, "fine"),
        (20, "warning"),
        (-200, "warning"),
        (61, "failed"),
        (-301, "failed"),
        (400, "failed"),
    ],
)
def test_a_clock_fails_where_calls_would_be_refused(ahead: float, mark: str) -> None:
    assert doctor.clock(ahead).mark == mark


# ── the key and the models ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answers", "mark", "said"),
    [
        ([Answer(200)], "fine", "knows it"),
        ([Answer(404), Answer(200)], "fine", "knows it"),
        ([Answer(401, "the key is not known")], "failed", "401"),
        ([Answer(None, "Connection refused")], "failed", "cannot be reached"),
        ([Answer(429, "You exceeded your quota", code="insufficient_quota")], "failed", "no credit"),
        ([Answer(403, "Missing scopes")], "warning", "403"),
        ([Answer(500, "Oops")], "warning", "500: Oops"),
    ],
)
def test_the_key_is_judged_by_what_the_service_answered(answers: list[Answer], mark: str, said: str) -> None:
    step = doctor.key(answers, URL)
    assert step.mark == mark
    assert said in step.saw


def test_a_model_that_is_not_there_fails_and_names_its_agents() -> None:
    step = doctor.model(Use("gpt-real", False, ("desk", "shop")), Answer(404), TODAY)
    assert step is not None
    assert step.mark is Mark.FAILED
    assert step.saw == "there is no gpt-real for this project (desk and shop)"


def test_a_transcription_model_that_is_not_there_ends_no_call() -> None:
    step = doctor.model(Use("gpt-write", True, ("desk",)), Answer(404), TODAY)
    assert step is not None
    assert step.mark is Mark.WARNING


@pytest.mark.parametrize(
    ("shutdown", "mark", "said"),
    [
        (None, "fine", "gpt-x"),
        ("2027-06-01", "warning", "shuts down on 2027-06-01"),
        ("2026-12-01", "warning", "in 8 days"),
        ("2026-11-23", "failed", "was shut down"),
        ("2026-11-30T00:00:00Z", "warning", "in 7 days"),
        ("soon", "warning", "shuts down on soon"),
    ],
)
def test_a_models_last_day_is_told_from_the_services_answer(shutdown: str | None, mark: str, said: str) -> None:
    step = doctor.model(Use("gpt-x", False), Answer(200, data=shutdown), TODAY)
    assert step is not None
    assert step.mark == mark
    assert said in step.saw


def test_a_last_day_that_only_the_schema_knows_is_told_with_what_to_write() -> None:
    step = doctor.model(Use("gpt-realtime", False), Answer(200), TODAY)
    assert step is not None
    assert (step.mark, step.do) == (Mark.WARNING, "Write gpt-realtime-2.1 instead.")
    heard = doctor.model(Use("whisper-1", True), Answer(200), TODAY)
    assert heard is not None
    assert "2027-02-26" in heard.saw


def test_a_model_of_which_nothing_can_be_known_is_no_step() -> None:
    assert doctor.model(Use("gpt-x", False), Answer(None), TODAY) is None


def test_each_model_is_asked_for_once_with_all_its_agents() -> None:
    agents = catalog(MINIMAL, "name: shop\nanswers: ['+15550100002']\ninstructions: x\ntranscription: null\n")
    spoken, heard = doctor.uses(agents)
    assert (spoken.model, spoken.agents) == ("gpt-realtime-2.1", ("desk", "shop"))
    assert (heard.transcribes, heard.agents) == (True, ("desk",))


def test_without_an_agent_the_key_is_tried_with_the_models_default() -> None:
    (use,) = doctor.uses(doctor.Catalog({}))
    assert use.model == "gpt-realtime-2.1"


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("listed", "mark"),
    [
        (Answer(200, data=(HERE,)), "fine"),
        (Answer(200, data=()), "failed"),
        (Answer(200, data=(Endpoint("wh_1", HERE.url, ("batch.completed",)),)), "failed"),
        (Answer(403, "Missing scopes"), "warning"),
        (Answer(None, "no answer within 3 s"), "warning"),
    ],
)
def test_the_project_needs_a_webhook_that_hears_of_calls(listed: Answer, mark: str) -> None:
    (step,) = doctor.webhooks(listed)
    assert step.mark == mark


@pytest.mark.parametrize(
    ("url", "mark"),
    [
        ("http://voice.example.com/openai/webhook", "failed"),
        ("https://localhost/openai/webhook", "failed"),
        ("https://10.0.0.8/openai/webhook", "failed"),
        ("https://host.internal/openai/webhook", "failed"),
        ("https://voice.example.com/webhook", "warning"),
    ],
)
def test_a_webhooks_address_must_be_one_that_the_service_reaches(url: str, mark: str) -> None:
    (step,) = doctor.webhooks(Answer(200, data=(Endpoint("wh_1", url, (doctor.INCOMING,)),)))
    assert step.mark == mark


def test_two_webhooks_that_hear_of_each_call_are_a_warning() -> None:
    other = Endpoint("wh_2", "https://staging.example.com/openai/webhook", (doctor.INCOMING,))
    assert marks(doctor.webhooks(Answer(200, data=(HERE, other)))) == [
        ("webhook", "fine"), ("webhook", "fine"), ("webhook", "warning"),
    ]  # fmt: skip


# ── the host and a test event ─────────────────────────────────────────────────────────────────────────────────

READY = {"status": "ready", "agents": 1, "revision": "r1", "reload": {"result": "loaded"}}


@pytest.mark.parametrize(
    ("ready", "mark"),
    [
        (READY, "fine"),
        ({**READY, "status": "draining"}, "warning"),
        ({**READY, "reload": {"result": "refused"}}, "warning"),
        (None, "failed"),
    ],
)
def test_a_host_is_judged_by_what_it_says_of_itself(ready: dict[str, object] | None, mark: str) -> None:
    assert doctor.host("http://127.0.0.1:8080", ready, "is no running host").mark == mark


def seen(answer: str) -> dict[str, object]:
    return {"received": 4, "at": "2026-11-23T10:00:00+00:00", "answer": answer}


BEFORE = {"received": 3, "at": None, "answer": None}


@pytest.mark.parametrize(
    ("answer", "after", "mark", "said"),
    [
        (Answer(200, data=200), seen("ignored"), "fine", "rightly signed"),
        (Answer(200, data=200), BEFORE, "warning", "the host at --url saw nothing"),
        (Answer(200, data=400), seen("invalid_signature"), "failed", "refused it (invalid_signature)"),
        (Answer(200, data=404), BEFORE, "failed", "answered 404"),
        (Answer(200, data=418), BEFORE, "failed", "answered 418"),
        (Answer(200, data=308), BEFORE, "failed", "answered 308"),
        (Answer(200, data=502), BEFORE, "failed", "answered 502"),
        (Answer(200, data=101), BEFORE, "failed", "answered 101"),
        (Answer(400, "could not be reached"), BEFORE, "failed", "could not deliver"),
        (Answer(None, "no answer within 3 s"), BEFORE, "failed", "no answer within 3 s"),
    ],
)
def test_a_test_event_is_judged_by_both_its_ends(
    answer: Answer, after: dict[str, object], mark: str, said: str
) -> None:
    step = doctor.event(HERE, answer, BEFORE, after)
    assert step.mark == mark
    assert said in step.saw
    assert mark == "fine" or (step.means and step.do)


# ── the SIP address ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        (URL, "sip.api.openai.com"),
        ("https://eu.api.openai.com/v1", "sip-eu.api.openai.com"),
        ("https://acme.openai.azure.com/openai/v1", None),
        ("http://127.0.0.1:9/v1", None),
    ],
)
def test_the_sip_host_belongs_to_the_region_of_the_base_url(base_url: str, name: str | None) -> None:
    assert doctor.sip_host(base_url) == name


THERE = Reached(("192.0.2.1",), True, "TLSv1.3", ("api.openai.com",))


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        (Reached(said="Name or service not known"), ["failed"]),
        (Reached(("192.0.2.1",), said="no answer in time"), ["fine", "warning"]),
        (Reached(("192.0.2.1",), True, said="self-signed certificate"), ["fine", "fine", "warning"]),
        (Reached(("192.0.2.1",), True, said="certificate has expired", expired=True), ["fine", "fine", "failed"]),
        (Reached(("192.0.2.1",), True, "TLSv1.3", ("example.com",)), ["fine", "fine", "warning"]),
        (THERE, ["fine", "fine", "fine"]),
    ],
)
def test_the_sip_address_is_judged_step_by_step(reached: Reached, expected: list[str]) -> None:
    steps = doctor.sip("sip.api.openai.com", 5061, reached)
    assert [step.mark.value for step in steps] == expected


@pytest.mark.parametrize(
    ("pattern", "name", "mark"),
    [
        ("*.example.com", "sip.example.com", "fine"),
        ("*.example.com", "a.sip.example.com", "warning"),
        ("SIP.example.com", "sip.example.com", "fine"),
        ("api.openai.com", "sip.example.com", "warning"),
    ],
)
def test_a_certificate_must_be_for_the_host(pattern: str, name: str, mark: str) -> None:
    assert doctor.sip(name, 5061, Reached(("192.0.2.1",), True, "TLSv1.3", (pattern,)))[-1].mark == mark


# ── the routing table ─────────────────────────────────────────────────────────────────────────────────────────

SHOP = "name: shop\ninstructions: x\n"


def test_the_table_tells_which_number_reaches_which_agent() -> None:
    steps = doctor.routing(catalog(MINIMAL), [])
    assert marks(steps) == [("catalog", "fine"), ("numbers", "fine")]
    assert steps[1].lines == ("called +15550100001 → desk (agents/1.yaml:2)",)
    assert "every other is rejected with SIP 404" in steps[1].saw


def test_with_an_agent_for_every_call_none_is_rejected() -> None:
    steps = doctor.routing(catalog(MINIMAL.replace('"+15550100001"', '"*"')), [])
    assert "404" not in steps[1].saw


def test_an_agent_that_no_call_reaches_is_a_warning() -> None:
    steps = doctor.routing(catalog(MINIMAL, SHOP), [])
    assert steps[-1].saw == "no call reaches shop"


def test_an_agent_that_another_hands_over_to_is_reached() -> None:
    handing = MINIMAL + "handoffs: [{agent: shop, when: The caller wants to buy.}]\n"
    assert all(step.mark is Mark.FINE for step in doctor.routing(catalog(handing, SHOP), []))


def test_a_catalog_without_a_number_fails() -> None:
    assert doctor.routing(catalog(SHOP), [])[-1].mark is Mark.FAILED


def test_problems_of_the_catalog_are_listed_and_the_rest_is_looked_at() -> None:
    wrong = Problem("agents/x.yaml", 2, 1, "voice", "is not one of ours")
    steps = doctor.routing(catalog(MINIMAL), [wrong])
    assert marks(steps) == [("catalog", "failed"), ("numbers", "fine")]
    assert steps[0].lines == (str(wrong),)


def test_warnings_of_the_catalog_are_listed_and_keep_no_call_away() -> None:
    warned = Problem("agents/x.yaml", 2, 1, "model", "shuts down", severity="warning")
    step = doctor.routing(catalog(MINIMAL), [warned])[0]
    assert (step.mark, step.lines) == (Mark.WARNING, (str(warned),))
