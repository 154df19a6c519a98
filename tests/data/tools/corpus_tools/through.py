"""A module that shows another one, which may not be one for tools."""

import samples  # noqa: F401
