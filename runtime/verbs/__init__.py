"""The verbs of the command `switchboard`, a module for each, named after it: its words, and what it does.

`add` describes the words to argparse and names the function that reads them, which calls one piece of the house,
prints, and returns the exit code. What more than one verb needs stands in `words` and `places`; no verb imports
another's module, and none decides what a pure module can.
"""

PROBLEMS, USAGE, STOPPED = 1, 2, 130  # exit codes; 0 is fine
