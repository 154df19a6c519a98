"""How a conversation stands: who speaks, what time it is, whether it is attached, active or ending. Pure.

All parts of a conversation read it; only the conversation and its call write into it. What a single part knows and
decides is that part's own, and never here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runtime.commands import Command, Record
from runtime.conduct import Conduct, Limits
from runtime.errors import TemplateError
from runtime.incoming import IncomingCall
from runtime.roles import Role, Roles, roles_for
from runtime.session import SessionSettings


@dataclass(slots=True)
class Scene:
    """One call's scene. `role` is who speaks for us now."""

    call: IncomingCall
    roles: Roles
    role: Role
    began_at: float
    at: float
    found: Mapping[str, Any] = field(default_factory=dict)
    attached: bool = False
    active: bool = False
    ending: bool = False
    caller_speaks: bool = False

    @property
    def first(self) -> Role:
        """Who took the call."""
        return next(iter(self.roles.values()))

    @property
    def limits(self) -> Limits:
        """The limits of who took the call: they survive handoffs."""
        return self.first.conduct.limits

    @property
    def settings(self) -> SessionSettings:
        """The settings of who speaks now."""
        return self.role.settings

    @property
    def conduct(self) -> Conduct:
        """The conduct of who speaks now."""
        return self.role.conduct

    @property
    def moment(self) -> datetime:
        """The time of day, which opening hours are asked for."""
        return self.call.started_at + timedelta(seconds=self.at - self.began_at)

    def learn(self, found: Mapping[str, Any]) -> list[Command]:
        """Take what the lookup found into every template of the call, before the service is told of it."""
        team = {name: role.agent for name, role in self.roles.items()}
        agent = self.first.agent  # another one may have the call by now
        defaults = (agent.data["lookup"] or {}).get("defaults", {})
        try:
            self.roles = roles_for(agent, self.call, team, found)
            self.found = {**defaults, **found}
        except TemplateError as error:
            message = "a template failed with what the lookup found; the defaults stay"
            return [Record(message, private={"said": str(error)}, level=logging.ERROR)]
        self.role = self.roles[self.role.agent.name]
        return []
