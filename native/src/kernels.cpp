// All kernels for one instruction set: this file is compiled once for each, with GATEWISE_ISA as its name.
#include "kernels.h"

#include "gru.h"
#include "lstm.h"
#include "lstm_backward.h"
#include "rnn.h"
#include "softmax.h"

namespace gatewise::GATEWISE_ISA {
namespace {

// Whether the workers divide the units, so that each keeps its share of the weights in its own cache, or the rows.
// Layer norm needs whole rows.
bool divides_units(const Problem &p, long gate_rows) {
  if (p.threads <= 1 || p.norm_ih) return false;
  const long bytes = gate_rows * p.P * static_cast<long>(p.is_double ? 8 : 4);
  if (blocks(p.H, 4 * (p.is_double ? kLanes<double> : kLanes<float>)) < p.threads) return false;
  return p.B < p.threads || bytes > (1L << 20);
}

long gate_rows_of(const Problem &p) {
  switch (static_cast<Cell>(p.cell)) {
    case Cell::lstm: return (p.coupled ? 3 : 4) * p.H;
    case Cell::gru:
    case Cell::gru_reset_before: return 3 * p.H;
    default: return p.H;
  }
}

template <class Run> void on_team(int threads, Run &run) {
  run_team(threads, [](void *data, const Team &team) { static_cast<Run *>(data)->run(team); }, &run);
}

template <template <class> class Cell, class T> void run_forward(const Problem &p, const Row *rows, bool by_units) {
  Scratch scratch;
  Cell<T> cell(p, rows, by_units, scratch);
  on_team(p.threads, cell);
}

template <template <class> class Cell, class T> void run_backward(const Problem &p, const Row *rows, bool by_units) {
  Scratch scratch;
  Cell<T> cell(p, rows, by_units, p.threads, scratch);
  on_team(p.threads, cell);
}

// Threads that a call is worth: waking a second one takes as long as a hundred thousand multiplications.
int worthwhile(const Problem &p, long gate_rows) {
  const double work = static_cast<double>(p.T) * static_cast<double>(p.B) * static_cast<double>(gate_rows * (p.I + p.P));
  return work < (1 << 19) ? 1 : p.threads;
}

template <class T> void forward_of(Problem p, const Row *rows) {
  p.threads = worthwhile(p, gate_rows_of(p));
  const bool by_units = divides_units(p, gate_rows_of(p));
  switch (static_cast<Cell>(p.cell)) {
    case Cell::lstm: return run_forward<LstmForward, T>(p, rows, by_units);
    case Cell::gru:
    case Cell::gru_reset_before: return run_forward<GruForward, T>(p, rows, by_units);
    default: return run_forward<RnnForward, T>(p, rows, by_units);
  }
}

template <class T> void backward_of(Problem p, const Row *rows) {
  p.threads = worthwhile(p, gate_rows_of(p));
  const bool by_units = divides_units(p, gate_rows_of(p));
  switch (static_cast<Cell>(p.cell)) {
    case Cell::lstm: return run_backward<LstmBackward, T>(p, rows, by_units);
    case Cell::gru:
    case Cell::gru_reset_before: return run_backward<GruBackward, T>(p, rows, by_units);
    default: return run_backward<RnnBackward, T>(p, rows, by_units);
  }
}

void forward(const Problem &p, const Row *rows) { p.is_double ? forward_of<double>(p, rows) : forward_of<float>(p, rows); }
void backward(const Problem &p, const Row *rows) { p.is_double ? backward_of<double>(p, rows) : backward_of<float>(p, rows); }

template <template <class> class Cell, class T> class StreamOf final : public Stream {
 public:
  StreamOf(const Problem &given, const Row *rows)
      : problem(given), cell_(problem, rows, false, scratch_),
        walk_(problem, rows, 0, 1, gate_rows_of(given), given.B, scratch_) {
    cell_.pack(Team{});
    cell_.plan_buffers(walk_, scratch_, cell_.buffers);
  }

  void step(const void *x, std::int64_t x_b, const void *h, const void *c, void *h_out, void *c_out) override {
    problem.x = x, problem.x_b = x_b;
    problem.h0 = h, problem.c0 = c;
    problem.h_seq = h_out, problem.c_seq = c_out;
    walk_.take_from(0, nullptr, 0);
    const Team alone;
    const Division d{false, alone};
    cell_.chunk(walk_, cell_.buffers, nullptr, d);
  }

 private:
  Problem problem;  // its addresses change from step to step
  Scratch scratch_;
  Cell<T> cell_;
  Walk<T> walk_;
};

template <class T> Stream *stream_of(const Problem &p, const Row *rows) {
  switch (static_cast<Cell>(p.cell)) {
    case Cell::lstm: return new StreamOf<LstmForward, T>(p, rows);
    case Cell::gru:
    case Cell::gru_reset_before: return new StreamOf<GruForward, T>(p, rows);
    default: return new StreamOf<RnnForward, T>(p, rows);
  }
}

Stream *stream(const Problem &p, const Row *rows) {
  return p.is_double ? stream_of<double>(p, rows) : stream_of<float>(p, rows);
}

// The scaled mask of dropout on a weight [rows, columns].
void drop_weights(std::uint64_t seed, double p, std::int64_t rows, std::int64_t columns, float *out) {
  const std::uint32_t threshold = threshold_of(p);
  const float scale = static_cast<float>(1 / (1 - p));
  for (long row = 0; row < rows; ++row) {
    const std::uint64_t key = key_of(seed, Draw::weights, 0, row);
    for (long j = 0; j < columns; j += kLanes<float>)
      store(out + row * columns + j, (1.0f - events<float>(key, j, threshold)) * scale, columns - j);
  }
}

template <class T>
void softmax_loss_of(void *logits, const void *bias, long rows, long columns, const std::int64_t *targets, void *losses,
                     int threads) {
  SoftmaxLoss<T> call{static_cast<T *>(logits), static_cast<const T *>(bias), rows, columns, targets, static_cast<T *>(losses)};
  on_team(rows * columns < (1 << 15) ? 1 : threads, call);
}

void softmax_loss(bool is_double, void *logits, const void *bias, std::int64_t rows, std::int64_t columns,
                  const std::int64_t *targets, void *losses, int threads) {
  (is_double ? softmax_loss_of<double> : softmax_loss_of<float>)(logits, bias, rows, columns, targets, losses, threads);
}

#define GATEWISE_TEXT(name) GATEWISE_QUOTE(name)
#define GATEWISE_QUOTE(name) #name

}  // namespace

extern const Kernels kernels;
const Kernels kernels{GATEWISE_TEXT(GATEWISE_ISA), forward, backward, stream, drop_weights, softmax_loss};

}  // namespace gatewise::GATEWISE_ISA
