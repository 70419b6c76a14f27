"""What is said about LSTMs, measured: an experiment a file, with `measure()`, which yields rows, and `tables(rows)`."""
