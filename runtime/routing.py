"""(catalog, incoming call) to the agent that takes it, or why none does. Pure; knows no transport."""

from dataclasses import dataclass

from runtime.catalog import Candidate, Catalog
from runtime.definition import AgentDefinition, Rule
from runtime.incoming import IncomingCall


@dataclass(frozen=True, slots=True)
class Match:
    """The agent that takes a call, the rule that said so, and the catalog's revision at that moment."""

    agent: AgentDefinition
    rule: Rule
    revision: str = ""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No agent answers this number; `""` when the carrier did not tell which was rung."""

    called: str


@dataclass(frozen=True, slots=True)
class Loss:
    """A candidate that did not take the call, and why, as a sentence's end."""

    candidate: Candidate
    reason: str


def route(catalog: Catalog, call: IncomingCall) -> Match | NoMatch:
    """Return the match of the most specific rule that holds, or `NoMatch`."""
    for rule, agent in catalog.candidates(call.called):
        if rule.unmet(call) is None:
            return Match(agent, rule, catalog.revision)
    return NoMatch(call.called)


def explain(catalog: Catalog, call: IncomingCall) -> tuple[Match | NoMatch, list[Loss]]:
    """Return the match, and for every other rule whose called number fits why it lost."""
    found = route(catalog, call)
    losses = []
    for candidate in catalog.candidates(call.called):
        rule, agent = candidate
        if isinstance(found, Match) and rule == found.rule and agent is found.agent:
            continue
        unmet = rule.unmet(call)
        if unmet is not None:
            losses.append(Loss(candidate, unmet))
        elif isinstance(found, Match):
            losses.append(Loss(candidate, _why_less(rule, found.rule)))
    return found, losses


def _why_less(rule: Rule, winner: Rule) -> str:
    if rule.called != winner.called:
        return f"{winner.called} is more specific than {rule.called}"
    if rule.conditions < winner.conditions:
        return "the winner's rule has more conditions"
    return "another rule of the same agent took it"
