"""A judging model's answer about one rule, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule was kept, and why in one sentence.

    `passed` None: nobody could judge, and `reason` says what kept them from it. That is a skip and never a pass.
    """

    passed: bool | None
    reason: str = ""
