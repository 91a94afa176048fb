// A call: its state as its frames show it, and the side that ended it.

const STATUS = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
  "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"];

const UNITS = { H: 3600, M: 60, S: 1, m: 1e-3, u: 1e-6, n: 1e-9 };

/** Seconds of a `grpc-timeout`. */
function timeoutOf(value) {
  const [, number, unit] = /^(\d{1,8})([HMSmun])$/.exec(value ?? "") ?? [];
  return unit && Number(number) * UNITS[unit];
}

const headerOf = (record, name) => record.headers?.find((header) => header.name === name)?.value;

/** The call that begins with a frame. */
function callFrom(frame, record) {
  const [, service = "", method = ""] = /^\/(.*)\/([^/]*)$/.exec(record.path) ?? [];
  return {
    connection: frame.connection, stream: frame.stream, path: record.path, service, method: method || record.path,
    began: frame.time, ended: undefined, open: true, ok: undefined, kind: record.call_kind, timeout: timeoutOf(headerOf(record, "grpc-timeout")),
    // The end: a word, the status number, the server's message, and the side that ended it.
    status: undefined, code: undefined, message: undefined, end: undefined,
    up: 0, down: 0, bytesUp: 0, bytesDown: 0, fault: false,
    // Findings, waits for windows, and true if the response has begun.
    findings: [], waits: [], answered: false,
    // The number of its frames that pass the filter.
    passing: 0,
  };
}

function close(call, time, status, end, ok = false) {
  Object.assign(call, { open: false, ended: time, status, end, ok });
}

/** Takes a frame of the call's stream. */
function advance(call, frame, record) {
  call.fault ||= frame.fault;
  call.answered ||= record.meaning === "response_headers";
  call[frame.up ? "up" : "down"] += record.messages.length;
  call[frame.up ? "bytesUp" : "bytesDown"] += frame.size;
  if (!call.open) return;
  const { meaning, status } = record;
  if (meaning === "trailers" || meaning === "trailers_only") {
    const name = status === undefined || status === null ? "no status" : STATUS[Number(status)] ?? `status ${status}`;
    const only = meaning === "trailers_only" && !call.answered;
    close(call, frame.time, name, only ? "ended by the server's Trailers-Only" : "ended by the server's trailers", status === "0");
    Object.assign(call, { code: status ?? undefined, message: unescaped(headerOf(record, "grpc-message")) });
  } else if (meaning === "http_response") {
    close(call, frame.time, `HTTP ${status}`, "ended by an answer that is not gRPC");
  } else if (frame.type === "DATA" && !frame.up && record.flag_names.includes("END_STREAM")) {
    close(call, frame.time, "no status", "ended by the server's END_STREAM on DATA, without trailers");
  } else if (frame.type === "RST_STREAM") {
    const code = errorOf(record);
    // A reset at the deadline is the client's.
    const late = frame.up && code === "CANCEL" && frame.time - call.began >= call.timeout;
    const who = frame.up ? "the client" : "the server";
    close(call, frame.time, code, late ? `ended by the client at its deadline of ${span(call.timeout)}` : `ended by ${who}'s RST_STREAM ${code}`);
  }
}

/** What the rules found, in short: "1 error, 2 notes". */
function foundIn(findings) {
  const of = (severity) => findings.filter((one) => one.severity === severity).length;
  return ["error", "warning", "note"].filter(of).map((severity) => count(of(severity), severity)).join(", ");
}

/** The error code of an RST_STREAM or GOAWAY, by name. */
const errorOf = (record) => record.annotations.find((node) => node.label === "error code")?.value ?? "with a code that is cut off";

/** The last stream of a GOAWAY: those beyond are not processed (RFC 9113, section 6.8). */
const lastOf = (record) => parseInt(record.bytes.slice(18, 26), 16) & 0x7fffffff;

/** `grpc-message` as it was meant; as it stands, if it is not percent-encoded UTF-8. */
function unescaped(message) {
  try {
    return message && decodeURIComponent(message);
  } catch {
    return message;
  }
}

const SHAPES = { unary: "unary", server_streaming: "server ≫", client_streaming: "client ≫", bidi_streaming: "bidi ≫" };

/** The kind of a call: as the schema has it, otherwise as far as the messages seen so far prove it. */
function kindOf(call) {
  if (call.kind) return SHAPES[call.kind] ?? call.kind;
  const shape = `${call.up > 1 ? "client" : ""}${call.down > 1 ? "server" : ""}`;
  return { "": "?", client: "client ≫?", server: "server ≫?", clientserver: "bidi ≫" }[shape];
}

const signOf = (call) => (call.open ? "◌" : call.ok ? "✓" : "✗");
const statusOf = (call) => (call.open ? "open" : call.status);
