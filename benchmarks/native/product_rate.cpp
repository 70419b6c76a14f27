// At what share of the arithmetic peak the kernels' products run when their operands lie in a cache: what a layer cannot beat.
//
//   g++ -std=c++20 -O3 -march=native -mprefer-vector-width=512 -ffp-contract=fast -DGATEWISE_ISA=here
//       -Inative/src benchmarks/native/product_rate.cpp -o build/product_rate && build/product_rate
//
// Prints GFLOP/s on one thread: multiply-adds on registers alone, loads from the nearest cache, then products of n rows with
// [I + H, 4H] for the small shapes of benchmarks/kernels/shapes.toml. Medians of 1,000 runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "product.h"

using namespace gatewise::GATEWISE_ISA;

namespace {

template <class F> double median_ns(F &&run) {
  std::vector<double> times;
  for (int i = 0; i < 1000; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    times.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + 500, times.end());
  return times[500];
}

float *zeros(long n) {
  float *p = static_cast<float *>(std::aligned_alloc(4096, static_cast<std::size_t>((n * 4 + 4095) / 4096 * 4096)));
  std::fill(p, p + n, 0.0f);
  return p;
}

void registers() {
  constexpr int kSums = 12, kTurns = 4000;
  const double ns = median_ns([] {
    Vector<float> sums[kSums]{};
    const Vector<float> x = splat(0.5f);
    for (int turn = 0; turn < kTurns; ++turn)
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) {
        sums[k] = sums[k] * x + x;
        asm volatile("" : "+v"(sums[k]));
      }
  });
  std::printf("registers alone             %6.1f GFLOP/s\n", 2.0 * kSums * kTurns * kLanes<float> / ns);
}

void loads() {
  constexpr long kFloats = 4096;
  const float *p = zeros(kFloats);
  const double ns = median_ns([&] {
    for (int turn = 0; turn < 20; ++turn)
      for (long k = 0; k < kFloats; k += 8 * kLanes<float>)
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v) {
          Vector<float> x = load(p + k + v * kLanes<float>);
          asm volatile("" : "+v"(x));
        }
  });
  std::printf("loads from the L1 cache     %6.1f GB/s\n", 20.0 * kFloats * 4 / ns);
}

void product_of(long n, long I, long H) {
  const long K = I + H, panels = gatewise::GATEWISE_ISA::blocks(H, kLanes<float>), row = 4 * kLanes<float>;
  const Matrix<float> m{zeros(K * panels * row), K, Columns{4 * panels, 4}};
  float *const c = zeros(n * panels * row), *const bias = zeros(panels * row), *const a = zeros(n * K);
  std::vector<const float *> at;
  for (long r = 0; r < n; ++r) at.push_back(a + r * K);
  const double ns = median_ns([&] { product<float>(Rows<float>{at.data(), {K}}, n, m, 0, panels, c, n * row, row, bias); });
  std::printf("%2ld rows, I %3ld, H %3ld       %6.1f GFLOP/s\n", n, I, H, 2.0 * static_cast<double>(n * K * panels * row) / ns);
}

}  // namespace

int main() {
  registers();
  loads();
  product_of(1, 64, 64), product_of(8, 32, 64), product_of(12, 40, 96), product_of(16, 64, 128), product_of(32, 128, 256);
}
