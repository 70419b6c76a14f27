#include "chain.h"

#include <cstring>

#include "threads.h"

namespace gatewise {

void Chain::add(const Problem &problem) {
  Layer layer{problem, plan_rows(problem), nullptr, {const_cast<void *>(problem.h0), problem.h_n},
              {const_cast<void *>(problem.c0), problem.c_n}};
  layer.problem.h_seq = problem.h_n, layer.problem.h_seq_b = problem.P;
  layer.problem.c_seq = problem.c_n;
  layer.stream.reset(kernels().stream(layer.problem, layer.rows.data()));
  work_ += problem.B * problem.H * (problem.I + problem.P);
  layers_.push_back(std::move(layer));
}

void Chain::step(const char *x, std::int64_t x_b, char *out, std::int64_t out_b) {
  const int from = turn_, to = 1 - turn_;
  const void *in = x;
  std::int64_t in_b = x_b;
  for (const Layer &layer : layers_) {
    layer.stream->step(in, in_b, layer.h[from], layer.c[from], layer.h[to], layer.c[to]);
    in = layer.h[to], in_b = layer.problem.P;
  }
  turn_ = to;
  const Problem &last = layers_.back().problem;
  const std::int64_t size = last.is_double ? sizeof(double) : sizeof(float);
  for (std::int64_t b = 0; b < last.B; ++b)
    std::memcpy(out + b * out_b * size, static_cast<const char *>(in) + b * last.P * size, static_cast<std::size_t>(last.P * size));
}

void Chain::run(const Frames &x, const Frames &out, std::int64_t T) {
  struct Work {
    Chain *chain;
    const Frames &x, &out;
    std::int64_t T, size;
  } work{this, x, out, T, static_cast<std::int64_t>(layers_.back().problem.is_double ? sizeof(double) : sizeof(float))};
  run_team(1, [](void *data, const Team &) {
    const Work &w = *static_cast<Work *>(data);
    const char *from = static_cast<const char *>(w.x.start);
    char *to = static_cast<char *>(const_cast<void *>(w.out.start));
    for (std::int64_t t = 0; t < w.T; ++t)
      w.chain->step(from + t * w.x.t * w.size, w.x.b, to + t * w.out.t * w.size, w.out.b);
  }, &work);
}

}  // namespace gatewise
