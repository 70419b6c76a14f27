"""The long-lag study: criteria on written-out answers, a trial that learns, and a log from which it goes on."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch

from gatewise.errors import UsageError
from gatewise.synthetic.reader import Reader
from gatewise.tasks.long_lag import EXPERIMENTS, QUICK, Study, Trial, chosen, study, trial
from gatewise.tasks.long_lag.answers import (
    ClassAtEnd,
    Judged,
    ValueAtEnd,
    classes_at_last_steps,
    next_symbols,
)
from gatewise.tasks.long_lag.picture import picture
from gatewise.tasks.long_lag.trial import Fresh, Watch, run_trial
from gatewise.training.progress import Silent

TINY = replace(
    EXPERIMENTS["regular-100"],
    draw=lambda count, generator: EXPERIMENTS["regular-100"].draw.func(count, 4, generator=generator),
    inputs=5, horizon=5, recent=100, tested=200, hidden_size=8, budget=8000, learning_rate=1e-2,
)  # fmt: skip


def test_a_value_is_right_within_its_bound_at_the_last_step():
    outputs = torch.tensor([[0.3, 9.0], [0.5, 0.5], [9.0, 0.0]])[:, :, None]  # [T=3, B=2, 1]
    judged = ValueAtEnd(0.04)(outputs, torch.tensor([2, 3]), torch.tensor([0.53, 0.05]))
    assert judged.right.tolist() == [True, False] and judged.count == 2
    assert judged.error.tolist() == pytest.approx([0.03, 0.05])
    assert judged.total.item() == pytest.approx(0.03**2 + 0.05**2)


def test_a_class_is_right_when_every_output_is_within_its_bound():
    # Probabilities 0.75, 0.25 and 0.65, 0.35 at the last steps; the class is the first.
    last = torch.tensor([[0.75, 0.25], [0.65, 0.35]]).log()
    outputs = torch.stack((torch.full((2, 2), 7.0), last))
    judged = ClassAtEnd(0.3)(outputs, torch.tensor([2, 2]), torch.tensor([0, 0]))
    assert judged.right.tolist() == [True, False]
    assert judged.error.tolist() == pytest.approx([0.25, 0.35])
    assert judged.total.item() == pytest.approx(-torch.tensor([0.75, 0.65]).log().sum().item())


def test_copied_classes_must_all_be_right():
    targets = torch.tensor([[0, 1], [1, 1]])  # [K=2, B=2]
    outputs = torch.zeros(5, 2, 3)
    outputs[3, 0, 0] = outputs[4, 0, 1] = outputs[3, 1, 1] = outputs[4, 1, 2] = 50.0
    judged = classes_at_last_steps(outputs, torch.tensor([5, 5]), targets)
    assert judged.right.tolist() == [True, False] and judged.error.tolist() == [0.0, 0.5]
    assert judged.count == 4 and judged.total.item() == pytest.approx(50.0, rel=1e-6)


def test_next_symbols_count_up_to_the_length():
    outputs = torch.zeros(2, 2, 7)
    outputs[:, :, 3] = 5.0
    legal = torch.zeros(2, 2, 7, dtype=torch.bool)
    legal[0, :, 3] = legal[1, :, 4] = True  # the second step is wrong in both, and outside the first string
    judged = next_symbols(outputs, torch.full((2, 2), 3), legal, torch.tensor([1, 2]))
    assert judged.right.tolist() == [True, False] and judged.error.tolist() == [0.0, 0.5]
    assert judged.count == 3


def seen(*right, error=0.0):
    flags = torch.tensor(right, dtype=torch.bool)
    return Judged(torch.tensor(0.0), len(right), torch.full((len(right),), error), flags)


def test_the_criterion_is_so_many_in_a_row_with_a_small_mean_error():
    watch = Watch(replace(TINY, recent=5, mean_error=0.1, budget=80))
    watch.see(seen(True, True, True, False))
    assert (watch.sequences, watch.in_a_row) == (4, 0)
    watch.see(seen(False, True, True, error=0.2))
    watch.see(seen(True, True, error=0.2))
    assert watch.in_a_row == 4
    watch.see(seen(True, error=0.2))
    assert watch.in_a_row == 5 and not watch.is_met  # the five errors are 0.2
    watch.see(seen(True, True, error=0.0))
    watch.see(seen(True))
    assert watch.is_met  # 0.2, 0.2, 0, 0, 0
    assert watch.curve == [(4, 0.75), (7, 2 / 3), (9, 1.0), (12, 1.0)]  # a point each 2 of 80 / 40 or more
    watch.add_point()
    assert watch.curve[-1] == (13, 1.0)


@pytest.fixture(scope="module")
def learnt():
    return run_trial(TINY, "lstm", 0)


def test_a_trial_learns_a_short_lag_and_is_the_same_again(learnt):
    assert learnt.success and learnt.stopped == "criterion" and learnt.wrong == 0 and learnt.tested == 200
    assert 0 < learnt.sequences < 8000
    # The run of right ones is the paper's test after the training: not among the sequences to success.
    assert learnt.curve[-1][0] - learnt.sequences >= 100
    assert learnt.curve[-1][1] == 1.0
    torch.manual_seed(9)
    state = torch.get_rng_state()
    again = run_trial(TINY, "lstm", 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert replace(again, seconds=0.0) == replace(learnt, seconds=0.0) and again.curve == learnt.curve
    assert run_trial(TINY, "lstm", 1).curve != learnt.curve


def test_a_trial_fails_when_its_budget_is_spent():
    failed = run_trial(replace(TINY, budget=64), "rnn", 0)
    assert not failed.success and failed.stopped == "budget" and failed.sequences == 64
    assert failed.wrong > 0 and failed.parameters == 8 * (5 + 8 + 2) + 2 * (8 + 1)


def test_a_loss_that_is_not_finite_is_a_failure(monkeypatch):
    def broken(*arguments, **options):
        model = Reader(*arguments, **options)
        torch.nn.init.constant_(model.output.bias, torch.nan)
        return model

    monkeypatch.setattr(trial, "Reader", broken)
    diverged = run_trial(TINY, "rnn", 0)
    assert diverged.stopped == "diverged" and not diverged.success and diverged.wrong == diverged.tested
    assert diverged.curve == [(32, 0.0)]


def test_streams_go_on_from_window_to_window():
    experiment = replace(EXPERIMENTS["continual-reber"], budget=64, tested=200)
    windows = Fresh(experiment, 3)
    assert len(windows) == 4
    x = [batch[0].argmax(-1) for batch in windows]
    following = [batch[1] for batch in Fresh(experiment, 3)]
    assert torch.equal(torch.cat(x)[1:], torch.cat(following)[:-1])
    lost = run_trial(experiment, "rnn", 0)
    assert not lost.success and lost.tested == 200 and lost.sequences == 64 and lost.wrong > 150


def test_fresh_batches_are_a_function_of_their_number():
    batches = Fresh(TINY, 0)
    assert all(torch.equal(a, b) for a, b in zip(batches[5], batches[5], strict=True))
    assert not torch.equal(batches[5][2], batches[6][2])
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_a_study_goes_on_where_it_was_interrupted(tmp_path, learnt):
    log, told = tmp_path / "trials.jsonl", []
    first = study([TINY], cells=["lstm"], seeds=[0], log=log, told=told.append)
    assert [replace(t, seconds=0.0) for t in first.trials] == [replace(learnt, seconds=0.0)]
    text = log.read_text()
    assert text.count("\n") == 1
    log.write_text(text + text[:40])  # killed while it wrote the second trial
    again = study([TINY], cells=["lstm"], seeds=[0, 1], log=log, told=told.append)
    assert again.trials[0] == first.trials[0] and again.trials[0].curve == first.trials[0].curve
    assert log.read_text().startswith(text) and log.read_text().count("\n") == 2
    assert [t.seed for t in told] == [0, 1]
    other = replace(TINY, learning_rate=1e-3)  # what was trained otherwise is not taken for it
    assert study([other], cells=["lstm"], seeds=[0], log=log, train=False).trials == []
    assert len(study([TINY], cells=["lstm"], seeds=[0, 1, 2], log=log, train=False).trials) == 2


def test_ctrl_c_loses_the_running_trial_alone(tmp_path):
    class Interrupts(Silent):
        def step(self, tick):
            if tick.step == 3:
                raise KeyboardInterrupt

    log = tmp_path / "trials.jsonl"
    study([TINY], cells=["lstm"], seeds=[0], log=log)
    before = log.read_text()
    with pytest.raises(KeyboardInterrupt):
        study([TINY], cells=["lstm"], seeds=[0, 1], log=log, report=Interrupts)
    assert log.read_text() == before


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", '{"experiment": 1}', "nothing"],
)
def test_a_log_that_holds_something_else_is_refused(tmp_path, line):
    log = tmp_path / "log.jsonl"
    log.write_text(line + "\n")
    with pytest.raises(UsageError, match=r"log\.jsonl, line 1: not a trial of a long-lag study"):
        study([TINY], cells=["lstm"], seeds=[0], log=log)


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no cell 'elman'; it must be one of rnn, irnn, gru, lstm"):
        study([TINY], cells=["elman"], log=tmp_path / "log")
    with pytest.raises(
        UsageError, match="there is no experiment 'adding'; it must be one of reber, continual"
    ):
        chosen(["adding"])
    assert [e.name for e in chosen([])] == list(EXPERIMENTS)
    assert set(QUICK) <= set(EXPERIMENTS)


def made(cell, seed, success, sequences, wrong):
    options = EXPERIMENTS["adding-100"].options()
    stopped = "criterion" if success else "budget"
    curve = [(sequences // 2, 0.25), (sequences, 1.0 if success else 0.5)]
    return Trial(
        "adding-100", cell, seed, success, sequences, wrong, 2560, 0.01, stopped, 100, 60.0, curve, options
    )


STUDY = Study(
    [
        made("lstm", 0, True, 50_000, 1),
        made("lstm", 1, True, 70_000, 3),
        made("lstm", 2, False, 200_000, 400),
        made("rnn", 0, False, 200_000, 2000),
    ]
)


def test_the_table_counts_successes_beside_the_paper():
    first, _, lstm, rnn, *_ = STUDY.to_markdown().splitlines()
    cells = [cell.strip() for cell in lstm.strip("|").split("|")]
    assert cells == [
        "adding problem, T = 100", "lstm", "2 of 3", "60,000 (50,000-70,000)", "74,000", "2.0 of 2,560", "60",
    ]  # fmt: skip
    assert "none in 200,000" in rnn and "0 of 1" in rnn and "2,000.0 of 2,560" in rnn
    assert first.startswith("| experiment")
    assert "Hochreiter & Schmidhuber 1997, table 7; success in 100% of its trials" in STUDY.to_markdown()
    values = json.loads(json.dumps(STUDY.to_dict()))
    assert values["rows"][0]["successes"] == 2 and values["rows"][0]["reported"]["sequences"] == 74_000
    assert len(values["trials"]) == 4


def test_the_picture_has_a_line_a_trial_and_a_dot_a_success():
    svg = ElementTree.fromstring(picture(STUDY.trials))
    name = "{http://www.w3.org/2000/svg}"
    lines, dots = svg.findall(f".//{name}polyline"), svg.findall(f".//{name}circle")
    assert len(lines) == 4 and len(dots) == 2
    # The slowest trial ends at the right edge, x = 285; the first success at a quarter of it, at the top, y = 30.
    assert lines[3].attrib["points"].split()[-1] == "285.0,90.0"
    assert (dots[0].attrib["cx"], dots[0].attrib["cy"]) == ("101.2", "30.0")


def test_every_experiment_draws_what_its_network_reads():
    for experiment in EXPERIMENTS.values():
        small = replace(experiment, batch_size=2, budget=2)
        x, *answer = Fresh(small, 0)[0]
        assert x.shape[1:] == ((2,) if experiment.lookup else (2, experiment.inputs))
        judged = experiment.judge(torch.zeros(len(x), 2, experiment.outputs), *answer)
        assert judged.right.shape == judged.error.shape == (2,)
