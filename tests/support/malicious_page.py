"""A malicious page in a real browser that tries to make a local Prefect server run a shell command."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser

from support.report_browser import chromium

NAME = "evil.example"
"""A host name that the browser resolves to this machine."""

ATTACK = """
async ({ api, canary, secret }) => {
  const found = {};
  const more = secret ? { authorization: "Basic " + btoa(secret) } : {};
  const post = async (name, path, body) => {
    try {
      const request = { method: "POST", headers: { "content-type": "application/json", ...more } };
      const answer = await fetch(api + path, { ...request, body: JSON.stringify(body) });
      found[name] = answer.status;
      return await answer.json();
    } catch { found[name] = found[name] || "blocked"; return {}; }
  };
  const flow = await post("flow", "/flows/", { name: "taken" });
  const script = { script: "touch " + canary };
  const deployment = await post("deployment", "/deployments/", {
    name: "taken", flow_id: flow.id, work_pool_name: "editflow", entrypoint: "editflow.flows.clean.nothing",
    pull_steps: [{ "prefect.deployments.steps.run_shell_script": script }] });
  await post("run", `/deployments/${deployment.id}/create_flow_run`, { state: { type: "SCHEDULED" } });
  // A request without a CORS preflight: no custom header, a body without a content type.
  const blind = new Blob([JSON.stringify({ name: "blind" })]);
  await fetch(api + "/flows/", { method: "POST", mode: "no-cors", body: blind }).catch(() => 0);
  found.socket = await new Promise(done => {
    const socket = new WebSocket(api.replace("http", "ws") + "/events/in");
    socket.onopen = () => done("open");
    socket.onerror = socket.onclose = () => done("refused");
  });
  return found;
}
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>a page</title>")

    def log_message(self, *_words: Any) -> None:
        pass


@dataclass(frozen=True)
class Stranger:
    """A malicious page on this machine, reachable under several host names."""

    browser: Browser
    port: int

    def origins(self) -> list[str]:
        """Its origins: another site, and two that differ from a local server only in the port."""
        return [f"http://{name}:{self.port}" for name in (NAME, "localhost", "127.0.0.1")]

    def attack(self, page: str, api: str, canary: str, secret: str = "") -> dict[str, Any]:
        """Open a page and attack an API from it; returns the result of each part."""
        context = self.browser.new_context()
        opened = context.new_page()
        opened.goto(page)
        found = dict(opened.evaluate(ATTACK, {"api": api, "canary": canary, "secret": secret}))
        context.close()
        return found


@contextmanager
def stranger() -> Iterator[Stranger]:
    """Serve the page and start a browser inside the block."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as pages:
        thread = threading.Thread(target=pages.serve_forever, daemon=True)
        thread.start()
        try:
            with chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as browser:
                yield Stranger(browser, pages.server_address[1])
        finally:
            pages.shutdown()
            thread.join()


def kept_out(who: Stranger, port: int, canary: str, secret: str) -> None:
    """Assert that a server refuses every part of every attack, even with the right password."""
    targets = [f"http://{name}:{port}/api" for name in ("127.0.0.1", "localhost")]
    for page in [*who.origins(), "data:text/html,a page"]:
        for api in targets:
            found = who.attack(page, api, canary, secret)
            assert found == dict.fromkeys(("flow", "deployment", "run"), "blocked") | {"socket": "refused"}, (page, api)
    # DNS rebinding: the page's own name now leads to the server.
    rebound = f"http://{NAME}:{port}"
    found = who.attack(rebound, f"{rebound}/api", canary, secret)
    assert found == dict.fromkeys(("flow", "deployment", "run"), 403) | {"socket": "refused"}
