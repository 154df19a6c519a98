from runtime.chain import LINKS, LOOK_AT, Chain


def test_a_chain_tells_seconds_since_the_webhook() -> None:
    chain = Chain().reach("webhook", 100.0).reach("accept", 100.214).reach("attach", 100.8714)
    assert chain.told()["chain"] == "webhook 0.000, accept 0.214, attach 0.871, confirmed missing, audible missing"


def test_a_chain_tells_where_it_broke_and_what_to_look_at() -> None:
    chain = Chain().reach("webhook", 5.0)
    assert chain.missing == "accept"
    assert chain.told()["look_at"] == LOOK_AT["accept"]


def test_a_whole_chain_has_nothing_to_look_at() -> None:
    chain = Chain()
    for second, link in enumerate(LINKS):
        chain = chain.reach(link, float(second))
    assert chain.missing is None
    assert chain.told() == {
        "chain": "webhook 0.000, accept 1.000, attach 2.000, confirmed 3.000, audible 4.000",
    }


def test_the_first_time_counts_when_a_step_comes_again() -> None:
    once = Chain().reach("webhook", 1.0).reach("attach", 2.0)
    assert once.reach("attach", 9.0) is once


def test_a_model_that_speaks_before_the_session_is_confirmed_hides_no_gap() -> None:
    chain = Chain().reach("webhook", 0.0).reach("accept", 0.1).reach("attach", 0.2).reach("audible", 0.3)
    assert chain.missing == "confirmed"


def test_every_step_says_what_to_look_at() -> None:
    assert LOOK_AT.keys() == set(LINKS)
