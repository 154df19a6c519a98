"""Who hands calls over to whom: the catalog as a tree for people, as a Mermaid flowchart, and as JSON. Pure.

Numbers lead to agents, agents to the agents that they hand over to and to the addresses that they put callers
through to.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from runtime.agreements import destinations
from runtime.catalog import Catalog
from runtime.definition import AgentDefinition


@dataclass(frozen=True, slots=True)
class Edge:
    """One way out of an agent. `address` is that of a transfer's destination, `""` for a handoff.

    `when` is for the model; `hours` and `outside` name the opening hours that it is limited to.
    """

    to: str
    when: str
    address: str = ""
    hours: str = ""
    outside: str = ""

    @property
    def sentence(self) -> str:
        """When this way is taken, as one line."""
        limits = [f"only in {self.hours}"] if self.hours else []
        limits += [f"only outside {self.outside}"] if self.outside else []
        return " ".join(self.when.split()) + (f" ({', '.join(limits)})" if limits else "")


@dataclass(frozen=True, slots=True)
class Node:
    """One agent: the rules by which calls reach it, and its ways out in the order of its file."""

    name: str
    file: str
    answers: tuple[str, ...]
    handoffs: tuple[Edge, ...]
    transfers: tuple[Edge, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every way out."""
        return self.handoffs + self.transfers


def graph(catalog: Catalog) -> list[Node]:
    """Return every agent: first those that calls reach by themselves, then the others; each by name."""
    nodes = [_node(agent) for agent in catalog.agents.values()]
    return sorted(nodes, key=lambda node: (not node.answers, node.name))


def _node(agent: AgentDefinition) -> Node:
    return Node(
        agent.name,
        agent.file,
        tuple(dict.fromkeys(map(str, agent.answers))),
        tuple(Edge(handoff["agent"], handoff["when"]) for handoff in agent.data["handoffs"]),
        tuple(
            Edge(name, place["when"], place["to"], place.get("hours", ""), place.get("outside", ""))
            for name, place in destinations(agent.data).items()
        ),
    )


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(nodes: list[Node]) -> str:
    """Return a tree below each agent that calls reach; whoever stood above already is not opened again."""
    by_name = {node.name: node for node in nodes}
    told: set[str] = set()
    lines: list[str] = []
    for node in _roots(nodes):
        if node.name not in told:
            lines += ["", *(node.answers or ("no call reaches this one by itself:",))]
            lines += _tree(node, by_name, told)
    return "\n".join(lines[1:]) + "\n" if lines else "There is no agent.\n"


def _roots(nodes: list[Node]) -> list[Node]:
    """Return the agents in the order in which trees begin: those that nobody names before those in a circle."""
    named = {edge.to for node in nodes for edge in node.handoffs}
    return sorted(nodes, key=lambda node: (not node.answers, node.name in named))


def _tree(root: Node, by_name: Mapping[str, Node], told: set[str]) -> Iterator[str]:
    """Yield the lines below an agent. Without recursion: a chain may be a thousand agents long."""
    told.add(root.name)
    yield f"└─ {root.name}  ({root.file})"
    waiting = [("   ", root.edges, 0)]
    while waiting:
        indent, edges, at = waiting.pop()
        if at == len(edges):
            continue
        edge, is_last = edges[at], at == len(edges) - 1
        waiting.append((indent, edges, at + 1))
        branch, below = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        if edge.address:
            yield f"{indent}{branch}puts through to {edge.to} ({edge.address}): {edge.sentence}"
            continue
        known = by_name.get(edge.to)
        above = " (see above)" if edge.to in told and known and known.edges else ""
        yield f"{indent}{branch}hands over to {edge.to}{above}: {edge.sentence}"
        if known and edge.to not in told:
            told.add(edge.to)
            waiting.append((indent + below, known.edges, 0))


# ── Mermaid ───────────────────────────────────────────────────────────────────────────────────────────────────


def _mermaid(nodes: list[Node]) -> str:
    """Return a flowchart. Names are labels only: what an author writes is never a word of Mermaid."""
    agents = {node.name: f"agent{number}" for number, node in enumerate(nodes, 1)}
    places: dict[str, str] = {}
    lines = ["flowchart LR"]
    for node in nodes:
        me = agents[node.name]
        lines.append(f'    {me}["{_label(node.name)}"]')
        if node.answers:
            rules = "<br>".join(map(_label, node.answers))
            lines.append(f'    calls_{me}(["{rules}"]) --> {me}')
    for node in nodes:
        me = agents[node.name]
        for edge in node.handoffs:
            if edge.to in agents:
                lines.append(f'    {me} -- "{_label(edge.sentence)}" --> {agents[edge.to]}')
        for edge in node.transfers:
            if edge.address not in places:
                places[edge.address] = f"place{len(places) + 1}"
                lines.append(f'    {places[edge.address]}[/"{_label(edge.to)}<br>{_label(edge.address)}"/]')
            lines.append(f'    {me} -. "{_label(edge.sentence)}" .-> {places[edge.address]}')
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    """Return text for a label in quotes: every sign but letters, digits and the plainest others by its number."""
    plain = " ".join(text.split())
    return re.sub(r"[^\w ,.:!?()+*@/=-]", lambda sign: f"#{ord(sign[0])};", plain)


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _json(nodes: list[Node]) -> str:
    return json.dumps([asdict(node) for node in nodes], ensure_ascii=False, indent=2) + "\n"


GRAPHS: dict[str, Callable[[list[Node]], str]] = {"text": _text, "mermaid": _mermaid, "json": _json}
