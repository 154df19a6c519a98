"""A catalog's files with what became of them: who plays in a rehearsal, from its beginning and after its reloads.

Reads no file itself, as little as `runtime.draft` does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from runtime.abilities import ToolReader
from runtime.catalog import Catalog, between, sound
from runtime.document import Document
from runtime.draft import Draft, Source, draft
from runtime.errors import Problem, errors
from runtime.layers import merge
from runtime.scenarios import Scenario


@dataclass(frozen=True)
class Company:
    """Each agent file with its draft in one environment, `""` for none. `read_tool` reads what is saved later."""

    members: tuple[tuple[Source, Draft], ...]
    read_tool: ToolReader | None = field(repr=False)
    environment: str = ""

    @property
    def drafts(self) -> list[Draft]:
        """The drafts, in the files' order."""
        return [made for _, made in self.members]

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of all files. Raises `CatalogError` with every problem of every file."""
        return sound(self.drafts)

    @property
    def wrong(self) -> list[Problem]:
        """The errors of what was saved, or those between the agents where each is well by itself."""
        edits = {source.edit.file for source, _ in self.members if source.edit}
        own = [each for source, made in self.members if source.edit for each in errors(made.problems)]
        conflicts = [] if own else [conflict for conflict in between(self.drafts) if conflict.is_error]
        return own + [each.problem_at(next(iter(edits.intersection(each.files)), each.files[-1])) for each in conflicts]

    def after(self, saved: Mapping[str, Document | None]) -> "Company":
        """Return the company after files were saved: by the agent's name what they say instead, None for a file that
        is deleted. Names that nobody has are passed over."""
        staying = [each for each in self.members if saved.get(each[1].name or "", each) is not None]
        return replace(self, members=tuple(self._edited(*each, saved) for each in staying))

    def _edited(self, source: Source, made: Draft, saved: Mapping[str, Document | None]) -> tuple[Source, Draft]:
        edit = saved.get(made.name or "")
        if edit is None:
            return source, made
        source = replace(source, edit=edit if source.edit is None else merge(source.edit, edit))
        return source, draft(source, self.read_tool, self.environment)

    def reloads(self, scenario: Scenario) -> "Iterator[tuple[int, Company]]":
        """Yield the numbers of a scenario's turns that reload, from 0, and the company after each."""
        company = self
        for number, turn in enumerate(scenario.turns):
            if turn.saved:
                company = company.after(turn.saved)
                yield number, company

    def catalogs(self, scenario: Scenario) -> list[Catalog]:
        """Return the catalog of a scenario's beginning, and that of each of its reloads. Raises `CatalogError`."""
        return [self.catalog, *(company.catalog for _, company in self.reloads(scenario))]


def company_of(sources: Iterable[Source], read_tool: ToolReader | None, environment: str = "") -> Company:
    """Return the company of agent files."""
    members = tuple((source, draft(source, read_tool, environment)) for source in sources)
    return Company(members, read_tool, environment)
