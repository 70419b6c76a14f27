"""Readers, vocabularies and batches: what is read is returned as it stands, with where it came from."""
