"""Trained runs side by side on the same examples: figures, paired intervals of their differences, options."""
