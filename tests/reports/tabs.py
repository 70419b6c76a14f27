"""A page in a tab of a real browser, with everything that it said, asked for or broke."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]
PHONE = {"width": 375, "height": 800}
DESK = {"width": 1280, "height": 900}

PAINTED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set();
  for (let k = 0; k < data.length; k += 4) {
    if (data[k + 3]) found.add((data[k] << 16) | (data[k + 1] << 8) | data[k + 2]);
  }
  return found.size;
}"""
"""How many colours a canvas shows; 0 for an empty one."""


class Tab:
    """A page in a tab of its own.

    Args:
        path: the file that the page is written to. before: a script that runs before the page's own.
        context: what Playwright's `new_context` takes.
    """

    def __init__(self, browser, path, html: str, *, before: str = "", **context):
        self.context = browser.new_context(**({"viewport": DESK} | context))
        self.tab = self.context.new_page()
        self.faults, self.requests, self.dialogs = [], [], []
        self.tab.on("console", lambda message: self.faults.append(message.text))
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        if before:
            self.tab.add_init_script(before)
        path.write_text(html, encoding="utf-8")
        self.tab.goto(path.as_uri())
        if context.get("java_script_enabled", True):
            self.frames()

    def frames(self):
        """Wait until what was chosen is drawn, also where it is not seen."""
        self.tab.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 80))))"
        )

    def text(self, selector: str) -> str:
        return self.tab.locator(selector).locator("visible=true").first.inner_text()

    def is_quiet(self) -> bool:
        return not self.faults and not self.dialogs and len(self.requests) == 1
