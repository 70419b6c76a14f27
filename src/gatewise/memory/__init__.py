"""What a recurrent layer remembers: recording, the ledger, held and push, time constants."""

from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.ledger import Ledger, ledger, memory_age, retention
from gatewise.memory.push import PushLedger, held, push, push_ledger
from gatewise.memory.record import record
from gatewise.memory.time_constants import half_life, saturation, time_constants
from gatewise.memory.trace import CallTrace, ModuleTrace, Trace

__all__ = [
    "CallTrace",
    "LayerTrace",
    "Ledger",
    "ModuleTrace",
    "PushLedger",
    "Trace",
    "half_life",
    "held",
    "ledger",
    "memory_age",
    "push",
    "push_ledger",
    "record",
    "retention",
    "saturation",
    "time_constants",
]
