// One layer in one direction, with all that it reads and writes in heap blocks of exactly the size that they need: the
// address sanitizer sees an access of one element beside them. Written in full or not is seen by NaN.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "chain.h"

struct Variant {
  const char *name = nullptr;
  bool norm = false, peephole = false, coupled = false;
  double zoneout_c = 0, zoneout_h = 0, dropout_g = 0, dropout_h = 0;
};

struct Shape {
  long T, B, I, H, P;
};

struct Example {
  gatewise::Cell cell{};
  bool projected = false;
  Variant variant{};
  Shape shape{};
  bool bias = false, ragged = false, resets = false, reverse = false, random = false, strided = false;
  int threads = 1;
};

// Blocks of T, of exactly n elements; null for none, as for what does not exist.
template <class T> class Memory {
 public:
  explicit Memory(unsigned seed) : random_(seed) {}
  T *filled(long n, T low, T high) {
    T *block = blank(n);
    std::uniform_real_distribution<T> draw(low, high);
    for (long j = 0; j < n; ++j) block[j] = draw(random_);
    return block;
  }
  T *blank(long n) {
    if (n == 0) return nullptr;
    blocks_.push_back(std::make_unique<T[]>(static_cast<std::size_t>(n)));
    for (long j = 0; j < n; ++j) blocks_.back()[j] = std::numeric_limits<T>::quiet_NaN();
    return blocks_.back().get();
  }
  // What has to be numbers in the end.
  void *output(const char *name, long n) {
    outputs_.push_back({name, blank(n), n});
    return outputs_.back().data;
  }
  // The name of an output that is not, null where all are.
  const char *unwritten() const {
    for (const Output &o : outputs_)
      for (long j = 0; j < o.size; ++j)
        if (!std::isfinite(o.data[j])) return o.name;
    return nullptr;
  }
  std::mt19937 &random() { return random_; }

 private:
  struct Output {
    const char *name;
    T *data;
    long size;
  };
  std::mt19937 random_;
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<Output> outputs_;
};

template <class T> class Run {
 public:
  Run(const Example &given, unsigned seed) : example(given), memory(seed) { inputs(), weights(); }

  void forward(bool train) {
    const auto [T_, B, I, H, P] = example.shape;
    const long h_b = example.strided ? P + 3 : P;  // the rows of h_seq may lie apart
    p.h_seq = T_ * B > 0 ? memory.blank((T_ * B - 1) * h_b + P) : nullptr, p.h_seq_b = h_b, p.h_seq_t = B * h_b;
    p.h_n = memory.output("h_n", B * P);
    p.c_n = has_c() ? memory.output("c_n", B * H) : nullptr;
    p.c_seq = train && has_c() ? memory.output("c_seq", T_ * B * H) : nullptr;
    p.reserve = train && !is_rnn() ? memory.output("reserve", T_ * B * gates() * H) : nullptr;
    p.workspace = train ? memory.output("workspace", T_ * B * workspace_row()) : nullptr;
    gatewise::kernels().forward(p, rows.data());
  }

  void backward(bool need_dx) {
    const auto [T_, B, I, H, P] = example.shape;
    p.dh_seq = sequence(P, p.dh_seq_t, p.dh_seq_b);
    p.dc_seq = has_c() ? padded(memory.filled(T_ * B * H, -1, 1), B * H, H, H) : nullptr;
    p.dh_n = memory.filled(B * P, -1, 1);
    p.dc_n = has_c() ? memory.filled(B * H, -1, 1) : nullptr;
    p.dx = need_dx ? memory.output("dx", T_ * B * I) : nullptr;
    p.dh0 = memory.output("dh0", B * P);
    p.dc0 = has_c() ? memory.output("dc0", B * H) : nullptr;
    auto like = [&](const char *name, const void *given, long n) { return given ? memory.output(name, n) : nullptr; };
    const long G = gates();
    p.dw_ih = like("dw_ih", p.w_ih, G * H * I), p.dw_hh = like("dw_hh", p.w_hh, G * H * P), p.dw_hr = like("dw_hr", p.w_hr, P * H);
    p.db_ih = like("db_ih", p.b_ih, G * H), p.db_hh = like("db_hh", p.b_hh, G * H), p.dpeephole = like("dpeephole", p.peephole, (G - 1) * H);
    p.dnorm_ih = like("dnorm_ih", p.norm_ih, G * H), p.dnorm_hh = like("dnorm_hh", p.norm_hh, G * H);
    p.dnorm_c = like("dnorm_c", p.norm_c, H), p.dnorm_c_bias = like("dnorm_c_bias", p.norm_c_bias, H);
    gatewise::kernels().backward(p, rows.data());
  }

  // Single steps, in two runs; the rows of x and of the output lie apart.
  void stream() {
    const auto [T_, B, I, H, P] = example.shape;
    constexpr long kSteps = 3;
    const long x_b = example.strided ? I + 2 : I, out_b = example.strided ? P + 1 : P;
    p.T = 1, p.lengths = nullptr, p.resets = nullptr, p.random = false, p.reverse = false;
    p.h_n = memory.output("h", B * P), p.c_n = has_c() ? memory.output("c", B * H) : nullptr;
    gatewise::Chain chain;
    chain.add(p);
    for (long start = 0; B > 0 && start < 2; ++start) {
      const T *x = memory.filled((kSteps * B - 1) * x_b + I, -1, 1);
      T *out = memory.blank((kSteps * B - 1) * out_b + P);
      chain.run({x, B * x_b, x_b}, {out, B * out_b, out_b}, kSteps);
      for (long row = 0; row < kSteps * B; ++row)
        for (long j = 0; j < P; ++j)
          if (!std::isfinite(out[row * out_b + j])) step_unwritten = true;
    }
  }

  const char *unwritten() const {
    if (step_unwritten) return "out";
    const T *h = static_cast<const T *>(p.h_seq);
    for (long row = 0; h && row < example.shape.T * example.shape.B; ++row)
      for (long j = 0; j < example.shape.P; ++j)
        if (!std::isfinite(h[row * p.h_seq_b + j])) return "h_seq";
    return memory.unwritten();
  }

 private:
  bool has_c() const { return example.cell == gatewise::Cell::lstm; }
  bool is_rnn() const { return example.cell >= gatewise::Cell::rnn_tanh; }
  long gates() const { return has_c() ? (example.variant.coupled ? 3 : 4) : is_rnn() ? 1 : 3; }
  long workspace_row() const {
    if (example.cell == gatewise::Cell::gru) return example.shape.H;
    return example.variant.norm ? 2 * gates() * example.shape.H + 2 : 0;
  }

  void inputs() {
    const auto [T_, B, I, H, P] = example.shape;
    p.cell = static_cast<int>(example.cell), p.is_double = sizeof(T) == 8;
    p.T = T_, p.B = B, p.I = I, p.H = H, p.P = P;
    p.reverse = example.reverse, p.threads = example.threads;
    if (example.ragged) {
      for (long b = 0; b < B; ++b) lengths.push_back(static_cast<std::int64_t>(memory.random()() % static_cast<unsigned>(T_ + 1)));
      lengths.shrink_to_fit();
      p.lengths = lengths.data();
    }
    p.x = sequence(I, p.x_t, p.x_b);
    p.h0 = memory.filled(B * P, -1, 1);
    p.c0 = has_c() ? memory.filled(B * H, -1, 1) : nullptr;
    if (example.resets && T_ * B > 0) {
      resets = std::make_unique<unsigned char[]>(static_cast<std::size_t>(T_ * B));
      for (long j = 0; j < T_ * B; ++j) resets[j] = memory.random()() % 4 == 0;
      p.resets = resets.get(), p.resets_t = example.strided ? 1 : B, p.resets_b = example.strided ? T_ : 1;
    }
    rows = gatewise::plan_rows(p);
  }

  void weights() {
    const auto [T_, B, I, H, P] = example.shape;
    const Variant &v = example.variant;
    const long G = gates();
    const T bound = T(1) / std::sqrt(static_cast<T>(H));
    auto weight = [&](bool exists, long n) { return exists ? memory.filled(n, -bound, bound) : nullptr; };
    p.w_ih = weight(true, G * H * I), p.w_hh = weight(true, G * H * P);
    p.b_ih = weight(example.bias, G * H), p.b_hh = weight(example.bias, G * H);
    p.w_hr = weight(example.projected, P * H);
    p.peephole = weight(v.peephole, (G - 1) * H);
    p.norm_ih = weight(v.norm, G * H), p.norm_hh = weight(v.norm, G * H);
    p.norm_c = weight(v.norm, H), p.norm_c_bias = weight(v.norm && example.bias, H);
    p.coupled = v.coupled, p.zoneout_c = v.zoneout_c, p.zoneout_h = v.zoneout_h;
    p.dropout_g = v.dropout_g, p.dropout_h = v.dropout_h;
    p.random = example.random, p.seed = 20001;
  }

  // [T, B, n]; strided, the rows of the batch lie first and apart. The block ends with the last element.
  T *sequence(long n, std::int64_t &of_t, std::int64_t &of_b) {
    const auto [T_, B, I, H, P] = example.shape;
    of_t = example.strided ? n + 1 : B * n, of_b = example.strided ? T_ * (n + 1) : n;
    return T_ * B > 0 ? padded(memory.filled((T_ - 1) * of_t + (B - 1) * of_b + n, -1, 1), of_t, of_b, n) : nullptr;
  }
  // What lies beyond the lengths is never read.
  T *padded(T *data, long of_t, long of_b, long n) {
    for (const gatewise::Row &row : rows_of_lengths())
      for (long t = row.length; t < example.shape.T; ++t)
        for (long j = 0; j < n; ++j) data[t * of_t + row.id * of_b + j] = std::numeric_limits<T>::quiet_NaN();
    return data;
  }
  std::vector<gatewise::Row> rows_of_lengths() const { return gatewise::plan_rows(p); }

  Example example;
  Memory<T> memory;
  bool step_unwritten = false;
  gatewise::Problem p;
  std::vector<gatewise::Row> rows;
  std::vector<std::int64_t> lengths;
  std::unique_ptr<unsigned char[]> resets;
};
