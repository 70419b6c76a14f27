// Back-propagation through time: what all cells share.
//
// A worker goes back through its rows in chunks. In a step the cell turns the gradients of its state into those of the
// pre-activations, D, and D U goes back to the step before. When a chunk is done, D is still in the cache and all weight
// gradients take their share of it: no gradient of a gate is ever written to memory as a whole.
#pragma once

#include "run.h"

namespace gatewise::GATEWISE_ISA {

// 4-wide panels [panel][row][4 * lanes] hold gradients of states and inputs; this is where element j of row r stands.
template <class T> constexpr long kWide = 4 * kLanes<T>;
template <class T> GATEWISE_INLINE long wide(long rows, long r, long j) {
  return (j / kWide<T> * rows + r) * kWide<T> + j % kWide<T>;
}

// Where the gradients of the pre-activations stand in a row of a panel of D: some gates at the side of x, some at h's.
template <class T> struct Sides {
  long pitch;             // elements of a row of a panel
  Panels<T> x, h;         // the gates at each side
  long h_offset;          // where those at the side of h begin; those of x begin at 0
  bool sum_bias = true;   // whether the gradient of b_ih is the sum of D at the side of x; else the cell adds it up
};

template <class T, class Cell> class Backward {
 public:
  struct Buffers {
    T *d_x, *d_h;  // D at both sides, [panel][row-step of the chunk][pitch]
    T *dh;         // of the state before a step, in wide panels
    T *direct;     // the part of it that goes around the gates, in rows; null where there is none
    T *dx;         // in wide panels
    Strips<T> x_strips, h_strips;  // the operands of the weight gradients
  };

  void run(const Team &team) {
    const Division d{by_units, team};
    fill_backward(u, static_cast<const T *>(p.w_hh), p.P, sides.h, team);
    if (p.dx) fill_backward(w, static_cast<const T *>(p.w_ih), p.I, sides.x, team);
    cell().pack(team);
    dw_ih.clear(d), dw_hh.clear(d), db.clear(d);
    cell().clear(d);
    Scratch own;
    Walk<T> walk(p, rows, by_units ? 0 : team.rank, by_units ? 1 : team.size, gate_rows, kChunk, own);
    if (by_units && team.rank == 0) cell().plan_buffers(walk, shared_, cell().buffers);
    team.wait();
    auto b = cell().buffers;
    if (!by_units) cell().plan_buffers(walk, own, b);
    draw_h_masks(p, walk, own);
    T *masked = walk.masks ? take<T>(own, walk.capacity * padded<T>(p.P)) : nullptr;
    start_h(walk, b, d);
    cell().start(walk, b, d);
    team.wait();
    for (long s = walk.steps; s > 0;) {
      s = walk.take_before(s);
      if (walk.masks) mask_states(p, walk, 0, walk.size, masked);
      for (long step = walk.chunk - 1; step >= 0; --step) {
        const long from = walk.first[step], to = walk.first[step + 1];
        cell().step_back(walk, b, from, to, d);
        d.meet();
        send_back(walk, b, from, to, d);
        d.meet();
      }
      fill_strips(b.x_strips, walk.x, walk.size, d);
      fill_strips(b.h_strips, walk.h_prev, walk.size, d);
      cell().fill_strips_too(walk, b, d);
      d.meet();
      weight_gradients(walk, b, d);
      cell().weight_gradients_too(walk, b, d);
      d.meet();
    }
    finish_inputs(walk, b, d);
    team.wait();
    dw_ih.finish(d, static_cast<T *>(p.dw_ih));
    dw_hh.finish(d, static_cast<T *>(p.dw_hh));
    db.finish(d, static_cast<T *>(p.db_ih));
    cell().finish(walk, b, d);
  }

  // What a cell need not have.
  void pack(const Team &) const {}
  void clear(const Division &) const {}
  template <class B> void start(const Walk<T> &, const B &, const Division &) const {}
  template <class B> void fill_strips_too(Walk<T> &, const B &, const Division &) const {}
  template <class B> void weight_gradients_too(Walk<T> &, const B &, const Division &) const {}
  template <class B> void finish(const Walk<T> &, const B &, const Division &) const {}

 protected:
  Backward(const Problem &problem, const Row *order, bool units_divided, int threads, long gate_row_count,
           const Sides<T> &where, Scratch &scratch)
      : p(problem), rows(order), by_units(units_divided), gate_rows(gate_row_count), sides(where),
        groups(units_divided ? 1 : threads), outputs{static_cast<long>(problem.P), 4, nullptr} {
    u = plan_backward(scratch, sides.h, p.P);
    if (p.dx) w = plan_backward(scratch, sides.x, p.I);
    none = take_zeros<T>(scratch, padded<T>(most(most(p.I, p.H), p.P)) + kWide<T>);
    dw_ih.plan(scratch, sides.x, p.I, groups);
    dw_hh.plan(scratch, sides.h, p.P, groups);
    db.plan(scratch, sides.x, 1, groups);
  }

  // `direct` says whether a part of dh goes around the gates.
  void plan_common(const Walk<T> &walk, Scratch &scratch, Buffers &b, bool direct) const {
    const long count = most(walk.count, 1L), panels = sides.x.count();
    b.d_x = take<T>(scratch, panels * walk.capacity * sides.pitch);
    b.d_h = b.d_x + sides.h_offset;
    b.dh = take<T>(scratch, outputs.count() * count * kWide<T>);
    b.direct = direct ? take<T>(scratch, count * padded<T>(p.P)) : nullptr;
    b.x_strips = plan_strips<T>(scratch, p.I, walk.capacity, sides.x.nv);
    b.h_strips = plan_strips<T>(scratch, p.P, walk.capacity, sides.h.nv);
    b.dx = p.dx ? take<T>(scratch, w.columns.panels() * walk.capacity * kWide<T>) : nullptr;
  }

  // dh as it comes out of a step: what reads it from outside, and what came back.
  GATEWISE_INLINE Vector<T> dh_total(const Walk<T> &walk, const Buffers &b, const Cursor<T> &at, long j, long n) const {
    Vector<T> dh = load(b.dh + wide<T>(walk.count, at.r, j));
    if (p.dh_seq) dh += load(static_cast<const T *>(p.dh_seq) + at.t * p.dh_seq_t + at.b * p.dh_seq_b + j, n);
    return dh;
  }

  const Problem &p;
  const Row *rows;
  const bool by_units;
  const long gate_rows;
  const Sides<T> sides;
  const long groups;
  const Panels<T> outputs;
  Matrix<T> u, w;
  Gradient<T> dw_ih, dw_hh, db;
  T *none;

 private:
  Cell &cell() { return static_cast<Cell &>(*this); }

  // The gradients that come from beyond the last step of each row.
  void start_h(const Walk<T> &walk, const Buffers &b, const Division &d) const {
    const T *dh_n = static_cast<const T *>(p.dh_n);
    for_own_rows(walk, d, [&](long r) {
      for (long j = 0; j < outputs.count() * kWide<T>; ++j)
        b.dh[wide<T>(walk.count, r, j)] = dh_n && j < p.P ? dh_n[walk.row(r).id * p.P + j] : T(0);
    });
  }

  void send_back(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    const long n = to - from, first = d.first(outputs.count()), last = d.last(outputs.count());
    const RowShape shape{sides.h.nv * kLanes<T>, sides.h.count(), walk.capacity * sides.pitch};
    for (long k = 0; k < n; ++k) walk.pointers[k] = b.d_h + (from + k) * sides.pitch;
    product(Rows<T>{walk.pointers, shape}, n, u, first, last, b.dh, walk.count * kWide<T>, kWide<T>, static_cast<const T *>(none));
    if (p.resets || walk.masks || b.direct)
      for (long k = from; k < to; ++k) adjust(walk, b, k, first, last);
  }

  // The gradient of h before a step: masked as h was, with what went around the gates, and nothing across a border.
  void adjust(const Walk<T> &walk, const Buffers &b, long k, long first, long last) const {
    const Cursor<T> &at = walk.cursors[k];
    const long pitch = padded<T>(p.P);
    for (long j = first * kWide<T>; j < least(last * kWide<T>, pitch); j += kLanes<T>) {
      T *dh = b.dh + wide<T>(walk.count, at.r, j);
      Vector<T> v = load(dh);
      if (walk.masks) v *= load(walk.masks + at.r * pitch + j);
      if (b.direct) v += load(b.direct + at.r * pitch + j);
      store(dh, at.fresh ? Vector<T>{} : v);
    }
  }

  void weight_gradients(Walk<T> &walk, const Buffers &b, const Division &d) const {
    const long panels = sides.x.count(), panel = walk.capacity * sides.pitch;
    for (long q = d.first(panels); q < d.last(panels); ++q) {
      outer(sides.x.nv, b.x_strips, walk.size, b.d_x + q * panel, sides.pitch, dw_ih.panel(d.group(), q));
      outer(sides.h.nv, b.h_strips, walk.size, b.d_h + q * panel, sides.pitch, dw_hh.panel(d.group(), q));
      if (sides.sum_bias)
        add_rows(b.d_x + q * panel, walk.size, sides.pitch, sides.x.nv, db.panel(d.group(), q));
    }
    if (!p.dx) return;
    const long columns = w.columns.panels(), first = d.first(columns), last = d.last(columns);
    const RowShape shape{sides.x.nv * kLanes<T>, panels, panel};
    for (long k = 0; k < walk.size; ++k) walk.pointers[k] = b.d_x + k * sides.pitch;
    product(Rows<T>{walk.pointers, shape}, walk.size, w, first, last, b.dx, walk.capacity * kWide<T>, kWide<T>,
            static_cast<const T *>(none));
    for (long k = 0; k < walk.size; ++k) {
      T *to = static_cast<T *>(p.dx) + (walk.cursors[k].t * p.B + walk.cursors[k].b) * p.I;
      copy_columns(b.dx + k * kWide<T>, walk.capacity * kWide<T>, first, last, to, static_cast<long>(p.I));
    }
  }

  void finish_inputs(const Walk<T> &walk, const Buffers &b, const Division &d) const {
    for_own_rows(walk, d, [&](long r) {
      const Row row = walk.row(r);
      T *dh0 = static_cast<T *>(p.dh0) + row.id * p.P;
      for (long j = 0; j < p.P; ++j) dh0[j] = b.dh[wide<T>(walk.count, r, j)];
      if (!p.dx) return;
      for (long t = row.length; t < p.T; ++t) zero(static_cast<T *>(p.dx) + (t * p.B + row.id) * p.I, p.I);
    });
  }

  Scratch shared_;
};

}  // namespace gatewise::GATEWISE_ISA
