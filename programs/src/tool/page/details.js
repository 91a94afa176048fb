// Describes the selected field, and the call of its frame.

const entry = (name, ...value) => (value.length && value[0] ? [make("dt", {}, name), make("dd", {}, ...value)] : []);

function detailsOf(state, go) {
  const { node, open, frame } = state;
  if (!open) return [];
  return [
    ...(node ? fieldOf(node, open, go) : []),
    ...open.faults.map((fault) => make("p", { className: "wrong" }, `✗ ${fault}`)),
    ...frame.findings.map((one) => findingOf(one)),
    ...(frame.call ? aboutCall(frame.call) : []),
  ];
}

/** The selected node: its place, its value, the rule, and the frames that it lies in. */
function fieldOf(node, open, go) {
  const [from, until] = node.range;
  const shown = [...open.bytes.slice(from, Math.min(until, from + 64))];
  const digits = shown.map((byte, at) => (isHidden(open.leafAt(from + at)) ? "··" : byte.toString(16).padStart(2, "0"))).join(" ");
  const top = (() => { let at = node; while (at.parent) at = at.parent; return at; })();
  const parts = top.frames?.filter((number, place, all) => all.indexOf(number) === place) ?? [];
  const where = until - from === 1 ? `byte ${from}` : `bytes ${from} to ${until - 1}, ${until - from} of them`;
  return [
    make("h3", {}, make("span", { className: `swatch ${node.layer}`, "aria-hidden": "true" }), nameOf(node), make("small", {}, LAYERS[node.layer])),
    make("dl", {},
      ...entry("value", node.value),
      ...entry("what for", ...explanationsOf(node).map((sentence) => make("p", {}, sentence))),
      ...entry("encoding", node.label ? node.detail : undefined),
      ...entry("where", where),
      ...entry("bytes", make("code", {}, digits + (until - from > 64 ? " …" : ""))),
      ...entry("rule", node.rule && ruleOf(node.rule)),
      ...(parts.length > 1 ? entry("lies in", ...parts.slice(0, 12).map((number) => make("button", { type: "button", onclick: () => go(number) }, `frame ${number}`)), parts.length > 12 ? ` and ${parts.length - 12} more` : "") : []),
      ...entry("wrong", node.fault && make("span", { className: "wrong" }, node.fault))),
  ];
}

/** The hosts of the specifications, and where on them they are: a file may name any other address. */
const SPECIFICATIONS = { "www.rfc-editor.org": "/rfc/", "github.com": "/grpc/", "protobuf.dev": "/" };

/** A rule, with a link if it is one of a specification. */
function ruleOf({ document, section, url }) {
  const name = `${document}, ${/^\d/.test(section) ? "section " : ""}${section}`;
  const { protocol, host, pathname } = URL.canParse(url) ? new URL(url) : {};
  const known = protocol === "https:" && Object.hasOwn(SPECIFICATIONS, host) && pathname.startsWith(SPECIFICATIONS[host]);
  return known ? make("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, name) : name;
}

/** What a node is there for, in the sentences of `--explain`: first what it means, then how it is encoded. */
function explanationsOf({ layer, label = "", value, rule }) {
  const { fields, headers, codes, status } = EXPLANATIONS;
  const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);
  const field = (of) => rule && own(fields, `${rule.document}|${rule.section}|${of}`);
  return [
    layer === "hpack" && own(headers, label),
    layer === "hpack" && label === "grpc-status" && status[parseInt(value, 10)],
    rule && label === "error code" && own(codes, value),
    field(label) ?? field(""),
  ].filter(Boolean);
}

/** A finding: its rule, its bytes, and what is wrong. */
function findingOf({ severity, name, sentence, range, rule, url, number }) {
  const [from, until] = range;
  return make("p", { className: severity === "note" ? "remark" : "wrong" }, `${severity === "note" ? "·" : "✗"} ${severity} ${name}, bytes ${from}..${until}: ${sentence} (`,
    make("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, rule), number ? `; rule ${number})` : ")");
}

/** The call: how it went, who ended it, and how. */
function aboutCall(call) {
  const way = (arrow, messages, bytes) => `${arrow} ${count(messages, "message")}, ${count(bytes, "byte")}`;
  return [
    make("h3", { className: "of-call" }, call.method, make("small", {}, `call on stream ${call.stream}`)),
    make("dl", {},
      ...entry("status", make("span", { className: call.open ? "open" : call.ok ? "ok" : "wrong" }, `${signOf(call)} ${statusOf(call)}${call.message ? `: ${call.message}` : ""}`)),
      ...entry("end", call.end),
      ...entry("waits", ...call.waits.slice(-6).map((wait) => make("p", {}, `${wait.text}: ${wait.details}`))),
      ...entry("rules", call.findings.length && foundIn(call.findings)),
      ...entry("time", call.open ? undefined : span(call.ended - call.began)),
      ...entry("deadline", call.timeout !== undefined && span(call.timeout)),
      ...entry("messages", way("↑", call.up, call.bytesUp), make("br"), way("↓", call.down, call.bytesDown)),
      ...entry("kind", kindOf(call)),
      ...entry("service", call.service)),
  ];
}
