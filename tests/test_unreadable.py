"""A template that prints what was not recorded is known in its length; one that looks at it is not known at all."""

from typing import Any

import pytest

from runtime.template import template
from runtime.unreadable import Watch

NAMES = {"caller": "+11111111111", "guest": {"name": "xxx", "visits": 12, "vip": True, "notes": ["xx", 3]}}


def is_touched(text: str) -> bool:
    watch = Watch()
    names: dict[str, Any] = {name: watch.over(value) for name, value in NAMES.items()}
    template(text).render(names)
    return watch.is_touched


@pytest.mark.parametrize(
    "text",
    [
        "Hello.",
        "Hello {{ caller }}.",
        "Hello {{ caller | default('you') }}.",
        "{% if caller %}{{ caller }}{% endif %}",
        "{{ guest.name }}, {{ guest['name'] }}, {{ guest.notes[0] }}",
        "{% if guest.vip %}VIP{% endif %}",
        "{{ caller | length }}",
    ],
)
def test_what_is_only_printed_is_not_looked_at(text: str) -> None:
    assert not is_touched(text)


@pytest.mark.parametrize(
    "text",
    [
        "{% if caller.startswith('+1555') %}Hello.{% endif %}",
        "{% if caller == '+15557654321' %}Hello.{% endif %}",
        "{% if '1555' in caller %}Hello.{% endif %}",
        "{{ {'+15557654321': 'Ann'}[caller] | default('you') }}",
        "{{ caller[:5] }}",
        "{{ caller | replace('1', '') }}",
        "{% for key in caller %}{{ key }}{% endfor %}",
        "{{ guest.visits }}",
        "{% if guest.visits > 3 %}Again.{% endif %}",
        "{% for key in guest %}{{ key }}{% endfor %}",
        "{{ guest | length }}",
        "{{ guest.surname | default('') }}",
        "{% if guest.name in ['Ann'] %}Hello.{% endif %}",
        "{{ guest.notes[1] }}",
    ],
)
def test_what_decides_or_is_counted_with_is_looked_at(text: str) -> None:
    assert is_touched(text)
