"""Hypothesis without deadlines: on a busy machine they say how busy it is, not what is wrong."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("dse", deadline=None)
settings.load_profile("dse")
