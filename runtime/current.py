"""The holder of the live catalog: get it, swap it. A call keeps the one that it began with."""

from runtime.catalog import Catalog


class Current:
    """The catalog that the next call is matched in."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get(self) -> Catalog:
        """Return the live catalog."""
        return self._catalog

    def swap(self, catalog: Catalog) -> None:
        """Make another catalog live for the next call."""
        self._catalog = catalog
