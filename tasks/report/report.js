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
    const selected = tab.getAttribute("aria-controls") === panel.id;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  });
}

function highlight(ids) {
  graph.classList.toggle("asked", ids !== null);
  nodes.forEach((a, id) => a.classList.toggle("lit", ids !== null && ids.has(id)));
}

function select(id) {
  const item = byId(id);
  open("lineage");
  item.hidden = false;
  item.open = true;
  item.querySelector("summary").focus({ preventScroll: true });
  nodes.forEach((a, other) => a.classList.toggle("chosen", other === id));
  highlight(new Set([id, ...item.dataset.near.split(" ").filter(Boolean).map((near) => "artifact-" + near)]));
  item.scrollIntoView({ block: "nearest" });
}

function openHash() {
  const id = location.hash.slice(1);
  if (id.startsWith("artifact-") && byId(id)) select(id);
  else if (!id || panels.some((p) => p.id === id)) open(id);
}

function search() {
  const query = byId("search").value.trim().toLowerCase();
  const found = new Set();
  all(".artifact").forEach((item) => {
    const hit = item.dataset.text.toLowerCase().includes(query);
    item.hidden = !hit;
    if (hit) found.add(item.id);
  });
  highlight(query ? found : null);
  byId("found").textContent = query ? `${found.size} found` : "";
}

document.body.classList.add("tabs");
open("");
addEventListener("hashchange", openHash);
openHash();
// If the page is already at the link, no hashchange event is fired.
nodes.forEach((a, id) => a.addEventListener("click", () => location.hash === "#" + id && select(id)));
tabs.forEach((tab, n) => {
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    history.replaceState(null, "", tab.getAttribute("href"));
    open(tab.getAttribute("aria-controls"));
  });
  tab.addEventListener("keydown", (event) => {
    const targets = { ArrowRight: n + 1, ArrowLeft: n - 1 + tabs.length, Home: 0, End: tabs.length - 1 };
    if (event.key in targets) {
      event.preventDefault();
      const next = tabs[targets[event.key] % tabs.length];
      next.click();
      next.focus();
    }
  });
});
byId("search").addEventListener("input", search);

const theme = byId("theme");
const isDark = () =>
  (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const setThemeLabel = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  setThemeLabel();
});
setThemeLabel();

const copy = byId("copy") || document.createElement("button"); // a lineage page has no spec to copy
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
function showHint(event) {
  const target = event.target.closest && event.target.closest('[role="graphics-symbol"][aria-label], .graph a');
  const mark = target && (target.hasAttribute("aria-label") ? target : target.querySelector("[aria-label]"));
  hint.hidden = !mark;
  if (!mark) return;
  hint.textContent = mark.getAttribute("aria-label");
  const place = mark.getBoundingClientRect();
  hint.style.left = Math.max(4, Math.min(place.left + place.width / 2, innerWidth - hint.offsetWidth - 8)) + "px";
  hint.style.top = Math.max(4, place.top - hint.offsetHeight - 6) + "px";
}
document.addEventListener("pointerover", showHint);
document.addEventListener("focusin", showHint);
document.addEventListener("focusout", () => { hint.hidden = true; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hint.hidden = true; });
