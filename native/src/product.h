// Products of rows with packed matrices: C[n, N] (+)= A[n, K] M[K, N], and of their transposes for the gradients.
//
// M is packed in panels of `nv` vectors: [panel][k][nv * lanes]. C lies in panels too: [panel][row][nv * lanes]. The rows
// of A are addressed one by one, so they may lie anywhere. A tile of rows times one panel is accumulated in registers;
// the sum over k is taken in the same order in every tile, so the result does not depend on how rows are grouped.
#pragma once

#include "vector.h"

namespace gatewise::GATEWISE_ISA {

// The columns of a packed matrix: `vectors` of them, in panels of `nv` (the last may be narrower).
struct Columns {
  long vectors = 0;
  int nv = 4;
  long panels() const { return blocks(vectors, nv); }
  int width(long panel) const { return static_cast<int>(least<long>(nv, vectors - panel * nv)); }
};

template <class T> struct Matrix {
  T *data = nullptr;
  long K = 0;
  Columns columns;
  long panel_size() const { return K * columns.nv * kLanes<T>; }
  const T *panel(long p) const { return data + p * panel_size(); }
  long size() const { return columns.vectors * K * kLanes<T>; }
};

// A row of A is `pieces` runs of `run` elements that lie `stride` apart, the first at `offset`.
struct RowShape {
  long run, pieces = 1, stride = 0, offset = 0;
  long size() const { return run * pieces; }
};

// The rows of A, each at an address of its own. With `then`, `more` elements from there are the rest of each row, as if the
// two stood one after the other.
template <class T> struct Rows {
  const T *const *at;
  RowShape shape;
  const T *const *then = nullptr;
  long more = 0;

  Rows from(long row) const { return {at + row, shape, then ? then + row : nullptr, more}; }
};

// The most rows of a tile whose accumulators, one panel row and a broadcast fit into the registers.
constexpr int tile_rows(int nv) {
  int fit = (kRegisters - nv - 1) / nv;
  return fit > 8 ? 8 : fit < 2 ? 2 : fit;
}

// sum += A M for MR rows of `run` elements and NP panels of NV vectors; m moves on behind what was read.
template <class T, int MR, int NV, int NP>
GATEWISE_INLINE void accumulate(Vector<T> (&sum)[MR][NP][NV], const T *const (&a)[MR], long run, const T *&m, long m_panel) {
  constexpr int L = kLanes<T>;
  for (long k = 0; k < run; ++k) {
    Vector<T> b[NP][NV];
#pragma GCC unroll 2
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) b[p][v] = load(m + p * m_panel + v * L);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const T scalar = a[r][k];
#pragma GCC unroll 2
      for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) sum[r][p][v] += scalar * b[p][v];
    }
    m += NV * L;
  }
}

// MR rows times NP panels of NV vectors. `bias` (packed like a row of C) or, where it is null, C itself is the start.
template <class T, int MR, int NV, int NP>
GATEWISE_INLINE void tile(const Rows<T> &rows, const T *m, long m_panel, T *c, long c_panel, long c_row, const T *bias) {
  constexpr int L = kLanes<T>;
  Vector<T> sum[MR][NP][NV];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        sum[r][p][v] = load(bias ? bias + (p * NV + v) * L : c + p * c_panel + r * c_row + v * L);
  const T *a[MR];
  for (long piece = 0; piece < rows.shape.pieces; ++piece) {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) a[r] = rows.at[r] + rows.shape.offset + piece * rows.shape.stride;
    accumulate<T, MR, NV, NP>(sum, a, rows.shape.run, m, m_panel);
  }
  if (rows.then) {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) a[r] = rows.then[r];
    accumulate<T, MR, NV, NP>(sum, a, rows.more, m, m_panel);
  }
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) store(c + p * c_panel + r * c_row + v * L, sum[r][p][v]);
}

// n rows times one panel, n at most MR, which starts at the most that fit.
template <class T, int NV, int MR = tile_rows(NV)>
void tile_of(int n, const Rows<T> &rows, const T *m, T *c, long c_row, const T *bias) {
  if (n == MR) return tile<T, MR, NV, 1>(rows, m, 0, c, 0, c_row, bias);
  if constexpr (MR > 1) tile_of<T, NV, MR - 1>(n, rows, m, c, c_row, bias);
}

template <class T, int NV>
void block_product(const Rows<T> &rows, long n, const T *m, T *c, long c_row, const T *bias) {
  long tiles = blocks(n, tile_rows(NV)), done = 0;
  for (long t = 0; t < tiles; ++t) {  // tiles of nearly equal height: none is left with a single row
    int height = static_cast<int>((n - done) / (tiles - t));
    tile_of<T, NV>(height, rows.from(done), m, c + done * c_row, c_row, bias);
    done += height;
  }
}

// A panel that would fill the cache is taken in blocks of k, each for all rows; the order of the sum stays.
template <class T, int NV>
void panel_product(const Rows<T> &rows, long n, const T *m, T *c, long c_row, const T *bias) {
  constexpr long most_k = (192L << 10) / (NV * kLanes<T> * static_cast<long>(sizeof(T)));
  const RowShape &shape = rows.shape;
  if (n <= tile_rows(NV) || rows.then || shape.size() <= most_k) return block_product<T, NV>(rows, n, m, c, c_row, bias);
  const long step = shape.pieces > 1 ? most(most_k / shape.run, 1L) : most_k, end = shape.pieces > 1 ? shape.pieces : shape.run;
  for (long done = 0; done < end; done += step) {
    const long now = least(step, end - done);
    const RowShape block = shape.pieces > 1 ? RowShape{shape.run, now, shape.stride, shape.offset + done * shape.stride}
                                            : RowShape{now, 1, 0, shape.offset + done};
    block_product<T, NV>({rows.at, block}, n, m, c, c_row, done ? nullptr : bias);
    m += block.size() * NV * kLanes<T>;
  }
}

// C[:, panels first..last-1] (+)= A M. c points at panel 0; `bias` is packed for all panels, null to accumulate.
template <class T>
void product(const Rows<T> &rows, long n, const Matrix<T> &m, long first, long last, T *c, long c_panel, long c_row,
             const T *bias) {
  const int nv = m.columns.nv;
  const long bias_panel = nv * kLanes<T>;
  long p = first;
  if (n == 1) {  // one row has too few sums in flight to hide the latency of an addition: take two panels at a time
    for (; p + 2 <= last && m.columns.width(p + 1) == nv; p += 2) {
      const T *b = bias ? bias + p * bias_panel : nullptr;
      if (nv == 4) tile<T, 1, 4, 2>(rows, m.panel(p), m.panel_size(), c + p * c_panel, c_panel, c_row, b);
      else if (nv == 3) tile<T, 1, 3, 2>(rows, m.panel(p), m.panel_size(), c + p * c_panel, c_panel, c_row, b);
      else break;
    }
  }
  for (; p < last; ++p) {
    const T *b = bias ? bias + p * bias_panel : nullptr;
    T *to = c + p * c_panel;
    switch (m.columns.width(p)) {
      case 1: panel_product<T, 1>(rows, n, m.panel(p), to, c_row, b); break;
      case 2: panel_product<T, 2>(rows, n, m.panel(p), to, c_row, b); break;
      case 3: panel_product<T, 3>(rows, n, m.panel(p), to, c_row, b); break;
      default: panel_product<T, 4>(rows, n, m.panel(p), to, c_row, b); break;
    }
  }
}

// The columns of A for the gradients of weights, in strips as tall as a tile: [strip][row][tile_rows]. Where the rows of A
// lie far apart a strip would touch one cache line of each and evict them from each other's way.
template <class T> struct Strips {
  T *data = nullptr;
  long columns = 0;
  int height = 1;
  long count() const { return blocks(columns, height); }
};

template <class T> void fill_strips(const Strips<T> &strips, const T *const *rows, long n, long first, long last) {
  const long height = strips.height;
  for (long k = 0; k < n; ++k)
    for (long s = first; s < last; ++s) {
      const T *from = rows[k] + s * height;
      T *to = strips.data + (s * n + k) * height;
      const long exist = least(height, strips.columns - s * height);
      if constexpr (kLanes<T> >= 8) {  // a strip is no wider than a vector
        store(to, load(from, exist), height);
      } else {
        for (long i = 0; i < exist; ++i) to[i] = from[i];
        for (long i = exist; i < height; ++i) to[i] = T(0);
      }
    }
}

// MR columns of A against one panel: C[i, :] += sum over rows k of A[k, i] D[k, :].
template <class T, int MR, int NV>
GATEWISE_INLINE void outer_tile(const T *a, long n, const T *d, long d_row, T *c) {
  constexpr int L = kLanes<T>, height = tile_rows(NV);
  constexpr long c_row = NV * L;
  Vector<T> sum[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) sum[i][v] = load(c + i * c_row + v * L);
  for (long k = 0; k < n; ++k, a += height, d += d_row) {
    Vector<T> b[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) b[v] = load(d + v * L);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const T scalar = a[i];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sum[i][v] += scalar * b[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(c + i * c_row + v * L, sum[i][v]);
}

template <class T, int NV, int MR = tile_rows(NV)>
void outer_tile_of(int n, const T *a, long count, const T *d, long d_row, T *c) {
  if (n == MR) return outer_tile<T, MR, NV>(a, count, d, d_row, c);
  if constexpr (MR > 1) outer_tile_of<T, NV, MR - 1>(n, a, count, d, d_row, c);
}

// c [columns of A][NV * lanes] += Aᵀ D for one panel D [n][d_row] of NV vectors; strips of height tile_rows(NV).
template <class T, int NV> void outer_panel(const Strips<T> &a, long n, const T *d, long d_row, T *c) {
  constexpr int height = tile_rows(NV);
  for (long s = 0; s < a.count(); ++s)
    outer_tile_of<T, NV>(static_cast<int>(least<long>(height, a.columns - s * height)), a.data + s * n * height, n, d, d_row,
                         c + s * height * NV * kLanes<T>);
}

template <class T> void outer(int nv, const Strips<T> &a, long n, const T *d, long d_row, T *c) {
  switch (nv) {
    case 1: return outer_panel<T, 1>(a, n, d, d_row, c);
    case 2: return outer_panel<T, 2>(a, n, d, d_row, c);
    case 3: return outer_panel<T, 3>(a, n, d, d_row, c);
    default: return outer_panel<T, 4>(a, n, d, d_row, c);
  }
}

}  // namespace gatewise::GATEWISE_ISA
