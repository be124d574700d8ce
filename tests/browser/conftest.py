"""Chromium for all tests of this folder."""

import os
import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    """Start the system's Chromium; the environment variable CHROMIUM is the path of another."""
    sync_api = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "no chromium on the path; CHROMIUM=FILE names one"
    with sync_api.sync_playwright() as playwright:
        # Chromium has no sandbox for root, the user of containers.
        found = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()
