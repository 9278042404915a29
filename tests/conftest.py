"""Hypothesis draws the same examples each time: a test that passed passes again. `make fuzz` draws others."""

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("ci")
