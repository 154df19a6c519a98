"""Needs what is not installed."""

import a_table_plan_nobody_has.tables  # noqa: F401
