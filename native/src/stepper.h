// A `Chain` for Python, whose single steps take PyTorch's tensors themselves.
//
// What a tensor is, it tells through DLPack's table of C functions, in about 30 ns; each attribute asked of Python costs
// as much or more. PyTorch's headers are not needed for it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <atomic>

#include "chain.h"

namespace gatewise {

// Reads tensors of one Python type.
class TensorReader {
 public:
  explicit TensorReader(nanobind::type_object type) : type_(std::move(type)) {
    if (!nanobind::hasattr(type_, "__dlpack_c_exchange_api__")) return;  // PyTorch before it had one
    const nanobind::object capsule = type_.attr("__dlpack_c_exchange_api__");
    const auto *table = static_cast<const Table *>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    while (table && table->major != 1) table = table->older;
    if (table) read_ = table->read;
    else PyErr_Clear();
  }

  // False for anything but a tensor of this very type in ordinary memory.
  bool read(nanobind::handle object, nanobind::dlpack::dltensor &tensor) const {
    if (!read_ || reinterpret_cast<PyObject *>(Py_TYPE(object.ptr())) != type_.ptr()) return false;
    if (read_(object.ptr(), &tensor) == 0) return true;
    PyErr_Clear();
    return false;
  }

 private:
  struct Table {  // DLPackExchangeAPI of dlpack.h, version 1
    std::uint32_t major, minor;
    const Table *older;
    void *allocate, *export_owned, *import_owned;
    int (*read)(void *object, nanobind::dlpack::dltensor *tensor);
    void *current_stream;
  };
  nanobind::type_object type_;
  int (*read_)(void *, nanobind::dlpack::dltensor *) = nullptr;
};

class Stepper {
 public:
  // `tensor` is torch.Tensor; `empty` and `empty_row` make a new output, [B, P] and, for a single row, [P]; `written` is
  // told of tensors that were written to.
  Stepper(nanobind::type_object tensor, nanobind::object empty, nanobind::object empty_row, nanobind::object written)
      : reader_(std::move(tensor)), empty_(std::move(empty)), empty_row_(std::move(empty_row)), written_(std::move(written)),
        requires_grad_(nanobind::steal<nanobind::object>(PyUnicode_InternFromString("requires_grad"))) {}

  void add(const Problem &problem) {
    if (!count_++) first_ = problem;
    last_ = problem;
    chain_.add(problem);
  }
  int turn() const { return chain_.turn(); }

  // One step from x into `out`, which is returned; a new tensor where `out` is None. None where one of them is not as plain
  // as it has to be here, or another thread is at work: `run` is for that, and for saying what is wrong.
  nanobind::object step(nanobind::handle x, nanobind::handle out) {
    nanobind::dlpack::dltensor from, to;
    if (!plain(x, from, first_.I) || needs_gradient(x) || negative(x, first_.I)) return nanobind::none();
    const bool given = !out.is_none();
    nanobind::object y = given ? nanobind::borrow(out) : from.ndim == 2 ? empty_() : empty_row_();
    if (!plain(y, to, last_.P) || to.ndim != from.ndim || (given && (needs_gradient(y) || negative(y, last_.P))))
      return nanobind::none();
    if (!run(frame(from), frame(to), 1)) return nanobind::none();
    if (given) written_(nanobind::make_tuple(y));
    return y;
  }

  // T steps on x into `out`, by addresses; false where another thread is at work.
  bool run(const Frames &x, const Frames &out, std::int64_t T) {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    const Release release{busy_};
    // Short steps keep the interpreter: to get it back from a busy thread takes longer.
    if (chain_.work() * T < kLong) {
      chain_.run(x, out, T);
    } else {
      nanobind::gil_scoped_release others;
      chain_.run(x, out, T);
    }
    return true;
  }

 private:
  static constexpr std::int64_t kLong = 1 << 18;
  struct Release {
    std::atomic_flag &flag;
    ~Release() { flag.clear(std::memory_order_release); }
  };

  // [B, columns] with rows apart and elements side by side, or [columns] for one row; on the CPU, in our type.
  bool plain(nanobind::handle object, nanobind::dlpack::dltensor &t, std::int64_t columns) const {
    using nanobind::dlpack::dtype;
    if (!reader_.read(object, t)) return false;
    const dtype wanted{static_cast<std::uint8_t>(nanobind::dlpack::dtype_code::Float), std::uint8_t(first_.is_double ? 64 : 32), 1};
    if (t.device.device_type != nanobind::device::cpu::value || t.dtype != wanted) return false;
    if (t.ndim == 1) return first_.B == 1 && t.shape[0] == columns && t.strides[0] == 1;
    return t.ndim == 2 && t.shape[0] == first_.B && t.shape[1] == columns && t.strides[1] == 1 &&
           (first_.B == 1 || t.strides[0] >= columns);
  }
  static Frames frame(const nanobind::dlpack::dltensor &t) { return {t.data, 0, t.ndim == 1 ? 0 : t.strides[0]}; }

  bool needs_gradient(nanobind::handle tensor) const {
    PyObject *answer = PyObject_GetAttr(tensor.ptr(), requires_grad_.ptr());
    Py_XDECREF(answer);  // True and False live on
    return answer != Py_False;
  }

  // Whether the numbers in memory have the wrong sign, which DLPack does not tell: such are the imaginary parts of conjugates.
  // Their elements lie two apart, so that only single columns look plain.
  static bool negative(nanobind::handle tensor, std::int64_t columns) {
    return columns == 1 && nanobind::cast<bool>(tensor.attr("is_neg")());
  }

  TensorReader reader_;
  nanobind::object empty_, empty_row_, written_, requires_grad_;
  Chain chain_;
  Problem first_, last_;
  int count_ = 0;
  std::atomic_flag busy_;
};

}  // namespace gatewise
