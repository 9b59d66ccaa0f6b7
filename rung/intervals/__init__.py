"""What a number means: intervals for scores, paired differences, families of them, and ranks.

Throughout, `values[s, i]` is the value of example i under the model trained with seed s; the score
is the mean. Two things make it uncertain: the test set is a sample of examples, and the training
run is random. How often the intervals hold what they claim is measured by `nox -s coverage`, and
published in results/coverage.md.
"""

from rung.intervals.crossed import (
    POWER,
    Summary,
    difference_interval,
    minimum_detectable_difference,
    score_interval,
)
from rung.intervals.family import (
    Family,
    Verdict,
    compare,
    holm,
    holm_level,
    letters,
    rank_intervals,
    verdict,
)
from rung.intervals.interval import Interval
from rung.intervals.resampled import Resampled, resampled_interval

__all__ = [
    "POWER",
    "Family",
    "Interval",
    "Resampled",
    "Summary",
    "Verdict",
    "compare",
    "difference_interval",
    "holm",
    "holm_level",
    "letters",
    "minimum_detectable_difference",
    "rank_intervals",
    "resampled_interval",
    "score_interval",
    "verdict",
]
