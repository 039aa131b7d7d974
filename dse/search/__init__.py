"""The search: who proposes configs, who evaluates them, and how a study is resumed."""

from dse.search.coordinator import Progress, optimize
from dse.search.journal import only_coordinator
from dse.search.sampler import dimensions

__all__ = ["Progress", "dimensions", "only_coordinator", "optimize"]
