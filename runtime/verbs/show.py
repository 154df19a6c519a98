"""`switchboard show`: prints one agent, complete. Fills nothing in: a definition has its defaults already."""

import argparse
from typing import Any

from runtime import catalog as catalogs
from runtime import document, reports
from runtime.built_in import name_of
from runtime.catalog import unknown_agent
from runtime.definition import AgentDefinition
from runtime.draft import Draft, document_of
from runtime.errors import CatalogError
from runtime.incoming import SAMPLE_CALL
from runtime.session import settings_for
from runtime.tools import Tools
from runtime.verbs.places import drafts_of, sources_of
from runtime.verbs.words import add_agents, add_environment, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    show = add_verb(verbs, "show", _run, "Print an agent with every default filled in, as YAML that checks again.")
    show.add_argument("name", metavar="NAME", help="the agent's name")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--accept", action="store_true", help="print what the service is told for a sample call, as JSON")
    form.add_argument("--why", action="store_true", help="print each value with the file and line that it comes from")
    add_agents(show)
    add_environment(show)


def _run(arguments: argparse.Namespace) -> int:
    _, sources = sources_of(arguments)
    agent = _one(drafts_of(sources, Tools().read if arguments.accept else None, arguments.environment), arguments.name)
    if arguments.accept:
        print(reports.as_json(settings_for(agent, SAMPLE_CALL).accept()))
    elif arguments.why:
        source = next(source for source in sources if source.file == agent.file)
        data = {"name": agent.name, **agent.data}
        print(reports.why(document_of(source, arguments.environment), data), end="")
    else:
        print(document.write(_complete(agent)), end="")
    return 0


def _one(drafts: list[Draft], name: str) -> AgentDefinition:
    for made in drafts:
        if made.name == name:
            if made.definition is None:
                raise CatalogError(list(made.problems))
            return made.definition
    known = catalogs.assemble(made.definition for made in drafts if made.definition)
    raise unknown_agent(name, known)


def _complete(agent: AgentDefinition) -> dict[str, Any]:
    """Return the agent's data as a file that stands alone: what was short or elsewhere is written out."""
    data = {key: value for key, value in agent.data.items() if key != "instructions_file"}
    if (greeting := agent.greeting) is not None:
        whether = {"interruptible": greeting.interruptible, "wait_for_caller": greeting.wait_for_caller}
        data["greeting"] = {"text": greeting.text.text, **whether}
    data["tools"] = [
        {"entrypoint": written["entrypoint"], "name": name_of(written)} | written
        if "entrypoint" in written
        else written
        for written in data["tools"]
    ]
    return {"name": data.pop("name"), **data, "instructions": agent.instructions.text}
