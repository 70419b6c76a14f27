"""What single units and whole states stand for: what they track, what can be read off them, where else they were."""

from gatewise.memory.units.nearest import Neighbour, StateIndex
from gatewise.memory.units.probe import Probe, probe
from gatewise.memory.units.tracking import Tracking, Unit, track

__all__ = ["Neighbour", "Probe", "StateIndex", "Tracking", "Unit", "probe", "track"]
