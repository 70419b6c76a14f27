"""Darts: its forecasters' Lightning modules, trained and asked through its own API."""

import numpy as np
from opened_models import assert_same, needed, opened, trains_the_same, writes_a_page

import gatewise as gw

darts = needed("darts")
models = needed("darts.models")

TRAINER = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
}
SHARED = {
    "input_chunk_length": 12,
    "hidden_dim": 8,
    "random_state": 0,
    "n_epochs": 1,
    "pl_trainer_kwargs": TRAINER,
}


def waves():
    values = np.sin(np.arange(60) * 0.4).astype(np.float32)
    return darts.TimeSeries.from_values(values[:, None])


def test_rnn_model_forecasts_step_by_step(note, tmp_path):
    model = models.RNNModel(model="LSTM", training_length=20, **SHARED)
    model.fit(waves())
    trace = opened("darts RNNModel (LSTM)", model.model, lambda: model.predict(5).values(), note)
    # 12 steps of history in one call, then a call for each further step, from the state of the one before.
    assert [len(call[0].h) for call in trace["rnn"].calls] == [12, 1, 1, 1, 1]
    joined = trace["rnn"].concat()
    assert len(joined[0].h) == 16 and gw.memory.ledger(joined[0]).residual <= 1e-6
    made = writes_a_page(tmp_path, joined, labels=[f"step {t}" for t in range(16)])
    assert len(made.page.words) == 16


def test_block_rnn_model_is_explained_to_its_forecast(note, tmp_path):
    model = models.BlockRNNModel(model="GRU", output_chunk_length=4, n_rnn_layers=2, dropout=0.2, **SHARED)
    model.fit(waves())
    net = model.model
    opened("darts BlockRNNModel (GRU, 2 layers)", net, lambda: model.predict(4).values(), note)
    given = []  # what Darts itself hands to the module
    hook = net.register_forward_pre_hook(lambda module, args: given.append(args))
    model.predict(4)
    hook.remove()
    batch = given[0]

    def first_forecast(out):  # [B, 4, 1, 1]
        return out.prediction[:, 0, 0, 0]

    net.eval()
    read = gw.memory.readout(net, batch, first_forecast)
    made = writes_a_page(tmp_path, read)
    assert (
        abs(sum(value for name, value in made.page.terms if name != "answer") - float(read.value[0])) <= 1e-5
    )
    net.train()
    trains_the_same(net, lambda: net(*batch).prediction.square().mean())


def test_a_training_goes_the_same_way_while_it_is_recorded():
    def trained(recorded):
        model = models.RNNModel(model="GRU", training_length=20, **SHARED)
        model.fit(waves())
        if recorded:
            with gw.record(model.model) as trace:
                model.fit(waves(), epochs=2)
            assert trace["rnn"].calls
        else:
            model.fit(waves(), epochs=2)
        return model.model.state_dict()

    assert_same(trained(False), trained(True))
