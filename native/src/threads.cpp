#include "threads.h"

#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace gatewise {
namespace {

using Parallel = void (*)(void (*)(void *), void *, unsigned, unsigned);
using Query = int (*)();
Parallel openmp_parallel = nullptr;
Query openmp_thread_num = nullptr, openmp_num_threads = nullptr;

// Denormals are flushed to zero while this lives, in this thread only.
class FlushDenormals {
#if defined(__x86_64__) || defined(__i386__)
 public:
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }  // flush to zero, denormals are zero
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
 public:
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | (std::uint64_t{1} << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  std::uint64_t saved_;
#endif
};

struct Job {
  Body body;
  void *data;
  Barrier *barrier;

  // Nothing may be thrown through the runtime that called this.
  void run(int rank, int size) const noexcept {
    FlushDenormals flush;
    try {
      body(data, Team{rank, size, barrier});
    } catch (...) {
      barrier->give_up();
    }
  }
};

// What ends those who wait for somebody that gave up.
struct GivenUp {};

void openmp_member(void *job) { static_cast<Job *>(job)->run(openmp_thread_num(), openmp_num_threads()); }

// On threads that are started for it.
void run_started(int threads, const Job &job) {
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(threads) - 1);
  try {
    for (int rank = 1; rank < threads; ++rank) others.emplace_back([&job, rank, threads] { job.run(rank, threads); });
  } catch (...) {
    job.barrier->give_up();
  }
  job.run(0, threads);
  for (std::thread &other : others) other.join();
}

}  // namespace

void Barrier::wait(int size) {
  const unsigned round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
    if (given_up_.load(std::memory_order_relaxed)) throw GivenUp{};
    if (spins < 4000) {
#if defined(__x86_64__) || defined(__i386__)
      _mm_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }
}

void Barrier::give_up() {
  if (!given_up_.exchange(true)) reason_ = std::current_exception();
}

void Barrier::rethrow() const {
  if (reason_) std::rethrow_exception(reason_);
}

void use_openmp(std::uintptr_t parallel, std::uintptr_t thread_num, std::uintptr_t num_threads) {
  openmp_parallel = reinterpret_cast<Parallel>(parallel);
  openmp_thread_num = reinterpret_cast<Query>(thread_num);
  openmp_num_threads = reinterpret_cast<Query>(num_threads);
}

void run_team(int threads, Body body, void *data) {
  Barrier barrier;
  Job job{body, data, &barrier};
  if (threads <= 1) job.run(0, 1);
  else if (openmp_parallel != nullptr) openmp_parallel(openmp_member, &job, static_cast<unsigned>(threads), 0);
  else run_started(threads, job);
  barrier.rethrow();
}

}  // namespace gatewise
