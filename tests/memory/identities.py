"""All identities: what stands in the files by part, on one list."""

import identities_of_answers
import identities_of_cells
import identities_of_gradients
import identities_of_memory
from identity_list import IDENTITIES, PARTS, Identity

__all__ = [
    "IDENTITIES",
    "PARTS",
    "Identity",
    "identities_of_answers",
    "identities_of_cells",
    "identities_of_gradients",
    "identities_of_memory",
]
