// What an instruction set offers. One table for each, made by kernels.cpp.
#pragma once

#include "plan.h"
#include "problem.h"

namespace gatewise {

// A layer in one direction, packed once, run one step at a time by one thread.
class Stream {
 public:
  virtual ~Stream() = default;
  // x [B, I] with rows x_b apart, h and c [B, P] and [B, H] before the step; h_out and c_out must not overlap them.
  virtual void step(const void *x, std::int64_t x_b, const void *h, const void *c, void *h_out, void *c_out) = 0;
};

struct Kernels {
  const char *name;
  void (*forward)(const Problem &problem, const Row *rows);
  void (*backward)(const Problem &problem, const Row *rows);
  // For T = 1; packs the matrices. `rows` and the vectors must outlive it.
  Stream *(*stream)(const Problem &problem, const Row *rows);
  void (*drop_weights)(std::uint64_t seed, double p, std::int64_t rows, std::int64_t columns, float *out);
  // Each row of logits becomes softmax(row + bias) less 1 at its target; losses: -log of the softmax there. Float or double.
  void (*softmax_loss)(bool is_double, void *logits, const void *bias, std::int64_t rows, std::int64_t columns,
                       const std::int64_t *targets, void *losses, int threads);
};

}  // namespace gatewise
