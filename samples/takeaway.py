"""Pizzeria Aurora: starts its order book on loopback, and rings its agent: `python -m samples.takeaway`.

The agents in `samples/pizzeria` use no Python: HTTP tools against the order book, a lookup, and a server of tools.
"""

import os
import sys
import threading
import time
from pathlib import Path

import uvicorn

from runtime.cli import main as switchboard
from samples.orders import PORT, book

CATALOG = Path(__file__).parent / "pizzeria"


def main() -> int:
    """Start the order book, ring the takeaway agent, and return the demonstration's exit code."""
    server = uvicorn.Server(uvicorn.Config(book(), port=PORT, log_level="error", ws="none"))
    served = threading.Thread(target=server.run, daemon=True)
    served.start()
    while not server.started and served.is_alive():
        time.sleep(0.01)
    if not server.started:
        print(f"The order book cannot listen on port {PORT}: stop what listens there.", file=sys.stderr)
        return 1
    os.environ["SWITCHBOARD_HTTP_HOSTS"] = f"localhost:{PORT}"
    try:
        return switchboard(["demo", "takeaway", "--agents", str(CATALOG)])
    finally:
        server.should_exit = True
        served.join()


if __name__ == "__main__":
    sys.exit(main())
