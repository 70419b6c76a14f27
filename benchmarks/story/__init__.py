"""What is said about LSTMs, measured: one experiment a file, each with `measure()` and `tables(figures)`."""
