#include "plan.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace gatewise {

std::vector<Row> plan_rows(const Problem &problem) {
  std::vector<Row> rows(static_cast<std::size_t>(problem.B));
  for (std::int64_t b = 0; b < problem.B; ++b)
    rows[static_cast<std::size_t>(b)] = {b, problem.lengths ? problem.lengths[b] : problem.T};
  if (problem.lengths)
    std::stable_sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.length > b.length; });
  return rows;
}

Scratch::~Scratch() {
  for (void *block : blocks_) std::free(block);
}

void *Scratch::take(std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  blocks_.push_back(nullptr);
  void *block = nullptr;  // of exactly that size, so that a sanitizer sees what lies beside it
  if (posix_memalign(&block, kLine, bytes ? bytes : 1) != 0) throw std::bad_alloc();
  return blocks_.back() = block;
}

}  // namespace gatewise
