"""Layer-wise relevance propagation through one LSTM or GRU over one sequence, message by message.

Written from Arras, Montavon, Müller & Samek 2017, section 3: `R_{i←j} = z_i w_ij / (z_j + ε sign z_j) R_j` for what is
linear, and of a product of a gate and a signal all to the signal.
"""

import numpy as np

from oracle.lstm import sigmoid
from oracle.parameters import Array, Params


def messages(lower: Array, weights: Array, upper: Array, relevance: Array, epsilon: float) -> Array:
    """The relevance of each lower neuron i, by the sum of the messages that it gets from every upper neuron j."""
    got = np.zeros_like(lower)
    for i in range(len(lower)):
        for j in range(len(upper)):
            sign = 1.0 if upper[j] >= 0 else -1.0
            got[i] += lower[i] * weights[j, i] / (upper[j] + epsilon * sign) * relevance[j]
    return got


def lstm_relevance(
    x: Array, h0: Array, c0: Array, p: Params, of_h: Array, epsilon: float
) -> tuple[Array, float]:
    """From relevances of h [T, H] that the head sends to those of x [T, I] and of both initial states together."""
    (w_i, w_f, w_g, w_o), (u_i, u_f, u_g, u_o) = np.split(p.w_ih, 4), np.split(p.w_hh, 4)
    b_i, b_f, b_g, b_o = np.split(p.b_ih + p.b_hh, 4)
    tape, h, c = [], h0, c0
    for x_t in x:
        i, f, o = (
            sigmoid(w @ x_t + u @ h + b) for w, u, b in ((w_i, u_i, b_i), (w_f, u_f, b_f), (w_o, u_o, b_o))
        )
        z = w_g @ x_t + u_g @ h + b_g
        new_c = f * c + i * np.tanh(z)
        tape.append((x_t, h, i * np.tanh(z), f * c, z, new_c))
        h, c = o * np.tanh(new_c), new_c
    of_x, r_h, r_c, one = np.zeros_like(x), np.zeros_like(h0), np.zeros_like(c0), np.eye(len(c0))
    for t in reversed(range(len(x))):
        x_t, old_h, written, kept, z, new_c = tape[t]
        r_c = r_c + of_h[t] + r_h
        r_g = messages(written, one, new_c, r_c, epsilon)
        r_c = messages(kept, one, new_c, r_c, epsilon)
        of_x[t] = messages(x_t, w_g, z, r_g, epsilon)
        r_h = messages(old_h, u_g, z, r_g, epsilon)
    return of_x, float(r_h.sum() + r_c.sum())


def gru_relevance(
    x: Array, h0: Array, p: Params, of_h: Array, epsilon: float, *, reset_after: bool
) -> tuple[Array, float]:
    """The same for a GRU: h = z⊙h' + (1-z)⊙n, and of r's product all goes to what it lets through."""
    (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(p.w_ih, 3), np.split(p.w_hh, 3)
    (b_r, b_z, b_n), (d_r, d_z, d_n) = np.split(p.b_ih, 3), np.split(p.b_hh, 3)
    tape, h = [], h0
    for x_t in x:
        r, z = (
            sigmoid(w @ x_t + b + u @ h + d) for w, b, u, d in ((w_r, b_r, u_r, d_r), (w_z, b_z, u_z, d_z))
        )
        inner = r * (u_n @ h + d_n) if reset_after else u_n @ (r * h) + d_n
        pre = w_n @ x_t + b_n + inner
        new_h = z * h + (1 - z) * np.tanh(pre)
        tape.append((x_t, h, r, z * h, (1 - z) * np.tanh(pre), pre, new_h))
        h = new_h
    of_x, r_h, one = np.zeros_like(x), np.zeros_like(h0), np.eye(len(h0))
    for t in reversed(range(len(x))):
        x_t, old_h, r, kept, written, pre, new_h = tape[t]
        r_h = r_h + of_h[t]
        r_n = messages(written, one, new_h, r_h, epsilon)
        r_kept = messages(kept, one, new_h, r_h, epsilon)
        of_x[t] = messages(x_t, w_n, pre, r_n, epsilon)
        through = (
            messages(old_h, r[:, None] * u_n, pre, r_n, epsilon)
            if reset_after
            else messages(r * old_h, u_n, pre, r_n, epsilon)
        )
        r_h = r_kept + through
    return of_x, float(r_h.sum())
