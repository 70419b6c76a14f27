"""The cost model of many processes: its arithmetic by hand, and its table."""

import pytest

from benchmarks.scaling import Link, Measured, Work, averaging, efficiency, step_seconds, table

FAST = Link("fast", 10e9, 0.0)
SLOW = Link("slow", 1e9, 1e-3)


def test_a_ring_by_hand():
    """100 MB over 10 GB/s: each of 8 processes sends 2 · 7/8 · 0.1 GB; of 2 processes 0.1 GB."""
    assert averaging(100_000_000, 8, FAST) == pytest.approx(0.0175)
    assert averaging(100_000_000, 2, FAST) == pytest.approx(0.01)


def test_a_tree_takes_fewer_messages():
    """1 kB on a link of 1 ms: a ring of 64 waits 126 ms, a tree 12 ms and sends 2 kB."""
    assert averaging(1000, 64, SLOW) == pytest.approx(0.012 + 2e-6)
    assert averaging(1000, 2, SLOW) == pytest.approx(0.002 + 1e-6)


def test_a_step_and_its_efficiency_by_hand():
    assert step_seconds(0.5, 10**9, 1, SLOW) == 0.5
    assert step_seconds(0.0825, 100_000_000, 8, FAST) == pytest.approx(0.1)
    assert efficiency(0.0825, 100_000_000, 8, FAST) == pytest.approx(0.825)


def test_what_was_measured_explains_itself():
    work = Work("texts", 10, 4, 4, 5, 2)
    measured = Measured(work, bytes=10_000_000, compute=0.05, together=0.063, reduce=0.011, message=0.001)
    assert measured.link.latency == pytest.approx(0.0005) and measured.link.bandwidth == pytest.approx(1e9)
    assert averaging(measured.bytes, 2, measured.link) == pytest.approx(measured.reduce)
    lines = table([measured], 0.01, [(8, FAST)]).splitlines()
    assert lines[2] == "| texts | 10.00 MB | 50.00 ms | 63.00 ms | 61.50 ms | 11.00 ms | 1.00 ms |"
    assert lines[-1] == "| texts | fast | 1.75 ms | 85 % |"
