// Back-propagation through time of the LSTM and its variants. Equations: MATHS in docs; layer norm as in Ba 2016, appendix.
#pragma once

#include "backward.h"
#include "lstm.h"

namespace gatewise::GATEWISE_ISA {

template <class T> class LstmBackward : public Backward<T, LstmBackward<T>> {
  using Base = Backward<T, LstmBackward<T>>;
  using Base::p, Base::by_units, Base::db, Base::none, Base::outputs, Base::dh_total;

 public:
  struct Buffers : Base::Buffers {
    T *dc;                     // of the cell state before a step, in rows
    T *dread, *dh_rows, *read; // with a projection: of the read, of h, and the read itself
    Strips<T> dh_strips;
    T *norm_rows;              // two rows for the way through the norm of c
  };
  Buffers buffers{};

  LstmBackward(const Problem &problem, const Row *order, bool units_divided, int threads, Scratch &scratch)
      : Base(problem, order, units_divided, threads, LstmPlan<T>(problem).G * problem.H,
             sides_of(problem), scratch),
        plan(problem),
        unit_panels{static_cast<long>(problem.H), 4, nullptr} {
    if (plan.projected) {
      r = Matrix<T>{nullptr, static_cast<long>(p.P), unit_panels.columns()};
      r.data = take<T>(scratch, r.size());
      dw_hr.plan(scratch, unit_panels, p.P, Base::groups);
    }
    if (p.peephole) dpeephole = take_zeros<T>(scratch, Base::groups * peep_size());
    if (plan.norm) {
      dnorm_ih.plan(scratch, plan.gates, 1, Base::groups);
      dnorm_hh.plan(scratch, plan.gates, 1, Base::groups);
      dnorm_c = take_zeros<T>(scratch, Base::groups * 2 * row_pitch());
    }
  }

  void pack(const Team &team) const {
    if (!plan.projected) return;
    const T *w_hr = static_cast<const T *>(p.w_hr);
    for (long q = team.rank; q < r.columns.panels(); q += team.size) {
      const long width = r.columns.width(q) * kLanes<T>;
      for (long k = 0; k < p.P; ++k)
        for (long j = 0; j < width; ++j)
          r.data[q * r.panel_size() + k * width + j] = q * kWide<T> + j < p.H ? w_hr[k * p.H + q * kWide<T> + j] : T(0);
    }
  }

  void clear(const Division &d) const {
    if (plan.projected) dw_hr.clear(d);
    if (plan.norm) dnorm_ih.clear(d), dnorm_hh.clear(d);
  }

  void plan_buffers(const Walk<T> &walk, Scratch &scratch, Buffers &b) const {
    const long count = most(walk.count, 1L);
    Base::plan_common(walk, scratch, b, p.zoneout_h > 0);
    if (plan.norm) b.d_h = take<T>(scratch, plan.units * walk.capacity * plan.pitch);
    b.dc = take<T>(scratch, count * row_pitch());
    if (plan.norm) b.norm_rows = take<T>(scratch, 2 * row_pitch());
    if (plan.projected) {
      b.dh_rows = take<T>(scratch, walk.capacity * padded<T>(p.P));
      b.dh_strips = plan_strips<T>(scratch, p.P, walk.capacity, unit_panels.nv);
      b.dread = take<T>(scratch, unit_panels.count() * count * kWide<T>);
      b.read = take_zeros<T>(scratch, unit_panels.count() * walk.capacity * kWide<T>);
    }
  }

  void start(const Walk<T> &walk, const Buffers &b, const Division &d) const {
    const T *dc_n = static_cast<const T *>(p.dc_n);
    for_own_rows(walk, d, [&](long r) {
      const long id = walk.row(r).id;
      for (long j = 0; j < row_pitch(); ++j) b.dc[r * row_pitch() + j] = dc_n && j < p.H ? dc_n[id * p.H + j] : T(0);
    });
  }

  void step_back(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    if (plan.projected) read_back(walk, b, from, to, d);
    if (plan.norm) {
      for (long k = from; k < to; ++k) row_back_norm(walk, b, from, k, d);
      return;
    }
    for (long unit = d.first(plan.units); unit < d.last(plan.units); ++unit) {
      const long valid = p.H - unit * kLanes<T>;
      const bool plain = plan.plain && !plan.projected && valid >= kLanes<T>;
      long k = from;
      for (; k + kSide <= to; k += kSide) tanh_c<kSide>(walk, b, k, unit, valid);
      for (; k < to; ++k) tanh_c<1>(walk, b, k, unit, valid);
      for (k = from; k < to; ++k) {
        if (k >= to - from) fetch(walk.cursors[k - (to - from)], unit * kLanes<T>);
        T *out = row_of(walk, b, unit, k);
        if (plain)
          gates_back<true>(walk, b, from, k, unit, kLanes<T>, out, nullptr, nullptr, d);
        else
          gates_back<false>(walk, b, from, k, unit, valid, out, nullptr, nullptr, d);
      }
    }
  }

  void fill_strips_too(Walk<T> &walk, const Buffers &b, const Division &d) const {
    if (!plan.projected) return;
    for (long k = 0; k < walk.size; ++k) walk.pointers[k] = b.dh_rows + k * padded<T>(p.P);
    fill_strips(b.dh_strips, walk.pointers, walk.size, d);
  }

  void weight_gradients_too(Walk<T> &walk, const Buffers &b, const Division &d) const {
    if (!plan.projected) return;
    const long panels = unit_panels.count();
    for (long q = d.first(panels); q < d.last(panels); ++q)
      outer(unit_panels.nv, b.dh_strips, walk.size, b.read + q * walk.capacity * kWide<T>, kWide<T>, dw_hr.panel(d.group(), q));
  }

  void finish(const Walk<T> &walk, const Buffers &b, const Division &d) const {
    for_own_rows(walk, d, [&](long r) { copy(b.dc + r * row_pitch(), static_cast<T *>(p.dc0) + walk.row(r).id * p.H, p.H); });
    db.finish(d, static_cast<T *>(p.db_hh));
    if (plan.norm) {
      dnorm_ih.finish(d, static_cast<T *>(p.dnorm_ih));
      dnorm_hh.finish(d, static_cast<T *>(p.dnorm_hh));
    }
    if (d.team.rank != 0) return;
    finish_vectors(d);
    if (plan.projected) finish_projection(d);
  }

 private:
  static constexpr int kSide = 4;  // rows whose tanh c are computed side by side

  // Where the gradients of a row's pre-activations of one panel come to stand; until then tanh c stands there.
  T *row_of(const Walk<T> &walk, const Buffers &b, long unit, long k) const {
    return b.d_x + (unit * walk.capacity + k) * plan.pitch;
  }
  template <int N> GATEWISE_INLINE void tanh_c(const Walk<T> &walk, const Buffers &b, long k, long unit, long valid) const {
    Vector<T> c[N];
    GATEWISE_EACH(r, N) c[r] = load(walk.cursors[k + r].c + unit * kLanes<T>, valid);
    sigmoids_tanhs<T, 0>(c);
    GATEWISE_EACH(r, N) store(row_of(walk, b, unit, k + r), c[r]);
  }

  static Sides<T> sides_of(const Problem &problem) {
    const LstmPlan<T> plan(problem);
    return {plan.pitch, plan.gates, plan.gates, 0, !plan.norm};
  }
  // What the next step back will read: it comes in an order that the processor does not foresee.
  GATEWISE_INLINE void fetch(const Cursor<T> &next, long j) const {
    for (long g = 0; g < plan.G; ++g) __builtin_prefetch(next.gates + g * p.H + j);
    if (p.dh_seq) __builtin_prefetch(static_cast<const T *>(p.dh_seq) + next.t * p.dh_seq_t + next.b * p.dh_seq_b + j);
  }

  long peep_size() const { return 3 * padded<T>(p.H); }
  long row_pitch() const { return padded<T>(p.H); }

  // Through a projection: dread = dh W_hr for the rows of a step; dh is kept for the gradient of W_hr.
  void read_back(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    const long pitch = padded<T>(p.P), columns = outputs.count(), panels = r.columns.panels();
    for (long k = from; k < to; ++k)
      for (long j = d.first(columns) * kWide<T>; j < least(d.last(columns) * kWide<T>, pitch); j += kLanes<T>)
        store(b.dh_rows + k * pitch + j, dh_total(walk, b, walk.cursors[k], j, p.P - j));
    d.meet();
    for (long k = from; k < to; ++k) walk.pointers[k - from] = b.dh_rows + k * pitch;
    product(Rows<T>{walk.pointers, {static_cast<long>(p.P)}}, to - from, r, d.first(panels), d.last(panels), b.dread,
            most(walk.count, 1L) * kWide<T>, kWide<T>, static_cast<const T *>(none));
    d.meet();
  }

  // From the gradients of h and c to those of the pre-activations, one vector of units of one row.
  //
  // tanh c stands at `out`. With layer norm it does not: `d_o` holds the gradient of the read and `dc_read` what reaches c
  // through its norm.
  template <bool Plain>
  GATEWISE_INLINE void gates_back(const Walk<T> &walk, const Buffers &b, long from, long k, long unit, long valid, T *out,
                                  const T *d_o, const T *dc_read, const Division &d) const {
    constexpr long L = kLanes<T>;
    const Cursor<T> &at = walk.cursors[k];
    const long j = unit * L, H = p.H, n = Plain ? L : valid;
    const bool coupled = !Plain && p.coupled;
    const T *gates = at.gates + j;
    const Vector<T> f = load(gates + (coupled ? 0 : H), n), g = load(gates + (coupled ? 1 : 2) * H, n),
                    o = load(gates + (coupled ? 2 : 3) * H, n);
    const Vector<T> i = coupled ? T(1) - f : load(gates, n);
    const Vector<T> c_prev = load(at.c_prev + j, n), c = load(at.c + j, n);
    T *carry = b.dc + at.r * row_pitch() + j;
    Vector<T> dc = load(carry), da_o;
    if (p.dc_seq) dc += load(static_cast<const T *>(p.dc_seq) + (at.t * p.B + at.b) * H + j, n);
    if (!Plain && plan.norm) {
      da_o = load(d_o + j, n) * o * (T(1) - o);
      dc += load(dc_read + j, n);
    } else {
      const Vector<T> tanh_c = load(out);
      Vector<T> dread;
      if (!Plain && plan.projected) {
        dread = load(b.dread + wide<T>(most(walk.count, 1L), k - from, j));
        store(b.read + wide<T>(walk.capacity, k, j), o * tanh_c, n);
      } else {
        dread = dh_total(walk, b, at, j, n);
        if (!Plain && p.zoneout_h > 0) dread = zone_h_back(b, at, j, dread);
      }
      da_o = dread * tanh_c * o * (T(1) - o);
      dc += dread * o * (T(1) - tanh_c * tanh_c);
    }
    if (!Plain && plan.peep_o) {
      dc += da_o * load(plan.peep_o + j, n);
      add_peephole(d, 2, j, da_o * c);
    }
    Vector<T> back = dc * f, d_new = dc;
    if (!Plain && p.zoneout_c > 0) {
      const Vector<T> old = plan.zoned(p.zoneout_c, plan.zone_c, Draw::zoneout_c, at, j);
      d_new = dc * (T(1) - old);
      back = d_new * f + dc * old;
    }
    Vector<T> d_g = d_new * i, g_raw = g;
    if (!Plain && plan.drops_g()) {
      const Vector<T> kept = plan.kept_g(at, j);
      d_g *= kept;
      g_raw = g * T(1 - p.dropout_g);
    }
    const Vector<T> da_g = d_g * (T(1) - g_raw * g_raw);
    Vector<T> da_f = d_new * c_prev * f * (T(1) - f), da_i{};
    if (coupled) da_f -= d_new * g * f * (T(1) - f);
    else da_i = d_new * g * i * (T(1) - i);
    if (!Plain && plan.peep_f) {
      back += da_f * load(plan.peep_f + j, n);
      add_peephole(d, 1, j, da_f * c_prev);
      if (plan.peep_i) {
        back += da_i * load(plan.peep_i + j, n);
        add_peephole(d, 0, j, da_i * c_prev);
      }
    }
    store(carry, at.fresh ? Vector<T>{} : back);
    if (!coupled) store(out, da_i), out += L;
    store(out, da_f), store(out + L, da_g), store(out + 2 * L, da_o);
  }

  void add_peephole(const Division &d, long which, long j, Vector<T> part) const {
    T *to = dpeephole + d.group() * peep_size() + which * row_pitch() + j;
    store(to, load(to) + part);
  }

  GATEWISE_INLINE Vector<T> zone_h_back(const Buffers &b, const Cursor<T> &at, long j, Vector<T> dh) const {
    const Vector<T> old = plan.zoned(p.zoneout_h, plan.zone_h, Draw::zoneout_h, at, j);
    store(b.direct + at.r * padded<T>(p.P) + j, dh * old);
    return dh * (T(1) - old);
  }

  // One row under layer norm: through the norm of c, the gates, and the norms of both products.
  void row_back_norm(const Walk<T> &walk, const Buffers &b, long from, long k, const Division &d) const {
    constexpr long L = kLanes<T>;
    const Cursor<T> &at = walk.cursors[k];
    const long H = p.H;
    T *d_o = b.norm_rows, *dc_read = d_o + row_pitch();
    T mean, scale;
    statistics<T>(at.c, H, mean, scale);
    const T *gain = static_cast<const T *>(p.norm_c), *offset = static_cast<const T *>(p.norm_c_bias);
    T *dgain = dnorm_c + d.group() * 2 * row_pitch(), *doffset = dgain + row_pitch();
    const T *o_row = at.gates + (plan.G - 1) * H;
    Vector<T> sums{}, products{};
    for (long j = 0; j < H; j += L) {
      const long n = H - j;
      Vector<T> dread;
      const Vector<T> x = first_lanes<T>((load(at.c + j, n) - mean) * scale, n);
      Vector<T> v = load(gain + j, n) * x;
      if (offset) v += load(offset + j, n);
      const Vector<T> y = tanh<T>(v), o = load(o_row + j, n);
      if (plan.projected) {
        dread = load(b.dread + wide<T>(most(walk.count, 1L), k - from, j));
        store(b.read + wide<T>(walk.capacity, k, j), o * y, n);
      } else {
        dread = dh_total(walk, b, at, j, n);
        if (p.zoneout_h > 0) dread = zone_h_back(b, at, j, dread);
      }
      const Vector<T> dv = dread * o * (T(1) - y * y);
      store(dgain + j, load(dgain + j) + dv * x);
      store(doffset + j, load(doffset + j) + dv);
      store(d_o + j, dread * y);
      const Vector<T> dx = dv * load(gain + j, n);
      store(dc_read + j, dx);
      sums += dx, products += dx * x;
    }
    const T mean_d = total<T>(sums) / T(H), mean_p = total<T>(products) / T(H);
    for (long j = 0; j < H; j += L) {
      const Vector<T> x = (load(at.c + j, H - j) - mean) * scale;
      store(dc_read + j, first_lanes<T>((load(dc_read + j) - mean_d - x * mean_p) * scale, H - j));
    }
    for (long unit = 0; unit < plan.units; ++unit)
      gates_back<false>(walk, b, from, k, unit, H - unit * L, row_of(walk, b, unit, k), d_o, dc_read, d);
    normalised_back(walk, b, k, 1, dnorm_hh, static_cast<const T *>(p.norm_hh), b.d_h, d);
    normalised_back(walk, b, k, 0, dnorm_ih, static_cast<const T *>(p.norm_ih), b.d_x, d);
  }

  void normalised_back(const Walk<T> &walk, const Buffers &b, long k, int which, const Gradient<T> &dgain, const T *gain,
                       T *to, const Division &d) const {
    constexpr long L = kLanes<T>;
    const Cursor<T> &at = walk.cursors[k];
    const long H = p.H, n = plan.G * H, panel = walk.capacity * plan.pitch;
    const T *seen = plan.workspace(at), scale = seen[2 * n + which];
    Vector<T> sums{}, products{};
    for (long unit = 0; unit < plan.units; ++unit)
      for (long g = 0; g < plan.G; ++g) {
        const long place = g * H + unit * L, valid = H - unit * L;
        const Vector<T> da = load(b.d_x + unit * panel + k * plan.pitch + g * L), x = load(seen + which * n + place, valid);
        T *sum = dgain.panel(d.group(), unit) + g * L;
        store(sum, load(sum) + da * x);
        const Vector<T> dx = da * load(gain + place, valid);
        sums += dx, products += dx * x;
      }
    const T mean_d = total<T>(sums) / T(n), mean_p = total<T>(products) / T(n);
    for (long unit = 0; unit < plan.units; ++unit)
      for (long g = 0; g < plan.G; ++g) {
        const long place = g * H + unit * L, valid = H - unit * L, lane = unit * panel + k * plan.pitch + g * L;
        const Vector<T> x = load(seen + which * n + place, valid);
        if (which == 0) add_bias(d, unit, g, load(b.d_x + lane));
        const Vector<T> dx = (load(b.d_x + lane) * load(gain + place, valid) - mean_d - x * mean_p) * scale;
        store(to + lane, first_lanes<T>(dx, valid));
      }
  }
  void add_bias(const Division &d, long unit, long g, Vector<T> da) const {
    T *to = db.panel(d.group(), unit) + g * kLanes<T>;
    store(to, load(to) + da);
  }

  void finish_vectors(const Division &d) const {
    if (p.dpeephole) {
      T *to = static_cast<T *>(p.dpeephole);
      for (long which = p.coupled ? 1 : 0; which < 3; ++which, to += p.H)
        sum_groups(d, dpeephole + which * row_pitch(), peep_size(), to);
    }
    if (!plan.norm) return;
    sum_groups(d, dnorm_c, 2 * row_pitch(), static_cast<T *>(p.dnorm_c));
    if (p.dnorm_c_bias) sum_groups(d, dnorm_c + row_pitch(), 2 * row_pitch(), static_cast<T *>(p.dnorm_c_bias));
  }
  void sum_groups(const Division &d, const T *from, long stride, T *to) const {
    for (long j = 0; j < p.H; ++j) {
      T sum = from[j];
      for (long group = 1; group < d.groups(); ++group) sum += from[group * stride + j];
      to[j] = sum;
    }
  }

  // dW_hr [P, H] stands in panels of columns: [panel][P][width].
  void finish_projection(const Division &d) const {
    T *to = static_cast<T *>(p.dw_hr);
    for (long k = 0; k < p.P; ++k)
      for (long j = 0; j < p.H; ++j) {
        const long q = j / kWide<T>;
        T sum = 0;
        for (long group = 0; group < d.groups(); ++group) sum += dw_hr.panel(group, q)[k * kWide<T> + j % kWide<T>];
        to[k * p.H + j] = sum;
      }
  }

  const LstmPlan<T> plan;
  const Panels<T> unit_panels;
  Matrix<T> r;
  Gradient<T> dw_hr, dnorm_ih, dnorm_hh;
  T *dpeephole = nullptr, *dnorm_c = nullptr;
};

}  // namespace gatewise::GATEWISE_ISA
