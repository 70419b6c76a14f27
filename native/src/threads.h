// A team of threads for one call, taken from the pool that PyTorch already keeps.
//
// PyTorch's OpenMP runtime is found at run time and handed over as three addresses: a second pool beside it would fight
// it for the cores. Without one, threads are started for the call.
#pragma once

#include <atomic>
#include <cstdint>

namespace gatewise {

// Everybody waits for everybody. Spins for a moment, then gives the core away: there may be more threads than cores.
class Barrier {
 public:
  void wait(int size);

 private:
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
};

struct Team {
  int rank = 0, size = 1;
  Barrier *barrier = nullptr;
  void wait() const {
    if (size > 1) barrier->wait(size);
  }
};

using Body = void (*)(void *data, const Team &team);

// Run `body` on `threads` threads at most, each with denormals flushed to zero for as long as it runs.
void run_team(int threads, Body body, void *data);

// The addresses of GOMP_parallel, omp_get_thread_num and omp_get_num_threads.
void use_openmp(std::uintptr_t parallel, std::uintptr_t thread_num, std::uintptr_t num_threads);

}  // namespace gatewise
