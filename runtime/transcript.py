"""What was said in a call, in the conversation's order and not in the order of arrival."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Transcript:
    """Turns by conversation item. A tool is often called before the caller's words arrive (protocol 3.6, 32)."""

    _order: list[str] = field(default_factory=list)
    _turns: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, item_id: str, previous_item_id: str | None) -> None:
        """Give an item its place, behind the previous one; an item that has a place keeps it."""
        if item_id in self._turns:
            return
        self._turns[item_id] = ("", "")
        position = len(self._order)
        if previous_item_id in self._turns:
            while self._order[position - 1] != previous_item_id:  # nearly always the last one
                position -= 1
        self._order.insert(position, item_id)

    def say(self, item_id: str, who: str, text: str) -> None:
        """Fill in what an item says; `who` is `caller`, `agent` or `tool`."""
        self.add(item_id, None)
        self._turns[item_id] = (who, text)

    def lines(self) -> list[tuple[str, str]]:
        """Return who said what, in order; items without words are left out."""
        return [self._turns[item] for item in self._order if self._turns[item][1]]
