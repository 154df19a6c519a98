"""What holds for every test: tried examples are the same ones in each run, however slow the machine is."""

import os

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: a third of the time is waiting, for sockets, programs and clocks."""
    return 1 + (os.cpu_count() or 1)
