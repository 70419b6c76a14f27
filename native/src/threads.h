// A team of threads for one call, taken from the pool that PyTorch already keeps.
//
// PyTorch's OpenMP runtime is found at run time and handed over as three addresses: a second pool beside it would fight
// it for the cores. Without one, threads are started for the call.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

namespace gatewise {

// Everybody waits for everybody. Spins for a moment, then gives the core away: there may be more threads than cores.
class Barrier {
 public:
  // Throws where somebody gave up and will not come.
  void wait(int size);
  // The exception in hand is what `rethrow` throws, if it is the first.
  void give_up();
  // After all are done.
  void rethrow() const;

 private:
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<bool> given_up_{false};
  std::exception_ptr reason_;
};

struct Team {
  int rank = 0, size = 1;
  Barrier *barrier = nullptr;
  void wait() const {
    if (size > 1) barrier->wait(size);
  }
};

using Body = void (*)(void *data, const Team &team);

// Run `body` on `threads` threads at most, each with denormals flushed to zero for as long as it runs. What it throws in one
// of them ends all and comes out here.
void run_team(int threads, Body body, void *data);

// The addresses of GOMP_parallel, omp_get_thread_num and omp_get_num_threads.
void use_openmp(std::uintptr_t parallel, std::uintptr_t thread_num, std::uintptr_t num_threads);

}  // namespace gatewise
