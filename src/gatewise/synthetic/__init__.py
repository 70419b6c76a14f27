"""Sequences whose answer is known, to see what a recurrent layer can learn: one task a file."""
