// The way of one worker through its rows: which (time, row) is processed when, in chunks whose products are taken at once.
#pragma once

#include "plan.h"
#include "vector.h"

namespace gatewise::GATEWISE_ISA {

// One step of one row.
template <class T> struct Cursor {
  long t, b, r;       // index in time, row of the batch, row of this worker
  bool fresh;         // a border lies before it: it starts from zero, and no gradient goes back
  const T *h_prev, *c_prev;
  T *h, *c, *gates;   // where the step's own values stand; c and gates may be null
};

// What a worker does not share: the rows it has and the chunk in hand.
//
// Rows run in the order of falling length, so the active ones are always the first; in a reverse pass step s of a row of
// length n is at time n - 1 - s.
template <class T> class Walk {
 public:
  Walk(const Problem &p, const Row *rows, long start, long stride, long gate_rows, long target, Scratch &scratch)
      : p_(p), rows_(rows), start_(start), stride_(stride), gate_rows_(gate_rows) {
    count = p.B > start ? blocks(p.B - start, stride) : 0;
    steps = count ? row(0).length : 0;
    capacity = most(target, count);
    const auto n = static_cast<std::size_t>(capacity);
    cursors = static_cast<Cursor<T> *>(scratch.take(n * sizeof(Cursor<T>)));
    x = static_cast<const T **>(scratch.take(n * sizeof(T *)));
    h_prev = static_cast<const T **>(scratch.take(n * sizeof(T *)));
    pointers = static_cast<const T **>(scratch.take(n * sizeof(T *)));
    first = static_cast<long *>(scratch.take((n + 1) * sizeof(long)));
    const auto longest = static_cast<std::size_t>(most<long>(most(p.P, p.H), 1) + kLanes<T>);
    T *zeros = static_cast<T *>(scratch.take(longest * sizeof(T)));
    for (std::size_t j = 0; j < longest; ++j) zeros[j] = T(0);
    zeros_ = zeros;
    active_ = count;
  }

  const Row &row(long r) const { return rows_[start_ + r * stride_]; }
  const T *zeros() const { return zeros_; }

  long time(long r, long s) const { return p_.reverse ? row(r).length - 1 - s : s; }

  // Whether a border lies before step s of row r, in the order of the pass.
  bool fresh(long r, long s) const {
    if (!p_.resets) return false;
    const long t = time(r, s) + (p_.reverse ? 1 : 0);
    return t < row(r).length && p_.resets[t * p_.resets_t + row(r).id * p_.resets_b];
  }

  // The rows that run at step s; calls go up or down by steps, so the search is short.
  long active(long s) {
    while (active_ > 0 && row(active_ - 1).length <= s) --active_;
    while (active_ < count && row(active_).length > s) ++active_;
    return active_;
  }

  // Take the steps from s on; returns the step after the chunk. c_state [count][c_pitch] holds c where c_seq is not kept.
  long take_from(long s, T *c_state, long c_pitch) {
    size = chunk = 0;
    for (; s < steps; ++s) {
      const long rows = active(s);
      if (size > 0 && size + rows > capacity) break;
      add(s, rows, c_state, c_pitch);
    }
    first[chunk] = size;
    return s;
  }

  // Take as many steps as fit before step `end`; returns the first of them.
  long take_before(long end) {
    long s = end, total = 0;
    while (s > 0) {
      const long rows = active(s - 1);
      if (total > 0 && total + rows > capacity) break;
      total += rows;
      --s;
    }
    size = chunk = 0;
    for (long step = s; step < end; ++step) add(step, active(step), nullptr, 0);
    first[chunk] = size;
    return s;
  }

  long count, steps, capacity;  // rows, the steps of the longest, row-steps in a chunk at most
  long size = 0, chunk = 0;     // row-steps and steps of the chunk in hand
  Cursor<T> *cursors;           // [size], step after step
  const T **x, **h_prev;        // [size], the operands of the products
  const T **pointers;           // [size], free for use
  const T *masks = nullptr;     // of dropout on h, [count][P padded to whole vectors]; null without it
  long *first;                  // [chunk + 1], where each step starts

 private:
  void add(long s, long rows, T *c_state, long c_pitch) {
    first[chunk++] = size;
    const T *in = static_cast<const T *>(p_.x), *h0 = static_cast<const T *>(p_.h0), *c0 = static_cast<const T *>(p_.c0);
    T *h_seq = static_cast<T *>(p_.h_seq), *c_seq = static_cast<T *>(p_.c_seq), *gates = static_cast<T *>(p_.reserve);
    for (long r = 0; r < rows; ++r, ++size) {
      Cursor<T> &c = cursors[size];
      c.t = time(r, s), c.b = row(r).id, c.r = r;
      c.fresh = fresh(r, s);
      const long at = c.t * p_.B + c.b, before = s ? time(r, s - 1) : 0;
      x[size] = in + c.t * p_.x_t + c.b * p_.x_b;
      c.h = h_seq + c.t * p_.h_seq_t + c.b * p_.h_seq_b;
      c.h_prev = c.fresh ? zeros_ : s ? h_seq + before * p_.h_seq_t + c.b * p_.h_seq_b : h0 + c.b * p_.P;
      h_prev[size] = c.h_prev;
      c.gates = gates ? gates + at * gate_rows_ : nullptr;
      c.c = c_seq ? c_seq + at * p_.H : c_state ? c_state + r * c_pitch : nullptr;
      c.c_prev = c.fresh ? zeros_ : !s ? (c0 ? c0 + c.b * p_.H : nullptr) : c_seq ? c_seq + (before * p_.B + c.b) * p_.H : c.c;
    }
  }

  const Problem &p_;
  const Row *rows_;
  const long start_, stride_, gate_rows_;
  const T *zeros_;
  long active_;
};

}  // namespace gatewise::GATEWISE_ISA
