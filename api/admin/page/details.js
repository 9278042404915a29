// What there is to tell of one znode, or of one session.

import { linkTo } from "./ask.js";
import { element, number } from "./plot.js";

// What it is called, ZooKeeper's names for it, and how it is told.
const STAT = [
  ["data", "dataLength, version", (stat) => `${bytes(stat.data_length)}, version ${stat.version}`],
  ["children", "numChildren, cversion", (stat) => `${stat.num_children.toLocaleString("en")}, version ${stat.cversion}`],
  ["ACL", "aversion", (stat) => `version ${stat.aversion}`],
  ["created", "ctime, cZxid", (stat) => `${moment(stat.ctime)}, zxid ${stat.czxid}`],
  ["data changed", "mtime, mZxid", (stat) => `${moment(stat.mtime)}, zxid ${stat.mzxid}`],
  ["children changed", "pZxid", (stat) => `zxid ${stat.pzxid}`],
];

export function bytes(size) {
  if (size < 10_000) return `${size.toLocaleString("en")} B`;
  const step = size < 1e6 ? [1e3, "kB"] : size < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(size / step[0]).toFixed(1)} ${step[1]}`;
}

export function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([each]) => seconds >= each);
  if (first < 0) return "0 s";
  const [large, small] = [parts[first], parts[first + 1]];
  const told = `${Math.floor(seconds / large[0])} ${large[1]}`;
  const rest = small ? Math.floor((seconds % large[0]) / small[0]) : 0;
  return rest ? `${told} ${rest} ${small[1]}` : told;
}

function moment(ms) {
  if (ms === 0) return "with the tree";
  const when = new Date(ms);
  if (Number.isNaN(when.getTime())) return String(ms);
  return when.toLocaleString("sv"); // 2026-01-31 12:00:00, in the reader's zone
}

const text = (name, value, attributes = {}) => {
  const made = element(name, attributes);
  made.textContent = value;
  return made;
};
const mono = (value) => text("bdi", value, { class: "mono" });
const note = (value) => text("p", value, { class: "note" });

export function sessionLink(session) {
  return element("a", { href: `#session=${session}` }, mono(session));
}

function pathLink(path) {
  return element("a", { href: linkTo(path) }, mono(path));
}

function crumbs(path) {
  const made = element("h2", { class: "crumbs" });
  const names = path.split("/").filter(Boolean);
  made.append(element("a", { href: "#/" }, mono("/")));
  names.forEach((name, at) => {
    if (at) made.append(mono("/"));
    const full = `/${names.slice(0, at + 1).join("/")}`;
    made.append(at === names.length - 1 ? mono(name) : element("a", { href: linkTo(full) }, mono(name)));
  });
  return made;
}

function data(znode) {
  if (!znode.public) return note("Not shown: its ACL does not let everyone read it. This page does not know who you are.");
  if (znode.data === null) return note("None (null).");
  if (znode.stat.data_length === 0) return note("Empty.");
  const { text: readable, hex } = znode.data;
  const shown = text("pre", readable ?? dump(hex), { class: hex ? "dump" : "", tabindex: "0", "aria-label": "Data" });
  const more = znode.data.more ? `The beginning; there are ${bytes(znode.stat.data_length)}.` : "";
  const binary = hex === undefined ? "" : "Not text: shown as bytes. ";
  return binary || more ? element("div", {}, note(binary + more), shown) : shown;
}

// 8 bytes a line: it has room in a narrow window.
function dump(hex) {
  const lines = [];
  for (let at = 0; at < hex.length; at += 16) {
    const pairs = hex.slice(at, at + 16).match(/../g);
    const codes = pairs.map((pair) => parseInt(pair, 16));
    const readable = codes.map((code) => (code >= 32 && code < 127 ? String.fromCharCode(code) : "·")).join("");
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${pairs.join(" ").padEnd(23)}  ${readable}`);
  }
  return lines.join("\n");
}

function table(headings, rows, more) {
  const head = element("tr", {}, ...headings.map((each) => text("th", each, { scope: "col" })));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  const made = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return more ? element("div", {}, made, note("There are more.")) : made;
}

function part(title, ...content) {
  return element("section", { "aria-label": title }, text("h3", title), ...content);
}

export function znodeDetails(znode) {
  const { stat, owner, acl, watchers } = znode;
  const badges = [];
  if (owner) badges.push("ephemeral");
  if (znode.container) badges.push("container");
  if (znode.ttl) badges.push(`TTL ${duration(znode.ttl)}`);
  const figures = STAT.flatMap(([name, title, tell]) => [text("dt", name, { title }), text("dd", tell(stat))]);
  const who = (each) => (each.address ? element("span", {}, sessionLink(each.session), ` ${each.address}`) : sessionLink(each.session));
  const watched = watchers.items.map((each) => [
    who(each),
    each.at === znode.path ? each.kinds.join(", ") : element("span", {}, `${each.kinds.join(", ")}, at `, pathLink(each.at)),
  ]);
  return [
    crumbs(znode.path),
    ...(badges.length ? [element("p", {}, ...badges.map((each) => text("span", each, { class: "badge" })))] : []),
    ...(owner ? [part("Owned by", element("p", {}, who(owner)))] : []),
    part("Data", data(znode)),
    part("Stat", element("dl", { class: "stat" }, ...figures)),
    part("Access", table(["who", "may"], acl.items.map((each) => [mono(`${each.scheme}:${each.id}`), mono(each.perms)]), acl.more)),
    part(
      "Watched by",
      watched.length ? table(["session", "watch"], watched, watchers.more) : note("Nobody."),
    ),
  ];
}

export function sessionDetails(session) {
  const { owns, watches } = session;
  const list = (items) => element("ul", { class: "paths" }, ...items.map((each) => element("li", {}, ...each)));
  return [
    part("Owns", owns.items.length ? list(owns.items.map((path) => [pathLink(path)])) : note("No ephemeral znode."), ...(owns.more ? [note("There are more.")] : [])),
    part(
      "Watches",
      watches.items.length ? list(watches.items.map(({ path, kinds }) => [pathLink(path), ` ${kinds.join(", ")}`])) : note("Nothing on this server."),
      ...(watches.more ? [note("There are more.")] : []),
    ),
  ];
}

export function sessionSummary({ session, address, timeout }) {
  return element(
    "summary",
    {},
    mono(session),
    " ",
    text("span", address ?? "not connected", { class: address ? "" : "note" }),
    text("span", `timeout ${number(timeout / 1000)} s`, { class: "note" }),
  );
}
