// The tree to walk through, by pointer or by keyboard as a tree widget is (WAI-ARIA): arrows, Home, End, Enter.

import { Refused, ask, linkTo } from "./ask.js";
import { element } from "./plot.js";

const PAGE = 100;
const LARGEST = 1000; // that the server gives at once

const below = (path, name) => (path === "/" ? `/${name}` : `${path}/${name}`);

class Node {
  constructor(tree, path, name, parent) {
    this.tree = tree;
    this.path = path;
    this.parent = parent;
    this.children = new Map(); // by name, in order
    this.wanted = PAGE;
    this.count = 0;
    this.twisty = element("span", { class: "twisty", "aria-hidden": "true" });
    this.label = element("bdi", { class: "name" });
    this.label.textContent = name;
    this.many = element("span", { class: "many" });
    this.row = element("div", { class: "row" }, this.twisty, this.label, this.many);
    this.group = element("ul", { role: "group", hidden: "" });
    this.note = null;
    this.item = element("li", { role: "treeitem", tabindex: "-1", "aria-selected": "false" }, this.row, this.group);
    this.item.node = this;
    this.row.addEventListener("click", (event) => {
      this.tree.focus(this);
      if (event.target === this.twisty) this.toggle();
      else this.choose();
    });
  }

  get expanded() {
    return !this.group.hidden;
  }

  tell(count, ephemeral) {
    this.count = count;
    this.many.textContent = count ? count.toLocaleString("en") : "";
    this.item.classList.toggle("ephemeral", ephemeral);
    const name = this.label.textContent;
    this.item.setAttribute("aria-label", `${name}${ephemeral ? ", ephemeral" : ""}${count ? `, ${count} children` : ""}`);
    if (count || this.expanded) this.item.setAttribute("aria-expanded", this.expanded);
    else this.item.removeAttribute("aria-expanded");
  }

  choose() {
    location.hash = linkTo(this.path);
    if (!this.expanded && this.count) this.toggle();
  }

  async toggle() {
    this.group.hidden = this.expanded;
    this.item.setAttribute("aria-expanded", this.expanded);
    if (this.expanded) await this.refresh();
    else this.tree.settle();
  }

  // Look again, as far as was looked before.
  async refresh() {
    const items = [];
    let answer;
    try {
      do {
        const limit = Math.min(this.wanted - items.length, LARGEST);
        answer = await ask("tree", { path: this.path, after: items.at(-1)?.name ?? "", limit });
        if (answer.children === null) break;
        items.push(...answer.children.items);
      } while (answer.children.more && items.length < this.wanted);
    } catch (error) {
      if (!(error instanceof Refused)) return; // no contact: it stays as it was
      this.show([], error.message);
      return;
    }
    this.tell(answer.stat.num_children, answer.owner !== null);
    if (answer.children === null) this.show([], "Its ACL does not let everyone read the names of its children.");
    else if (answer.children.more) this.show(items, null, answer.stat.num_children - items.length);
    else this.show(items, items.length ? null : "No children.");
  }

  show(items, note, more = 0) {
    const before = this.children;
    this.children = new Map();
    for (const { name, children, ephemeral } of items) {
      const child = before.get(name) ?? new Node(this.tree, below(this.path, name), name, this);
      child.tell(children, ephemeral);
      child.item.setAttribute("aria-selected", child.path === this.tree.chosen);
      this.children.set(name, child);
    }
    const wanted = [...this.children.values()].map((child) => child.item);
    if (more) wanted.push(this.moreItem(more));
    else if (note) wanted.push(element("li", { role: "none", class: "note" }, note));
    // Only what differs is touched: focus and scrolling stay.
    for (const old of [...this.group.children]) if (!wanted.includes(old)) old.remove();
    wanted.forEach((item, at) => {
      if (this.group.children[at] !== item) this.group.insertBefore(item, this.group.children[at] ?? null);
    });
    this.tree.settle();
  }

  moreItem(more) {
    this.further ??= (() => {
      const label = element("span", { class: "name" });
      const row = element("div", { class: "row more" }, label);
      const item = element("li", { role: "treeitem", tabindex: "-1", "aria-selected": "false" }, row);
      const choose = async () => {
        const last = [...this.children.values()].at(-1);
        this.wanted += PAGE;
        await this.refresh();
        this.tree.focus([...this.children.values()][[...this.children.values()].indexOf(last) + 1] ?? this);
      };
      item.node = { item, parent: this, choose, expanded: false, count: 0, path: null };
      row.addEventListener("click", choose);
      return item;
    })();
    this.further.querySelector(".name").textContent = `${more.toLocaleString("en")} more: show the next ${Math.min(more, PAGE)}`;
    return this.further;
  }
}

export class Tree {
  constructor(list) {
    this.list = list;
    this.chosen = null;
    this.root = new Node(this, "/", "/", null);
    list.append(this.root.item);
    this.focused = this.root;
    this.root.item.tabIndex = 0;
    list.addEventListener("keydown", (event) => this.key(event));
  }

  // All nodes that can be seen, from top to bottom.
  visible() {
    return [...this.list.querySelectorAll('[role="treeitem"]')]
      .filter((item) => !item.parentElement.closest("ul[hidden]"))
      .map((item) => item.node);
  }

  focus(node) {
    this.focused.item.tabIndex = -1;
    this.focused = node;
    node.item.tabIndex = 0;
    node.item.focus({ preventScroll: true });
    this.reveal(node);
  }

  // What had the focus may be gone, or folded away: then what holds its place has it.
  settle() {
    let node = this.focused;
    while (node.parent && (!node.item.isConnected || node.item.parentElement.closest("ul[hidden]"))) node = node.parent;
    if (node === this.focused) return;
    this.focused.item.tabIndex = -1;
    this.focused = node;
    node.item.tabIndex = 0;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const node = this.focused;
    const seen = this.visible();
    const at = seen.indexOf(node);
    const moves = {
      ArrowDown: () => seen[at + 1],
      ArrowUp: () => seen[at - 1],
      Home: () => seen[0],
      End: () => seen.at(-1),
      ArrowRight: () => (node.expanded ? seen[at + 1] : void (node.count && node.toggle())),
      ArrowLeft: () => (node.expanded ? void node.toggle() : node.parent),
      Enter: () => void node.choose(),
      " ": () => void node.choose(),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = moves[event.key]();
    if (next) this.focus(next);
  }

  // Show where a path is, as far as it is there.
  async select(path) {
    this.chosen = path;
    let node = this.root;
    if (!node.expanded) await node.toggle();
    let last = null;
    for (const name of path.split("/").filter(Boolean)) {
      if (node.path !== "/" && !node.expanded) await node.toggle();
      if (!node.children.has(name)) await node.refresh(); // it may be newer than the last look
      last = node.children.get(name);
      if (!last) break;
      node = last;
    }
    for (const each of this.visible()) each.item.setAttribute("aria-selected", each.path === this.chosen);
    const found = path === "/" ? this.root : last;
    if (found) this.reveal(found);
  }

  // Scroll the tree, not the page.
  reveal(node) {
    const list = this.list.getBoundingClientRect();
    const row = (node.row ?? node.item).getBoundingClientRect();
    if (row.top < list.top) this.list.scrollTop -= list.top - row.top;
    else if (row.bottom > list.bottom) this.list.scrollTop += row.bottom - list.bottom;
  }

  // Look again at all that is unfolded.
  async refresh() {
    for (const node of this.visible()) if (node.expanded) await node.refresh();
  }
}
