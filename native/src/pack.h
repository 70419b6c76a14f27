// Weights into panels and gradients out of them. W is [G * H, K] row by row, as PyTorch keeps it.
#pragma once

#include "product.h"

namespace gatewise::GATEWISE_ISA {

// Which rows of W stand in which panel. With `gates`, panel u holds those gates of the units u*lanes .. side by side, one
// vector each; without, the panels are simply the rows in order, `nv` vectors at a time.
template <class T> struct Panels {
  long H = 0;
  int nv = 4;
  const int *gates = nullptr;

  long units() const { return blocks(H, kLanes<T>); }
  Columns columns() const { return gates ? Columns{units() * nv, nv} : Columns{units(), nv}; }
  long count() const { return columns().panels(); }
  // The row of W at a lane of a vector of a panel, -1 where there is none.
  long row(long panel, int v, long lane) const {
    const long unit = gates ? panel * kLanes<T> + lane : (panel * nv + v) * kLanes<T> + lane;
    return unit >= H ? -1 : gates ? gates[v] * H + unit : unit;
  }
};

// A panel is transposed in blocks of this many k, which stay in the nearest cache.
constexpr long kBlock = 64;

// One panel for products from the left, x Wᵀ: [k][width * lanes].
template <class T> void pack_forward(const T *w, long K, const Panels<T> &panels, long panel, T *out) {
  constexpr long L = kLanes<T>;
  const int width = panels.columns().width(panel);
  const long pitch = width * L;
  for (long start = 0; start < K; start += kBlock) {
    const long end = least(start + kBlock, K);
    for (int v = 0; v < width; ++v)
      for (long lane = 0; lane < L; ++lane) {
        const long row = panels.row(panel, v, lane);
        T *to = out + v * L + lane;
        if (row < 0)
          for (long k = start; k < end; ++k) to[k * pitch] = T(0);
        else
          for (long k = start; k < end; ++k) to[k * pitch] = w[row * K + k];
      }
  }
}

// One panel of columns of W for products D W, where D holds gradients in the order of `panels`: [panel][nv][lane] ->
// `width` vectors of the columns `first` ...
template <class T> void pack_backward(const T *w, long K, const Panels<T> &panels, int width, long first, T *out) {
  constexpr long L = kLanes<T>;
  const long pitch = width * L, exist = most(0L, least(pitch, K - first));
  for (long u = 0; u < panels.count(); ++u)
    for (int v = 0; v < panels.nv; ++v)
      for (long lane = 0; lane < L; ++lane, out += pitch) {
        const long row = panels.row(u, v, lane), given = row < 0 ? 0 : exist;
        for (long j = 0; j < given; ++j) out[j] = w[row * K + first + j];
        for (long j = given; j < pitch; ++j) out[j] = T(0);
      }
}

// A vector of G * H values in the order of one panel [width * lanes]; zero where there is none.
template <class T> void pack_vector(const T *b, const Panels<T> &panels, long panel, T *out) {
  constexpr long L = kLanes<T>;
  for (int v = 0; v < panels.columns().width(panel); ++v)
    for (long lane = 0; lane < L; ++lane) {
      const long row = panels.row(panel, v, lane);
      out[v * L + lane] = b && row >= 0 ? b[row] : T(0);
    }
}

// The sum over `copies`, lying `stride` apart, of the gradient [k][nv * lanes] of one panel, into dw [G * H, K].
template <class T>
void unpack(const T *from, long copies, long stride, long K, const Panels<T> &panels, long panel, T *dw) {
  constexpr long L = kLanes<T>;
  const int width = panels.columns().width(panel);
  const long pitch = panels.nv * L;
  for (long start = 0; start < K; start += kBlock) {
    const long end = least(start + kBlock, K);
    for (int v = 0; v < width; ++v)
      for (long lane = 0; lane < L; ++lane) {
        const long row = panels.row(panel, v, lane);
        if (row < 0) continue;
        const T *at = from + v * L + lane;
        for (long k = start; k < end; ++k) {
          T sum = at[k * pitch];
          for (long copy = 1; copy < copies; ++copy) sum += at[copy * stride + k * pitch];
          dw[row * K + k] = sum;
        }
      }
  }
}

}  // namespace gatewise::GATEWISE_ISA
