"""What heads do over a whole text."""

from analysis.definitions.quantity import Quantity

CORPUS_WINDOWS = Quantity(
    "Windows by their maximum",
    "Windows of the text in which the head attends most sharply to some token that is not the "
    "first, beside a fair sample of the others.",
    "maximum = max over q > 0, k > 0 of pattern[q, k]; edges = quantiles .2, .4, .6, .8 of the "
    "maxima of the first 32 windows in a random order; kept are the 10 largest above the last "
    "edge, and the first 3 of each interval below; of each row the 8 largest keys from .005 on",
    "0 to 1",
    "HeadVis 2025; intervals as in dashboards of sparse features",
    function="corpus_scan",
    results=("CorpusScan",),
)
