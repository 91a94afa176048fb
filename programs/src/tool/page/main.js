// The state of the page, and what changes it: selecting, hovering, keys, the filter.

const state = {
  capture: new Capture(),
  /** The filter, the frames and the calls that pass it, and the axis of the calls' timeline. */
  filter: parseFilter(""), shown: [], calls: [], axis: { begin: 0, length: 1 },
  /** The call that was selected until a filter hid it, and the frame that the pointer is on. */
  hidden: undefined, pointed: undefined,
  /** What is selected: a call, a frame with its bytes and tree, a node and a byte of it; and what the pointer is on. */
  call: undefined, frame: undefined, open: undefined, node: undefined, byte: undefined, hover: undefined,
  nodes: [], closed: new Set(), perRow: 16, follow: true,
};

const panes = ["calls", "frames", "hex", "tree"];
const rows = {
  calls: new Rows(byId("calls"), 40, (index) => callRow(state, index)),
  frames: new Rows(byId("frames"), 24, (index) => frameRow(state, index)),
  hex: new Rows(byId("hex"), 24, (index) => hexRow(state, index)),
  tree: new Rows(byId("tree"), 24, (index) => treeRow(state, index)),
};

/** Says which row or byte of a list the keyboard is on. */
function active(list, index) {
  const element = byId(list);
  if (index === undefined || index < 0) element.removeAttribute("aria-activedescendant");
  else element.setAttribute("aria-activedescendant", `${list}-${index}`);
}

// ---- the lists of calls and frames

function isShown(frame) {
  return (!state.call || frame.call === state.call) && state.filter.frame(frame);
}

/** Finds the frames and calls to be shown anew: the filter, the call, or the frames have changed. */
function refilter() {
  const { capture, filter } = state;
  for (const call of capture.calls) call.passing = 0;
  const passing = filter.text ? capture.frames.filter(passes) : capture.frames;
  // A selected call that the filter hides is deselected, and selected again when it is shown again.
  const call = state.call ?? state.hidden;
  const isCall = call && filter.call(call);
  Object.assign(state, { call: isCall ? call : undefined, hidden: isCall ? undefined : call });
  state.shown = passing.filter((frame) => !state.call || frame.call === state.call);
  listCalls();
  listFrames();
}

/** Whether the filter lets a frame through, which counts for its call. */
function passes(frame) {
  const passes = state.filter.frame(frame);
  if (passes && frame.call) frame.call.passing += 1;
  return passes;
}

const outOf = (some, all) => (some === all ? "" : `${some.toLocaleString("en")} of `) + all.toLocaleString("en");

function listFrames() {
  rows.frames.resize(state.shown.length);
  byId("frames-count").textContent = outOf(state.shown.length, state.capture.frames.length);
  byId("all-frames").hidden = !state.call;
  active("frames", state.shown.indexOf(state.frame));
  note();
  drawTimes(state);
}

function listCalls() {
  const { capture, filter } = state;
  state.calls = filter.text ? capture.calls.filter(filter.call) : capture.calls;
  state.axis = axisOf(state.calls, capture.end);
  byId("axis").textContent = state.calls.length ? span(state.axis.length) : "";
  const longest = (words) => [...words].reduce((most, word) => Math.max(most, word.length), 4);
  byId("calls-pane").style.setProperty("--status", 4 + longest(capture.statuses));
  byId("frames-pane").style.setProperty("--type", longest(capture.types));
  rows.calls.resize(state.calls.length);
  byId("calls-count").textContent = outOf(state.calls.length, capture.calls.length);
  active("calls", state.calls.indexOf(state.call));
}

function selectCall(call, reveal = true) {
  Object.assign(state, { call, hidden: undefined });
  refilter();
  if (call && reveal) rows.calls.reveal(state.calls.indexOf(call));
  if (call && state.frame?.call !== call) selectFrame(state.shown[0]);
  else if (state.frame) rows.frames.reveal(state.shown.indexOf(state.frame));
}

function selectFrame(frame) {
  if (!frame) return;
  state.frame = frame;
  const open = state.capture.open(frame);
  const leaves = leavesOf(open.roots);
  open.leafAt = (at) => {
    let [low, high] = [0, leaves.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (leaves[middle].range[1] <= at) low = middle + 1;
      else high = middle;
    }
    return within(at, leaves[low]) ? leaves[low] : undefined;
  };
  // If a node has a value, its leaves show only the encoding: they stay closed until a click.
  state.closed = new Set();
  const fold = (node) => {
    if (node.children?.length && node.children.every((child) => !child.children?.length && !child.fault)) state.closed.add(node);
    node.children?.forEach(fold);
  };
  if (leaves.length > 24) open.roots.forEach(fold);
  Object.assign(state, { open, hover: undefined, byte: undefined, node: undefined });
  byId("hex").scrollTop = 0;
  byId("tree").scrollTop = 0;
  byId("hex-title").title = frame.summary;
  byId("hex-count").textContent = `frame ${frame.number} · ${frame.type} · ${count(frame.size, "byte")} from ${open.offset.toLocaleString("en")}`;
  const at = state.shown.indexOf(frame);
  rows.frames.draw(true);
  active("frames", at);
  if (at >= 0) rows.frames.reveal(at);
  active("hex");
  note();
  drawTimes(state);
  drawOpen();
}

/** The pointer is on a frame, in the list or on the timeline. */
function point(frame) {
  if (frame === state.pointed) return;
  state.pointed = frame;
  drawTimes(state);
}

/** A frame that somebody picked from the list: unless it is the newest, the list stays where it is. */
function choose(at) {
  follow(at === state.shown.length - 1);
  state.hidden = undefined;
  selectFrame(state.shown[at]);
}

function step(by, wanted = () => true) {
  for (let at = state.shown.indexOf(state.frame) + by; at >= 0 && at < state.shown.length; at += by) {
    if (wanted(state.shown[at])) return selectFrame(state.shown[at]);
  }
}

/** Goes to a frame by its number, out of the call if it does not belong to it. */
function goTo(number) {
  const frame = state.capture.frames.find((one) => one.number === number && one.connection === state.frame.connection);
  if (!frame) return say(`Frame ${number} is not here any more.`);
  if (!isShown(frame)) {
    clearFilter();
    selectCall(undefined);
  }
  selectFrame(frame);
}

// ---- bytes and meaning of the selected frame

function drawOpen() {
  state.perRow = PER_ROW();
  byId("hex").style.setProperty("--per-row", state.perRow);
  state.nodes = openNodes(state);
  rows.hex.resize(Math.ceil((state.open?.bytes.length ?? 0) / state.perRow));
  rows.tree.resize(state.nodes.length);
  active("tree", state.nodes.indexOf(state.node));
  drawMarks();
  byId("details").replaceChildren(...detailsOf(state, goTo));
}

function drawMarks() {
  rows.hex.draw(true);
  rows.tree.draw(true);
  const node = state.hover ?? state.node;
  const names = node ? pathOf(node) : [];
  const steps = names.map((name, place) => make("span", { className: place === names.length - 1 ? "last" : "" }, name));
  const end = node ? make("span", { className: "value" }, node.value ?? "") : "Point at bytes, or at what they mean.";
  byId("path").replaceChildren(...steps, end);
  byId("path").className = node?.layer ?? "";
}

/** Selects a node: its bytes are marked, and the cursor is on the first of them. */
function selectNode(node, byte = node?.range[0]) {
  if (!node) return;
  for (let above = node.parent; above; above = above.parent) state.closed.delete(above);
  Object.assign(state, { node, byte, hover: undefined });
  drawOpen();
  rows.tree.reveal(state.nodes.indexOf(node));
  rows.hex.reveal(Math.floor(byte / state.perRow));
  active("hex", byte);
}

function selectByte(at) {
  if (!state.open?.bytes.length) return;
  const byte = clamp(at, 0, state.open.bytes.length - 1);
  const leaf = state.open.leafAt(byte);
  if (leaf) selectNode(leaf, byte);
}

function hover(node) {
  if (node === state.hover) return;
  state.hover = node;
  drawMarks();
}

function toggle(node, open) {
  if (!node?.children?.length) return;
  if (open) state.closed.delete(node);
  else state.closed.add(node);
  drawOpen();
}

// ---- pointer

const indexUnder = (event) => {
  const at = event.target.closest("[data-index]")?.dataset.index;
  return at === undefined ? undefined : Number(at);
};
const byteUnder = (event) => {
  const at = event.target.closest("[data-at]")?.dataset.at;
  return at === undefined ? undefined : Number(at);
};

byId("calls").addEventListener("click", (event) => {
  const at = indexUnder(event);
  if (at === undefined) return;
  const { frame } = nearest(state, event);
  selectCall(state.calls[at], false);
  if (frame) choose(state.shown.indexOf(frame));
});
byId("calls").addEventListener("pointermove", (event) => {
  const { frame } = nearest(state, event);
  point(frame);
  const at = state.shown.indexOf(frame);
  if (at >= 0) rows.frames.reveal(at);
});
byId("frames").addEventListener("pointermove", (event) => point(state.shown[indexUnder(event)]));
for (const list of ["calls", "frames"]) byId(list).addEventListener("pointerleave", () => point(undefined));
byId("frames").addEventListener("click", (event) => {
  const at = indexUnder(event);
  if (at !== undefined) choose(at);
});
byId("tree").addEventListener("click", (event) => {
  const node = state.nodes[indexUnder(event)];
  if (event.target.closest(".twist")) toggle(node, state.closed.has(node));
  else selectNode(node);
});
byId("hex").addEventListener("click", (event) => {
  const at = byteUnder(event);
  if (at !== undefined) selectByte(at);
});
byId("tree").addEventListener("pointermove", (event) => hover(state.nodes[indexUnder(event)]));
byId("tree").addEventListener("pointerleave", () => hover(undefined));
byId("hex").addEventListener("pointermove", (event) => {
  const at = byteUnder(event);
  const leaf = at === undefined ? undefined : state.open?.leafAt(at);
  if (leaf === state.hover) return;
  hover(leaf);
  // Marks the node in the tree, or the closed node around it.
  let seen = leaf;
  while (seen && !state.nodes.includes(seen)) seen = seen.parent;
  if (seen) rows.tree.reveal(state.nodes.indexOf(seen));
});
byId("hex").addEventListener("pointerleave", () => hover(undefined));
byId("all-frames").addEventListener("click", () => selectCall(undefined));

// ---- keys

const keys = {
  calls(key) {
    const at = moved(key, state.calls.indexOf(state.call), state.calls.length, rows.calls.page);
    if (at !== undefined) selectCall(state.calls[at]);
    else if (key === "Enter" || key === "ArrowRight") byId("frames").focus();
    else return false;
    return true;
  },
  frames(key) {
    const at = moved(key, state.shown.indexOf(state.frame), state.shown.length, rows.frames.page);
    if (at !== undefined) choose(at);
    else if (key === "Enter" || key === "ArrowRight") byId("hex").focus();
    else if (key === "ArrowLeft") byId("calls").focus();
    else return false;
    return true;
  },
  hex(key) {
    const { perRow, byte = -1 } = state;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow, PageUp: -perRow * rows.hex.page, PageDown: perRow * rows.hex.page };
    if (key in steps) selectByte(byte < 0 ? 0 : byte + steps[key]);
    else if (key === "Home") selectByte(0);
    else if (key === "End") selectByte(Infinity);
    else if (key === "Enter") byId("tree").focus();
    else return false;
    return true;
  },
  tree(key) {
    const at = moved(key, state.nodes.indexOf(state.node), state.nodes.length, rows.tree.page);
    const { node } = state;
    const inner = Boolean(node?.children?.length);
    if (at !== undefined) selectNode(state.nodes[at]);
    else if (key === "ArrowRight" && inner) state.closed.has(node) ? toggle(node, true) : selectNode(node.children[0]);
    else if (key === "ArrowLeft" && inner && !state.closed.has(node)) toggle(node, false);
    else if (key === "ArrowLeft" && node?.parent) selectNode(node.parent);
    else if (key === "Enter" || key === " ") toggle(node, state.closed.has(node));
    else return false;
    return true;
  },
};

const anywhere = {
  "?": () => byId("help").showModal(),
  "/": () => byId("filter").focus(),
  "[": () => step(-1),
  "]": () => step(1),
  "{": () => step(-1, (frame) => frame.fault),
  "}": () => step(1, (frame) => frame.fault),
  o: () => byId("file").click(),
  s: () => save(),
  f: () => follow(!state.follow),
  Escape: () => (state.call ? selectCall(undefined) : clearFilter()),
};
panes.forEach((pane, place) => { anywhere[place + 1] = () => byId(pane).focus(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const { target, key } = event;
  if (target.matches("input, select")) {
    if (key === "Escape") byId("frames").focus();
    return;
  }
  const handled = keys[target.id]?.(key);
  if (!handled && !(key in anywhere)) return;
  event.preventDefault();
  if (!handled) anywhere[key]();
});

byId("legend").append(...Object.entries(LAYERS).map(([layer, name]) => make("li", {}, make("span", { className: `swatch ${layer}` }), name)));
byId("help-button").addEventListener("click", () => byId("help").showModal());
addEventListener("resize", () => state.open && drawOpen());
