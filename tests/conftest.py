"""What every test stands on: one thread, so that a figure does not depend on the machine's load."""

import pytest
import torch

pytest.register_assert_rewrite("compare", "contract.cases", "contract.properties", "contract.layer_cases")


def pytest_addoption(parser):
    parser.addoption(
        "--case", type=int, metavar="NUMBER", help="of a contract test's many cases, only this one"
    )


@pytest.fixture(autouse=True)
def _one_thread_and_a_known_seed():
    torch.set_num_threads(1)
    torch.manual_seed(20_001)
