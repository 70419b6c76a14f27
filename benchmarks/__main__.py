"""`python -m benchmarks`: every measurement, one after the other."""

import sys

from benchmarks import recording
from benchmarks.kernels.__main__ import main as kernels

if __name__ == "__main__":
    sys.exit(max(kernels([]), recording.main([])))
