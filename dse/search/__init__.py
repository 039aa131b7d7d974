"""The search: who proposes configs, who evaluates them, and how a study is resumed."""

from dse.search.coordinator import Progress, optimize
from dse.search.journal import only_coordinator
from dse.search.preview import Estimate, Preview, look_ahead
from dse.search.sampler import dimensions

__all__ = [
    "Estimate",
    "Preview",
    "Progress",
    "dimensions",
    "look_ahead",
    "only_coordinator",
    "optimize",
]
