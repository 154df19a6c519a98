"""Breaks on import."""

raise ValueError("no connection to the table plan\nand a second line")
