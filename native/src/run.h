// What the cells share: how a call is divided among the workers, packed weights, weight gradients, and the ends of rows.
#pragma once

#include "bits.h"
#include "pack.h"
#include "threads.h"
#include "walk.h"

namespace gatewise::GATEWISE_ISA {

// How a call is divided. By rows: each worker has some of the batch and never waits for the others. By units: each worker
// has some of the units of every row, its share of the weights stays in its own cache, and all meet twice a step.
struct Division {
  bool by_units = false;
  const Team &team;

  long groups() const { return by_units ? 1 : team.size; }
  long group() const { return by_units ? 0 : team.rank; }
  void meet() const {
    if (by_units) team.wait();
  }
  // This worker's share of n panels.
  long first(long n) const { return by_units ? n * team.rank / team.size : 0; }
  long last(long n) const { return by_units ? n * (team.rank + 1) / team.size : n; }
};

template <class T> GATEWISE_INLINE T *take(Scratch &scratch, long count) {
  return static_cast<T *>(scratch.take(static_cast<std::size_t>(count) * sizeof(T)));
}

template <class T> GATEWISE_INLINE T *take_zeros(Scratch &scratch, long count) {
  T *p = take<T>(scratch, count);
  for (long j = 0; j < count; ++j) p[j] = T(0);
  return p;
}

// Rows are padded to whole vectors.
template <class T> GATEWISE_INLINE long padded(long n) { return blocks(n, kLanes<T>) * kLanes<T>; }

// A product's right side, laid out before the team starts and packed by it.
template <class T> Matrix<T> plan_forward(Scratch &scratch, const Panels<T> &panels, long K) {
  Matrix<T> m{nullptr, K, panels.columns()};
  m.data = take<T>(scratch, m.size());
  return m;
}
template <class T> Matrix<T> plan_backward(Scratch &scratch, const Panels<T> &panels, long columns) {
  Matrix<T> m{nullptr, panels.count() * panels.nv * kLanes<T>, Columns{blocks(columns, kLanes<T>), 4}};
  m.data = take<T>(scratch, m.size());
  return m;
}
template <class T> void fill_forward(const Matrix<T> &m, const T *w, const Panels<T> &panels, const Team &team) {
  for (long p = team.rank; p < m.columns.panels(); p += team.size)
    pack_forward(w, m.K, panels, p, m.data + p * m.panel_size());
}
template <class T>
void fill_backward(const Matrix<T> &m, const T *w, long columns, const Panels<T> &panels, const Team &team) {
  for (long p = team.rank; p < m.columns.panels(); p += team.size)
    pack_backward(w, columns, panels, m.columns.width(p), p * 4 * kLanes<T>, m.data + p * m.panel_size());
}
template <class T> T *plan_vector(Scratch &scratch, const Panels<T> &panels) {
  return take<T>(scratch, panels.count() * panels.nv * kLanes<T>);
}
template <class T> void fill_vector(T *out, const T *a, const T *b, const Panels<T> &panels, const Team &team) {
  const long row = panels.nv * kLanes<T>;
  for (long p = team.rank; p < panels.count(); p += team.size) {
    for (long j = 0; j < row; ++j) out[p * row + j] = T(0);
    pack_vector(a, panels, p, out + p * row);
    if (!b) continue;
    for (int v = 0; v < panels.columns().width(p); ++v)
      for (long lane = 0; lane < kLanes<T>; ++lane) {
        const long at = panels.row(p, v, lane);
        if (at >= 0) out[p * row + v * kLanes<T> + lane] += b[at];
      }
  }
}

// The gradient of a weight [G * H, K], one copy for each group, in the layout of `outer`; K = 1 for a vector.
template <class T> struct Gradient {
  Panels<T> panels;
  long K = 0;
  T *data = nullptr;

  long panel_size() const { return K * panels.nv * kLanes<T>; }
  long size() const { return panels.count() * panel_size(); }
  void plan(Scratch &scratch, const Panels<T> &p, long k, long groups) {
    panels = p, K = k;
    data = take<T>(scratch, groups * size());
  }
  T *panel(long group, long p) const { return data + group * size() + p * panel_size(); }
  void clear(const Division &d) const {
    for (long p = d.first(panels.count()); p < d.last(panels.count()); ++p) {
      T *at = panel(d.group(), p);
      for (long j = 0; j < panel_size(); ++j) at[j] = T(0);
    }
  }
  void finish(const Division &d, T *dw) const {
    if (!dw) return;
    for (long p = d.team.rank; p < panels.count(); p += d.team.size)
      unpack(panel(0, p), d.groups(), size(), K, panels, p, dw);
  }
};

// Memory for the strips of a chunk's operand, as tall as the tiles against panels of `nv` vectors.
template <class T> Strips<T> plan_strips(Scratch &scratch, long columns, long rows, int nv) {
  Strips<T> strips{nullptr, columns, tile_rows(nv)};
  strips.data = take<T>(scratch, strips.count() * strips.height * rows);
  return strips;
}
template <class T> void fill_strips(const Strips<T> &strips, const T *const *rows, long n, const Division &d) {
  fill_strips(strips, rows, n, d.first(strips.count()), d.last(strips.count()));
}

// c[0 .. width) += the sum of n rows.
template <class T> void add_rows(const T *rows, long n, long pitch, int width, T *c) {
  for (int v = 0; v < width; ++v) {
    Vector<T> sum = load(c + v * kLanes<T>);
    for (long k = 0; k < n; ++k) sum += load(rows + k * pitch + v * kLanes<T>);
    store(c + v * kLanes<T>, sum);
  }
}

// `count` elements from panels [panel][row][4 * lanes] to a row.
template <class T>
void copy_columns(const T *panels, long c_panel, long first, long last, T *to, long count) {
  constexpr long width = 4 * kLanes<T>;
  for (long p = first; p < last; ++p) {
    const long n = least(width, count - p * width);
    for (long j = 0; j < n; ++j) to[p * width + j] = panels[p * c_panel + j];
  }
}

template <class T> void zero(T *p, long n) {
  for (long j = 0; j < n; ++j) p[j] = T(0);
}
template <class T> void copy(const T *from, T *to, long n) {
  for (long j = 0; j < n; ++j) to[j] = from[j];
}

// The rows of the walk that this worker finishes.
template <class T, class F> void for_own_rows(const Walk<T> &walk, const Division &d, F &&each) {
  const long step = d.by_units ? d.team.size : 1;
  for (long r = d.by_units ? d.team.rank : 0; r < walk.count; r += step) each(r);
}

// Zeros beyond the lengths, and the final states. `gate_rows` and `work_rows` are the elements of a step in the reserve and
// in the workspace; c_state as in Walk::take_from, null for cells without c.
template <class T>
void finish_rows(const Problem &p, const Walk<T> &walk, const Division &d, long gate_rows, long work_rows, const T *c_state,
                 long c_pitch) {
  T *h_seq = static_cast<T *>(p.h_seq), *c_seq = static_cast<T *>(p.c_seq), *gates = static_cast<T *>(p.reserve);
  T *work = static_cast<T *>(p.workspace);
  for_own_rows(walk, d, [&](long r) {
    const Row row = walk.row(r);
    for (long t = row.length; t < p.T; ++t) {
      zero(h_seq + t * p.h_seq_t + row.id * p.h_seq_b, p.P);
      if (c_seq) zero(c_seq + (t * p.B + row.id) * p.H, p.H);
      if (gates) zero(gates + (t * p.B + row.id) * gate_rows, gate_rows);
      if (work) zero(work + (t * p.B + row.id) * work_rows, work_rows);
    }
    const long t = row.length ? walk.time(r, row.length - 1) : 0;
    const T *h = row.length ? h_seq + t * p.h_seq_t + row.id * p.h_seq_b : static_cast<const T *>(p.h0) + row.id * p.P;
    if (p.h_n) copy(h, static_cast<T *>(p.h_n) + row.id * p.P, p.P);
    if (!p.c_n) return;
    const T *c = !row.length ? static_cast<const T *>(p.c0) + row.id * p.H
                 : c_seq     ? c_seq + (t * p.B + row.id) * p.H
                             : c_state + r * c_pitch;
    copy(c, static_cast<T *>(p.c_n) + row.id * p.H, p.H);
  });
}

// One mask of dropout on h for each row of the walk, scaled; it holds for all steps.
template <class T> void draw_h_masks(const Problem &p, Walk<T> &walk, Scratch &scratch) {
  if (!p.random || p.dropout_h == 0) return;
  const long pitch = padded<T>(p.P);
  T *masks = take<T>(scratch, most(walk.count, 1L) * pitch);
  const std::uint32_t threshold = threshold_of(p.dropout_h);
  const T scale = T(1) / T(1 - p.dropout_h);
  for (long r = 0; r < walk.count; ++r) {
    const std::uint64_t key = key_of(p.seed, Draw::dropout_h, 0, walk.row(r).id);
    for (long j = 0; j < pitch; j += kLanes<T>)
      store(masks + r * pitch + j, (T(1) - events<T>(key, j, threshold)) * scale);
  }
  walk.masks = masks;
}

// The states before the steps from..to-1 of the chunk, times their masks, in `out` [to - from][pitch]; the pointers of
// the walk then lead there.
template <class T> void mask_states(const Problem &p, Walk<T> &walk, long from, long to, T *out) {
  const long pitch = padded<T>(p.P);
  for (long k = from; k < to; ++k) {
    T *row = out + (k - from) * pitch;
    const T *mask = walk.masks + walk.cursors[k].r * pitch;
    for (long j = 0; j < p.P; ++j) row[j] = walk.cursors[k].h_prev[j] * mask[j];
    walk.h_prev[k] = row;
  }
}

// How many row-steps a chunk has: enough to spread the loading of weights and gradients over, few enough to stay in a cache.
// Measured: from 64 to 1536 the time changes by less than its noise at every size of layer.
constexpr long kChunk = 192;

}  // namespace gatewise::GATEWISE_ISA
