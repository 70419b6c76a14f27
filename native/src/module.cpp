// The Python module gatewise._native. Addresses and sizes cross as integers; gatewise/kernels/native.py checks them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "dispatch.h"
#include "stepper.h"
#include "threads.h"

namespace nb = nanobind;
using namespace gatewise;

namespace {

// A property that takes an address as an integer.
template <class P> void address(nb::class_<Problem> &type, const char *name, P Problem::*field) {
  type.def_prop_rw(
      name, [field](const Problem &p) { return reinterpret_cast<std::uintptr_t>(p.*field); },
      [field](Problem &p, std::uintptr_t value) { p.*field = reinterpret_cast<P>(value); });
}

void run(const Problem &problem, void (*Kernels::*kernel)(const Problem &, const Row *)) {
  nb::gil_scoped_release release;
  const std::vector<Row> rows = plan_rows(problem);
  (kernels().*kernel)(problem, rows.data());
}

}  // namespace

NB_MODULE(_native, module) {
  nb::class_<Problem> problem(module, "Problem");
  problem.def(nb::init<>())
      .def_rw("cell", &Problem::cell).def_rw("is_double", &Problem::is_double)
      .def_rw("T", &Problem::T).def_rw("B", &Problem::B).def_rw("I", &Problem::I).def_rw("H", &Problem::H).def_rw("P", &Problem::P)
      .def_rw("reverse", &Problem::reverse).def_rw("threads", &Problem::threads)
      .def_rw("x_t", &Problem::x_t).def_rw("x_b", &Problem::x_b)
      .def_rw("resets_t", &Problem::resets_t).def_rw("resets_b", &Problem::resets_b)
      .def_rw("h_seq_t", &Problem::h_seq_t).def_rw("h_seq_b", &Problem::h_seq_b)
      .def_rw("dh_seq_t", &Problem::dh_seq_t).def_rw("dh_seq_b", &Problem::dh_seq_b)
      .def_rw("coupled", &Problem::coupled)
      .def_rw("zoneout_c", &Problem::zoneout_c).def_rw("zoneout_h", &Problem::zoneout_h)
      .def_rw("dropout_g", &Problem::dropout_g).def_rw("dropout_h", &Problem::dropout_h)
      .def_rw("random", &Problem::random).def_rw("seed", &Problem::seed);
#define GATEWISE_ADDRESS(name) address(problem, #name, &Problem::name)
  GATEWISE_ADDRESS(x); GATEWISE_ADDRESS(h0); GATEWISE_ADDRESS(c0); GATEWISE_ADDRESS(lengths); GATEWISE_ADDRESS(resets);
  GATEWISE_ADDRESS(w_ih); GATEWISE_ADDRESS(w_hh); GATEWISE_ADDRESS(b_ih); GATEWISE_ADDRESS(b_hh); GATEWISE_ADDRESS(w_hr);
  GATEWISE_ADDRESS(peephole); GATEWISE_ADDRESS(norm_ih); GATEWISE_ADDRESS(norm_hh); GATEWISE_ADDRESS(norm_c);
  GATEWISE_ADDRESS(norm_c_bias); GATEWISE_ADDRESS(h_seq); GATEWISE_ADDRESS(h_n); GATEWISE_ADDRESS(c_n);
  GATEWISE_ADDRESS(c_seq); GATEWISE_ADDRESS(reserve); GATEWISE_ADDRESS(workspace); GATEWISE_ADDRESS(dh_seq);
  GATEWISE_ADDRESS(dc_seq); GATEWISE_ADDRESS(dh_n); GATEWISE_ADDRESS(dc_n); GATEWISE_ADDRESS(dx); GATEWISE_ADDRESS(dh0);
  GATEWISE_ADDRESS(dc0); GATEWISE_ADDRESS(dw_ih); GATEWISE_ADDRESS(dw_hh); GATEWISE_ADDRESS(db_ih); GATEWISE_ADDRESS(db_hh);
  GATEWISE_ADDRESS(dw_hr); GATEWISE_ADDRESS(dpeephole); GATEWISE_ADDRESS(dnorm_ih); GATEWISE_ADDRESS(dnorm_hh);
  GATEWISE_ADDRESS(dnorm_c); GATEWISE_ADDRESS(dnorm_c_bias);
#undef GATEWISE_ADDRESS

  nb::class_<Stepper>(module, "Stepper")
      .def(nb::init<nb::type_object, nb::object, nb::object, nb::object>())
      .def("add", &Stepper::add).def("step", &Stepper::step, nb::arg().none(), nb::arg().none()).def_prop_ro("turn", &Stepper::turn)
      .def("run", [](Stepper &stepper, std::uintptr_t x, std::int64_t x_t, std::int64_t x_b, std::uintptr_t out, std::int64_t out_t,
                     std::int64_t out_b, std::int64_t T) {
        return stepper.run({reinterpret_cast<const void *>(x), x_t, x_b}, {reinterpret_cast<const void *>(out), out_t, out_b}, T);
      });

  module.def("forward", [](const Problem &p) { run(p, &Kernels::forward); });
  module.def("backward", [](const Problem &p) { run(p, &Kernels::backward); });
  module.def("drop_weights", [](std::uint64_t seed, double rate, std::int64_t rows, std::int64_t columns, std::uintptr_t out) {
    nb::gil_scoped_release release;
    kernels().drop_weights(seed, rate, rows, columns, reinterpret_cast<float *>(out));
  });
  module.def("softmax_loss", [](bool is_double, std::uintptr_t logits, std::uintptr_t bias, std::int64_t rows, std::int64_t columns,
                                std::uintptr_t targets, std::uintptr_t losses, int threads) {
    nb::gil_scoped_release release;
    kernels().softmax_loss(is_double, reinterpret_cast<void *>(logits), reinterpret_cast<const void *>(bias), rows, columns,
                           reinterpret_cast<const std::int64_t *>(targets), reinterpret_cast<void *>(losses), threads);
  });
  module.def("use_openmp", &use_openmp);
  module.def("isa", [] { return kernels().name; });
  module.def("available", [] {
    std::vector<std::string> names;
    for (const char *const *name = available(); *name; ++name) names.emplace_back(*name);
    return names;
  });
  module.def("use", [](const std::string &name) { return use(name.c_str()); });
}
