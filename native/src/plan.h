// The order in which the rows of a batch are worked on, and memory for the time of one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "problem.h"

namespace gatewise {

struct Row {
  std::int64_t id, length;
};

// The rows by falling length: those that still run at a step are then the first ones. Equal lengths keep their order.
std::vector<Row> plan_rows(const Problem &problem);

// Memory for one call, aligned to a cache line, not initialised; everything is released with the object.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch();
  void *take(std::size_t bytes);

 private:
  std::vector<void *> blocks_;
};

}  // namespace gatewise
