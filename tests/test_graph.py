"""The graph of a catalog in each of its forms, and that what authors write never becomes a word of the form."""

import json
import re

import pytest

from runtime.cli import main
from runtime.graph import GRAPHS, graph
from tests.house import catalog

DESK = """\
name: desk
answers: ["+15550100001", {called: "+1555020*", caller: "+4930*"}]
instructions: Hi.
tools:
  - use: transfer
    destinations:
      - {name: kitchen, to: "tel:+15550123456", when: An order., hours: office}
      - {name: night, to: "sip:night@example.com;transport=tls", when: "The caller says \\"[x]\\" -->|a| #1;"}
handoffs:
  - {agent: billing, when: An invoice.}
  - {agent: chat, when: Anything else.}
hours: {office: {timezone: Europe/Berlin, weekly: {mon: ["09:00-17:00"]}}}
"""
BILLING = """\
name: billing
instructions: Hi.
handoffs: [{agent: desk, when: Anything else.}]
"""
CHAT = "name: chat\ninstructions: Hi.\n"
ALONE = 'name: alone\nanswers: ["*"]\ninstructions: Hi.\n'
LOST = "name: lost\ninstructions: Hi.\nhandoffs: [{agent: chat, when: Any time.}]\n"


def told(form: str, *texts: str) -> str:
    return GRAPHS[form](graph(catalog(*(texts or (DESK, BILLING, CHAT, ALONE, LOST)))))


def test_the_tree_leads_from_numbers_to_agents_to_where_they_hand_over_and_put_through() -> None:
    assert (
        told("text")
        == """\
called *
└─ alone  (agents/4.yaml)

called +15550100001
called +1555020*, caller +4930*
└─ desk  (agents/1.yaml)
   ├─ hands over to billing: An invoice.
   │  └─ hands over to desk (see above): Anything else.
   ├─ hands over to chat: Anything else.
   ├─ puts through to kitchen (tel:+15550123456): An order. (only in office)
   └─ puts through to night (sip:night@example.com;transport=tls): The caller says "[x]" -->|a| #1;

no call reaches this one by itself:
└─ lost  (agents/5.yaml)
   └─ hands over to chat: Any time.
"""
    )


def test_a_long_chain_is_a_tree_all_the_same() -> None:
    texts = [
        f"name: a{n}\ninstructions: Hi.\nhandoffs: [{{agent: a{n + 1}, when: x}}]\ntools: [{{use: hang_up}}]\n"
        for n in range(300)
    ]
    assert told("text", *texts, "name: a300\ninstructions: Hi.\n").count("hands over to") == 300


def test_every_agent_stands_in_the_tree_even_in_a_circle_that_no_call_reaches() -> None:
    circle = BILLING.replace("desk", "other") + "tools: [{use: hang_up}]\n"
    text = told("text", circle, circle.replace("billing", "x").replace("other", "billing").replace("x", "other"))
    assert text.startswith("no call reaches this one by itself:\n└─ billing")
    assert text.count("hands over to") == 2


def test_the_flowchart_has_each_agent_and_each_address_once_and_no_sign_of_an_author_in_its_grammar() -> None:
    chart = told("mermaid")
    assert chart.startswith("flowchart LR\n")
    assert len(re.findall(r'^    agent\d\["', chart, re.MULTILINE)) == 5
    assert '-. "The caller says #34;#91;x#93;#34; --#62;#124;a#124; #35;1#59;" .-> place2' in chart
    bare = re.sub(r'"[^"\n]*"', '""', chart)
    for line in bare.splitlines()[1:]:
        assert re.fullmatch(
            r'    (agent\d\[""\]|place\d\[/""/\]|calls_agent\d\(\[""\]\) --> agent\d'
            r'|agent\d -- "" --> agent\d|agent\d -\. "" \.-> place\d)',
            line,
        ), line


def test_the_data_tells_when_and_within_which_hours() -> None:
    (desk,) = (node for node in json.loads(told("json")) if node["name"] == "desk")
    assert desk["answers"] == ["called +15550100001", "called +1555020*, caller +4930*"]
    assert desk["handoffs"][0] == {"to": "billing", "when": "An invoice.", "address": "", "hours": "", "outside": ""}
    assert desk["transfers"][0]["hours"] == "office"


def test_switchboard_graph_draws_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "agents", "--format", "mermaid"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")
