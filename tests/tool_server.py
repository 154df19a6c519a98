"""A server of tools as a program of its own, for tests: `python -m tests.tool_server`."""

import os

from mcp.server.mcpserver import MCPServer

server = MCPServer("program", log_level="CRITICAL")


@server.tool()
def process() -> int:
    """Tell the number of this process."""
    return os.getpid()


@server.tool()
def environment() -> list[str]:
    """Tell the names of the environment variables."""
    return sorted(os.environ)


@server.tool()
def die() -> None:
    """End the process in the middle of a call."""
    os._exit(3)


if __name__ == "__main__":
    server.run("stdio")
