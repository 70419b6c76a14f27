"""What every cell, layer, kernel and backend owes its caller, from one catalogue; `docs/testing.md` says how."""

import pytest

pytest.register_assert_rewrite("compare", "contract.cases", "contract.properties", "contract.layer_cases")
