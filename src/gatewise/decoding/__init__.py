"""Sequences out: attention, the decoder that reads with it, and the search for its best sequence."""
