"""What the page's script computes of a text, in Chromium, is what Python computes: tokens exactly, numbers to 1e-5."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import character_table
import numpy as np
import pytest
import torch
from live_cases import TEXTS, fitted, tokenizer_of
from tabs import IN_BROWSER

import gatewise
from gatewise.layers import Recurrent, Stack
from gatewise.memory import Erase, Hold
from gatewise.reports.html import LIVE_MODEL_SCRIPTS
from gatewise.reports.layer_view import belt
from gatewise.reports.live import live_values
from gatewise.reports.payload import to_json
from gatewise.tasks.classify.deletion import contrast
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.live import live_model
from gatewise.tasks.classify.opened import open_input, sums
from gatewise.training.metrics import log_softmax

TEMPLATES = Path(gatewise.__file__).parent / "reports" / "templates" / "page"
SCRIPTS = [TEMPLATES / f"{name}.js" for name in ("bytes", *LIVE_MODEL_SCRIPTS)]
TOLERANCE = 1e-5
pytestmark = IN_BROWSER

HARNESS = """
window.answers = (values, asked) => {
  const model = new Model(JSON.parse(values));
  const found = asked.map(({ text, label, changes }) => {
    const read = model.read(text);
    const byPart = changes.map((one) => (one ? new Changes(one.holds, one.erased) : undefined));
    const run = model.run(read, byPart);
    const { held, push } = explainRun(model, read, run, label, byPart);
    return {
      ids: read.tokens.map(({ id }) => id),
      tokens: read.tokens.map(({ start, end }) => text.slice(start, end)),
      positions: read.positions,
      logits: Array.from(run.logits),
      probabilities: Array.from(run.probabilities),
      bias: model.contrast(model.output.bias, label)[0],
      held: held && Array.from(held),
      push: push && Array.from(push),
      parts: run.parts.map((found, k) => {
        const ledger = writes(model.parts[k], found, byPart[k]);
        return {
          memory: Array.from(found.memory),
          gates: Object.fromEntries(Object.entries(found.gates).map(([gate, all]) => [gate, Array.from(all)])),
          belt: ledger && Array.from(beltOf(model.parts[k], found, ledger)),
        };
      }),
    };
  });
  return JSON.stringify(found); // which the browser hands over faster than so many numbers
};
window.tokens = (values, texts) => {
  const model = new Model(JSON.parse(values));
  const found = texts.map((text) => model.read(text).tokens.map(({ id, start, end }) => [id, text.slice(start, end)]));
  return JSON.stringify(found);
};
window.alphabet = () => {
  const { kinds, small } = new Alphabet();
  const runs = []; // [kind, first, last] of every run of characters of one kind
  kinds.forEach((kind, code) => {
    if (code && kind === kinds[code - 1]) runs[runs.length - 1][2] = code;
    else runs.push([kind, code, code]);
  });
  return JSON.stringify({ runs: runs.filter(([kind]) => kind), small: Array.from(small) });
};
"""


@pytest.fixture(scope="module")
def tab(browser):
    opened = browser.new_page()
    script = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    opened.add_script_tag(content=f'"use strict";\n{script}\n{HARNESS}')
    return opened


def values_of(model) -> str:
    """What a page would hold of a model."""
    found, _ = live_model(explain(model, "film", evidence=False), model, wanted=True)
    assert found is not None
    return str(to_json(live_values(found)))


def ask(tab, model, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = {"label": 0, "changes": []}
    all_asked = [plain | one for one in asked]
    return json.loads(
        tab.evaluate("([values, asked]) => answers(values, asked)", [values_of(model), all_asked])
    )


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(
        np.asarray(found).ravel(), np.asarray(expected).ravel(), rtol=0, atol=TOLERANCE
    )


def test_characters_are_those_of_the_tokenizers_library(tab):
    found = json.loads(tab.evaluate("alphabet()"))
    kinds = zip((1, 2, 4, 8), character_table.CLASSES.values(), strict=True)
    expected = [[kind, *run] for kind, pattern in kinds for run in character_table.ranges(pattern)]
    assert found["runs"] == sorted(expected, key=lambda run: run[1])
    small = character_table.small_letters()
    assert {code for code, text in small.items() if len(text) > 1} == {0x130}  # written out in the script
    assert {code: chr(small_code) for code, small_code in found["small"]} == {
        code: text for code, text in small.items() if code != 0x130
    }


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_tokens_are_those_of_python(tab, kind):
    model = fitted(kind, max_length=25, truncate="middle")
    draw = np.random.default_rng(0)
    pool = sorted(set("".join(TEXTS.values())))
    odd = ["".join(draw.choice(pool, draw.integers(1, 60))) for _ in range(300)]
    texts = [*TEXTS.values(), *odd]
    found = json.loads(tab.evaluate("([values, texts]) => tokens(values, texts)", [values_of(model), texts]))
    for text, tokens in zip(texts, found, strict=True):
        expected = tokenizer_of(model).encode(text)
        assert tokens == [[*pair] for pair in zip(expected.ids, expected.tokens, strict=True)], text


@pytest.mark.parametrize("where", ["head", "tail", "middle"])
def test_of_a_long_text_the_same_part_is_read(tab, where):
    model = fitted(max_length=10, truncate=where)
    text = TEXTS["long"]
    (found,) = ask(tab, model, [{"text": text}])
    opened = open_input(model, text)
    assert found["positions"] == opened.positions.tolist() and len(found["ids"]) > 10
    close(found["logits"], opened.logits)


MODELS = {
    "lstm, last": {"pooling": "last"},
    "lstm, mean, pairs": {"pooling": "mean", "bigrams": 4000},
    "lstm, max, both directions": {"pooling": "max", "bidirectional": True},
    "lstm, attention, two layers": {"pooling": "attention", "num_layers": 2},
    "lstm, last, two layers, both directions": {"pooling": "last", "num_layers": 2, "bidirectional": True},
    "gru, last, both directions": {"cell": "gru", "pooling": "last", "bidirectional": True},
    "gru, attention, 3 labels": {"cell": "gru", "pooling": "attention", "labels": 3},
    "gru, max, two layers": {"cell": "gru", "pooling": "max", "num_layers": 2, "hidden_size": 5},
    "gru under lstm, mean": {"cell": "gru+lstm", "pooling": "mean", "bidirectional": True},
    "rnn under gru": {"cell": "rnn+gru", "pooling": "last"},
    "lstm under rnn": {"cell": "lstm+rnn", "pooling": "attention"},
    "rnn, max, 4 labels": {"cell": "rnn", "pooling": "max", "labels": 4, "bidirectional": True},
    "byte pairs, bigrams": {"tokenizer": "bpe", "bigrams": 9000, "pooling": "attention", "labels": 3},
    "one unit": {"hidden_size": 1, "embedding_size": 1, "pooling": "last"},
}


def parts_of(model) -> list[tuple[str | None, Any, str]]:
    """Path, layer and cell of every part, as `intervene` names them, in the order of the page."""
    recurrent = model.network.recurrent
    modules = (
        [(f"layers.{k}", layer) for k, layer in enumerate(recurrent.layers)]
        if isinstance(recurrent, Stack)
        else [("", recurrent)]
    )
    return [
        (path, (k, "reverse") if reverse else k, module.cell)
        for path, module in modules
        if isinstance(module, Recurrent)
        for k in range(module.num_layers)
        for reverse in ([False, True] if module.bidirectional else [False])
    ]


def changes_of(model, steps: int) -> list[list[dict[str, Any]]]:
    """For every part some lists of changes: {part, gate, value, unit, from} or {part, erased}."""
    found = []
    for part, (_, _, cell) in enumerate(parts_of(model)):
        gates = {"lstm": "fio", "gru": "zr"}.get(cell, "")
        if not gates:
            continue
        for gate in gates:
            found.append([{"part": part, "gate": gate, "value": 1.0, "unit": None, "from": 0}])
        found.append([{"part": part, "gate": gates[0], "value": 0.0, "unit": 0, "from": min(3, steps - 1)}])
        found.append([{"part": part, "erased": [0, min(4, steps - 1)] if steps > 1 else [0]}])
        found.append([*found[-1], {"part": part, "gate": gates[0], "value": 1.0, "unit": None, "from": 0}])
    return [[], *found, [change for some in found[::4] for change in some]]


def interventions(model, changes: list[dict[str, Any]]):
    parts = parts_of(model)
    for change in changes:
        path, layer, _ = parts[change["part"]]
        if "erased" in change:
            yield Erase(steps=change["erased"], path=path, layer=layer)
        else:
            unit = None if change["unit"] is None else [change["unit"]]
            yield Hold(
                change["gate"],
                change["value"],
                units=unit,
                steps=slice(change["from"], None),
                path=path,
                layer=layer,
            )


def asked_of(model, text: str, label: int, changes: list[dict[str, Any]]) -> dict[str, Any]:
    by_part: list[Any] = [None] * len(parts_of(model))
    for change in changes:
        one = by_part[change["part"]] = by_part[change["part"]] or {"holds": [], "erased": []}
        if "erased" in change:
            one["erased"] += change["erased"]
        else:
            one["holds"].append({name: change[name] for name in ("gate", "value", "unit", "from")})
    return {"text": text, "label": label, "changes": by_part}


@pytest.mark.parametrize("name", MODELS)
def test_numbers_are_those_of_python_also_of_a_changed_run(tab, name):
    model = fitted(**MODELS[name])
    cases = []
    for k, text in enumerate(["plain", "scripts", "one word", "long"]):
        steps = min(len(tokenizer_of(model).encode(TEXTS[text])), model.config.max_length)
        some = changes_of(model, steps)
        cases += [
            (TEXTS[text], k % len(model.labels), changes)
            for changes in (some if k == 0 else some[k % 4 :: 4])
        ]
    asked = [asked_of(model, *case) for case in cases]
    for (text, label, changes), found in zip(cases, ask(tab, model, asked), strict=True):
        compare(model, text, label, changes, found)


def test_the_script_is_as_exact_as_float64(tab):
    """Where gates that are held make the smallest difference grow, it is Python's float32 that drifts."""
    model = fitted(num_layers=2, pooling="last", spread=3.0)
    changes = [{"part": part, "gate": "f", "value": 1.0, "unit": None, "from": 0} for part in (0, 1)]
    (found,) = ask(tab, model, [asked_of(model, TEXTS["long"], 0, changes)])
    assert model.network.embedding is not None
    model.network.embedding.double()
    model.network.recurrent.double()
    with gatewise.intervene(model.network.recurrent, *interventions(model, changes)), torch.no_grad():
        opened = open_input(model, TEXTS["long"])
    for part, lt in zip(found["parts"], opened.layers.values(), strict=True):
        assert lt.c is not None and lt.c.dtype == torch.float64
        np.testing.assert_allclose(part["memory"], lt.c.numpy().ravel(), rtol=0, atol=1e-9)


def compare(model, text: str, label: int, changes: list[dict[str, Any]], found: dict[str, Any]) -> None:
    with ExitStack() as stack:
        if changes:
            stack.enter_context(gatewise.intervene(model.network.recurrent, *interventions(model, changes)))
        opened = open_input(model, text)
    close(found["logits"], opened.logits)
    close(found["probabilities"], np.exp(log_softmax(opened.logits.numpy()[None] / model.temperature)))
    erased = {change["part"]: change["erased"] for change in changes if "erased" in change}
    for k, (part, lt) in enumerate(zip(found["parts"], opened.layers.values(), strict=True)):
        close(part["memory"], lt.h if lt.c is None else lt.c)
        for gate, values in lt.gates.items():
            close(part["gates"][gate], values)
        if lt.gates and k not in erased:
            close(part["belt"], belt(lt))
    if not opened.top[0].gates:
        assert found["held"] is None and found["push"] is None
        return
    compare_sums(model, opened, label, erased, found)


def compare_sums(model, opened, label: int, erased: dict[int, list[int]], found: dict[str, Any]) -> None:
    """Held and push; what was erased is no part of them, while Python's ledger leaves it as its residual."""
    v = contrast(model.network.output.weight.detach().double(), label)
    shares, pushes, _ = sums(opened, v)
    bottom = len(opened.layers) - len(opened.top)
    for d in range(len(opened.top)):
        shares[d][erased.get(bottom + d, [])] = 0
        pushes[d][erased.get(bottom + d, [])] = 0
        total = shares[d].sum()
        shares[d] = shares[d] / total if total else shares[d]
    close(found["push"], opened.over_all(np.sum(pushes, axis=0)))
    close(found["held"], opened.over_all(np.mean(shares, axis=0)))
    score = float(contrast(np.array(found["logits"]), label))
    assert sum(found["push"]) + found["bias"] == pytest.approx(score, abs=1e-9)


def test_an_empty_text_has_the_answer_of_the_bias(tab):
    for pooling in ("last", "mean", "max", "attention"):
        model = fitted(pooling=pooling, bidirectional=True)
        for found in ask(tab, model, [{"text": ""}, {"text": " \n"}]):
            assert found["ids"] == [] and found["push"] == []
            close(found["logits"], model.network.output.bias.detach())


def test_erasing_a_word_takes_its_belt_away_and_leaves_the_others(tab):
    model = fitted(pooling="last")
    changes = [{"part": 0, "erased": [2]}]
    text = TEXTS["plain"]
    (found,) = ask(tab, model, [asked_of(model, text, 0, changes)])
    with gatewise.intervene(model.network.recurrent, *interventions(model, changes)):
        opened = open_input(model, text)
    expected = belt(opened.top[0]).numpy()
    expected[:, 2] = 0
    close(found["parts"][0]["belt"], expected)


def test_a_model_stands_in_the_page_as_text_that_ends_no_element():
    hostile = "<script> </script> --> & ' \u2028 \u202e __proto__"
    model = fitted(texts=[hostile])
    text = values_of(model)
    assert not set("<>&") & set(text) and text.isascii()
    assert json.loads(text)["tokenizer"]["vocabulary"] == tokenizer_of(model).vocabulary


def test_names_that_every_object_has_are_words_like_others(tab):
    model = fitted(texts=["constructor film hasownproperty"])
    text = "constructor prototype toString __proto__ valueOf film hasOwnProperty"
    (found,) = ask(tab, model, [{"text": text}])
    assert found["ids"] == tokenizer_of(model).encode(text).ids
