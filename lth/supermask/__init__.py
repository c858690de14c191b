"""Supermasks: a net that is not trained, in which the weights are chosen by learned scores. Scores are parameters of
their layers; everything else is frozen. Either the highest scores of a layer choose ("edge-popup", Ramanujan et al.
2020), or each score is the log-odds of its weight, and every pass draws a mask (Zhou et al. 2019, Section 5).
"""

from lth.supermask.sampled import sampled
from lth.supermask.scored import bernoulli_model, scored_model, settled

__all__ = ["bernoulli_model", "sampled", "scored_model", "settled"]
