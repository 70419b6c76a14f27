"""Gradients through time: recursion and Jacobians, the lag profile and its highway part, the weights' gradients."""

from functools import cache

import numpy as np
import torch
from identities_of_answers import pooled_weights
from identity_cases import KINDS, B, Case, H, Seen, T, World
from identity_list import PARTS, identity
from oracle import CELLS, Gradients, run_backward
from variant_cases import PARAMETERS

from gatewise.memory import gradient_flow

PART = PARTS[3]
PLAIN = (
    "LSTM", "LSTM of one layer", "LSTM, projected", "GRU", "GRU, reset before", "RNN", "RNN, ReLU",
    "torch.nn.LSTM", "torch.nn.LSTM, projected", "torch.nn.GRU", "torch.nn.RNN",
)  # fmt: skip
LSTMS, GRUS, RNNS = (tuple(name for name in PLAIN if cell in name) for cell in ("LSTM", "GRU", "RNN"))
FLOAT32 = 1e-5
POOLING = "last"  # all that is lost on the way back shows; the loss is Σ y²


def back(of_cell: Seen, made, direct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dL/dh_t [T, B, P] and, of an LSTM, dL/dc_t [T, B, H], the total ones, from dL/dh_t by what reads it outside.

    By the oracle's backward step, whose own tests are central differences.
    """
    dh, dc = np.zeros(direct.shape[1:]), np.zeros((B, H))
    of_h, of_c = np.zeros(direct.shape), np.zeros((T, B, H))
    cell = CELLS[of_cell.cell]
    for (t, rows, happened), (_, step) in zip(
        reversed(made.tape.steps), reversed(made.tape.entries), strict=True
    ):
        dh[rows] += direct[t, rows]
        of_h[t, rows] = dh[rows]
        if cell.has_c:
            read = dh[rows] if of_cell.params.w_hr is None else dh[rows] @ of_cell.params.w_hr
            of_c[t, rows] = dc[rows] + read * happened["o"] * (1 - happened["tanh_c"] ** 2)
        found = cell.backward(happened, of_cell.params, dh[rows], dc[rows] if cell.has_c else None, step)
        dh[rows] = found.h
        if cell.has_c:
            dc[rows] = found.c
    return of_h, of_c


@cache
def of_states(world: World) -> dict[tuple[int, bool], tuple[np.ndarray, np.ndarray, np.ndarray, Gradients]]:
    """By layer and direction: dL/dh_t by what reads it outside, dL/dh_t, dL/dc_t, and the gradients of the weights."""
    weights = [pooled_weights(seen, POOLING) * v for seen, v in zip(world.top, world.v, strict=True)]
    answer = world.bias + sum((w * seen.h).sum((0, 2)) for w, seen in zip(weights, world.top, strict=True))
    direct = [w * 2 * answer[:, None] for w in weights]
    found = {}
    for layer in reversed(range(world.layers)):
        below = np.zeros(0)
        for d in (False, True):
            made = world.run.runs[2 * layer + d]
            gradients = run_backward(made.tape, direct[d], np.zeros_like(made.h_n))
            found[layer, d] = (direct[d], *back(world.seen[layer, d], made, direct[d]), gradients)
            below = below + gradients.x if d else gradients.x
        direct = np.split(below, 2, axis=-1)
    return found


def flows(case: Case):
    """Every layer and direction: the flow of the package, what the oracle saw, and its gradients."""
    flow = gradient_flow(case.with_pooling(POOLING), case.inputs, lambda y: y.pow(2).sum())
    for (layer, reverse), seen in case.world.seen.items():
        key = (layer, "reverse") if reverse else layer
        yield flow["rnn"][key], seen, of_states(case.world)[layer, reverse]


def next_step(seen: Seen, values: np.ndarray) -> np.ndarray:
    """values[t + 1] at t in the order of processing, 0 after a row's last step."""
    found = np.zeros_like(values)
    for row in range(B):
        order = seen.order(row)
        found[order[:-1], row] = values[order[1:], row]
    return found


def slopes(gate: np.ndarray) -> np.ndarray:
    return gate * (1 - gate)


@identity(
    PART,
    "gradients by every state",
    "dL/dh_t and dL/dc_t at every step of every layer, of a loss on the last states",
    "memory.gradient_flow",
    PLAIN,
    also=["memory/test_gradient_flow.py"],
    float32=FLOAT32,
)
def by_every_state(case: Case):
    for lf, seen, (_, of_h, of_c, _) in flows(case):
        yield lf.dh, of_h
        if seen.cell == "lstm":
            yield lf.dc, of_c


@identity(
    PART,
    "recursion of an LSTM",
    "dc_t = dc_{t+1}⊙f_{t+1} + dh_t⊙o_t⊙(1-tanh² c_t), da_o = dh⊙tanh(c)⊙o', da_f = dc⊙c_{t-1}⊙f', da_i = dc⊙g⊙i', "
    "da_g = dc⊙i⊙g', dh_{t-1} = direct + Uᵀ[da_i; da_f; da_g; da_o]",
    "memory.gradient_flow",
    LSTMS,
    float32=FLOAT32,
)
def recursion(case: Case):
    for lf, seen, (direct, *_) in flows(case):
        g, p = seen.gates, seen.params
        dh, dc, tanh = lf.dh.numpy(), lf.dc.numpy(), np.tanh(seen.c)
        read = dh if p.w_hr is None else dh @ p.w_hr
        da = [
            dc * g["g"] * slopes(g["i"]),
            dc * seen.before("c") * slopes(g["f"]),
            dc * g["i"] * (1 - g["g"] ** 2),
            read * tanh * slopes(g["o"]),
        ]
        yield dc, next_step(seen, dc * g["f"]) + read * g["o"] * (1 - tanh**2)
        yield dh, direct + next_step(seen, np.concatenate(da, axis=-1) @ p.w_hh)


def jacobian_of_gru(seen: Seen) -> np.ndarray:
    """dh_t/dh_{t-1}, [T, B, H, H]."""
    r, z, n, old = seen.gates["r"], seen.gates["z"], seen.gates["n"], seen.before("h")
    u_r, u_z, u_n = np.split(seen.params.w_hh, 3)
    b_n = np.split(seen.params.b_hh, 3)[2]
    through_z = ((old - n) * slopes(z))[..., None] * u_z
    if seen.cell == "gru":
        inner = r[..., None] * u_n + ((old @ u_n.T + b_n) * slopes(r))[..., None] * u_r
    else:
        inner = u_n * r[..., None, :] + u_n @ ((old * slopes(r))[..., None] * u_r)
    through_n = ((1 - z) * (1 - n**2))[..., None] * inner
    return z[..., None] * np.eye(H) + through_z + through_n


def jacobian_of_rnn(seen: Seen) -> np.ndarray:
    slope = 1 - seen.h**2 if seen.cell == "rnn_tanh" else (seen.h > 0).astype(float)
    return slope[..., None] * seen.params.w_hh


def _by_jacobians(case: Case, jacobian):
    for lf, seen, (direct, *_) in flows(case):
        dh = lf.dh.numpy()
        yield dh, direct + next_step(seen, np.einsum("tbi,tbij->tbj", dh, jacobian(seen)))


@identity(
    PART,
    "Jacobian of a GRU",
    "J = diag z + diag((h_{t-1}-n) z')U_z + diag((1-z)(1-n²))[diag(r)U_n + diag((U_n h_{t-1}+b'_n) r')U_r], "
    "dh_{t-1} = direct + Jᵀdh_t; reset before: U_n[diag(r) + diag(h_{t-1} r')U_r] in the brackets",
    "memory.gradient_flow",
    GRUS,
    float32=FLOAT32,
)
def of_gru(case: Case):
    return _by_jacobians(case, jacobian_of_gru)


@identity(
    PART,
    "Jacobian of a plain RNN",
    "J_t = diag(1-h_t²)U, of ReLU diag(h_t > 0)U; dh_{t-1} = direct + Jᵀdh_t",
    "memory.gradient_flow",
    RNNS,
    float32=FLOAT32,
)
def of_rnn(case: Case):
    return _by_jacobians(case, jacobian_of_rnn)


def profile(seen: Seen, gradient: np.ndarray) -> np.ndarray:
    """G(k) = mean_b ‖·_{T-k}‖ over the rows that have such a lag."""
    found = []
    for lag in range(T):
        at = [(seen.order(row)[-1 - lag], row) for row, n in enumerate(seen.lengths) if n > lag]
        found.append(np.mean([np.linalg.norm(gradient[t, row]) for t, row in at]))
    return np.array(found)


@identity(
    PART,
    "lag profile",
    "G(k) = mean_batch ‖dL/dh_{T-k}‖, likewise of c",
    "LayerFlow.profile",
    PLAIN,
    also=["memory/test_gradient_flow.py"],
    float32=FLOAT32,
)
def lags(case: Case):
    for lf, seen, (_, of_h, of_c, _) in flows(case):
        yield lf.profile("h"), profile(seen, of_h)
        if seen.cell == "lstm":
            yield lf.profile("c"), profile(seen, of_c)


@identity(
    PART,
    "the highway's part",
    "Σ_{t≥s} R[t,s]⊙direct_t⊙o_t⊙(1-tanh² c_t); GRU: Σ R[t,s]⊙direct_t",
    'LayerFlow.highway, profile("highway")',
    LSTMS + GRUS,
    also=["memory/test_gradient_flow.py"],
    float32=FLOAT32,
)
def highway(case: Case):
    for lf, seen, (direct, *_) in flows(case):
        q = direct
        if seen.cell == "lstm":
            read = direct if seen.params.w_hr is None else direct @ seen.params.w_hr
            q = read * seen.gates["o"] * (1 - np.tanh(seen.c) ** 2)
        expected = np.einsum("tbh,tsbh->sbh", q, seen.kept[0])
        yield lf.highway, expected
        yield lf.profile("highway"), profile(seen, expected)


@identity(
    PART,
    "autograd on the output sees the direct path alone",
    "∂L/∂output of a loss on the last states is 0 at all other steps",
    "layers",
    PLAIN,
    float32=FLOAT32,
)
def direct_alone(case: Case):
    model, kept = case.with_pooling(POOLING), []

    hook = model.rnn.register_forward_hook(
        lambda module, args, result: kept.append(
            result[0] if isinstance(result[0], torch.Tensor) else result[0].data
        )
    )
    loss = model(*case.inputs).pow(2).sum()
    hook.remove()
    (found,) = torch.autograd.grad(loss, kept)
    if found.dim() == 3:  # a packed sequence of torch.nn has steps and rows in one axis
        top = case.world.layers - 1
        direct = [of_states(case.world)[top, d][0] for d in (False, True)]
        yield found, np.concatenate(direct, axis=-1)
        steps = (found != 0).any(-1).sum(0)
        yield steps.double(), [2.0 if n > 1 else float(n) for n in case.world.lengths.tolist()]
    else:
        read = len(case.world.lengths) + sum(n > 1 for n in case.world.lengths.tolist())
        yield int((found != 0).any(-1).sum()), read


@identity(
    PART,
    "gradients of the weights",
    "dL/dW = Σ_t da_t x_tᵀ, dL/dU = Σ_t da_t h_{t-1}ᵀ, dL/db = Σ_t da_t, in training, with every variant and its masks",
    "kernels.sweep",
    tuple(name for name in KINDS if not name.startswith("torch.nn")),
    also=["contract/test_contract_values.py", "contract/test_contract_gradcheck.py"],
    float32=FLOAT32,
)
def of_weights(case: Case):
    model = case.with_pooling(POOLING)
    torch.manual_seed(5)
    parameters = dict(model.rnn.named_parameters())
    found = torch.autograd.grad(model(*case.inputs).pow(2).sum(), list(parameters.values()))
    by_name = dict(zip(parameters, found, strict=True))
    for (layer, reverse), (*_, gradients) in of_states(case.world).items():
        end = f"_l{layer}" + ("_reverse" if reverse else "")
        for name, expected in zip(PARAMETERS, gradients.params, strict=True):
            if expected is not None:
                yield by_name[name + end], expected
