// A whole sequence forward: what all cells share.
//
// A worker takes its rows in chunks of steps. The products with x of a chunk are one; then it goes step by step, one product
// with the state and the gates, while the weights stay in the cache.
#pragma once

#include "run.h"

namespace gatewise::GATEWISE_ISA {

template <class T, class Cell> class Forward {
 public:
  struct Buffers {
    T *pre;  // W x + b of the chunk, [panel][row-step][pitch]
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
  }

  void pack(const Team &team) {
    fill_forward(w, static_cast<const T *>(p.w_ih), gates, team);
    cell().pack_more(team);
  }

  // The steps that the walk has taken up.
  template <class B> void chunk(Walk<T> &walk, const B &b, T *masked, const Division &d) {
    product(walk.x, walk.size, RowShape{static_cast<long>(p.I)}, w, d.first(gates.count()), d.last(gates.count()), b.pre,
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
          Scratch &scratch)
      : p(problem), rows(order), by_units(units_divided), gates(panels), gate_rows(gate_row_count),
        pitch(panels.nv * kLanes<T>), w(plan_forward(scratch, panels, problem.I)), bias(plan_vector(scratch, panels)),
        none(take_zeros<T>(scratch, panels.count() * pitch + padded<T>(problem.H) + 4 * kLanes<T>)) {}

  T *plan_pre(const Walk<T> &walk, Scratch &scratch) const { return take<T>(scratch, gates.count() * walk.capacity * pitch); }

  const Problem &p;
  const Row *rows;
  const bool by_units;
  const Panels<T> gates;
  const long gate_rows, pitch;
  const Matrix<T> w;
  T *const bias, *const none;

 private:
  Cell &cell() { return static_cast<Cell &>(*this); }
  Scratch shared_;
};

}  // namespace gatewise::GATEWISE_ISA
