import pytest

from runtime.sip_codes import explain


@pytest.mark.parametrize("number", [400, 401, 403, 404, 407, 408, 480, 486, 487, 488, 503, 603])
def test_every_code_that_carriers_report_has_its_causes_and_what_to_look_at(number: int) -> None:
    code = explain(str(number))
    assert code is not None
    assert code.number == number
    assert code.causes
    assert all(cause.what.endswith(".") and cause.look for cause in code.causes)


@pytest.mark.parametrize("number", [32010, 32011, 32207, 32208, 32209, 32218])
def test_twilios_numbers_are_known(number: int) -> None:
    code = explain(str(number))
    assert code is not None
    assert code.name.startswith("Twilio: ")


def test_a_400_is_first_an_accept_that_came_too_late() -> None:
    code = explain("400")
    assert code is not None
    assert "not accepted in time" in code.causes[0].what


@pytest.mark.parametrize(
    ("number", "name"),
    [(183, "Provisional"), (204, "Success"), (302, "Redirection"), (499, "Client error"), (599, "Server error"),
     (699, "Global failure")],
)  # fmt: skip
def test_an_unknown_code_is_explained_by_its_class(number: int, name: str) -> None:
    code = explain(str(number))
    assert code is not None
    assert code.number == number
    assert code.name.startswith(name)


@pytest.mark.parametrize(
    ("number", "said"), [(32999, "an error of SIP"), (11200, "a web address"), (13999, "voice instruction")]
)
def test_an_unknown_number_of_twilio_is_explained_by_its_range_and_its_page(number: int, said: str) -> None:
    code = explain(str(number))
    assert code is not None
    assert said in code.name
    assert f"errors/{number}" in code.causes[-1].look


@pytest.mark.parametrize("written", [" 400 ", "SIP 400", "sip/2.0 400"])
def test_a_code_may_be_written_as_logs_write_it(written: str) -> None:
    assert explain(written) == explain("400")


@pytest.mark.parametrize("written", ["", "abc", "4", "99", "099", "700", "1234", "320110", "4oo", "-400"])
def test_what_is_neither_has_no_explanation(written: str) -> None:
    assert explain(written) is None
