// A whole sequence forward: what all cells share.
//
// A worker takes its rows in chunks of steps. The products with x of a chunk are one; then it goes step by step, one product
// with the state and the gates, while the weights stay in the cache. Where both weights stay there, x and the state of a step
// are joined into one product: what the first would store for the second to load costs more than reading W every step.
#pragma once

#include "run.h"

namespace gatewise::GATEWISE_ISA {

template <class T, class Cell> class Forward {
 public:
  struct Buffers {
    T *pre;  // W x + b of the chunk, or joined the pre-activations of a step, [panel][row-step][pitch]
  };

  void run(const Team &team) {
    const Division d{by_units, team};
    pack(team);
    Scratch own;
    Walk<T> walk(p, rows, by_units ? 0 : team.rank, by_units ? 1 : team.size, gate_rows, kChunk, own);
    if (by_units && team.rank == 0) cell().plan_buffers(walk, shared_, cell().buffers);
    team.wait();
    auto b = cell().buffers;
    if (!by_units) cell().plan_buffers(walk, own, b);
    draw_h_masks(p, walk, own);
    T *masked = walk.masks ? take<T>(own, most(walk.count, 1L) * padded<T>(p.P)) : nullptr;
    T *c_state = cell().c_state(b);
    for (long s = 0; s < walk.steps;) {
      s = walk.take_from(s, c_state, padded<T>(p.H));
      chunk(walk, b, masked, d);
    }
    finish_rows(p, walk, d, gate_rows, cell().workspace_rows(), c_state, padded<T>(p.H));
    streamed();
  }

  void pack(const Team &team) {
    if (!joined) fill_forward(w, static_cast<const T *>(p.w_ih), gates, team);
    cell().pack_more(team);
  }

  // The steps that the walk has taken up.
  template <class B> void chunk(Walk<T> &walk, const B &b, T *masked, const Division &d) {
    if (!joined)
      product(Rows<T>{walk.x, {static_cast<long>(p.I)}}, walk.size, w, d.first(gates.count()), d.last(gates.count()), b.pre,
              walk.capacity * pitch, pitch, cell().start_of_pre());
    cell().inputs_done(walk, b);
    for (long step = 0; step < walk.chunk; ++step) {
      const long from = walk.first[step], to = walk.first[step + 1];
      if (walk.masks) mask_states(p, walk, from, to, masked);
      cell().step(walk, b, from, to, d);
      d.meet();
    }
  }

  // What a cell need not have.
  template <class B> T *c_state(const B &) const { return nullptr; }
  template <class B> void inputs_done(const Walk<T> &, const B &) const {}
  long workspace_rows() const { return 0; }

 protected:
  Forward(const Problem &problem, const Row *order, bool units_divided, const Panels<T> &panels, long gate_row_count,
          Scratch &scratch, bool may_join = false)
      : p(problem), rows(order), by_units(units_divided), joined(may_join && worth_joining(problem, panels, units_divided)),
        gates(panels), gate_rows(gate_row_count), pitch(panels.nv * kLanes<T>),
        w(joined ? Matrix<T>{} : plan_forward(scratch, panels, problem.I)), bias(plan_vector(scratch, panels)),
        none(take_zeros<T>(scratch, panels.count() * pitch + padded<T>(problem.H) + 4 * kLanes<T>)) {}

  // From four rows on a tile has enough to do for what it loads of W; a single step reads W once in any case.
  static bool worth_joining(const Problem &p, const Panels<T> &panels, bool by_units) {
    const long K = p.I + p.P, bytes = K * panels.count() * panels.nv * kBytes;
    return K <= 768 && bytes <= (640L << 10) && (p.T == 1 || p.B / (by_units ? 1 : p.threads) >= 4);
  }

  // The right side of the product with the state, or with x and the state.
  Matrix<T> plan_recurrent(Scratch &scratch) const { return plan_forward(scratch, gates, (joined ? p.I : 0) + p.P); }
  void fill_recurrent(const Matrix<T> &u, const Team &team) const {
    const long above = joined ? p.I : 0;
    for (long q = team.rank; q < u.columns.panels(); q += team.size) {
      T *panel = u.data + q * u.panel_size();
      if (joined) pack_forward(static_cast<const T *>(p.w_ih), above, gates, q, panel);
      pack_forward(static_cast<const T *>(p.w_hh), static_cast<long>(p.P), gates, q,
                   panel + above * gates.columns().width(q) * kLanes<T>);
    }
  }
  Rows<T> operands(const Walk<T> &walk, long from) const {
    const long P = static_cast<long>(p.P);
    return joined ? Rows<T>{walk.x + from, {static_cast<long>(p.I)}, walk.h_prev + from, P} : Rows<T>{walk.h_prev + from, {P}};
  }

  T *plan_pre(const Walk<T> &walk, Scratch &scratch) const { return take<T>(scratch, gates.count() * walk.capacity * pitch); }

  const Problem &p;
  const Row *rows;
  const bool by_units, joined;
  const Panels<T> gates;
  const long gate_rows, pitch;
  const Matrix<T> w;
  T *const bias, *const none;

 private:
  Cell &cell() { return static_cast<Cell &>(*this); }
  Scratch shared_;
};

}  // namespace gatewise::GATEWISE_ISA
