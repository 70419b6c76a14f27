"""NeuralForecast: its models, fitted and asked through its own API."""

import numpy as np
import pytest
import torch
from opened_models import needed, opened, writes_a_page

import gatewise as gw

neuralforecast = needed("neuralforecast")
models = needed("neuralforecast.models")
pandas = needed("pandas")

SHARED = {
    "h": 4,
    "input_size": 16,
    "max_steps": 2,
    "batch_size": 2,
    "windows_batch_size": 4,
    "random_seed": 0,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
}


def fitted(model):
    values = np.sin(np.arange(120) * 0.4)
    days = np.tile(np.arange(60), 2)
    table = pandas.DataFrame({"unique_id": np.repeat(["a", "b"], 60), "ds": days, "y": values})
    forecast = neuralforecast.NeuralForecast(models=[model], freq=1)
    forecast.fit(table)
    return forecast, forecast.models[0]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"encoder_hidden_size": 8, "decoder_hidden_size": 8}),
        ("GRU", {"encoder_hidden_size": 8, "decoder_hidden_size": 8}),
        ("RNN", {"encoder_hidden_size": 8, "decoder_hidden_size": 8}),
    ],
)
def test_an_encoder_of_two_layers(kind, options, note, tmp_path):
    forecast, net = fitted(getattr(models, kind)(**options, **SHARED))
    trace = opened(f"neuralforecast {kind}", net, lambda: forecast.predict()[kind].to_numpy(), note)
    assert len(trace["hist_encoder"].calls) == 1
    writes_a_page(tmp_path, trace)


def test_deepar_feeds_its_samples_back(note, tmp_path):
    forecast, net = fitted(models.DeepAR(lstm_hidden_size=8, **SHARED))

    def run():
        np.random.seed(3)
        torch.manual_seed(3)
        return forecast.predict()["DeepAR"].to_numpy()

    trace = opened("neuralforecast DeepAR", net, run, note)
    calls = trace["hist_encoder"].calls
    assert len(calls) > 1 and all(len(call[0].h) == 1 for call in calls[1:])
    writes_a_page(tmp_path, calls[0])


def test_dilated_rnn_has_a_trace_for_each_dilation(note, tmp_path):
    forecast, net = fitted(models.DilatedRNN(encoder_hidden_size=8, **SHARED))
    trace = opened(
        "neuralforecast DilatedRNN", net, lambda: forecast.predict()["DilatedRNN"].to_numpy(), note
    )
    steps = [len(trace[path][0].h) for path in trace.paths]
    rows = [trace[path][0].h.shape[1] for path in trace.paths]
    assert steps == [16, 8, 4, 2] and rows == [2, 4, 8, 16]
    writes_a_page(tmp_path, trace, at=trace.paths[-1])
    assert all(gw.memory.time_constants(lt).isfinite().all() for lt in trace.layers())
