"""Every attack of the catalogue: refused with one sentence of our own, or harmless; in a second and bounded memory."""

from pathlib import Path

import pytest
from attack import Attack
from attack_box import boxed
from attacks_on_archives import ON_ARCHIVES
from attacks_on_checkpoints import ON_CHECKPOINTS
from attacks_on_downloads import ON_DOWNLOADS
from attacks_on_pictures import ON_PICTURES
from attacks_on_reports import ON_REPORTS
from attacks_on_runs import ON_RUNS
from attacks_on_tables import ON_TABLES
from attacks_on_texts import ON_TEXTS
from attacks_on_tokenizers import ON_TOKENIZERS
from attacks_on_traces import ON_TRACES
from attacks_on_translators import ON_TRANSLATORS
from attacks_on_vectors import ON_VECTORS

ATTACKS: list[Attack] = [
    *ON_RUNS, *ON_CHECKPOINTS, *ON_TRACES, *ON_TABLES, *ON_TEXTS, *ON_TOKENIZERS, *ON_VECTORS, *ON_REPORTS,
    *ON_ARCHIVES, *ON_DOWNLOADS, *ON_PICTURES, *ON_TRANSLATORS,
]  # fmt: skip
MOST_SECONDS = 1.0
MOST_GROWTH = 200_000_000

if not Path("/proc/self/clear_refs").exists():
    pytest.skip("memory and time of a call are read from /proc, which is Linux's", allow_module_level=True)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_or_harmless(attack, tmp_path):
    made = attack.make(tmp_path)
    ended = boxed(lambda: attack.use(made))
    if attack.error is None:
        assert not ended.kinds, ended.sentence
    else:
        assert ended.is_ours, ended.sentence or "it was read as if nothing were wrong"
        assert ended.kinds[0] == attack.error.__name__
        assert attack.says in ended.sentence
        assert len(ended.sentence) <= 2100
        assert all(c.isprintable() or c.isspace() for c in ended.sentence) and "\n" not in ended.sentence
    assert ended.seconds <= MOST_SECONDS
    assert ended.growth <= MOST_GROWTH


def test_the_catalogue_names_each_attack_once_and_tells_what_it_is():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60
    assert all(attack.what and attack.naive and (attack.error is None or attack.says) for attack in ATTACKS)


def test_the_box_tells_what_escapes_takes_long_or_takes_much():
    def waste():
        held = bytearray(300_000_000)
        held[::4096] = b"\1" * len(held[::4096])

    assert boxed(waste).growth > 250_000_000
    assert boxed(lambda: bytearray(1 << 36)).kinds[0] == "MemoryError"
    assert boxed(lambda: {}["x"]).kinds[0] == "KeyError"
    assert boxed(lambda: sum(range(5_000_000))).seconds > 0.02
