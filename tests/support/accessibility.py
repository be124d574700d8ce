"""Checks a page in a browser with axe-core, which the package axe-playwright-python contains."""

from importlib.resources import files


def violations(page) -> list[str]:
    """Return a line for each violation of a rule of axe-core in a page of Playwright."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    # From disk, axe-core cannot load style sheets again, which "preload" would do.
    found = page.evaluate("axe.run({ preload: false }).then((r) => r.violations)")
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
