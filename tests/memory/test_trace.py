"""What a trace hands out, joins, prints, saves and loads."""

import json
import re
import struct

import pytest
import torch
from memory_cases import oracle_trace
from safetensors.torch import load_file, save_file
from torch import nn

from gatewise.errors import RunError, UsageError
from gatewise.memory import CallTrace, ModuleTrace, Trace, ledger, record


@pytest.fixture
def trace():
    model = nn.ModuleDict(
        {"a": nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), "b": nn.GRU(4, 5), "c": nn.RNN(3, 4)}
    )
    packed = nn.utils.rnn.pack_sequence([torch.randn(n, 3) for n in (2, 5, 1)], enforce_sorted=False)
    torch._C._set_mkldnn_enabled(False)  # oneDNN has no projections, and PyTorch warns of it
    try:
        with record(model, pre=True) as trace:
            model["a"](packed)
            model["b"](torch.randn(5, 2, 4))
            model["b"](torch.randn(3, 1, 4))
    finally:
        torch._C._set_mkldnn_enabled(True)
    return trace


def test_gates_by_name_and_what_is_not_there(trace):
    lt = trace["b"].calls[0][0]
    assert lt.z is lt.gates["z"]
    with pytest.raises(AttributeError, match="b, layer 0 is a gru and has no f; it has r, z, n, h"):
        _ = lt.f
    with pytest.raises(AttributeError, match="has no f_pre; it has r, z, n, h"):
        _ = lt.f_pre
    with pytest.raises(
        AttributeError, match=r"recorded without pre-activations; record\(model, pre=True\) keeps f_pre"
    ):
        _ = oracle_trace("lstm").f_pre
    with pytest.raises(AttributeError, match="it has h"):
        _ = oracle_trace("rnn_tanh").r


def test_layers_by_key_and_what_is_not_there(trace):
    call = trace["a"].calls[0]
    assert list(call) == [0, (0, "reverse"), 1, (1, "reverse")]
    assert trace["a"][1, "reverse"] is call[1, "reverse"]
    with pytest.raises(
        UsageError, match=r'no layer \[2\] was recorded; there are \[0\], \[0, "reverse"\], \[1\], \[1, "rev'
    ):
        _ = trace["a"][2]
    with pytest.raises(
        UsageError, match="nothing was recorded at 'd'; the recurrent modules are 'a', 'b', 'c'"
    ):
        _ = trace["d"]
    with pytest.raises(UsageError, match=r"b was called 2 times; take \.calls\[n\]"):
        _ = trace["b"][0]
    with pytest.raises(UsageError, match="c was called 0 times"):
        _ = trace["c"][0]


def test_the_final_state_is_that_of_the_layer():
    for reverse in (False, True):
        for lengths in (None, [7, 3, 0, 5]):
            lt = oracle_trace("lstm", reverse=reverse, lengths=lengths)
            h, c = lt.final()
            for row in range(4):
                n = 7 if lengths is None else lengths[row]
                t = 0 if reverse else n - 1
                assert torch.equal(h[row], lt.h[t, row] if n else lt.h0[row])
                assert torch.equal(c[row], lt.c[t, row] if n else lt.c0[row])


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_calls_that_continue_each_other_are_joined_along_time(cls):
    layer, x = cls(3, 4, 2), torch.randn(9, 2, 3)
    with record(layer, pre=True) as parts:
        state = None
        for chunk in x.split(4):
            _, state = layer(chunk, state)
    with record(layer, pre=True) as whole:
        layer(x)
    joined = parts[""].concat()
    for k in (0, 1):
        one, other = joined[k], whole[""][k]
        assert one.residual == max(call[k].residual for call in parts[""].calls)
        for name in ("h", "h0", *one.gates):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-6, rtol=0)
        for name, pre in one.pre.items():
            torch.testing.assert_close(pre, other.pre[name], atol=1e-5, rtol=0)
    if cls is nn.LSTM:
        torch.testing.assert_close(joined[1].c, whole[""][1].c, atol=1e-6, rtol=0)
        assert ledger(joined[1]).residual <= 1e-6


def test_the_last_call_may_be_ragged():
    from gatewise.layers import LSTM

    layer, x = LSTM(3, 4), torch.randn(7, 2, 3)
    with record(layer) as trace:
        _, state = layer(x[:4])
        layer(x[4:], state, [1, 3])
    lt = trace[""].concat()[0]
    assert lt.lengths.tolist() == [5, 7]
    assert ledger(lt).residual <= 1e-6


def test_calls_that_do_not_continue_each_other_are_not_joined():
    layer = nn.LSTM(3, 4)
    with record(layer) as trace:
        layer(torch.randn(5, 2, 3))
        layer(torch.randn(5, 2, 3))
    with pytest.raises(UsageError, match="call 1 did not start from the state that call 0 left"):
        trace[""].concat()
    with record(layer) as trace:
        layer(torch.randn(5, 2, 3))
        layer(torch.randn(5, 3, 3))
    with pytest.raises(UsageError, match="call 0 has batch size 2 and call 1 has 3"):
        trace[""].concat()
    with record(layer) as trace:
        pass
    with pytest.raises(UsageError, match="the model was not called"):
        trace[""].concat()


def test_rows_that_ended_early_are_not_continued():
    lt = oracle_trace(lengths=[7, 3, 1, 5])
    with pytest.raises(UsageError, match="rows of call 0 end before its last step"):
        ModuleTrace("", [CallTrace([lt]), CallTrace([lt])]).concat()


def test_printed_in_at_most_eight_lines(trace):
    lines = repr(trace).splitlines()
    assert len(lines) == 7
    assert lines[0].split() == ["layer", "cell", "T,", "B,", "H", "half-life", "saturated", "residual"]
    assert lines[2].startswith("a, layer 0 reverse  lstm")
    many = nn.LSTM(3, 4, 12)
    with record(many) as deep:
        many(torch.randn(5, 2, 3))
    lines = repr(deep).splitlines()
    assert len(lines) == 8
    assert lines[-1] == "... and 6 more"
    with record(many) as empty:
        assert repr(empty) == "Trace: no call of '' yet"


def test_printed_figures_are_those_of_the_gates():
    lt = oracle_trace("lstm", T=40)
    lt.f.fill_(0.5)
    for name in "io":
        lt.gates[name].fill_(0.5)
    lt.i[:, :, :2] = 0.95  # two of five units saturated at every step
    row = repr(Trace([ModuleTrace("m", [CallTrace([lt])])])).splitlines()[1]
    assert re.split("  +", row) == [
        "net.rnn, layer 0",
        "lstm",
        "40, 4, 5",
        "1 step",
        "2 of 5 units",
        f"{lt.residual:.1e}",
    ]


def test_html_is_escaped():
    lt = oracle_trace("lstm")
    object.__setattr__(lt, "path", "<script>alert(1)</script>&")
    made = Trace([ModuleTrace(lt.path, [CallTrace([lt])])])._repr_html_()
    assert "<script>" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;, layer 0" in made
    assert made.count("<tr>") == 2


def test_saved_and_loaded_it_is_the_same(trace, tmp_path):
    file = tmp_path / "trace.safetensors"
    trace.save(file)
    loaded = Trace.load(file)
    assert [p.name for p in tmp_path.iterdir()] == ["trace.safetensors"]
    assert loaded.paths == trace.paths
    assert [len(loaded[p]) for p in loaded.paths] == [1, 2, 0]
    for old, new in zip(trace.layers(), loaded.layers(), strict=True):
        assert (old.path, old.layer, old.direction, old.cell, old.source, old.residual) == (
            new.path, new.layer, new.direction, new.cell, new.source, new.residual,
        )  # fmt: skip
        assert list(old.gates) == list(new.gates) and list(old.pre) == list(new.pre)
        for name in (*old.gates, *(f"{g}_pre" for g in old.pre), "h", "h0", "c", "c0", "lengths", "w_hr"):
            a, b = getattr(old, name), getattr(new, name)
            assert (a is None and b is None) or (torch.equal(a, b) and a.dtype == b.dtype), name
    assert repr(loaded) == repr(trace)


def rewritten(file, change_header=None, change_tensors=None):
    """The file with its description or tensors changed."""
    tensors = load_file(file)
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
    header = json.loads(metadata["gatewise_trace"])
    if change_header is not None:
        change_header(header)
    if change_tensors is not None:
        change_tensors(tensors)
    save_file(tensors, file, metadata={"gatewise_trace": json.dumps(header)})


@pytest.mark.parametrize(
    ("change_header", "change_tensors", "message"),
    [
        (lambda h: h.update(format=3), None, "written in trace format 3; this version reads up to 2"),
        (lambda h: h.update(format="new"), None, "cannot be read"),
        (lambda h: h.pop("layers"), None, "incomplete or contradicts itself"),
        (lambda h: h["layers"][0].pop("cell"), None, "incomplete or contradicts itself"),
        (lambda h: h["layers"][0].update(path="z"), None, "incomplete or contradicts itself"),
        (lambda h: h["layers"][0].update(call=5), None, "incomplete or contradicts itself"),
        (lambda h: h["layers"][1].update(call=-1), None, "layer 1 belongs to call -1 after call 0"),
        (lambda h: h["layers"][0].update(cell="qrnn"), None, "layer 0 has cell 'qrnn'"),
        (lambda h: h["layers"][0].update(direction="up"), None, "layer 0 has direction 'up'"),
        (None, lambda t: t.update({"0/residual": torch.zeros(2)}), "incomplete or contradicts itself"),
        (None, lambda t: t.update({"0/pre/f": torch.zeros(2, 2)}), "0/pre/f has shape"),
        (lambda h: h.update(layers=[3]), None, "incomplete or contradicts itself"),
        (lambda h: h.update(modules=5), None, "incomplete or contradicts itself"),
        (None, lambda t: t.pop("0/gates/f"), "incomplete or contradicts itself"),
        (None, lambda t: t.pop("1/h"), "incomplete or contradicts itself"),
        (None, lambda t: t.update({"0/gates/f": torch.zeros(2, 2)}), r"0/gates/f has shape \(2, 2\), not"),
        (None, lambda t: t.update({"0/h": torch.zeros(2)}), "incomplete or contradicts itself"),
        (None, lambda t: t.update({"0/lengths": torch.zeros(9)}), "0/lengths has shape"),
        (None, lambda t: t.update({"0/borders": torch.zeros(2, 2)}), "0/borders has shape"),
        (None, lambda t: t.update({"0/masks/c": torch.zeros(2, 2)}), "0/masks/c has shape"),
        (None, lambda t: t.update({"0/norm_c": torch.zeros(9)}), "0/norm_c has shape"),
        (lambda h: h["layers"][0].update(variant="zoneout=3:0"), None, "contradicts itself"),
    ],
)  # fmt: skip
def test_files_that_contradict_themselves_are_refused(
    trace, tmp_path, change_header, change_tensors, message
):
    file = tmp_path / "trace.safetensors"
    trace.save(file)
    rewritten(file, change_header, change_tensors)
    with pytest.raises(RunError, match=message) as error:
        Trace.load(file)
    assert str(error.value).startswith(str(file))


def test_a_file_from_before_the_variants_is_read(trace, tmp_path):
    file = tmp_path / "trace.safetensors"
    trace.save(file)

    def as_it_was(header):
        header["format"] = 1
        for entry in header["layers"]:
            del entry["variant"]

    rewritten(file, as_it_was)
    loaded = Trace.load(file)
    assert repr(loaded) == repr(trace)
    assert all(lt.variant.plain and lt.borders is None and lt.masks is None for lt in loaded.layers())


def test_broken_files_are_refused(trace, tmp_path):
    file = tmp_path / "trace.safetensors"
    trace.save(file)
    whole = file.read_bytes()
    for content in (b"", b"\xff" * 40, whole[:100], whole[:-5], struct.pack("<Q", 2**60) + whole[8:]):
        file.write_bytes(content)
        with pytest.raises(RunError, match="not a readable safetensors file"):
            Trace.load(file)
    with pytest.raises(RunError, match=r"nothing\.safetensors: there is no such file"):
        Trace.load(tmp_path / "nothing.safetensors")
    save_file({"w": torch.zeros(2)}, file)
    with pytest.raises(RunError, match="holds no trace"):
        Trace.load(file)


def test_a_failed_save_leaves_the_old_file(trace, tmp_path, monkeypatch):
    file = tmp_path / "trace.safetensors"
    file.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("gatewise.memory.trace_file.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        trace.save(file)
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["trace.safetensors"]
