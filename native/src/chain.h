// Layers over one another, each packed once, run one step at a time by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dispatch.h"

namespace gatewise {

// Rows of x or of an output, [T, B, *]: where they start and how many elements lie between steps and between rows.
struct Frames {
  const void *start;
  std::int64_t t, b;
};

// The states lie in the caller's memory, each of them twice: a step reads one copy, `turn` says which, and writes the other.
class Chain {
 public:
  // One more layer: reads the output of the layer before it, [B, P] of that one. The problem has T = 1, its matrices are
  // packed here, all else that it points to must outlive the chain. One copy of its states lies at h0 and c0, the other at
  // h_n and c_n.
  void add(const Problem &problem);

  // One step for each of T frames of x; the last layer's h goes to `out`, which may lie where x does when T = 1.
  void run(const Frames &x, const Frames &out, std::int64_t T);

  int turn() const { return turn_; }
  // Multiplications of one step.
  std::int64_t work() const { return work_; }

 private:
  struct Layer {
    Problem problem;
    std::vector<Row> rows;
    std::unique_ptr<Stream> stream;
    void *h[2], *c[2];
  };
  void step(const char *x, std::int64_t x_b, char *out, std::int64_t out_b);

  std::vector<Layer> layers_;
  std::int64_t work_ = 0;
  int turn_ = 0;
};

}  // namespace gatewise
