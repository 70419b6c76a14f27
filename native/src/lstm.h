// The LSTM and its variants: peephole, coupled, layer norm, zoneout, dropout on h and on g, projection.
//
// Source: Hochreiter & Schmidhuber 1997; Gers & Schmidhuber 2000; Greff 2017; Ba 2016; Krueger 2017; Gal 2016;
// Semeniuta 2016; Sak 2014. Equations: gatewise/cells/lstm.py.
#pragma once

#include "activation.h"
#include "forward.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kGatesLstm[] = {0, 1, 2, 3};
constexpr double kNormEpsilon = 1e-5;

// What both passes know of a call.
template <class T> struct LstmPlan {
  const Problem &p;
  bool norm, projected;
  Panels<T> gates;
  long G, pitch, units;      // gates, elements of a row of a panel, unit panels
  const T *peep_i, *peep_f, *peep_o;
  bool plain;                // nothing but the four gates
  std::uint32_t zone_c, zone_h, drop_g;
  T keep_g;

  explicit LstmPlan(const Problem &problem) : p(problem) {
    norm = p.norm_ih != nullptr;
    projected = p.w_hr != nullptr;
    G = p.coupled ? 3 : 4;
    gates = Panels<T>{static_cast<long>(p.H), static_cast<int>(G), kGatesLstm};
    pitch = G * kLanes<T>;
    units = gates.count();
    const T *peep = static_cast<const T *>(p.peephole);
    peep_i = p.coupled ? nullptr : peep;
    peep_f = peep ? peep + (p.coupled ? 0 : p.H) : nullptr;
    peep_o = peep ? peep + (p.coupled ? p.H : 2 * p.H) : nullptr;
    plain = !norm && !peep && !p.coupled && p.zoneout_c == 0 && p.zoneout_h == 0 && !(p.random && p.dropout_g > 0);
    zone_c = threshold_of(p.zoneout_c), zone_h = threshold_of(p.zoneout_h), drop_g = threshold_of(p.dropout_g);
    keep_g = T(1) / T(1 - p.dropout_g);
  }
  bool drops_h() const { return p.random && p.dropout_h > 0; }
  bool drops_g() const { return p.random && p.dropout_g > 0; }
  // What the backward pass of layer norm reads of a step: both normalised products, then 1/deviation of each.
  long workspace_row() const { return norm ? 2 * G * p.H + 2 : 0; }
  T *workspace(const Cursor<T> &at) const { return static_cast<T *>(p.workspace) + (at.t * p.B + at.b) * workspace_row(); }

  // How much of the old state zoneout keeps: a mask, or in evaluation its expectation.
  GATEWISE_INLINE Vector<T> zoned(double rate, std::uint32_t threshold, Draw stream, const Cursor<T> &at, long j) const {
    if (!p.random) return splat(T(rate));
    return events<T>(key_of(p.seed, stream, at.t, at.b), j, threshold);
  }
  GATEWISE_INLINE Vector<T> kept_g(const Cursor<T> &at, long j) const {
    return (T(1) - events<T>(key_of(p.seed, Draw::dropout_g, at.t, at.b), j, drop_g)) * keep_g;
  }
};

// Mean and 1/deviation of a row of H values.
template <class T> void statistics(const T *row, long H, T &mean, T &scale) {
  constexpr long L = kLanes<T>;
  const long whole = H / L * L;
  Vector<T> sums{}, squares{};
  for (long j = 0; j < whole; j += L) sums += load(row + j);
  T sum = total<T>(sums), square;
  for (long j = whole; j < H; ++j) sum += row[j];
  mean = sum / T(H);
  for (long j = 0; j < whole; j += L) {
    const Vector<T> x = load(row + j) - mean;
    squares += x * x;
  }
  square = total<T>(squares);
  for (long j = whole; j < H; ++j) square += (row[j] - mean) * (row[j] - mean);
  scale = T(1) / T(__builtin_sqrt(static_cast<double>(square) / static_cast<double>(H) + kNormEpsilon));
}

template <class T> class LstmForward : public Forward<T, LstmForward<T>> {
  using Base = Forward<T, LstmForward<T>>;
  using Base::p, Base::bias, Base::none, Base::joined;

 public:
  struct Buffers : Base::Buffers {
    T *c_state, *product, *read, *out;  // c where it is not kept; with layer norm U h; what h reads; h before it is stored
  };
  Buffers buffers{};

  LstmForward(const Problem &problem, const Row *order, bool units_divided, Scratch &scratch)
      : Base(problem, order, units_divided, LstmPlan<T>(problem).gates, LstmPlan<T>(problem).G * problem.H, scratch,
             !LstmPlan<T>(problem).norm),
        plan(problem),
        u(Base::plan_recurrent(scratch)),
        outputs{static_cast<long>(problem.P), 4, nullptr} {
    if (plan.projected) r = plan_forward(scratch, outputs, p.H);
    const long bytes = static_cast<long>(p.T * p.B) * plan.G * p.H * static_cast<long>(sizeof(T));
    streams = bytes > kCache && p.H % kLanes<T> == 0 && reinterpret_cast<std::uintptr_t>(p.reserve) % kBytes == 0;
  }

  void pack_more(const Team &team) const {
    Base::fill_recurrent(u, team);
    fill_vector(bias, static_cast<const T *>(p.b_ih), static_cast<const T *>(p.b_hh), plan.gates, team);
    if (plan.projected) fill_forward(r, static_cast<const T *>(p.w_hr), outputs, team);
  }

  void plan_buffers(const Walk<T> &walk, Scratch &scratch, Buffers &b) const {
    const long count = most(walk.count, 1L);
    b.pre = Base::plan_pre(walk, scratch);
    b.c_state = p.c_seq ? nullptr : take<T>(scratch, count * padded<T>(p.H));
    b.product = plan.norm ? take<T>(scratch, plan.units * count * plan.pitch) : nullptr;
    b.read = plan.projected ? take<T>(scratch, count * padded<T>(p.H)) : nullptr;
    b.out = plan.projected ? take<T>(scratch, r.columns.panels() * count * 4 * kLanes<T>) : nullptr;
  }

  T *c_state(const Buffers &b) const { return b.c_state; }
  const T *start_of_pre() const { return plan.norm ? none : bias; }
  long workspace_rows() const { return plan.workspace_row(); }

  // Under layer norm: pre = n_ih LN(W x) + b for the chunk.
  void inputs_done(const Walk<T> &walk, const Buffers &b) const {
    if (!plan.norm) return;
    const long panel = walk.capacity * plan.pitch;
    for (long k = 0; k < walk.size; ++k) {
      T *row = b.pre + k * plan.pitch;
      normalise(row, panel, walk.cursors[k], 0, static_cast<const T *>(p.norm_ih), row, panel, bias);
    }
  }

  void step(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    if (plan.norm) step_norm(walk, b, from, to);
    else step_plain(walk, b, from, to, d.first(plan.units), d.last(plan.units));
    if (plan.projected) project(walk, b, from, to, d);
  }

 private:
  void step_plain(Walk<T> &walk, const Buffers &b, long from, long to, long first, long last) const {
    const long panel = walk.capacity * plan.pitch;
    T *pre_of_step = b.pre + (joined ? 0 : from * plan.pitch);  // joined, no step leaves anything for a later one
    for (long q = first; q < last; q += 2) {  // a pair of panels is still in the nearest cache when its gates are computed
      const long end = least(q + 2, last);
      product(Base::operands(walk, from), to - from, u, q, end, pre_of_step, panel, plan.pitch, joined ? bias : nullptr);
      for (long unit = q; unit < end; ++unit) {
        const long valid = p.H - unit * kLanes<T>;
        T *pre = pre_of_step + unit * panel;
        const bool plain = plan.plain && valid >= kLanes<T>;
        plain ? panel_steps<true>(walk, b, from, to, unit, kLanes<T>, pre) : panel_steps<false>(walk, b, from, to, unit, valid, pre);
      }
    }
  }

  // One panel for the rows of a step. The read is a loop of its own: the gates' and its chains of operations are long, and
  // a processor looks only a few rows ahead.
  template <bool Plain>
  void panel_steps(const Walk<T> &walk, const Buffers &b, long from, long to, long unit, long valid, T *pre) const {
    const Cursor<T> *at = walk.cursors + from;
    const long rows = to - from;
    long k = 0;
    if constexpr (Plain)
      for (; k + kSide <= rows; k += kSide) plain_gates<kSide>(at + k, unit, pre + k * plan.pitch);
    for (; k < rows; ++k) Plain ? plain_gates<1>(at + k, unit, pre + k * plan.pitch) : gates(at[k], unit, valid, pre + k * plan.pitch);
    k = 0;
    if constexpr (Plain)
      for (; k + kReads <= rows; k += kReads) read<kReads, Plain>(b, at, k, unit, valid, pre);
    for (; k < rows; ++k) read<1, Plain>(b, at, k, unit, valid, pre);
  }

  // Rows whose gates, and whose reads, are computed side by side.
  static constexpr int kSide = kRegisters >= 32 ? 2 : 1, kReads = 4;

  // h of rows k, k + 1, …: into `read` under a projection, else where it stays.
  template <int N, bool Plain>
  GATEWISE_INLINE void read(const Buffers &b, const Cursor<T> *at, long k, long unit, long valid, const T *pre) const {
    const long j = unit * kLanes<T>, n = Plain ? kLanes<T> : valid;
    Vector<T> h[N];
    GATEWISE_EACH(r, N) h[r] = load(at[k + r].c + j, n);
    sigmoids_tanhs<T, 0>(h);
    GATEWISE_EACH(r, N) {
      h[r] = load(pre + (k + r) * plan.pitch) * h[r];
      if (plan.projected) {
        store(b.read + (k + r) * padded<T>(p.H) + j, h[r]);
        continue;
      }
      if (!Plain && p.zoneout_h > 0) h[r] = zone_h(at[k + r], j, valid, h[r]);
      store(at[k + r].h + j, h[r], n);
    }
  }

  // The gates and the cell state of one vector of units in N rows; o is left at the head of each row's `pre`.
  template <int N> GATEWISE_INLINE void plain_gates(const Cursor<T> *at, long unit, T *pre) const {
    constexpr long L = kLanes<T>;
    const long j = unit * L, H = p.H;
    Vector<T> x[4 * N];  // i of the rows, then f, o, g
    GATEWISE_EACH(r, N) {
      const T *row = pre + r * plan.pitch;
      x[r] = load(row), x[N + r] = load(row + L), x[2 * N + r] = load(row + 3 * L), x[3 * N + r] = load(row + 2 * L);
    }
    sigmoids_tanhs<T, 3 * N>(x);
    GATEWISE_EACH(r, N) {
      store(at[r].c + j, x[N + r] * load(at[r].c_prev + j) + x[r] * x[3 * N + r]);
      store(pre + r * plan.pitch, x[2 * N + r]);
      if (T *to = at[r].gates) {
        to += j;
        if (streams) stream(to, x[r]), stream(to + H, x[N + r]), stream(to + 2 * H, x[3 * N + r]), stream(to + 3 * H, x[2 * N + r]);
        else store(to, x[r]), store(to + H, x[N + r]), store(to + 2 * H, x[3 * N + r]), store(to + 3 * H, x[2 * N + r]);
      }
    }
  }

  // The same for any variant, the last vector of a row included.
  GATEWISE_INLINE void gates(const Cursor<T> &at, long unit, long valid, T *pre) const {
    constexpr long L = kLanes<T>;
    const long j = unit * L, H = p.H;
    const Vector<T> c_prev = load(at.c_prev + j, valid);
    Vector<T> i, f, g, o;
    if (!p.coupled) {
      Vector<T> x[3] = {load(pre), load(pre + L), load(pre + 2 * L)};
      if (plan.peep_f) x[0] += load(plan.peep_i + j, valid) * c_prev, x[1] += load(plan.peep_f + j, valid) * c_prev;
      sigmoids_tanhs<T, 2>(x);
      i = x[0], f = x[1], g = x[2], o = load(pre + 3 * L);
    } else {
      Vector<T> x[2] = {load(pre), load(pre + L)};
      if (plan.peep_f) x[0] += load(plan.peep_f + j, valid) * c_prev;
      sigmoids_tanhs<T, 1>(x);
      f = x[0], i = T(1) - f, g = x[1], o = load(pre + 2 * L);
    }
    if (plan.drops_g()) g *= plan.kept_g(at, j);
    Vector<T> c = f * c_prev + i * g;
    if (p.zoneout_c > 0) {
      const Vector<T> old = plan.zoned(p.zoneout_c, plan.zone_c, Draw::zoneout_c, at, j);
      c = old * c_prev + (T(1) - old) * c;
    }
    if (plan.peep_o) o += load(plan.peep_o + j, valid) * c;
    o = sigmoid<T>(o);
    store(at.c + j, c, valid);
    store(pre, o);
    if (!at.gates) return;
    T *to = at.gates + j;
    if (!p.coupled) store(to, i, valid), to += H;
    store(to, f, valid), store(to + H, g, valid), store(to + 2 * H, o, valid);
  }

  GATEWISE_INLINE Vector<T> zone_h(const Cursor<T> &at, long j, long n, Vector<T> h) const {
    const Vector<T> old = plan.zoned(p.zoneout_h, plan.zone_h, Draw::zoneout_h, at, j);
    return old * load(at.h_prev + j, n) + (T(1) - old) * h;
  }

  // Mean and 1/deviation of a row that stands in panels. Lanes beyond H hold zeros, which the sum does not feel.
  void panel_statistics(const T *row, long panel, T &mean, T &scale) const {
    constexpr long L = kLanes<T>;
    const T n = T(plan.G * p.H);
    Vector<T> sums{}, squares{};
    for (long unit = 0; unit < plan.units; ++unit)
      for (long g = 0; g < plan.G; ++g) sums += load(row + unit * panel + g * L);
    mean = total<T>(sums) / n;
    for (long unit = 0; unit < plan.units; ++unit)
      for (long g = 0; g < plan.G; ++g) {
        const Vector<T> x = first_lanes<T>(load(row + unit * panel + g * L) - mean, p.H - unit * L);
        squares += x * x;
      }
    scale = T(1) / T(__builtin_sqrt(static_cast<double>(total<T>(squares) / n) + kNormEpsilon));
  }

  // to = gain * LN(row) + start (or what stands there), and what the backward pass wants of it into part `which` of the
  // workspace.
  void normalise(const T *row, long panel, const Cursor<T> &at, int which, const T *gain, T *to, long to_panel,
                 const T *start) const {
    constexpr long L = kLanes<T>;
    const long H = p.H, n = plan.G * H;
    T mean, scale;
    panel_statistics(row, panel, mean, scale);
    T *seen = p.workspace ? plan.workspace(at) : nullptr;
    for (long unit = 0; unit < plan.units; ++unit) {
      const long valid = least(L, H - unit * L);
      for (long g = 0; g < plan.G; ++g) {
        const long place = g * H + unit * L, lane = g * L;
        const Vector<T> x = (load(row + unit * panel + lane) - mean) * scale;
        if (seen) store(seen + which * n + place, x, valid);
        const Vector<T> base = start ? load(start + unit * plan.pitch + lane) : load(to + unit * to_panel + lane);
        store(to + unit * to_panel + lane, load(gain + place, valid) * x + base);
      }
    }
    if (seen) seen[2 * n + which] = scale;
  }

  void step_norm(Walk<T> &walk, const Buffers &b, long from, long to) const {
    const long panel = walk.capacity * plan.pitch, rows = to - from, row_panel = most(walk.count, 1L) * plan.pitch;
    product(Rows<T>{walk.h_prev + from, {static_cast<long>(p.P)}}, rows, u, 0, plan.units, b.product, row_panel, plan.pitch,
            static_cast<const T *>(none));
    for (long k = from; k < to; ++k) {
      const Cursor<T> &at = walk.cursors[k];
      T *row = b.product + (k - from) * plan.pitch, *pre = b.pre + k * plan.pitch;
      T *read = plan.projected ? b.read + (k - from) * padded<T>(p.H) : nullptr;
      normalise(row, row_panel, at, 1, static_cast<const T *>(p.norm_hh), pre, panel, nullptr);
      for (long unit = 0; unit < plan.units; ++unit) gates(at, unit, p.H - unit * kLanes<T>, pre + unit * panel);
      read_norm(at, pre, panel, read);
    }
  }

  // o tanh(n_c LN(c) + b_c), with o at the head of each panel of `pre`: into `read`, or where that is null the output.
  void read_norm(const Cursor<T> &at, const T *pre, long panel, T *read) const {
    constexpr long L = kLanes<T>;
    T mean, scale;
    statistics<T>(at.c, p.H, mean, scale);
    const T *gain = static_cast<const T *>(p.norm_c), *offset = static_cast<const T *>(p.norm_c_bias);
    for (long j = 0; j < p.H; j += L) {
      const long n = p.H - j;
      Vector<T> v = load(gain + j, n) * ((load(at.c + j, n) - mean) * scale);
      if (offset) v += load(offset + j, n);
      Vector<T> h = load(pre + j / L * panel) * tanh<T>(v);
      if (read) {
        store(read + j, h);
        continue;
      }
      if (p.zoneout_h > 0) h = zone_h(at, j, n, h);
      store(at.h + j, h, n);
    }
  }

  // h = W_hr read.
  void project(Walk<T> &walk, const Buffers &b, long from, long to, const Division &d) const {
    const long rows = to - from, panels = r.columns.panels(), panel = most(walk.count, 1L) * 4 * kLanes<T>;
    const long first = d.first(panels), last = d.last(panels);
    d.meet();
    for (long k = 0; k < rows; ++k) walk.pointers[k] = b.read + k * padded<T>(p.H);
    product(Rows<T>{walk.pointers, {static_cast<long>(p.H)}}, rows, r, first, last, b.out, panel, 4 * kLanes<T>,
            static_cast<const T *>(none));
    for (long k = 0; k < rows; ++k)
      copy_columns(b.out + k * 4 * kLanes<T>, panel, first, last, walk.cursors[from + k].h, static_cast<long>(p.P));
  }

  static constexpr long kCache = 1L << 20;  // gates of fewer bytes are still there when the backward pass comes for them

  const LstmPlan<T> plan;
  const Matrix<T> u;
  const Panels<T> outputs;
  Matrix<T> r;
  bool streams;
};

}  // namespace gatewise::GATEWISE_ISA
