// The kernels without Python, for the sanitizers; `make sanitize` builds and runs it. Whether the numbers are right is
// the business of the tests in Python: here it is where they are read and written.
#include <algorithm>
#include <iterator>

#include <stdexcept>

#include "example.h"
#include "threads.h"

namespace {

using gatewise::Cell;

constexpr Variant kVariants[] = {
    {.name = "plain"},
    {.name = "dropout on h", .dropout_h = 0.25},
    // from here on of the LSTM only
    {.name = "dropout on g", .dropout_g = 0.25},
    {.name = "peephole", .peephole = true},
    {.name = "coupled", .coupled = true},
    {.name = "layer norm", .norm = true},
    {.name = "zoneout", .zoneout_c = 0.2, .zoneout_h = 0.1},
    {.name = "coupled peephole", .peephole = true, .coupled = true},
    {.name = "coupled layer norm", .norm = true, .coupled = true},
    {.name = "all with peephole", .peephole = true, .coupled = true, .zoneout_c = 0.2, .zoneout_h = 0.1, .dropout_g = 0.2},
    {.name = "all with layer norm", .norm = true, .zoneout_c = 0.2, .zoneout_h = 0.1, .dropout_h = 0.2},
};
constexpr int kOfEveryCell = 2;
constexpr int kRounds = 30;  // shapes and options for each cell and variant, on each instruction set, in each precision

template <std::size_t n> long one_of(std::mt19937 &random, const long (&values)[n]) { return values[random() % n]; }

// Calls of few multiplications are run by one thread, whatever is asked for.
void make_worth_dividing(Example &e) {
  Shape &s = e.shape;
  s.B = std::max(s.B, 1L);
  if (s.H < 16) s.H = 16, s.P = e.projected ? s.P : s.H;
  s.T = (1L << 19) / (s.B * s.H * (s.I + s.P)) + 1;
}

Example draw(Cell cell, bool projected, const Variant &variant, std::mt19937 &random) {
  Example e{.cell = cell, .projected = projected, .variant = variant};
  const long H = one_of(random, {1, 3, 8, 16, 17, 33, 70, 130});
  e.shape = {one_of(random, {0, 1, 2, 5, 40}), one_of(random, {0, 1, 2, 3, 9}), one_of(random, {1, 3, 16, 21, 66}), H, H};
  if (projected) e.shape.P = H / 3 + 1, e.variant.zoneout_h = 0;
  const auto coin = [&] { return random() % 2 == 0; };
  if (random() % 10 == 0) {  // so large that matrices are taken in parts
    e.shape.T = std::min(e.shape.T, 2L), e.shape.B = 9;
    coin() ? e.shape.I = 800 : e.shape.H = 210;
    if (!projected) e.shape.P = e.shape.H;
  }
  e.bias = coin(), e.ragged = coin(), e.resets = coin(), e.reverse = coin(), e.random = coin(), e.strided = coin();
  if (coin()) {
    e.threads = static_cast<int>(2 + random() % 2);
    make_worth_dividing(e);
  }
  return e;
}

void check(const Example &e, const char *run, const char *unwritten) {
  if (!unwritten) return;
  std::printf("%s: %s is not written: cell %d%s, %s, T %ld B %ld I %ld H %ld, bias %d ragged %d resets %d reverse %d random %d "
              "strided %d threads %d\n",
              run, unwritten, static_cast<int>(e.cell), e.projected ? " projected" : "", e.variant.name, e.shape.T, e.shape.B,
              e.shape.I, e.shape.H, e.bias, e.ragged, e.resets, e.reverse, e.random, e.strided, e.threads);
  std::exit(1);
}

template <class T> void try_out(const Example &e, unsigned seed) {
  Run<T> training(e, seed);
  training.forward(true);
  check(e, "forward", training.unwritten());
  training.backward(seed % 3 != 0);
  check(e, "backward", training.unwritten());
  Run<T> inference(e, seed);
  inference.forward(false);
  check(e, "inference", inference.unwritten());
  Run<T> steps(e, seed);
  steps.stream();
  check(e, "stream", steps.unwritten());
}

template <class T> long try_all(std::mt19937 &random) {
  long count = 0;
  for (const Cell cell : {Cell::lstm, Cell::gru, Cell::gru_reset_before, Cell::rnn_tanh, Cell::rnn_relu}) {
    const bool lstm = cell == Cell::lstm;
    for (int projected = 0; projected <= lstm; ++projected)
      for (int v = 0; v < (lstm ? static_cast<int>(std::size(kVariants)) : kOfEveryCell); ++v)
        for (int round = 0; round < kRounds; ++round, ++count)
          try_out<T>(draw(cell, projected == 1, kVariants[v], random), static_cast<unsigned>(random()));
  }
  return count;
}

void try_dropped_weights() {
  for (const long rows : {0, 1, 5})
    for (const long columns : {1, 7, 16, 33}) {
      Memory<float> memory(1);
      gatewise::kernels().drop_weights(7, 0.3, rows, columns, static_cast<float *>(memory.output("mask", rows * columns)));
      if (memory.unwritten()) std::printf("a mask of %ld weights has gaps\n", rows * columns), std::exit(1);
    }
}

void try_softmax_loss() {
  for (const long rows : {0, 1, 5})
    for (const long columns : {1, 7, 16, 33, 130, 10'007}) {
      Memory<float> memory(1);
      std::vector<float> logits(static_cast<std::size_t>(rows * columns), 0.5f);
      const std::vector<float> bias(static_cast<std::size_t>(columns), 0.1f);
      const std::vector<std::int64_t> targets(static_cast<std::size_t>(rows), columns - 1);
      void *losses = memory.output("losses", rows);
      gatewise::kernels().softmax_loss(false, logits.data(), bias.data(), rows, columns, targets.data(), losses, 2);
      if (memory.unwritten()) std::printf("of %ld rows some have no loss\n", rows), std::exit(1);
    }
}

// One of three throws, and the others, who wait for it, come back.
void try_giving_up() {
  for (int thrower = 0; thrower < 3; ++thrower) {
    bool caught = false;
    try {
      gatewise::run_team(3, [](void *who, const gatewise::Team &team) {
        team.wait();
        if (team.rank == *static_cast<int *>(who)) throw std::runtime_error("gives up");
        for (int k = 0; k < 3; ++k) team.wait();
      }, &thrower);
    } catch (const std::runtime_error &) {
      caught = true;
    }
    if (!caught) std::printf("what worker %d throws is lost\n", thrower), std::exit(1);
  }
}

}  // namespace

int main() {
  try_giving_up();
  for (const char *const *name = gatewise::available(); *name; ++name) {
    gatewise::use(*name);
    std::mt19937 random(20001);
    const long singles = try_all<float>(random), doubles = try_all<double>(random);
    try_dropped_weights();
    try_softmax_loss();
    std::printf("%s: %ld examples\n", *name, singles + doubles);
  }
  return 0;
}
