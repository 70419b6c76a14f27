"""`gatewise inspect` on models that somebody wrote: the sum is their answer, and every fault is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

SOURCE = '''
import torch
from torch import nn


class Net(nn.Module):
    """Somebody's classifier."""

    def __init__(self, layer):
        super().__init__()
        self.rnn = layer
        self.head = nn.Linear(6 * (2 if layer.bidirectional else 1), 3)

    def forward(self, x, lengths=None, *, scale=None):
        print("hello from the model")
        out, _ = self.rnn(x)
        scores = self.head(out.mean(1))
        return scores if scale is None else scores * scale


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 4)
        self.first, self.second = nn.LSTM(4, 6, batch_first=True), nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, ids):
        return {"logits": self.head(self.second(self.first(self.words(ids))[0])[1][-1])}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 6, batch_first=True)
        self.again = self.rnn

    def forward(self, x):
        return self.again(x)[0][:, -1]


def lstm():
    return Net(nn.LSTM(4, 6, batch_first=True))


def gru():
    return Net(nn.GRU(4, 6, batch_first=True))


def rnn():
    return Net(nn.RNN(4, 6, batch_first=True))


def both():
    return Net(nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True))


def margin(scores):
    return scores[:, 1] - scores[:, 0]


def positive(made):
    return made["logits"][:, 1]


def broken():
    raise ValueError("no such\\nfolder")


def quits():
    raise SystemExit(3)


def nothing():
    return {"a": 1}


def needs(size):
    return lstm()


number = 3
'''


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder with somebody's module, weights of each model and a batch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    (tmp_path / "theirs.py").write_text(SOURCE)
    (tmp_path / "bad.py").write_text("import no_such_package_of_theirs\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("theirs", "bad"):
            del sys.modules[name]
    assert str(tmp_path) not in sys.path


def built(place: Path, name: str, **inputs: torch.Tensor):
    """A model with weights of its own in model.safetensors, in eval mode; the inputs in batch.safetensors."""
    sys.path.insert(0, str(place))
    try:
        import theirs  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.remove(str(place))
    model = getattr(theirs, name)().eval()
    save_file({k: v.clone() for k, v in model.state_dict().items()}, place / "model.safetensors")
    save_file(inputs or {"x": torch.randn(3, 8, 4)}, place / "batch.safetensors")
    return model


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


FILES = ("--weights", "model.safetensors", "--inputs", "batch.safetensors")


@pytest.mark.parametrize("name", ["lstm", "gru", "both"])
def test_the_sum_is_the_answer_of_the_model(gatewise, place, name):
    model = built(place, name)
    x = load_file(place / "batch.safetensors")["x"]
    called = gatewise("inspect", f"theirs:{name}", *FILES, "--target", "2", "--row", "1", "--json")
    assert called.code == 0, called.err
    found = called.json
    answer = float(model(x)[1, 2].detach())
    assert found["terms"]["answer"] == pytest.approx(answer, abs=1e-6)
    assert found["terms"]["constant"] == pytest.approx(float(model.head.bias[2].detach()), abs=1e-6)
    total = sum(found["push"]) + found["terms"]["initial state"] + found["terms"]["constant"]
    assert total == pytest.approx(answer, abs=1e-6) and abs(found["residual"]) <= 1e-6
    assert sum(found["held"]) == pytest.approx(1, abs=1e-5) and found["steps"] == [
        str(t) for t in range(1, 9)
    ]
    layers = [layer["name"] for layer in found["layers"]]
    assert layers == (
        ["rnn, layer 1", "rnn, layer 1, reverse", "rnn, layer 0", "rnn, layer 0, reverse"]
        if name == "both"
        else ["rnn, layer 0"]
    )
    assert all(layer["residual"] <= 1e-5 for layer in found["layers"])
    assert "hello from the model" in called.err


def test_what_a_person_reads(gatewise, place):
    model = built(place, "lstm")
    (place / "words.txt").write_text("it\nwas\nnever\ndull\n,\nnot\nonce\n.\n")
    called = gatewise("inspect", "theirs:lstm", *FILES, "--target", "theirs:margin", "--labels", "words.txt")
    assert called.code == 0, called.err
    x = load_file(place / "batch.safetensors")["x"]
    scores = model(x)[0].detach()
    lines = called.out.splitlines()
    assert lines[0].split() == ["layer", "cell", "T,", "B,", "H", "half-life", "saturated", "residual"]
    assert lines[1].startswith("rnn, layer 0  lstm  8, 3, 6 ")
    assert "rnn, layer 0, row 0 of a batch of 3, counted from 0" in lines
    assert (
        "  The forget gate stood above 0.9 in no unit all the way; half of what a unit holds is gone"
        in called.out
    )
    assert "the 8 of 8 words that pushed most" in lines
    (row,) = [line.split() for line in lines if line.endswith("never")]
    assert row[0] == "3" and row[1].endswith("%")
    assert called.out.splitlines()[-2].endswith(f"= {float(scores[1] - scores[0]):.4f} (answer)")
    assert called.out.splitlines()[-1].startswith("residual ")
    assert "hello" not in called.out


def test_without_a_target_the_memory_is_shown_and_nothing_is_summed(gatewise, place):
    built(place, "gru")
    called = gatewise("inspect", "theirs:gru", *FILES)
    assert called.code == 0, called.err
    assert "the 8 of 8 steps held most" in called.out and "(answer)" not in called.out
    assert "of the memory at the end was written at" in called.out
    found = gatewise("inspect", "theirs:gru", *FILES, "--json").json
    assert found["terms"] == {} and found["push"] == [None] * 8
    assert any("No answer was named" in limit for limit in found["limits"])


def test_a_plain_rnn_says_what_it_lacks(gatewise, place):
    built(place, "rnn")
    called = gatewise("inspect", "theirs:rnn", *FILES, "--target", "0")
    assert called.code == 0, called.err
    assert (
        "A plain RNN has no gates: at every step its whole state is computed anew, so it has no held"
        in called.out
    )
    assert "(answer)" not in called.out


def test_a_model_with_two_modules_needs_a_path_and_a_function_reads_a_dictionary(gatewise, place):
    model = built(place, "Embedded", ids=torch.randint(20, (2, 5)))
    called = gatewise("inspect", "theirs:Embedded", *FILES)
    assert called.code == 2
    assert called.error == "2 recurrent modules were recorded, 'first', 'second'; name one with at="
    called = gatewise("inspect", "theirs:Embedded", *FILES, "--at", "first")
    assert called.code == 0 and "first, layer 0, row 0" in called.out
    found = gatewise("inspect", "theirs:Embedded", *FILES, "--target", "theirs:positive", "--json").json
    ids = load_file(place / "batch.safetensors")["ids"]
    assert found["terms"]["answer"] == pytest.approx(float(model(ids)["logits"][0, 1].detach()), abs=1e-6)
    assert found["facts"]["module"] == "second" and "variables" not in found
    called = gatewise("inspect", "theirs:Embedded", *FILES, "--target", "0")
    assert called.code == 2 and called.error.startswith("the model returned a dict, which has no output 0")


def test_the_page_is_written_whole_and_never_over_another_unasked(gatewise, place):
    built(place, "lstm")
    called = gatewise("inspect", "theirs:lstm", *FILES, "--target", "0", "--out", "page.html")
    assert called.code == 0 and "wrote page.html" in called.err
    page = (place / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "What rnn remembered of 8 steps" in page
    assert "gatewise inspect theirs:lstm --weights model.safetensors" in page
    (place / "page.html").write_text("mine")
    again = gatewise("inspect", "theirs:lstm", *FILES, "--out", "page.html")
    assert again.code == 1 and again.error == "page.html: exists; name another file, or add --overwrite"
    assert (place / "page.html").read_text() == "mine"
    assert gatewise("inspect", "theirs:lstm", *FILES, "--out", "page.html", "--overwrite").code == 0
    assert (place / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["gru", "rnn", "both"])
def test_every_kind_of_layer_gets_its_page(gatewise, place, name):
    built(place, name)
    called = gatewise("inspect", f"theirs:{name}", *FILES, "--target", "0", "--out", "page.html")
    assert called.code == 0, called.err
    assert (place / "page.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_inputs_that_the_layer_reads_as_they_are_become_variables(gatewise, place):
    built(place, "lstm")
    x = load_file(place / "batch.safetensors")["x"]
    found = gatewise("inspect", "theirs:lstm", *FILES, "--target", "0", "--row", "2", "--json").json
    assert found["variables"]["names"] == [f"variable {k}" for k in (1, 2, 3, 4)]
    assert found["variables"]["values"] == x[2].double().tolist()
    named = gatewise(
        "inspect", "theirs:lstm", *FILES, "--target", "0", "--features", "a,b,c,d", "--json"
    ).json
    assert named["variables"]["names"] == ["a", "b", "c", "d"]
    called = gatewise("inspect", "theirs:lstm", *FILES, "--target", "0", "--features", "a,b")
    assert (called.code, called.error) == (2, "features has 2 names; the layer has 4 inputs")
    assert "variables" not in gatewise("inspect", "theirs:both", *FILES, "--json").out


def test_tensors_become_arguments_by_name_and_x_the_first(gatewise, place):
    x, scale = torch.randn(2, 5, 4), torch.tensor(2.0)
    model = built(place, "lstm", input=x, scale=scale)
    called = gatewise("inspect", "theirs:lstm", *FILES, "--target", "0", "--json")
    assert called.code == 0, called.err
    found = called.json
    assert found["terms"]["answer"] == pytest.approx(float(model(x, scale=scale)[0, 0].detach()), abs=1e-6)
    save_file({"anything": x}, place / "batch.safetensors")
    found = gatewise("inspect", "theirs:lstm", *FILES, "--target", "0", "--json").json
    assert found["terms"]["answer"] == pytest.approx(float(model(x)[0, 0].detach()), abs=1e-6)


def test_tied_weights_need_to_be_in_the_file_once(gatewise, place):
    model = built(place, "Tied")
    once = {f"rnn.{name}": value.clone() for name, value in model.rnn.state_dict().items()}
    save_file(once, place / "model.safetensors")
    called = gatewise("inspect", "theirs:Tied", *FILES, "--json")
    assert called.code == 0, called.err


def test_without_weights_it_says_so(gatewise, place):
    built(place, "lstm")
    called = gatewise("inspect", "theirs:lstm", "--inputs", "batch.safetensors")
    assert called.code == 0
    assert "note: no --weights were given, so the model is as its function returned it" in called.err


def refuse(gatewise, place, *words, code=1):
    """The one sentence of a call that fails, after seeing that nothing was left behind."""
    before = files(place)
    called = gatewise("inspect", *words)
    assert called.code == code, called.err
    assert called.out == "" and files(place) == before
    return called.error


BAD_MODELS = [
    ("theirs", 2, "'theirs' is not of the form package.module:function"),
    ("theirs.py:lstm", 2, "'theirs.py:lstm' is not of the form package.module:function, such as theirs:lstm"),
    ("their:lstm", 2, "there is no module 'their', neither in {place} nor among the installed packages"),
    ("theirs.deeper:lstm", 2, "there is no module 'theirs.deeper', neither in"),
    ("theirs:lstn", 2, "theirs has no 'lstn'; did you mean lstm?"),
    ("theirs:number", 2, "theirs:number is a int; a function that returns the model is needed"),
    ("theirs:nothing", 2, "theirs:nothing() returned a dict; a torch.nn.Module is needed"),
    ("theirs:broken", 1, "theirs:broken(), called without arguments, failed: ValueError: no such folder (--debug"),
    ("theirs:quits", 1, "theirs:quits(), called without arguments, failed: SystemExit: 3"),
    ("theirs:needs", 1, "theirs:needs(), called without arguments, failed: TypeError: needs() missing 1 required"),
    ("bad:build", 1, "importing 'bad' failed: ModuleNotFoundError: No module named 'no_such_package_of_theirs'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "sentence"), BAD_MODELS, ids=[case[0] for case in BAD_MODELS])
def test_a_model_that_cannot_be_built(gatewise, place, name, code, sentence):
    built(place, "lstm")
    error = refuse(gatewise, place, name, *FILES, "--out", "page.html", code=code)
    assert error.startswith(sentence.format(place=place))


def test_a_traceback_of_theirs_only_with_debug(gatewise, place):
    built(place, "lstm")
    called = gatewise("inspect", "theirs:broken", *FILES, "--debug")
    assert called.code == 1 and "Traceback" in called.err and "in broken" in called.err


def test_weights_that_do_not_fit(gatewise, place):
    model = built(place, "lstm")
    whole = model.state_dict()
    file = place / "model.safetensors"
    save_file({f"module.{name}": value.clone() for name, value in whole.items()}, file)
    assert refuse(gatewise, place, "theirs:lstm", *FILES) == (
        "model.safetensors: 6 of the model's 6 tensors are missing (head.bias, head.weight, rnn.bias_hh_l0, …), and 6 "
        "in the file are not part of the model (module.head.bias, module.head.weight, module.rnn.bias_hh_l0, …)"
    )
    save_file({name: value.clone() for name, value in whole.items() if name != "head.bias"}, file)
    error = refuse(gatewise, place, "theirs:lstm", *FILES)
    assert error == "model.safetensors: 1 of the model's 6 tensors are missing (head.bias)"
    save_file({**{name: value.clone() for name, value in whole.items()}, "head.bias": torch.zeros(5)}, file)
    error = refuse(gatewise, place, "theirs:lstm", *FILES)
    assert error == "model.safetensors: tensor 'head.bias' is float32 [5]; the model needs float32 [3]"
    file.write_bytes(b"not safe")
    assert refuse(gatewise, place, "theirs:lstm", *FILES).startswith(
        "model.safetensors: not a readable safetensors file"
    )
    file.unlink()
    assert refuse(gatewise, place, "theirs:lstm", *FILES) == "model.safetensors: there is no such file"


def test_inputs_that_do_not_fit(gatewise, place):
    built(place, "lstm", x=torch.randn(1, 5, 4), y=torch.zeros(1))
    assert refuse(gatewise, place, "theirs:lstm", *FILES) == (
        "batch.safetensors holds x, y; Net.forward takes (x, lengths=None, *, scale=None): "
        "got an unexpected keyword argument 'y'"
    )
    save_file({"scale": torch.zeros(1), "lengths": torch.zeros(1)}, place / "batch.safetensors")
    error = refuse(gatewise, place, "theirs:lstm", *FILES)
    assert error.endswith("missing a required argument: 'x'")
    save_file({}, place / "batch.safetensors")
    error = refuse(gatewise, place, "theirs:lstm", *FILES)
    assert error.startswith("batch.safetensors holds no tensor; Net.forward takes")
    save_file({"x": torch.randn(2, 5, 7)}, place / "batch.safetensors")
    error = refuse(gatewise, place, "theirs:lstm", *FILES)
    assert error.startswith("Net failed on these inputs: RuntimeError: ") and "\n" not in error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--target", "3"), "target is 3; the model has 3 outputs, 0 to 2"),
        (
            ("--target", "theirs:number"),
            "theirs:number is a int; a function of what the model returns is needed",
        ),
        (
            ("--target", "theirs:lstm"),
            "theirs:lstm failed on what the model returned: TypeError: lstm() takes 0",
        ),
        (("--target", "positive"), "'positive' is not of the form package.module:function"),
        (("--row", "3"), "rnn, layer 0: there is no row 3; the batch has 3, counted from 0"),
        (("--at", "lstm"), "nothing was recorded at 'lstm'; the recurrent modules are 'rnn'"),
        (("--at", "lstm", "--target", "0"), "there is no recurrent layer at 'lstm'; there are 'rnn'"),
        (("--labels", "words.txt"), "labels has 2 names; row 0 has 8 steps"),
        (("--features", "a,b,c,d"), "--features divides the pushes, which take an answer to push"),
    ],
)
def test_options_that_do_not_fit(gatewise, place, options, sentence):
    built(place, "lstm")
    (place / "words.txt").write_text("so\nwhat\n")
    code = 1 if options == ("--target", "theirs:lstm") else 2
    assert refuse(gatewise, place, "theirs:lstm", *FILES, *options, "--out", "p.html", code=code).startswith(
        sentence
    )


@pytest.mark.parametrize("kind", ["weights", "inputs"])
def test_a_pickled_file_is_refused_with_lines_that_convert_it(gatewise, place, kind):
    model = built(place, "lstm")
    x = load_file(place / "batch.safetensors")["x"]
    name = {"weights": "model", "inputs": "batch"}[kind]
    (place / f"{name}.safetensors").unlink()
    torch.save(model.state_dict() if kind == "weights" else x, place / f"{name}.pt")
    words = [word.replace(f"{name}.safetensors", f"{name}.pt") for word in FILES]
    before = files(place)
    called = gatewise("inspect", "theirs:lstm", *words)
    assert called.code == 1 and called.out == "" and files(place) == before
    assert called.error.startswith(f"{name}.pt: this is a pickled file")
    lines = called.err.split("error: ")[0].splitlines()
    assert len(lines) == 3
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=place)
    converted = gatewise("inspect", "theirs:lstm", *FILES, "--target", "1", "--json")
    assert converted.code == 0, converted.err
    assert converted.json["terms"]["answer"] == pytest.approx(float(model(x)[0, 1].detach()), abs=1e-6)


def test_a_pickled_file_of_another_name_is_known_by_its_first_bytes(gatewise, place):
    model = built(place, "lstm")
    torch.save(model.state_dict(), place / "model.safetensors")
    called = gatewise("inspect", "theirs:lstm", *FILES)
    assert called.code == 1 and called.error.startswith("model.safetensors: this is a pickled file")


def test_a_real_process_finds_the_module_in_the_current_folder(place):
    built(place, "lstm")
    command = [
        sys.executable,
        "-c",
        "from gatewise.cli import main; main()",
        "inspect",
        "theirs:lstm",
        *FILES,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0 and done.stdout.startswith('{"title": "rnn, row 0"'), done.stderr
