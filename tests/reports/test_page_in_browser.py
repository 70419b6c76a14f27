"""The page of an explanation in a real browser: what is hostile stays text, nothing runs, nothing is fetched."""

import http.server
import shutil
import subprocess
import threading

import pytest

import gatewise as gw

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]
OWN = "document.title='owned'"
HOSTILE = f'<script>{OWN}</script><img src=http://127.0.0.1:{{port}}/x onerror="{OWN}">'


@pytest.fixture
def listener():
    """A server on the loopback address that notes what is asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    thread.join()
    server.server_close()


def explained(text: str) -> gw.Explanation:
    texts, labels = [f"a fine film {text}", "a dull film"] * 4, [text, "b"] * 4
    model = gw.Classifier(embedding_size=4, hidden_size=4, epochs=1, validation=0.5).fit(texts, labels)
    return model.explain(f"fine {text}", target=text)


def test_hostile_text_stays_text_and_nothing_is_fetched(tmp_path, listener):
    port, asked = listener
    hostile = HOSTILE.format(port=port)
    page = tmp_path / "page.html"
    page.write_text(explained(hostile).to_html(), encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "</html>" in done.stdout
    assert "<title>owned</title>" not in done.stdout
    assert "&lt;script&gt;document.title='owned'&lt;/script&gt;" in done.stdout
    assert "<img" not in done.stdout
    assert asked == []
