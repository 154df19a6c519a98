"""Leaves on import, as scripts do."""

import sys

sys.exit("usage: exits.py TABLE")
