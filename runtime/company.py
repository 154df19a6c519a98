"""A catalog's files with what became of them: who plays in a rehearsal, from its beginning and after its reloads.

Reads no file itself, as little as `runtime.draft` does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runtime.abilities import ToolReader
from runtime.catalog import Catalog, assemble, problems
from runtime.document import Document
from runtime.draft import Draft, Source, draft
from runtime.errors import CatalogError, errors
from runtime.layers import merge
from runtime.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Company:
    """Each agent file with its draft in one environment, `""` for none."""

    members: tuple[tuple[Source, Draft], ...]
    read_tool: ToolReader | None = field(repr=False)
    environment: str = ""

    @property
    def drafts(self) -> list[Draft]:
        """The drafts, in the files' order."""
        return [made for _, made in self.members]

    def catalog(self) -> Catalog:
        """Return the catalog of all files. Raises `CatalogError` with every problem of every file."""
        found = problems(self.drafts)
        if errors(found):
            raise CatalogError(found)
        return assemble(made.definition for made in self.drafts if made.definition)

    def after(self, edits: Mapping[str, Document | None]) -> "Company":
        """Return the company after files were saved: by the agent's name what they say instead, None for a file that
        is gone. Names that nobody has are passed over."""
        staying = [each for each in self.members if edits.get(each[1].name or "", each) is not None]
        return replace(self, members=tuple(self._edited(*each, edits) for each in staying))

    def _edited(self, source: Source, made: Draft, edits: Mapping[str, Document | None]) -> tuple[Source, Draft]:
        edit = edits.get(made.name or "")
        if edit is None:
            return source, made
        source = replace(source, edit=edit if source.edit is None else merge(source.edit, edit))
        return source, draft(source, self.read_tool, self.environment)

    def catalogs(self, scenario: Scenario) -> list[Catalog]:
        """Return the catalog of a scenario's beginning, and that of each of its reloads. Raises `CatalogError`."""
        made, company = [self.catalog()], self
        for turn in scenario.turns:
            if turn.saved:
                company = company.after(turn.saved)
                made.append(company.catalog())
        return made


def company_of(sources: Iterable[Source], read_tool: ToolReader | None, environment: str = "") -> Company:
    """Return the company of agent files."""
    members = tuple((source, draft(source, read_tool, environment)) for source in sources)
    return Company(members, read_tool, environment)
