"""`python -m benchmarks`: every measurement, one after the other."""

import sys

from benchmarks import layers, recording

if __name__ == "__main__":
    layers.main([])
    sys.exit(recording.main([]))
