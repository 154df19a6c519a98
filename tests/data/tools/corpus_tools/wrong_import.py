"""Imports a name that is not there."""

from corpus_tools.good import gret  # noqa: F401
