"""What holds for every test: tried examples are the same ones in each run, however slow the machine is."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")
