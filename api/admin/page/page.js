// Asks the server every two seconds while the page is looked at, and shows what it says.

import { Refused, ask, linkTo } from "./ask.js";
import { bytes, duration, sessionDetails, sessionSummary, znodeDetails } from "./details.js";
import { element, number, plot, sparkline } from "./plot.js";
import { Tree } from "./tree.js";

const PERIOD = 2000;
const KEPT = 600_000; // ms of samples
const $ = (id) => document.getElementById(id);

let timer = null;
let polling = false;
let lost = null;
let started = null;
let samples = [];
let zxid = null;
let shown = 50; // sessions

const tiles = ["Sessions", "Watches", "Znodes", "Connections", "Outstanding"].map((title) => {
  const key = title.toLowerCase();
  const value = element("strong");
  const further = element("small");
  const line = sparkline();
  $("tiles").append(element("div", { class: "panel" }, element("dt", {}, title), element("dd", {}, value, further, line.svg)));
  return { key, value, further, line };
});

const plots = [
  plot($("plots"), "Requests", "a second", [
    { name: "reads", of: (sample) => sample.reads.rate, look: "first" },
    { name: "writes", of: (sample) => sample.writes.rate, look: "second" },
  ]),
  plot($("plots"), "Latency", "ms", [
    { name: "reads", of: (sample) => sample.reads.mean, look: "first" },
    { name: "writes", of: (sample) => sample.writes.mean, look: "second" },
    { name: "reads p99", of: (sample) => sample.reads.p99, look: "first dashed" },
    { name: "writes p99", of: (sample) => sample.writes.p99, look: "second dashed" },
  ]),
  plot($("plots"), "Syncs of the log", "ms", [
    { name: "mean", of: (sample) => sample.syncs.mean, look: "first" },
    { name: "p99", of: (sample) => sample.syncs.p99, look: "first dashed" },
  ]),
];

const tree = new Tree($("tree"));

function showLive(live) {
  $("role").textContent = live.serving ? live.mode : `${live.mode}, not serving`;
  $("role").classList.toggle("bad", !live.serving);
  $("about").textContent = `${live.version}, up ${duration(live.uptime)}, zxid ${live.zxid}`;
  showEnsemble(live.ensemble);
  document.title = `${live.mode}, znoded`;
  for (const { key, value, further, line } of tiles) {
    value.textContent = number(live[key]);
    if (key === "znodes") further.textContent = `${number(live.ephemerals)} ephemeral, ${bytes(live.data_size)}`;
    line.draw(samples, (sample) => sample[key]);
  }
  for (const draw of plots) draw(samples);
}

function showEnsemble(ensemble) {
  $("ensemble").hidden = !ensemble;
  if (!ensemble) return;
  const who =
    ensemble.leader === null ? `no leader: ${ensemble.phase}`
    : ensemble.leader === ensemble.me ? `leads in epoch ${ensemble.epoch}`
    : `follows server ${ensemble.leader} in epoch ${ensemble.epoch}`;
  const peers = ensemble.peers.map((peer) => {
    const state =
      !peer.connected ? "not connected"
      : peer.follows === undefined ? "connected"
      : !peer.follows ? "connected, does not follow"
      : !peer.synced ? `catching up, ${number(peer.lag)} behind`
      : peer.lag ? `up to date, ${number(peer.lag)} under way`
      : "up to date";
    const bad = !peer.connected || (peer.follows !== undefined && !peer.synced);
    return element("span", { class: bad ? "badge bad" : "badge" }, `server ${peer.id}${peer.observer ? " (observer)" : ""}: ${state}`);
  });
  $("ensemble").replaceChildren(element("span", {}, `Server ${ensemble.me} ${who}. `), ...peers);
}

async function look() {
  let live = await ask("live", { since: samples.at(-1)?.uptime ?? -1 });
  if (started !== null && Math.abs(live.started - started) > PERIOD) {
    samples = []; // another process: it counts from its own start
    live = await ask("live", { since: -1 });
  }
  started = live.started;
  samples.push(...live.history);
  samples = samples.filter(({ uptime }) => uptime >= live.uptime - KEPT);
  showLive(live);
  return live;
}

function contact(error) {
  document.body.classList.toggle("lost", error !== null);
  lost = error && (lost ?? new Date().toLocaleTimeString("sv"));
  const text =
    error === null
      ? ""
      : error instanceof Refused
        ? `The server refuses to tell, since ${lost}: ${error.message}`
        : `No contact with the server since ${lost}. It is tried again every 2 seconds.`;
  if ($("contact").textContent !== text) $("contact").textContent = text; // it is read out when it changes
}

async function poll() {
  if (polling) return;
  polling = true;
  clearTimeout(timer);
  try {
    const live = await look();
    contact(null);
    if (live.serving) {
      const changed = live.zxid !== zxid;
      zxid = live.zxid;
      await Promise.all([showZnode(), showSessions(), changed ? tree.refresh() : null]);
    }
  } catch (error) {
    contact(error);
  } finally {
    polling = false;
    if (!document.hidden) timer = setTimeout(poll, PERIOD);
  }
}

// Anew only if there is news: what is selected or has the focus stays.
function show(parent, news, make) {
  const text = JSON.stringify(news);
  if (parent.shown === text) return;
  parent.shown = text;
  parent.replaceChildren(...make());
}

// wanted: whether the answer is still to the question.
async function told(parent, answering, make, wanted = () => true) {
  try {
    const answer = await answering;
    if (wanted()) show(parent, answer, () => make(answer));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (wanted()) show(parent, error.message, () => [element("p", { class: "note" }, error.message)]);
  }
}

async function showZnode() {
  const path = tree.chosen;
  await told(
    $("znode"),
    ask("tree", { path, limit: 1 }).then(({ children, ...znode }) => znode),
    znodeDetails,
    () => path === tree.chosen,
  );
}

function sessionBox(summary) {
  const inside = element("div");
  const box = element("details", { class: "session" }, sessionSummary(summary), inside);
  box.session = summary.session;
  box.refresh = () => told(inside, ask(`sessions/${summary.session}`), sessionDetails);
  box.addEventListener("toggle", () => box.open && box.refresh().catch(() => {}));
  return box;
}

async function showSessions() {
  const list = $("sessions");
  const { items, more } = await ask("sessions", { limit: shown });
  const before = new Map([...list.children].map((box) => [box.session, box]));
  show(list, items, () => {
    if (!items.length) return [element("p", { class: "note" }, "None.")];
    return items.map((each) => {
      const box = before.get(each.session);
      if (!box) return sessionBox(each);
      box.firstChild.replaceWith(sessionSummary(each));
      return box;
    });
  });
  $("sessions-more").hidden = !more;
  const open = document.querySelectorAll("details.session[open]");
  await Promise.all([...open].map((box) => box.refresh()));
}

// The address's end says what is looked at: #/a/b, or #session=0x1.
async function navigate() {
  const asked = location.hash.slice(1);
  if (asked.startsWith("session=")) {
    await showSession(asked.slice("session=".length));
    return;
  }
  let path;
  try {
    path = decodeURIComponent(asked) || "/";
  } catch {
    path = "/";
  }
  $("path").value = path;
  await tree.select(path);
  await showZnode();
}

async function showSession(session) {
  const parent = $("session-asked");
  try {
    const box = sessionBox(await ask(`sessions/${session}`));
    box.open = true;
    parent.replaceChildren(box);
  } catch (error) {
    parent.replaceChildren(element("p", { class: "note" }, error.message));
  }
  parent.scrollIntoView({ block: "center" });
}

$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = $("path").value.trim();
  location.hash = linkTo(path);
});
$("sessions-more").addEventListener("click", () => {
  shown += 50;
  showSessions().catch(contact);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});
// A link to where the page is already is followed again, too.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.getAttribute("href") === location.hash) navigate().catch(contact);
});
addEventListener("hashchange", () => navigate().catch(contact));

tree.chosen = "/";
navigate().catch(() => {}).then(poll);
