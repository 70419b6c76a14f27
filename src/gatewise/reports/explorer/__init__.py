"""The explorer: two texts, or two models on one text, side by side, as maps of every unit at every step."""

from gatewise.reports.explorer.corpus import Corpus as Corpus
from gatewise.reports.explorer.door import Exploration as Exploration
from gatewise.reports.explorer.door import explore as explore
