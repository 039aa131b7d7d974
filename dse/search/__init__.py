"""The search: who proposes configs, who evaluates them, and how a study is resumed."""

from dse.search.coordinator import Progress, optimize

__all__ = ["Progress", "optimize"]
