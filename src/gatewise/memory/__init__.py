"""What a recurrent layer remembers: recording, the ledger, held and push, time constants, gradients through time."""

from gatewise.memory.attribution import Attribution, PhraseShare, attribute, decompose_phrase, sum_groups
from gatewise.memory.compare import MemoryChange, compare
from gatewise.memory.effective_length import (
    EffectiveLength,
    effective_length,
    gate_length,
    gradient_length,
    truncation_length,
)
from gatewise.memory.flow import CallFlow, Flow, LayerFlow, ModuleFlow
from gatewise.memory.gradient_flow import gradient_flow
from gatewise.memory.gradient_reach import GradientReach, gradient_reach
from gatewise.memory.gradient_watch import GradientWatch
from gatewise.memory.intervene import intervene
from gatewise.memory.interventions import Clamp, Erase, Hold
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.ledger import Ledger, ledger, memory_age, retention
from gatewise.memory.lyapunov import Lyapunov, lyapunov
from gatewise.memory.push import PushLedger, held, push, push_ledger
from gatewise.memory.readout import Readout, readout
from gatewise.memory.record import record
from gatewise.memory.time_constants import half_life, saturation, time_constants
from gatewise.memory.trace import CallTrace, ModuleTrace, Trace
from gatewise.memory.units import Neighbour, Probe, StateIndex, Tracking, Unit, probe, track
from gatewise.memory.variables import VariablePush, push_by_variable

__all__ = [
    "Attribution",
    "CallFlow",
    "CallTrace",
    "Clamp",
    "EffectiveLength",
    "Erase",
    "Flow",
    "GradientReach",
    "GradientWatch",
    "Hold",
    "LayerFlow",
    "LayerTrace",
    "Ledger",
    "Lyapunov",
    "MemoryChange",
    "ModuleFlow",
    "ModuleTrace",
    "Neighbour",
    "PhraseShare",
    "Probe",
    "PushLedger",
    "Readout",
    "StateIndex",
    "Trace",
    "Tracking",
    "Unit",
    "VariablePush",
    "attribute",
    "compare",
    "decompose_phrase",
    "effective_length",
    "gate_length",
    "gradient_flow",
    "gradient_length",
    "gradient_reach",
    "half_life",
    "held",
    "intervene",
    "ledger",
    "lyapunov",
    "memory_age",
    "probe",
    "push",
    "push_by_variable",
    "push_ledger",
    "readout",
    "record",
    "retention",
    "saturation",
    "sum_groups",
    "time_constants",
    "track",
    "truncation_length",
]
