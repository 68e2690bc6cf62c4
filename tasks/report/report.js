"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
const tabs = all('[role="tab"]');
const panels = all('[role="tabpanel"]');
const graph = document.querySelector(".graph");
const nodes = new Map(all(".graph a").map((a) => [a.getAttribute("href").slice(1), a]));

function open(id) {
  const panel = panels.find((p) => p.id === id) || panels[0];
  panels.forEach((p) => p.classList.toggle("open", p === panel));
  tabs.forEach((tab) => {
    const chosen = tab.getAttribute("aria-controls") === panel.id;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  });
}

function light(ids) {
  graph.classList.toggle("asked", ids !== null);
  nodes.forEach((a, id) => a.classList.toggle("lit", ids !== null && ids.has(id)));
}

function choose(id) {
  const item = byId(id);
  open("lineage");
  item.hidden = false;
  item.open = true;
  item.querySelector("summary").focus({ preventScroll: true });
  nodes.forEach((a, other) => a.classList.toggle("chosen", other === id));
  light(new Set([id, ...item.dataset.near.split(" ").filter(Boolean).map((near) => "artifact-" + near)]));
  item.scrollIntoView({ block: "nearest" });
}

function follow() {
  const id = location.hash.slice(1);
  if (id.startsWith("artifact-") && byId(id)) choose(id);
  else if (!id || panels.some((p) => p.id === id)) open(id);
}

function search() {
  const wanted = byId("search").value.trim().toLowerCase();
  const found = new Set();
  all(".artifact").forEach((item) => {
    const hit = item.dataset.text.toLowerCase().includes(wanted);
    item.hidden = !hit;
    if (hit) found.add(item.id);
  });
  light(wanted ? found : null);
  byId("found").textContent = wanted ? `${found.size} found` : "";
}

document.body.classList.add("tabs");
open("");
addEventListener("hashchange", follow);
follow();
// Also when its link is where the page is already: then nothing changes that a listener would hear of.
nodes.forEach((a, id) => a.addEventListener("click", () => location.hash === "#" + id && choose(id)));
tabs.forEach((tab, n) => {
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    history.replaceState(null, "", tab.getAttribute("href"));
    open(tab.getAttribute("aria-controls"));
  });
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: n + 1, ArrowLeft: n - 1 + tabs.length, Home: 0, End: tabs.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      const next = tabs[steps[event.key] % tabs.length];
      next.click();
      next.focus();
    }
  });
});
byId("search").addEventListener("input", search);

const theme = byId("theme");
const isDark = () =>
  (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  name();
});
name();

const copy = byId("copy") || document.createElement("button"); // a page of lineage alone has nothing to copy
copy.hidden = false;
copy.addEventListener("click", async () => {
  const text = byId("toml").textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId("copied").textContent = "copied";
  } catch {
    getSelection().selectAllChildren(byId("toml"));
    byId("copied").textContent = "selected: copy it with the keyboard";
  }
});

const hint = byId("hint");
function tell(event) {
  const at = event.target.closest && event.target.closest('[role="graphics-symbol"][aria-label], .graph a');
  const mark = at && (at.hasAttribute("aria-label") ? at : at.querySelector("[aria-label]"));
  hint.hidden = !mark;
  if (!mark) return;
  hint.textContent = mark.getAttribute("aria-label");
  const place = mark.getBoundingClientRect();
  hint.style.left = Math.max(4, Math.min(place.left + place.width / 2, innerWidth - hint.offsetWidth - 8)) + "px";
  hint.style.top = Math.max(4, place.top - hint.offsetHeight - 6) + "px";
}
document.addEventListener("pointerover", tell);
document.addEventListener("focusin", tell);
document.addEventListener("focusout", () => { hint.hidden = true; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hint.hidden = true; });
