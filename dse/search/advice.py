"""Advice: what is known before the sampler is asked: guesses to try, trials not worth training."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dse.config import Config
from dse.search import widths
from dse.search.guesses import Guess
from dse.search.prediction import Predictor
from dse.search.proposal import propose
from dse.study.record import LayerSensitivity, TrialRecord
from dse.study.spec import StudySpec
from dse.trial import Screen

REFINED = "refined guess"
"""Origin of configs that are proposed by the prediction learned from the results."""


class Advice:
    """First guesses, then refined ones in turn with the sampler; all from the results it is given.

    Only a scanned study whose objectives are accuracy and memory is refined or screened: a config
    that another beats in these two may still be the best in a third.
    """

    def __init__(
        self, spec: StudySpec, first: Sequence[Guess], measured: Mapping[str, LayerSensitivity]
    ) -> None:
        """Advise on a study whose layers were `measured`, or were not."""
        self._spec, self.first = spec, first
        predictable = measured.keys() >= spec.search_space.keys()
        wanted = spec.objectives.keys() == {"accuracy", "memory_bytes"}
        self.widest = widths.useful(measured, spec.search_space) if predictable else {}
        self._predictor = Predictor(measured, spec.search_space) if predictable and wanted else None

    @property
    def total(self) -> int | None:
        """How many trials the study will have, None when only time limits it."""
        if self._spec.sampler.name == "sensitivity":  # nobody proposes anything beyond the guesses
            return min(len(self.first), self._spec.trials or len(self.first))
        return self._spec.trials

    def guess(
        self, number: int, results: Sequence[TrialRecord], pending: Collection[Config]
    ) -> Guess | None:
        """What to try as trial `number` after these results, None where the sampler shall propose.

        `pending` are the configs asked for but without a result that counts yet.
        """
        if number < len(self.first):
            return self.first[number]
        if self._predictor is None or not self._refines(number):
            return None
        fit = self._predictor.fit(results)
        if fit is None:
            return None
        generator = np.random.default_rng([self._spec.seed, number])
        config = propose(self._predictor, results, pending, fit, generator)
        return None if config is None else Guess(config, REFINED)

    def _refines(self, number: int) -> bool:
        """Spreads the refined guesses evenly among the others."""
        share = self._spec.sampler.refine
        return math.floor((number + 1) * share) > math.floor(number * share)

    def screen(self, number: int, config: Config, results: Sequence[TrialRecord]) -> Screen | None:
        """Whether trial `number` shall be trained only if small enough. Guesses always are."""
        if not self._spec.sampler.screen or number < len(self.first) or self._predictor is None:
            return None
        fit = self._predictor.fit(results)
        return None if fit is None else self._predictor.screen(config, results, fit)
