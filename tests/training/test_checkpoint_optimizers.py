"""The state of optimizers: packed, saved, read and unpacked, a training goes on bit for bit."""

import copy

import pytest
import torch

from gatewise.errors import RunError, UsageError
from gatewise.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)

MAKERS = {
    "AdamW fused": lambda p: torch.optim.AdamW(p, betas=(0.9, 0.98), weight_decay=0.1, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "Adam": lambda p: torch.optim.Adam(p, foreach=True),
    "Adam, a tensor for a rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.02)),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1, lambd=0.01, t0=2),
    "two groups": lambda p: torch.optim.AdamW([{"params": p[:1], "weight_decay": 0.5}, {"params": p[1:]}]),
    "names": lambda p: torch.optim.AdamW([(f"p{n}", one) for n, one in enumerate(p)]),
}


def parameters(dtype=torch.float32):
    made = torch.Generator().manual_seed(4)
    shapes = [(3, 4), (), (5,), (0, 2)]
    return [torch.nn.Parameter(torch.randn(shape, generator=made).to(dtype)) for shape in shapes]


def steps(optimizer, held, first, last):
    for step in range(first, last):
        made = torch.Generator().manual_seed(step)
        for number, parameter in enumerate(held):
            gradient = torch.randn(parameter.shape, generator=made).to(parameter.dtype)
            parameter.grad = gradient if number != 2 or step > 3 else None  # one that is frozen at first
        optimizer.step()


def through_a_file(tmp_path, optimizer):
    """Packed, written and read."""
    tensors, state = pack_optimizer(optimizer)
    path = save_checkpoint(tmp_path, 1, Checkpoint({"optimizer": tensors}, {"optimizer": state}))
    read = load_checkpoint(path)
    return read.tensors["optimizer"], read.state["optimizer"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("saved_after", [0, 2, 6], ids="saved after {}".format)
def test_a_training_goes_on_bit_for_bit(tmp_path, name, dtype, saved_after):
    held = parameters(dtype)
    optimizer = MAKERS[name](held)
    steps(optimizer, held, 0, saved_after)
    for group in optimizer.param_groups:  # as a schedule does
        group["lr"] = group["lr"] * 0.3
    packed = through_a_file(tmp_path, optimizer)
    again = [torch.nn.Parameter(parameter.detach().clone()) for parameter in held]
    other = MAKERS[name](again)
    unpack_optimizer(other, *packed)
    for mine, theirs in zip(optimizer.param_groups, other.param_groups, strict=True):
        assert {k: v for k, v in mine.items() if k != "params"} == {
            k: v for k, v in theirs.items() if k != "params"
        }
        assert type(mine.get("betas")) is type(theirs.get("betas"))
    for one, two in zip(held, again, strict=True):
        assert optimizer.state[one].keys() == other.state[two].keys()
        for key, value in optimizer.state[one].items():
            if isinstance(value, torch.Tensor):
                assert value.dtype == other.state[two][key].dtype, key
    steps(optimizer, held, saved_after, 9)
    steps(other, again, saved_after, 9)
    assert all(torch.equal(one, two) for one, two in zip(held, again, strict=True))


def test_unpacking_takes_copies():
    held = parameters()
    optimizer = MAKERS["AdamW"](held)
    steps(optimizer, held, 0, 5)
    tensors, state = pack_optimizer(optimizer)
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    other = MAKERS["AdamW"](again := parameters())
    unpack_optimizer(other, kept, state)
    before = {name: tensor.clone() for name, tensor in kept.items()}
    steps(other, again, 5, 7)
    assert all(torch.equal(before[name], kept[name]) for name in kept)


def packed_adamw():
    held = parameters()[:3]
    optimizer = torch.optim.AdamW(held, lr=0.01)
    steps(optimizer, held, 4, 6)
    return pack_optimizer(optimizer)


def _drop(name):
    def change(tensors, state):
        del tensors[name]

    return change


def _put(name, tensor):
    return lambda tensors, state: tensors.update({name: tensor})


def _state(**values):
    return lambda tensors, state: state.update(values)


def _hyper(**values):
    return lambda tensors, state: state["groups"][0].update(values)


FAULTS = {
    "another class": (_state(**{"class": "SGD"}), "it is that of 'SGD'"),
    "no class": (_state(**{"class": None}), "it is that of 'None'"),
    "fewer parameters": (_state(shapes=[[3, 4]]), "it has 1 parameters; 3 are needed"),
    "no shapes": (_state(shapes=7), "it has no parameters; 3 are needed"),
    "another shape": (_state(shapes=[[3, 5], [], [5]]), r"parameter 0 has the shape \[3, 5\]; \[3, 4\] is needed"),
    "no groups": (_state(groups={}), "it has no groups; 1 are needed"),
    "two groups": (_state(groups=[{}, {}]), "it has 2 groups; 1 are needed"),
    "a group that is a list": (_state(groups=[[]]), "group 0 is not an object"),
    "an unknown hyper-parameter": (_hyper(momentum=0.9), "group 0 has the unknown hyper-parameter 'momentum'"),
    "a text for a rate": (_hyper(lr="fast"), "group 0: lr is fast; here it is 0.01"),
    "true for a rate": (_hyper(lr=True), "group 0: lr is True"),
    "one beta": (_hyper(betas=[0.9]), r"group 0: betas is \[0.9\]; here it is \(0.9, 0.999\)"),
    "another algorithm": (_hyper(amsgrad=True), "group 0: amsgrad is True; here it is False"),
    "other parameters": (_hyper(params=[0, 0, 1]), r"group 0: params is \[0, 0, 1\]"),
    "a tensor for a rate": (_put("group.0.lr", torch.ones(2)), "group 0: lr is tensor"),
    "a rate of no group": (_put("group.1.lr", torch.ones(())), "'group.1.lr' is unknown"),
    "a missing state": (_drop("state.0.exp_avg"), "state.0.exp_avg is missing"),
    "an unknown state": (_put("state.0.sum", torch.ones(3, 4)), "state.0.sum is unknown"),
    "a state of no parameter": (_put("state.3.step", torch.ones(())), "'state.3.step' is unknown among 3"),
    "a state of a huge number": (_put(f"state.{'9' * 5000}.step", torch.ones(())), "is unknown among 3"),
    "a stray tensor": (_put("weights", torch.ones(())), "'weights' is unknown"),
    "a state of another shape": (_put("state.0.exp_avg", torch.ones(4, 3)), r"is float32 \[4, 3\]; its parameter is"),
    "one number for a tensor": (_put("state.0.exp_avg", torch.ones(())), r"is float32 \[\]; its parameter is"),
    "a state of another dtype": (_put("state.0.exp_avg", torch.ones(3, 4).double()), r"is float64 \[3, 4\]"),
    "a tensor for one number": (_put("state.0.step", torch.ones(3, 4)), "state.0.step is not one floating-point"),
    "a null state": (_state(null=["state.0.step"]), "state.0.step is no tensor"),
    "null is a number": (_state(null=1), "null is not a list of names"),
    "null holds numbers": (_state(null=[1]), "null is not a list of names"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(fault):
    tensors, state = packed_adamw()
    tensors, state = dict(tensors), copy.deepcopy(state)
    change, said = FAULTS[fault]
    change(tensors, state)
    optimizer = torch.optim.AdamW(parameters()[:3], lr=0.01)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(RunError, match=f"^the optimizer's state does not fit this AdamW: .*{said}"):
        unpack_optimizer(optimizer, tensors, state)
    assert optimizer.state_dict() == before


def test_other_classes_are_refused():
    held = parameters()[:1]
    optimizer = torch.optim.LBFGS(held)
    with pytest.raises(
        UsageError, match="LBFGS cannot be saved: only the state of Adam, AdamW, ASGD, SGD is known"
    ):
        pack_optimizer(optimizer)


def test_a_packed_state_of_an_older_torch_keeps_the_new_hyper_parameters():
    tensors, state = packed_adamw()
    del state["groups"][0]["capturable"]
    optimizer = torch.optim.AdamW(parameters()[:3])
    unpack_optimizer(optimizer, tensors, state)
    assert optimizer.param_groups[0]["capturable"] is False and optimizer.param_groups[0]["lr"] == 0.01
