// The end of a language model: the loss of each row of logits and, in their place, its gradient.
#pragma once

#include "activation.h"
#include "threads.h"

namespace gatewise::GATEWISE_ISA {

// e^x of N vectors, in place, for x <= 0; 0 from where it would be no normal number. NaN stays.
template <class T, int N> GATEWISE_INLINE void exps(Vector<T> (&x)[N]) {
  Vector<T> t[N], scale[N], part[N];
  GATEWISE_EACH(k, N) x[k] *= T(1.4426950408889634074);
  GATEWISE_EACH(k, N) t[k] = clamp<T>(x[k], Exp2<T>::kLimit);
  exp2_parts<T, N>(t, scale, part);
  GATEWISE_EACH(k, N) x[k] = x[k] < splat(-Exp2<T>::kLimit) ? Vector<T>{} : scale[k] * part[k] + scale[k];
}

constexpr int kSideBySide = 4;

// Of row + bias.
template <class T> GATEWISE_INLINE T largest(const T *row, const T *bias, long columns) {
  Vector<T> found[kSideBySide];
  GATEWISE_EACH(k, kSideBySide) found[k] = splat(row[0] + bias[0]);
  long j = 0;
  for (; j + kSideBySide * kLanes<T> <= columns; j += kSideBySide * kLanes<T>)
    GATEWISE_EACH(k, kSideBySide) {
      const Vector<T> x = load(row + j + k * kLanes<T>) + load(bias + j + k * kLanes<T>);
      found[k] = x > found[k] ? x : found[k];
    }
  T high = row[0] + bias[0];
  GATEWISE_EACH(k, kSideBySide)
    for (int lane = 0; lane < kLanes<T>; ++lane) high = most(found[k][lane], high);
  for (; j < columns; ++j) high = most(row[j] + bias[j], high);
  return high;
}

// The row becomes softmax(row + bias), with 1 taken from it at the target. Returns -log of the softmax there.
template <class T> T softmax_loss_of_row(T *row, const T *bias, long columns, long target) {
  const T high = largest(row, bias, columns), wanted = row[target] + bias[target];
  Vector<T> sums[kSideBySide] = {};
  long j = 0;
  for (; j + kSideBySide * kLanes<T> <= columns; j += kSideBySide * kLanes<T>) {
    Vector<T> x[kSideBySide];
    GATEWISE_EACH(k, kSideBySide) x[k] = load(row + j + k * kLanes<T>) + load(bias + j + k * kLanes<T>) - high;
    exps<T, kSideBySide>(x);
    GATEWISE_EACH(k, kSideBySide) store(row + j + k * kLanes<T>, x[k]);
    GATEWISE_EACH(k, kSideBySide) sums[k] += x[k];
  }
  for (; j < columns; j += kLanes<T>) {
    Vector<T> x[1] = {load(row + j, columns - j) + load(bias + j, columns - j) - high};
    exps<T, 1>(x);
    store(row + j, x[0], columns - j);
    sums[0] += first_lanes<T>(x[0], columns - j);
  }
  const T sum = total<T>((sums[0] + sums[1]) + (sums[2] + sums[3])), scale = T(1) / sum;
  for (j = 0; j < columns; j += kLanes<T>) store(row + j, load(row + j, columns - j) * scale, columns - j);
  row[target] -= T(1);
  return static_cast<T>(__builtin_log(static_cast<double>(sum)) - (static_cast<double>(wanted) - static_cast<double>(high)));
}

template <class T> struct SoftmaxLoss {
  T *logits;
  const T *bias;
  long rows, columns;
  const std::int64_t *targets;
  T *losses;

  void run(const Team &team) {
    const long end = rows * (team.rank + 1) / team.size;
    for (long row = rows * team.rank / team.size; row < end; ++row)
      losses[row] = softmax_loss_of_row(logits + row * columns, bias, columns, static_cast<long>(targets[row]));
  }
};

}  // namespace gatewise::GATEWISE_ISA
