"""Handoffs as tools for the model: their names, descriptions and what stands behind them."""

from runtime.definition import AgentDefinition
from runtime.incoming import SAMPLE_CALL
from runtime.session import settings_for
from tests.house import MINIMAL, catalog

OTHER = "name: other\ninstructions: Hi.\ntools: [{use: hang_up}]\n"
HANDOFF = 'handoffs: [{agent: front-desk-2, when: The caller wants it., announce: "{{ agent.name }} hands over."}]\n'


def agent(more: str) -> AgentDefinition:
    others = (OTHER, OTHER.replace("other", "front-desk-2"))
    return catalog(MINIMAL + more, *others).agents["desk"]


def test_each_handoff_is_a_tool_without_parameters_that_keeps_the_agents_hyphens() -> None:
    (tool,) = agent(HANDOFF).tools
    assert tool.name == "hand_off_to_front-desk-2"
    assert tool.use == "hand_off"
    assert tool.invoke is None
    assert tool.written == {"use": "hand_off", "agent": "front-desk-2", "announce": "{{ agent.name }} hands over."}
    assert tool.parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert tool.description.endswith("When to use it: The caller wants it.")


def test_handoffs_stand_behind_the_tools_and_the_service_is_told_of_them() -> None:
    made = agent(HANDOFF + "tools: [{use: hang_up}]\n")
    assert [tool["name"] for tool in settings_for(made, SAMPLE_CALL).accept()["tools"]] == [
        "hang_up",
        "hand_off_to_front-desk-2",
    ]


def test_a_handoff_without_an_announcement_has_none() -> None:
    (tool,) = agent("handoffs: [{agent: other, when: It fits.}]\n").tools
    assert tool.written == {"use": "hand_off", "agent": "other"}


def test_a_handoff_can_be_what_the_model_must_choose() -> None:
    for choice in ("required", "{type: function, name: hand_off_to_front-desk-2}"):
        assert agent(HANDOFF + f"tool_choice: {choice}\n").tools
