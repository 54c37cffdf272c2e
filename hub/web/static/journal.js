// The journal renews itself and is walked with j, k and Enter; "/" goes to the search.

const EVERY = 2000;
// also without news: states of steps change without an event of their own
const AT_MOST_EVERY = 5;

export function followJournal(rows) {
  if (!rows) return;
  walkWithKeys(rows);
  if (rows.dataset.rows) renew(rows);
}

function renew(rows) {
  const light = document.querySelector("[data-live]");
  const seen = new Set();
  let after = Number(rows.dataset.after);
  let tag = "";
  let quiet = 0;

  async function look() {
    if (document.hidden) return;
    const answer = await fetch(`${rows.dataset.events}?after=${after}`, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const { events } = await answer.json();
    const fresh = events.filter((event) => !seen.has(event.id));
    for (const event of fresh) {
      seen.add(event.id);
      after = Math.max(after, event.id);
    }
    quiet += 1;
    if (fresh.length === 0 && quiet < AT_MOST_EVERY) return;
    quiet = 0;
    const page = await fetch(rows.dataset.rows, { headers: tag ? { "if-none-match": tag } : {}, cache: "no-store" });
    if (page.status === 304 || !page.ok) return;
    tag = page.headers.get("etag") || "";
    const chosen = rows.querySelector(".is-chosen")?.dataset.href;
    // our own server's escaped HTML, the same that the page came with
    rows.innerHTML = await page.text();
    if (chosen) choose(rows, [...rows.querySelectorAll("tr[data-href]")].find((row) => row.dataset.href === chosen));
  }

  async function forever() {
    try {
      await look();
      if (light) light.textContent = light.dataset.liveOn;
    } catch {
      if (light) light.textContent = light.dataset.liveOff;
    }
    setTimeout(forever, EVERY);
  }
  forever();
}

function walkWithKeys(rows) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, button, [contenteditable]")) return;
    const lines = [...rows.querySelectorAll("tr[data-href]")];
    const at = lines.findIndex((line) => line.classList.contains("is-chosen"));
    if (event.key === "j") choose(rows, lines[Math.min(at + 1, lines.length - 1)]);
    else if (event.key === "k") choose(rows, lines[Math.max(at - 1, 0)]);
    else if (event.key === "Enter" && at >= 0) location.assign(lines[at].dataset.href);
    else if (event.key === "/" && document.getElementById("q")) document.getElementById("q").focus();
    else return;
    event.preventDefault();
  });
}

function choose(rows, line) {
  if (!line) return;
  for (const other of rows.querySelectorAll(".is-chosen")) other.classList.remove("is-chosen");
  line.classList.add("is-chosen");
  line.scrollIntoView({ block: "nearest" });
}
