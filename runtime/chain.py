"""The chain of a call: which of five steps it reached, and when. Where it breaks tells why a call failed. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

Link = Literal["webhook", "accept", "attach", "confirmed", "audible"]
LINKS: tuple[Link, ...] = get_args(Link)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a call has reached, each with its time. Begins with the webhook; times are seconds of the call's clock."""

    reached: tuple[tuple[Link, float], ...] = ()

    def reach(self, link: Link, at: float) -> "Chain":
        """Return the chain with a step reached at a time; a step that was reached before stays as it was."""
        known = any(link == one for one, _ in self.reached)
        return self if known else Chain((*self.reached, (link, at)))

    @property
    def missing(self) -> Link | None:
        """The first step that was not reached, or None when the caller could hear the agent."""
        there = {link for link, _ in self.reached}
        return next((link for link in LINKS if link not in there), None)

    def told(self) -> dict[str, str]:
        """Return the chain as fields for the log: `chain`, and where it broke `look_at`, which says what to look at.

        `chain` has seconds since the webhook: `"webhook 0.000, accept 0.214, attach missing, …"`.
        """
        times = dict(self.reached)
        began = times.get("webhook", 0.0)
        links = (f"{link} {times[link] - began:.3f}" if link in times else f"{link} missing" for link in LINKS)
        fields = {"chain": ", ".join(links)}
        return fields | ({"look_at": LOOK_AT[self.missing]} if self.missing else {})


LOOK_AT: dict[Link, str] = {
    "webhook": "whether the webhook came: switchboard doctor --url",
    "accept": "the reason in this line: the key, the model, the quota, the network, or a caller who left",
    "attach": "the model's name, the key's project and the region's host: switchboard doctor",
    "confirmed": "the session that was told: switchboard show NAME --accept",
    "audible": "the trunk's SRTP, or a caller who left while it rang",
}
"""Where the chain breaks, what to look at."""
