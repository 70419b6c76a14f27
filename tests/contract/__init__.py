"""What every cell, layer, kernel and backend owes its caller, from one catalogue; `docs/testing.md` says how."""
