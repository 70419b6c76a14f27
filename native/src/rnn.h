// The plain recurrent network, tanh or ReLU. Source: Elman 1990; Le, Jaitly & Hinton 2015.
#pragma once

#include "activation.h"
#include "backward.h"
#include "forward.h"

namespace gatewise::GATEWISE_ISA {

template <class T> Panels<T> rnn_panels(const Problem &p) {
  return {static_cast<long>(p.H), static_cast<int>(least(4L, blocks(p.H, kLanes<T>))), nullptr};
}
inline bool is_relu(const Problem &p) { return p.cell == static_cast<int>(Cell::rnn_relu); }

template <class T> class RnnForward : public Forward<T, RnnForward<T>> {
  using Base = Forward<T, RnnForward<T>>;
  using Base::p, Base::gates, Base::pitch, Base::bias;

 public:
  typename Base::Buffers buffers{};

  RnnForward(const Problem &problem, const Row *order, bool units_divided, Scratch &scratch)
      : Base(problem, order, units_divided, rnn_panels<T>(problem), problem.H, scratch),
        u(plan_forward(scratch, gates, problem.P)), relu(is_relu(problem)) {}

  void pack_more(const Team &team) const {
    fill_forward(u, static_cast<const T *>(p.w_hh), gates, team);
    fill_vector(bias, static_cast<const T *>(p.b_ih), static_cast<const T *>(p.b_hh), gates, team);
  }
  void plan_buffers(const Walk<T> &walk, Scratch &scratch, typename Base::Buffers &b) const {
    b.pre = Base::plan_pre(walk, scratch);
  }
  const T *start_of_pre() const { return bias; }

  void step(Walk<T> &walk, const typename Base::Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long panel = walk.capacity * pitch;
    const long first = d.first(gates.count()), last = d.last(gates.count());
    product(Rows<T>{walk.h_prev + from, {static_cast<long>(p.P)}}, to - from, u, first, last, b.pre + from * pitch, panel,
            pitch, static_cast<const T *>(nullptr));
    for (long q = first; q < last; ++q)
      for (long k = from; k < to; ++k)
        for (long v = 0, j = q * pitch; v < gates.nv && j < p.H; ++v, j += L) {
          const Vector<T> a = load(b.pre + q * panel + k * pitch + v * L);
          store(walk.cursors[k].h + j, relu ? rectify(a) : tanh<T>(a), p.H - j);
        }
  }

 private:
  static GATEWISE_INLINE Vector<T> rectify(Vector<T> a) { return a < Vector<T>{} ? Vector<T>{} : a; }  // NaN stays

  const Matrix<T> u;
  const bool relu;
};

template <class T> class RnnBackward : public Backward<T, RnnBackward<T>> {
  using Base = Backward<T, RnnBackward<T>>;
  using Base::p, Base::db, Base::dh_total;

 public:
  typename Base::Buffers buffers{};

  RnnBackward(const Problem &problem, const Row *order, bool units_divided, int threads, Scratch &scratch)
      : Base(problem, order, units_divided, threads, problem.H,
             {rnn_panels<T>(problem).nv * kLanes<T>, rnn_panels<T>(problem), rnn_panels<T>(problem), 0}, scratch),
        relu(is_relu(problem)) {}

  void plan_buffers(const Walk<T> &walk, Scratch &scratch, typename Base::Buffers &b) const {
    Base::plan_common(walk, scratch, b, false);
  }

  // da = dh (1 - h²), or dh where the unit is on. All vectors of a panel are written: products read them.
  void step_back(Walk<T> &walk, const typename Base::Buffers &b, long from, long to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const long panels = Base::sides.x.count();
    for (long q = d.first(panels); q < d.last(panels); ++q)
      for (long k = from; k < to; ++k) {
        const Cursor<T> &at = walk.cursors[k];
        T *out = b.d_x + (q * walk.capacity + k) * Base::sides.pitch;
        for (long v = 0, j = q * Base::sides.pitch; v < Base::sides.x.nv; ++v, j += L) {
          Vector<T> da{};
          if (j < p.H) {
            const Vector<T> h = load(at.h + j, p.H - j), dh = dh_total(walk, b, at, j, p.H - j);
            da = relu ? (h > Vector<T>{} ? dh : Vector<T>{}) : dh * (T(1) - h * h);
          }
          store(out + v * L, da);
        }
      }
  }

  template <class B> void finish(const Walk<T> &, const B &, const Division &d) const {
    db.finish(d, static_cast<T *>(p.db_hh));
  }

 private:
  const bool relu;
};

}  // namespace gatewise::GATEWISE_ISA
