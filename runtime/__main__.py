"""`python -m runtime` and the command `switchboard`."""

import sys


def main() -> int:
    """Run the command. Loading it takes a moment, in which Ctrl-C must be as quiet as later."""
    try:
        from runtime import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
