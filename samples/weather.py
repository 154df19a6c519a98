"""A server of tools that speaks the Model Context Protocol over its standard input and output: a small weather service.

An agent names it in `tools:` with `mcp: {command: [python, -m, samples.weather]}`; the host starts it. The forecast is
made up, and the same for the same place and day.
"""

from datetime import date, timedelta
from random import Random
from typing import Any

from mcp.server.mcpserver import MCPServer

_SKIES = ("sunny", "cloudy", "rainy", "windy")
_DAYS = 7  # nobody knows the weather after that

server = MCPServer("weather", log_level="WARNING")


@server.tool()
def forecast(place: str, day: str) -> dict[str, Any]:
    """Tell the weather of a day. Use it before promising a table outside.

    Args:
        place: The town.
        day: The day as an ISO date.
    """
    try:
        then = date.fromisoformat(day)
    except ValueError:
        return {"known": False, "say": "Which day do you mean?"}
    if not date.today() <= then <= date.today() + timedelta(days=_DAYS):
        return {"known": False, "say": f"I only know the weather of the next {_DAYS} days."}
    chance = Random(f"{place.strip().lower()} {then}")
    sky, degrees = chance.choice(_SKIES), chance.randint(8, 26)
    return {"known": True, "sky": sky, "degrees": degrees, "say": f"It will be {sky}, with {degrees} degrees."}


if __name__ == "__main__":
    server.run("stdio")
