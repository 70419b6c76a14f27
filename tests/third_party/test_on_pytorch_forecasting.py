"""pytorch-forecasting: its LSTM is a subclass of torch's that packs its input and takes lengths of zero."""

import numpy as np
import pytest
import torch
from opened_models import needed, opened, trains_the_same, writes_a_page

import gatewise as gw

forecasting = needed("pytorch_forecasting")
pandas = needed("pandas")


def data():
    days = np.tile(np.arange(40), 3)
    group = np.repeat(list("abc"), 40)
    table = pandas.DataFrame({"t": days, "group": group, "y": np.sin(days * 0.3).astype("float32") + 2})
    return forecasting.TimeSeriesDataSet(
        table,
        time_idx="t",
        target="y",
        group_ids=["group"],
        min_encoder_length=5,
        max_encoder_length=12,
        max_prediction_length=4,
        time_varying_unknown_reals=["y"],
        static_categoricals=["group"],
        target_normalizer=forecasting.data.GroupNormalizer(groups=["group"]),
    )


def batch(dataset):
    x, _ = next(iter(dataset.to_dataloader(train=False, batch_size=6)))
    x["encoder_lengths"] = torch.tensor([12, 12, 9, 7, 6, 5])[: len(x["encoder_lengths"])].clamp(
        max=x["encoder_lengths"].max()
    )
    return x


def built(kind, **options):
    dataset = data()
    torch.manual_seed(0)
    return kind.from_dataset(dataset, hidden_size=8, log_interval=-1, **options), batch(dataset)


@pytest.mark.parametrize("name", ["RecurrentNetwork", "DeepAR"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_an_encoder_and_decoder_that_share_one_layer(name, cell, note, tmp_path):
    net, x = built(getattr(forecasting, name), cell_type=cell, rnn_layers=2)
    net.eval()
    trace = opened(f"pytorch-forecasting {name} ({cell})", net, lambda: net(x)["prediction"], note)
    encoder, *decoder = trace["rnn"].calls
    assert (
        encoder[1].lengths.tolist() == (x["encoder_lengths"] - 1).tolist()
    )  # its input is shifted by a step
    assert decoder
    writes_a_page(tmp_path, encoder)
    net.train()
    trains_the_same(net, lambda: net(x)["prediction"].square().mean())


def test_temporal_fusion_transformer_in_both_of_its_layers(note, tmp_path):
    net, x = built(forecasting.TemporalFusionTransformer)
    net.eval()
    trace = opened("pytorch-forecasting TFT", net, lambda: net(x)["prediction"], note)
    assert trace.paths == ["lstm_encoder", "lstm_decoder"]
    made = writes_a_page(tmp_path, trace, at="lstm_encoder", row=2)
    assert len(made.page.words) == int(trace["lstm_encoder"][0].lengths[2])
    read = gw.memory.readout(net, (x,), lambda out: out["prediction"][:, 0, 3], at="lstm_decoder")
    ones = torch.ones(8)
    pushed = gw.memory.push_ledger(read.traces[0], read.weights[0], ones)
    torch.testing.assert_close(
        (pushed.push.sum(0) + pushed.initial).double() + read.constant, read.value, atol=1e-5, rtol=0
    )
    flow = gw.memory.gradient_flow(net, (x,), lambda out: out["prediction"].sum())
    assert flow["lstm_encoder"][0].dc.abs().max() > 0
