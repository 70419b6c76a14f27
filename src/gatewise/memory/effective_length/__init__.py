"""How far back a memory reaches, in three ways: one way a file, one door."""

from gatewise.memory.effective_length.door import effective_length
from gatewise.memory.effective_length.gates import gate_length
from gatewise.memory.effective_length.gradient import gradient_length
from gatewise.memory.effective_length.result import EffectiveLength
from gatewise.memory.effective_length.truncation import truncation_length

__all__ = ["EffectiveLength", "effective_length", "gate_length", "gradient_length", "truncation_length"]
