"""TorchRL: its LSTM module, which cuts trajectories where they begin anew."""

import torch
from opened_models import needed, opened, trains_the_same, writes_a_page

modules = needed("torchrl.modules")
tensordict = needed("tensordict")


def test_trajectories_are_cut_where_they_begin(note, tmp_path):
    torch.manual_seed(0)
    net = modules.LSTMModule(
        input_size=3, hidden_size=8, in_key="seen", out_key="read", default_recurrent_mode=True
    )
    begins = torch.zeros(2, 9, 1, dtype=torch.bool)
    begins[:, 0] = begins[1, 4] = True
    rollout = tensordict.TensorDict(
        {
            "seen": torch.randn(2, 9, 3),
            "is_init": begins,
            "recurrent_state_h": torch.zeros(2, 9, 1, 8),
            "recurrent_state_c": torch.zeros(2, 9, 1, 8),
        },
        batch_size=[2, 9],
    )
    trace = opened("torchrl LSTMModule", net, lambda: net(rollout.clone())["read"], note)
    lt = trace["lstm"][0]
    assert lt.h.shape[1] == 3  # three trajectories, of 9, 4 and 5 steps, a row each
    writes_a_page(tmp_path, trace, row=0)
    trains_the_same(net, lambda: net(rollout.clone())["read"].square().mean())
