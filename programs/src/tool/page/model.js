// The capture: frames, line by line, and their calls.
// The page keeps the line of a frame and an outline, and parses the line again when the frame is selected.

/** Frames that are kept, and the length of their lines together; beyond, the oldest go. */
const MOST = { frames: 200000, length: 2 ** 29 };

const KIND = { before: "before HTTP/2", preface: "preface", truncated: "cut short", bytes: "bytes", fragment: "fragment", lost: "lost" };

// ---- checks of a line: a bad line of a file is left out, and the others are shown

const isText = (value) => value === undefined || value === null || typeof value === "string";
const isList = (value, of) => Array.isArray(value) && value.every((one) => one !== null && typeof one === "object" && of(one));
const isRange = (range, from, until) => Array.isArray(range) && range.length === 2 && range.every(Number.isInteger) && from <= range[0] && range[0] <= range[1] && range[1] <= until;

/** A node of a tree over the bytes from one place to another. */
function isNode(node, from, until) {
  const { range, label, value, detail, layer, fault, form, part, rule, children } = node;
  if (!isRange(range, from, until) || ![label, value, detail, layer, fault, form, part].every(isText)) return false;
  if (rule !== undefined && ![rule?.document, rule?.section, rule?.url].every((text) => typeof text === "string")) return false;
  return children === undefined || isList(children, (child) => isNode(child, ...range));
}

const isTree = (nodes, size) => isList(nodes, (node) => isNode(node, 0, size)) && (nodes.length > 0 || size === 0);
const isHex = (text) => typeof text === "string" && text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text);

function isMessage({ number, length, segments, type, tree, restored }) {
  if (![number, length].every(Number.isFinite) || !isText(type)) return false;
  if (!isList(segments, (segment) => Number.isFinite(segment.frame) && isRange(segment.range, 0, Infinity))) return false;
  if (tree !== undefined && !isList([tree], (node) => isNode(node, 0, Infinity))) return false;
  return restored === undefined || (isHex(restored?.bytes) && isTree(restored.annotations, restored.bytes.length / 2));
}

function isFrame(record) {
  const { connection, number, time, stream = 0, bytes, headers, messages, faults, annotations, flag_names: flags = [] } = record;
  return [connection, number, time, stream].every(Number.isFinite) && [record.type, record.kind, record.summary, record.path, record.status].every(isText)
    && isHex(bytes) && isTree(annotations, bytes.length / 2) && isList(messages, isMessage)
    && isList(headers, ({ name, value }) => isText(name) && isText(value))
    && [faults, flags].every((list) => Array.isArray(list) && list.every((one) => typeof one === "string"));
}

const isFinding = (record) => [record.connection, record.frame, record.stream].every(Number.isFinite) && isRange(record.range, 0, Infinity)
  && [record.severity, record.name, record.sentence, record.rule].every((text) => typeof text === "string") && isText(record.url);

const isWait = (record) => [record.connection, record.frame, record.stream, record.begun, record.waited].every(Number.isFinite)
  && (record.ended === undefined || Number.isFinite(record.ended)) && [record.text, record.details].every((text) => typeof text === "string");

class Capture {
  constructor() {
    Object.assign(this, { frames: [], calls: [], connections: new Map(), dropped: 0, unread: 0, end: 0, length: 0, endings: 0 });
    // `endings` counts the calls that have ended.
    this.byStream = new Map();
    /** Where messages lie that are spread over frames: "connection/frame" → [{ frame, message, range, at }]. */
    this.spread = new Map();
    this.types = new Set();
    this.statuses = new Set();
  }

  /** Takes a line; gives the frame, if it was one. */
  add(line) {
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      this.unread += 1;
      return undefined;
    }
    try {
      if (record?.record === "frame" && isFrame(record)) return this.frame(record, line);
      if (record?.record === "connection" && Number.isFinite(record.connection)) this.connections.set(record.connection, { ...record, line });
      else if (record?.record === "end" && Number.isFinite(record.time)) this.over(record, line);
      else if (record?.record === "limit" && typeof record.text === "string") this.limit = record.text;
      else if (record?.record === "finding" && isFinding(record)) this.finding(record, line);
      else if (record?.record === "wait" && isWait(record)) this.wait(record, line);
      else this.unread += 1;
    } catch {
      // The record has valid parts that contradict each other.
      this.unread += 1;
    }
    return undefined;
  }

  over(record, line) {
    const connection = this.connections.get(record.connection);
    if (connection) Object.assign(connection, { over: record.time, lost: record.dropped, endLine: line });
    this.end = Math.max(this.end, record.time);
    for (const call of this.calls) {
      if (call.connection === record.connection && call.open) {
        close(call, record.time, "cut off", connection?.broken ? `ended by the server's GOAWAY ${connection.broken}` : "ended by the connection's end");
        this.closed(call);
      }
    }
  }

  frame(record, line) {
    const { connection, number, time, type, stream = 0, summary } = record;
    const frame = {
      line, connection, number, time, stream, summary, gist: gistOf(record),
      type: type ?? KIND[record.kind] ?? record.kind,
      up: record.direction === "to_server",
      size: record.bytes.length / 2,
      fault: record.faults.length > 0 || line.includes('"fault":"'),
      call: undefined,
      // Its findings, and later lines about it.
      findings: [], beside: [],
    };
    this.end = Math.max(this.end, time);
    this.types.add(frame.type);
    if (stream > 0) this.ofCall(frame, record);
    else if (type === "GOAWAY" && !frame.up) this.goAway(frame, record);
    for (const message of record.messages) this.place(frame, message);
    this.frames.push(frame);
    this.length += line.length;
    return frame;
  }

  /** The frame of a connection with this number; it is looked for from the newest on, which is mostly it. */
  numbered(connection, number) {
    return this.frames.findLast((frame) => frame.connection === connection && frame.number === number);
  }

  /** Marks the frame and the call that break a rule. */
  finding(record, line) {
    const frame = this.numbered(record.connection, record.frame);
    if (!frame) return;
    frame.findings.push(record);
    frame.beside.push(line);
    frame.fault ||= record.severity !== "note";
    const call = this.byStream.get(`${record.connection}/${record.stream}`);
    if (!call) return;
    call.findings.push(record);
    call.fault ||= record.severity !== "note";
  }

  /** Adds a wait for a window to its call. */
  wait(record, line) {
    this.numbered(record.connection, record.frame)?.beside.push(line);
    this.byStream.get(`${record.connection}/${record.stream}`)?.waits.push(record);
  }

  /** Drops the oldest frames if there are too many, and the calls that ended before the rest; returns the number of frames. */
  trim() {
    if (this.frames.length <= MOST.frames && this.length <= MOST.length) return 0;
    const gone = this.frames.splice(0, Math.ceil(this.frames.length / 10));
    for (const frame of gone) {
      this.spread.delete(`${frame.connection}/${frame.number}`);
      this.length -= frame.line.length;
    }
    const oldest = this.frames[0]?.time ?? 0;
    this.calls = this.calls.filter((call) => {
      const kept = call.open || call.ended >= oldest;
      if (!kept) this.byStream.delete(`${call.connection}/${call.stream}`);
      return kept;
    });
    this.dropped += gone.length;
    return gone.length;
  }

  ofCall(frame, record) {
    const key = `${frame.connection}/${frame.stream}`;
    let call = this.byStream.get(key);
    if (record.meaning === "request_headers" && frame.up) {
      call = callFrom(frame, record);
      this.calls.push(call);
      this.byStream.set(key, call);
    }
    if (!call) return;
    frame.call = call;
    const { open } = call;
    advance(call, frame, record);
    if (open && !call.open) this.closed(call);
  }

  /** Calls that the server says it will not process have ended with its GOAWAY. */
  goAway(frame, record) {
    const [code, last] = [errorOf(record), lastOf(record)];
    const connection = this.connections.get(frame.connection);
    if (connection && code !== "NO_ERROR") connection.broken = code;
    for (const call of this.calls) {
      if (!call.open || call.connection !== frame.connection || call.stream <= last) continue;
      close(call, frame.time, "GOAWAY", `ended by the server's GOAWAY ${code}`);
      this.closed(call);
    }
  }

  closed(call) {
    this.statuses.add(call.status);
    this.endings += 1;
  }

  place(frame, message) {
    let at = 0;
    if (message.segments.length < 2) return;
    for (const segment of message.segments) {
      const key = `${frame.connection}/${segment.frame}`;
      const length = segment.range[1] - segment.range[0];
      const entry = { frame, message: message.number, range: segment.range, at, segments: message.segments };
      this.spread.set(key, [...(this.spread.get(key) ?? []), entry]);
      at += length;
    }
  }

  /** A frame with its bytes and its tree, in which the parts of spread messages are told apart. */
  open(frame) {
    const record = JSON.parse(frame.line);
    const bytes = Uint8Array.from({ length: frame.size }, (_, at) => parseInt(record.bytes.substr(2 * at, 2), 16));
    for (const part of this.spread.get(`${frame.connection}/${frame.number}`) ?? []) {
      const place = record.annotations.findIndex(({ range }) => range[0] === part.range[0] && range[1] === part.range[1]);
      const messages = part.frame === frame ? record.messages : JSON.parse(part.frame.line).messages;
      const tree = messages.find((message) => message.number === part.message)?.tree;
      const length = part.range[1] - part.range[0];
      const own = tree && clip(tree, part.at, part.at + length, part.range[0]);
      if (place >= 0 && own) record.annotations[place] = { ...own, frames: part.segments.map((segment) => segment.frame) };
    }
    return { ...record, bytes, roots: record.annotations };
  }

  lines() {
    const starts = [...this.connections.values()];
    return [
      ...starts.map((connection) => connection.line),
      ...this.frames.flatMap((frame) => [frame.line, ...frame.beside]),
      ...starts.map((connection) => connection.endLine).filter(Boolean),
    ];
  }
}

/** What a frame says, in a few words: the method, the first messages, the outcome. */
function gistOf({ meaning, path, status, messages, summary, lost }) {
  if (meaning === "request_headers") return path;
  if (meaning === "trailers" || meaning === "trailers_only") return status ? `${summary.split(",")[0]}: ${STATUS[Number(status)] ?? status}` : summary;
  if (lost) return `${count(lost, "byte")} passed here and were not recorded`;
  if (!messages.length) return "";
  const fields = (list) => list.slice(0, 6).map(({ name, value, fields: inner }) => (inner ? `${name} { ${fields(inner)} }` : `${name}: ${value}`)).join(", ");
  const [{ type, length, fields: first }] = messages;
  const said = `${type ? type.split(".").pop() : count(length, "byte")} ${first.length ? `{ ${fields(first)} }` : type ? "{}" : ""}`.trim();
  const more = messages.length > 1 ? `${count(messages.length, "message")}: ` : "";
  return `${more}${said.length > 160 ? `${said.slice(0, 160)}…` : said}`;
}

/** The part of a tree between two places, moved so that the first of them lands on `to`. */
function clip(node, from, until, to) {
  const [start, end] = [Math.max(node.range[0], from), Math.min(node.range[1], until)];
  if (start >= end) return undefined;
  const [before, after] = [node.range[0] < start, node.range[1] > end];
  const part = before ? (after ? "middle" : "tail") : after ? "head" : node.part;
  return {
    ...node, part,
    range: [start - from + to, end - from + to],
    value: before ? undefined : node.value,
    children: (node.children ?? []).map((child) => clip(child, from, until, to)).filter(Boolean),
  };
}
