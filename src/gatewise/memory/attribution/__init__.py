"""An answer shared out over the steps: one method a file, one door."""

from gatewise.memory.attribution.contextual_decomposition import PhraseShare, decompose_phrase
from gatewise.memory.attribution.door import METHODS, attribute
from gatewise.memory.attribution.result import Attribution, sum_groups

__all__ = ["METHODS", "Attribution", "PhraseShare", "attribute", "decompose_phrase", "sum_groups"]
