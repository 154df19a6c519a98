"""Words that must never be said, found in what an agent is saying. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache

SLACK = 40  # characters that may stand between the words of a phrase beside those that are written
CHECK_EVERY = 80  # characters between two questions to the rules: about five seconds of speech


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    spaced = (r"\W+".join(map(re.escape, re.findall(r"\w+", word))) or re.escape(word) for word in words)
    return re.compile(rf"(?<!\w)(?:{'|'.join(spaced) or '(?!)'})(?!\w)", re.IGNORECASE)


def forbidden(text: str, never_say: Iterable[str], *, is_whole: bool, new: int = 0) -> str | None:
    """Return the first words of a text that must never be said, as they stand there, or None.

    Whole words only: at the end of a text that is not `is_whole`, more letters may come. Before `new` nothing was
    found, so that only what can reach into the new words is looked at again.
    """
    words = tuple(never_say)
    reach = max(map(len, words), default=0) + SLACK
    for found in _pattern(words).finditer(text, max(0, new - reach)):
        if is_whole or found.end() < len(text):
            return found.group()
    return None
