// The gated recurrent unit: reset after the recurrent product (cuDNN, PyTorch) or before it (Cho 2014).
//
// Equations: gatewise/cells/gru.py. The workspace [T, B, H] of the first form holds U_n h + b'_n.
#pragma once

#include "activation.h"
#include "backward.h"
#include "forward.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kGatesGru[] = {0, 1, 2};         // r, z, n
constexpr int kGatesGruInput[] = {2, 0, 1};    // n, r, z: with n's recurrent side behind them, both sides are runs
constexpr int kGatesReset[] = {0, 1};          // r, z
constexpr int kGateNew[] = {2};                // n

template <class T> class GruForward : public Forward<T, GruForward<T>> {
  using Base = Forward<T, GruForward<T>>;
  using Base::p, Base::gates, Base::pitch, Base::bias, Base::none;

 public:
  struct Buffers : Base::Buffers {
    T *product;  // reset after: U h + b'; reset before: U_n (r h), in wide panels
    T *rh;       // reset before: r h in rows
  };
  Buffers buffers{};

  GruForward(const Problem &problem, const Row *order, bool units_divided, Scratch &scratch)
      : Base(problem, order, units_divided, {static_cast<long>(problem.H), 3, kGatesGru}, 3 * problem.H, scratch),
        after(problem.cell == static_cast<int>(Cell::gru)),
        rz{static_cast<long>(problem.H), 2, kGatesReset},
        units{static_cast<long>(problem.H), 4, nullptr},
        u(plan_forward(scratch, after ? gates : rz, problem.P)),
        recurrent_bias(plan_vector(scratch, gates)) {
    if (!after) u_n = plan_forward(scratch, units, p.P);
  }

  void pack_more(const Team &team) const {
    const T *w_hh = static_cast<const T *>(p.w_hh), *b_hh = static_cast<const T *>(p.b_hh);
    fill_forward(u, w_hh, after ? gates : rz, team);
    fill_vector(bias, static_cast<const T *>(p.b_ih), after ? nullptr : b_hh, gates, team);
    if (after) fill_vector<T>(recurrent_bias, b_hh, nullptr, gates, team);
    else fill_forward(u_n, w_hh + 2 * p.H * p.P, units, team);
  }
  void plan_buffers(const Walk<T> &walk, Scratch &scratch, Buffers &b) const {
    const long count = most(walk.count, 1L);
    b.pre = Base::plan_pre(walk, scratch);
    b.product = take<T>(scratch, most(gates.count() * pitch, units.count() * kWide<T>) * count);
    b.rh = after ? nullptr : take<T>(scratch, count * padded<T>(p.H));
  }
  const T *start_of_pre() const { return bias; }
  long workspace_rows() const { return after ? p.H : 0; }

  void step(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    after ? step_after(walk, b, from, to, d) : step_before(walk, b, from, to, d);
  }

 private:
  void step_after(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long panel = walk.capacity * pitch, row_panel = most(walk.count, 1L) * pitch;
    const long first = d.first(gates.count()), last = d.last(gates.count());
    T *seen = static_cast<T *>(p.workspace);
    for (long q = first; q < last; q += 2) {
      const long end = least(q + 2, last);
      product(Rows<T>{walk.h_prev + from, {static_cast<long>(p.P)}}, to - from, u, q, end, b.product, row_panel, pitch,
              static_cast<const T *>(recurrent_bias));
      for (long unit = q; unit < end; ++unit)
        for (long k = from; k < to; ++k) {
          const Cursor<T> &at = walk.cursors[k];
          const T *x = b.pre + unit * panel + k * pitch, *h = b.product + unit * row_panel + (k - from) * pitch;
          const long j = unit * L, n = p.H - j;
          const Vector<T> of_n = load(h + 2 * L);
          Vector<T> rz[2] = {load(x) + load(h), load(x + L) + load(h + L)};
          sigmoids_tanhs<T, 2>(rz);
          if (seen) store(seen + (at.t * p.B + at.b) * p.H + j, of_n, n);
          put(at, j, n, rz[0], rz[1], tanh<T>(load(x + 2 * L) + rz[0] * of_n));
        }
    }
  }

  void step_before(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long panel = walk.capacity * pitch, row = padded<T>(p.H), row_panel = most(walk.count, 1L) * kWide<T>;
    const long first = d.first(gates.count()), last = d.last(gates.count());
    product(Rows<T>{walk.h_prev + from, {static_cast<long>(p.P)}}, to - from, u, first, last, b.pre + from * pitch, panel,
            pitch, static_cast<const T *>(nullptr));
    for (long unit = first; unit < last; ++unit)
      for (long k = from; k < to; ++k) {
        T *a = b.pre + unit * panel + k * pitch;
        Vector<T> rz[2] = {load(a), load(a + L)};
        sigmoids_tanhs<T, 2>(rz);
        store(a, rz[0]), store(a + L, rz[1]);
        store(b.rh + (k - from) * row + unit * L, rz[0] * load(walk.h_prev[k] + unit * L, p.H - unit * L));
      }
    d.meet();
    for (long k = from; k < to; ++k) walk.pointers[k - from] = b.rh + (k - from) * row;
    product(Rows<T>{walk.pointers, {static_cast<long>(p.P)}}, to - from, u_n, d.first(units.count()), d.last(units.count()),
            b.product, row_panel, kWide<T>, static_cast<const T *>(none));
    d.meet();
    for (long unit = first; unit < last; ++unit)
      for (long k = from; k < to; ++k) {
        const T *a = b.pre + unit * panel + k * pitch;
        const long j = unit * L;
        const Vector<T> of_n = load(b.product + wide<T>(most(walk.count, 1L), k - from, j));
        put(walk.cursors[k], j, p.H - j, load(a), load(a + L), tanh<T>(load(a + 2 * L) + of_n));
      }
  }

  // h = n + z (h_prev - n), and the gates.
  GATEWISE_INLINE void put(const Cursor<T> &at, long j, long n, Vector<T> r, Vector<T> z, Vector<T> fresh) const {
    store(at.h + j, fresh + z * (load(at.h_prev + j, n) - fresh), n);
    if (!at.gates) return;
    T *to = at.gates + j;
    store(to, r, n), store(to + p.H, z, n), store(to + 2 * p.H, fresh, n);
  }

  const bool after;
  const Panels<T> rz, units;
  const Matrix<T> u;
  Matrix<T> u_n;
  T *const recurrent_bias;
};

// Both forms. D holds per panel, reset after: n, r, z and r·n (the recurrent side of n); reset before: n, r, z.
template <class T> class GruBackward : public Backward<T, GruBackward<T>> {
  using Base = Backward<T, GruBackward<T>>;
  using Base::p, Base::db, Base::none, Base::dh_total, Base::sides;

 public:
  struct Buffers : Base::Buffers {
    T *rh, *drh;  // reset before: r h in rows of the chunk, and its gradient in wide panels of a step
    Strips<T> rh_strips;
  };
  Buffers buffers{};

  GruBackward(const Problem &problem, const Row *order, bool units_divided, int threads, Scratch &scratch)
      : Base(problem, order, units_divided, threads, 3 * problem.H, sides_of(problem), scratch),
        after(problem.cell == static_cast<int>(Cell::gru)),
        fresh{static_cast<long>(problem.H), 1, kGateNew} {
    if (after) {
      db_hh.plan(scratch, sides.h, 1, Base::groups);
    } else {
      u_n = plan_backward(scratch, fresh, p.P);
      dw_n.plan(scratch, fresh, p.P, Base::groups);
    }
  }

  void pack(const Team &team) const {
    if (!after) fill_backward(u_n, static_cast<const T *>(p.w_hh), p.P, fresh, team);
  }
  void clear(const Division &d) const { after ? db_hh.clear(d) : dw_n.clear(d); }

  void plan_buffers(const Walk<T> &walk, Scratch &scratch, Buffers &b) const {
    Base::plan_common(walk, scratch, b, true);
    if (after) return;
    b.rh = take<T>(scratch, walk.capacity * padded<T>(p.P));
    b.rh_strips = plan_strips<T>(scratch, p.P, walk.capacity, 1);
    b.drh = take<T>(scratch, Base::outputs.count() * most(walk.count, 1L) * kWide<T>);
  }

  void step_back(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long first = d.first(sides.x.count()), last = d.last(sides.x.count());
    for (long unit = first; unit < last; ++unit)
      for (long k = from; k < to; ++k) {
        const Cursor<T> &at = walk.cursors[k];
        const long j = unit * L, valid = p.H - j;
        const Vector<T> z = load(at.gates + p.H + j, valid), n = load(at.gates + 2 * p.H + j, valid);
        const Vector<T> dh = dh_total(walk, b, at, j, valid);
        const Vector<T> da_n = dh * (T(1) - z) * (T(1) - n * n);
        T *out = b.d_x + (unit * walk.capacity + k) * sides.pitch;
        store(out, da_n);
        store(out + 2 * L, dh * (load(at.h_prev + j, valid) - n) * z * (T(1) - z));
        store(b.direct + at.r * padded<T>(p.P) + j, dh * z);
        if (!after) continue;
        const Vector<T> r = load(at.gates + j, valid);
        const T *seen = static_cast<const T *>(p.workspace) + (at.t * p.B + at.b) * p.H + j;
        store(out + L, da_n * load(seen, valid) * r * (T(1) - r));
        store(out + 3 * L, da_n * r);
      }
    if (!after) reset_back(walk, b, from, to, d);
  }

  void fill_strips_too(Walk<T> &walk, const Buffers &b, const Division &d) const {
    if (after) return;
    for (long k = 0; k < walk.size; ++k) walk.pointers[k] = b.rh + k * padded<T>(p.P);
    fill_strips(b.rh_strips, walk.pointers, walk.size, d);
  }

  void weight_gradients_too(Walk<T> &walk, const Buffers &b, const Division &d) const {
    const long panels = sides.x.count(), panel = walk.capacity * sides.pitch;
    for (long q = d.first(panels); q < d.last(panels); ++q) {
      if (after) add_rows(b.d_h + q * panel, walk.size, sides.pitch, 3, db_hh.panel(d.group(), q));
      else outer(1, b.rh_strips, walk.size, b.d_x + q * panel, sides.pitch, dw_n.panel(d.group(), q));
    }
  }

  template <class B> void finish(const Walk<T> &, const B &, const Division &d) const {
    (after ? db_hh : db).finish(d, static_cast<T *>(p.db_hh));
    if (!after) dw_n.finish(d, static_cast<T *>(p.dw_hh));
  }

 private:
  static Sides<T> sides_of(const Problem &problem) {
    const long H = problem.H;
    if (problem.cell == static_cast<int>(Cell::gru))
      return {4 * kLanes<T>, {H, 3, kGatesGruInput}, {H, 3, kGatesGru}, kLanes<T>};
    return {3 * kLanes<T>, {H, 3, kGatesGruInput}, {H, 2, kGatesReset}, kLanes<T>};
  }

  // Reset before: through U_n (r h) to r, and to the h that r let pass.
  void reset_back(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long columns = Base::outputs.count(), count = most(walk.count, 1L), pitch = padded<T>(p.P);
    d.meet();
    for (long k = from; k < to; ++k) walk.pointers[k - from] = b.d_x + k * sides.pitch;
    product(Rows<T>{walk.pointers, {L, sides.x.count(), walk.capacity * sides.pitch}}, to - from, u_n, d.first(columns),
            d.last(columns), b.drh, count * kWide<T>, kWide<T>, static_cast<const T *>(none));
    d.meet();
    for (long unit = d.first(sides.x.count()); unit < d.last(sides.x.count()); ++unit)
      for (long k = from; k < to; ++k) {
        const Cursor<T> &at = walk.cursors[k];
        const long j = unit * L, valid = p.H - j;
        const Vector<T> r = load(at.gates + j, valid), drh = load(b.drh + wide<T>(count, k - from, j));
        const Vector<T> h = load(walk.h_prev[k] + j, valid);  // under its mask
        store(b.d_x + (unit * walk.capacity + k) * sides.pitch + L, drh * h * r * (T(1) - r));
        store(b.rh + k * pitch + j, r * h);
        T *direct = b.direct + at.r * pitch + j;
        Vector<T> passed = drh * r;
        if (walk.masks) passed *= load(walk.masks + at.r * pitch + j);
        store(direct, load(direct) + passed);
      }
  }

  const bool after;
  const Panels<T> fresh;
  Matrix<T> u_n;
  Gradient<T> db_hh, dw_n;
};

}  // namespace gatewise::GATEWISE_ISA
