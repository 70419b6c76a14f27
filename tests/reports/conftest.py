"""A browser for the tests that look at pages, started once a file."""

import pytest
from playwright.sync_api import sync_playwright
from tabs import CHROMIUM


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
