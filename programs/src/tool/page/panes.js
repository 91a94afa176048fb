// The four panes: calls, frames, bytes, meaning. Each shows the state and never changes it.

const LAYERS = {
  before: "before HTTP/2", frame: "frame header", payload: "frame payload", hpack: "HPACK", grpc: "gRPC", protobuf: "Protocol Buffers", opaque: "other bytes",
};

/** A finding in a line. */
const sentenceOf = ({ severity, name, sentence }) => `${severity}: ${name}: ${sentence}`;

/** The waits of a call for windows that last a millisecond, or that did not end with an open window. */
const waitsOf = (call) => call.waits.filter((wait) => wait.waited >= 1e-3 || wait.ended === undefined).map((wait) => wait.text);

/** A row of a list. Its id lets the list say which of its rows is active. */
function row(list, index, length, selected, className, ...cells) {
  return make("div", {
    id: `${list}-${index}`, className: `row ${className}${selected ? " selected" : ""}`, role: "option", "aria-selected": String(selected),
    "aria-posinset": index + 1, "aria-setsize": length, "data-index": index,
  }, ...cells);
}

const cell = (className, text, title) => make("span", { className, title }, text);

function callRow(state, index) {
  const { calls, capture } = state;
  const call = calls[index];
  const status = statusOf(call);
  const outcome = call.open ? "open" : call.ok ? "ok" : "failed";
  const many = capture.connections.size > 1 ? `connection ${call.connection} · ` : "";
  const took = span((call.ended ?? capture.end) - call.began);
  const element = row("calls", index, calls.length, state.call === call, `call-row ${outcome}${state.frame?.call === call ? " own-selected" : ""}${state.pointed?.call === call ? " own-hover" : ""}`,
    make("span", { className: "method", title: call.path }, make("b", {}, call.method), make("small", {}, `${many}stream ${call.stream} · ${call.service}`)),
    cell("kind", kindOf(call), call.kind ? undefined : "at least, by the messages so far: the schema lacks the method"),
    make("span", { className: "messages", title: `${count(call.bytesUp, "byte")} up, ${count(call.bytesDown, "byte")} down, frames included` },
      make("span", { className: "up" }, `↑${call.up}`), " ", make("span", { className: "down" }, `↓${call.down}`)),
    cell("status", `${signOf(call)} ${status}${call.fault ? " !" : ""}`, [status, call.message, call.end, ...waitsOf(call), foundIn(call.findings)].filter(Boolean).join("\n")),
    cell("number", took),
    trackOf(state, call));
  element.setAttribute("aria-label", `${call.method} of ${call.service}, stream ${call.stream}, ${kindOf(call)}, ${count(call.up, "message")} up, ${call.down} down, ${status}${call.end ? `, ${call.end}` : ""}${call.findings.length ? `, ${foundIn(call.findings)}` : ""}, ${took}`);
  return element;
}

function frameRow(state, index) {
  const frame = state.shown[index];
  const stream = frame.stream || "";
  const selected = state.frame === frame;
  const element = row("frames", index, state.shown.length, selected, `frame-row ${frame.up ? "up" : "down"}${frame.fault ? " fault" : ""}${state.pointed === frame ? " hover" : ""}`,
    cell("number", String(frame.number)),
    cell("number", frame.time.toFixed(6)),
    cell("arrow", frame.up ? "→" : "←", frame.up ? "client to server" : "server to client"),
    cell("type", frame.type),
    cell("number", String(stream)),
    cell("number", String(frame.size)),
    make("span", { className: "summary", title: [frame.summary, frame.gist, ...frame.findings.map(sentenceOf)].filter(Boolean).join("\n") },
      frame.fault ? "✗ " : frame.findings.length ? "· " : "", make("span", { className: frame.gist ? "gist" : "" }, frame.gist || frame.summary)));
  element.setAttribute("aria-label", `Frame ${frame.number}, ${frame.up ? "client to server" : "server to client"}, ${frame.type}${stream ? `, stream ${stream}` : ""}, ${count(frame.size, "byte")}. ${frame.summary}${frame.gist ? `: ${frame.gist}` : ""}${frame.fault ? ". Something is wrong with it." : ""}`);
  return element;
}

/** The leaves of a tree in the order of their bytes; each node knows its parent and its depth from now on. */
function leavesOf(roots) {
  const leaves = [];
  const walk = (node, parent, depth, rule) => {
    node.parent = parent;
    node.depth = depth;
    node.rule ??= rule;
    if (node.children?.length) node.children.forEach((child) => walk(child, node, depth + 1, node.rule));
    else leaves.push(node);
  };
  roots.forEach((root) => walk(root, undefined, 0, undefined));
  return leaves;
}

const nameOf = (node) => node.label || node.detail || "field";

function pathOf(node) {
  const names = [];
  for (let at = node; at; at = at.parent) names.unshift(nameOf(at));
  return names;
}

const PER_ROW = () => (matchMedia("(max-width: 1060px) and (min-width: 821px), (max-width: 560px)").matches ? 8 : 16);

/** Whether the bytes of a leaf were replaced, so that they say nothing. */
const isHidden = (leaf) => leaf?.form === "redacted";

const within = (at, node) => node && at >= node.range[0] && at < node.range[1];

/** Sixteen bytes: those of a leaf stand on one ground in the colour of its layer, and the text beside them. */
function hexRow(state, index) {
  const { bytes, leafAt } = state.open;
  const start = index * state.perRow;
  const cells = [];
  const texts = [];
  for (let at = start; at < Math.min(start + state.perRow, bytes.length); at += 1) {
    const leaf = leafAt(at);
    const hidden = isHidden(leaf);
    const marks = [
      "byte", leaf?.layer ?? "opaque",
      at === leaf?.range[0] && "first", at === (leaf?.range[1] ?? 0) - 1 && "last", leaf?.fault && "fault",
      within(at, state.node) && "selected", within(at, state.hover) && "hover", at === state.byte && "cursor",
    ].filter(Boolean).join(" ");
    const digits = hidden ? "··" : bytes[at].toString(16).padStart(2, "0");
    const shown = hidden ? "·" : bytes[at] > 32 && bytes[at] < 127 ? String.fromCharCode(bytes[at]) : bytes[at] === 32 ? "␣" : "·";
    cells.push(make("span", { id: `hex-${at}`, className: marks, role: "gridcell", "data-at": at,
      "aria-label": `byte ${at}, ${hidden ? "redacted" : digits}, ${leaf ? nameOf(leaf) : ""}`, "aria-selected": String(at === state.byte) }, digits));
    texts.push(make("span", { className: marks, "data-at": at, "aria-hidden": "true" }, shown));
  }
  return make("div", { className: "row hex", role: "row" },
    make("span", { className: "offset", role: "rowheader" }, String(start).padStart(4, "\u2007")),
    make("span", { className: "bytes", role: "presentation" }, ...cells),
    make("span", { className: "ascii", role: "presentation", "aria-hidden": "true" }, ...texts));
}

/** The nodes that are not hidden in a closed one, from the top. */
function openNodes(state) {
  const nodes = [];
  const walk = (list) => list.forEach((node) => {
    nodes.push(node);
    if (node.children?.length && !state.closed.has(node)) walk(node.children);
  });
  walk(state.open?.roots ?? []);
  return nodes;
}

function treeRow(state, index) {
  const node = state.nodes[index];
  const inner = Boolean(node.children?.length);
  const expanded = inner && !state.closed.has(node);
  const selected = state.node === node;
  const continued = { head: " …", middle: "… …", tail: "… " }[node.part];
  const value = `${node.value ?? ""}${continued ?? ""}`;
  const element = make("div", {
    id: `tree-${index}`, title: [nameOf(node), value, node.label && node.detail, node.fault && `✗ ${node.fault}`].filter(Boolean).join(" "), className: `row node ${node.layer}${selected ? " selected" : ""}${state.hover === node ? " hover" : ""}${node.fault ? " fault" : ""}`,
    role: "treeitem", "aria-level": node.depth + 1, "aria-selected": String(selected), "data-index": index,
    "aria-expanded": inner ? String(expanded) : undefined,
  },
  make("span", { className: "twist", "aria-hidden": "true" }, inner ? (expanded ? "▾" : "▸") : ""),
  make("span", { className: "swatch", title: LAYERS[node.layer], "aria-hidden": "true" }),
  make("span", { className: "label" }, nameOf(node)),
  make("span", { className: "value" }, value),
  node.label && node.detail ? make("span", { className: "detail" }, node.detail) : null,
  node.fault ? make("span", { className: "wrong" }, `✗ ${node.fault}`) : null);
  element.style.paddingInlineStart = `${0.4 + 1.05 * node.depth}rem`;
  // Deep nodes keep a minimal width; the tree scrolls sideways.
  element.style.minWidth = `${16 + 1.05 * node.depth}rem`;
  return element;
}
