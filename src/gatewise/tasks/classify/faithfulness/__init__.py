"""Do the words that a ranking puts first carry the answer? They are taken out, and the model reads the text again."""

from gatewise.tasks.classify.faithfulness.log import FaithfulnessLog
from gatewise.tasks.classify.faithfulness.rankings import RANKINGS
from gatewise.tasks.classify.faithfulness.study import faithfulness
from gatewise.tasks.classify.faithfulness.table import Faithfulness

__all__ = ["RANKINGS", "Faithfulness", "FaithfulnessLog", "faithfulness"]
