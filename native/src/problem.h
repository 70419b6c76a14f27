// What one call of a kernel works on: sizes, addresses, strides, options. The same for every instruction set.
//
// Addresses are of `double` elements when `is_double`, else of `float`; strides count elements. Everything but x, h_seq,
// dh_seq and resets is contiguous. An address of something that does not exist, or is not wanted, is null.
#pragma once

#include <cstdint>

namespace gatewise {

enum class Cell : int { lstm, gru, gru_reset_before, rnn_tanh, rnn_relu };

struct Problem {
  int cell = 0;
  bool is_double = false;
  std::int64_t T = 0, B = 0, I = 0, H = 0, P = 0;  // steps, rows, inputs, units, outputs (P = H without a projection)
  bool reverse = false;
  int threads = 1;

  const void *x = nullptr;  // [T, B, I]
  std::int64_t x_t = 0, x_b = 0;
  const void *h0 = nullptr, *c0 = nullptr;    // [B, P], [B, H]
  const std::int64_t *lengths = nullptr;      // [B]
  const unsigned char *resets = nullptr;      // [T, B]
  std::int64_t resets_t = 0, resets_b = 0;
  const void *w_ih = nullptr, *w_hh = nullptr, *b_ih = nullptr, *b_hh = nullptr, *w_hr = nullptr;
  const void *peephole = nullptr;                                        // [3H] or, coupled, [2H]
  const void *norm_ih = nullptr, *norm_hh = nullptr;                     // [G*H]
  const void *norm_c = nullptr, *norm_c_bias = nullptr;                  // [H]

  bool coupled = false;
  double zoneout_c = 0, zoneout_h = 0, dropout_g = 0, dropout_h = 0;
  bool random = false;  // draw masks from `seed`; else zoneout takes its expectation and dropout is off
  std::uint64_t seed = 0;

  void *h_seq = nullptr;  // [T, B, P]
  std::int64_t h_seq_t = 0, h_seq_b = 0;
  void *h_n = nullptr, *c_n = nullptr;        // [B, P], [B, H]
  void *c_seq = nullptr, *reserve = nullptr;  // [T, B, H], [T, B, G*H]
  void *workspace = nullptr;                  // what else the backward pass reads, see each cell

  const void *dh_seq = nullptr;  // [T, B, P]
  std::int64_t dh_seq_t = 0, dh_seq_b = 0;
  const void *dc_seq = nullptr, *dh_n = nullptr, *dc_n = nullptr;
  void *dx = nullptr, *dh0 = nullptr, *dc0 = nullptr;
  void *dw_ih = nullptr, *dw_hh = nullptr, *db_ih = nullptr, *db_hh = nullptr, *dw_hr = nullptr;
  void *dpeephole = nullptr, *dnorm_ih = nullptr, *dnorm_hh = nullptr, *dnorm_c = nullptr, *dnorm_c_bias = nullptr;
};

}  // namespace gatewise
