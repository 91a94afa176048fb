// Captures of a few frames as JSON lines, for calls that the route guide does not make: failed, cancelled and slow ones.

const hex = (number, digits) => number.toString(16).padStart(digits, "0");

/** A connection's lines; `frame` adds one to them. */
export function connection(number = 1) {
  const lines = [JSON.stringify({ record: "connection", format: 1, connection: number, client: "127.0.0.1:40000", server: "127.0.0.1:50051" })];
  let frames = 0;
  const frame = (time, direction, type, stream, more = {}, payload = "") => {
    const bytes = `${hex(payload.length / 2, 6)}${hex(more.kind_byte ?? 0, 2)}00${hex(stream, 8)}${payload}`;
    const size = bytes.length / 2;
    const annotations = [{ range: [0, 9], layer: "frame", detail: "frame header", value: type }];
    if (size > 9) annotations.push({ range: [9, size], layer: "payload", ...more.node });
    lines.push(JSON.stringify({
      record: "frame", connection: number, number: frames += 1, time, direction, offset: 0, kind: "frame", type, flags: 0, flag_names: [], stream,
      length: size - 9, summary: type, headers: [], messages: [], faults: [], bytes, annotations, ...more.record,
    }));
  };
  return {
    lines,
    frame,
    request: (time, stream, path, timeout) => frame(time, "to_server", "HEADERS", stream, {
      record: { meaning: "request_headers", path, headers: timeout ? [{ name: "grpc-timeout", value: timeout }] : [] },
    }),
    trailers: (time, stream, status, message) => frame(time, "to_client", "HEADERS", stream, {
      record: { meaning: "trailers", status, headers: [{ name: "grpc-status", value: status }, ...(message ? [{ name: "grpc-message", value: message }] : [])] },
    }),
    data: (time, direction, stream) => frame(time, direction, "DATA", stream, { record: { meaning: "messages" } }, "00"),
    reset: (time, direction, stream, code, name) => frame(time, direction, "RST_STREAM", stream, { node: { label: "error code", value: name, rule: { document: "RFC 9113", section: "7", url: "" } } }, hex(code, 8)),
    goAway: (time, last, code, name) => frame(time, "to_client", "GOAWAY", 0, { node: { label: "error code", value: name } }, hex(last, 8) + hex(code, 8)),
    /** What the rules found in the last frame, and a wait of its stream. */
    finding: (stream, severity, name) => lines.push(JSON.stringify({
      record: "finding", connection: number, frame: frames, stream, severity, name, range: [0, 9], sentence: `broken: ${name}`, rule: "RFC 9113, section 8.1", url: "https://www.rfc-editor.org/rfc/rfc9113#section-8.1", number: 41,
    })),
    wait: (stream, begun, ended) => lines.push(JSON.stringify({
      record: "wait", connection: number, frame: frames, stream, direction: "to_client", windows: "stream", begun, ended, waited: (ended ?? 9) - begun, certain: true,
      text: `still waits for the client's WINDOW_UPDATE on stream ${stream}`, details: "since 2 s (frame 3), after 65535 bytes of DATA",
    })),
    end: (time) => lines.push(JSON.stringify({ record: "end", connection: number, time, dropped: 0 })),
  };
}

/** Calls that end in every way there is. */
export function endings() {
  const it = connection();
  it.frame(0, "to_server", "WINDOW_UPDATE", 0);
  it.request(1, 1, "/demo.Demo/Fine");
  it.data(1.001, "to_server", 1);
  it.data(1.002, "to_client", 1);
  it.trailers(1.003, 1, "0");
  it.request(2, 3, "/demo.Demo/Refused");
  it.trailers(2.001, 3, "9", "not%20ready");
  it.request(3, 5, "/demo.Demo/Late", "50m");
  it.reset(3.051, "to_server", 5, 8, "CANCEL");
  it.request(4, 7, "/demo.Demo/GivenUp", "50S");
  it.reset(4.01, "to_server", 7, 8, "CANCEL");
  it.request(5, 9, "/demo.Demo/Broken");
  it.reset(5.01, "to_client", 9, 2, "INTERNAL_ERROR");
  it.request(6, 11, "/demo.Demo/Unheard");
  it.goAway(6.01, 9, 0, "NO_ERROR");
  it.request(7, 13, "/demo.Demo/CutOff");
  it.end(9);
  return it.lines;
}

/** A long call, one that takes no time, and one at the very end. */
export function lengths() {
  const it = connection();
  it.request(0, 1, "/demo.Demo/Long");
  for (let at = 1; at < 10; at += 1) it.data(10 * at, "to_client", 1);
  it.request(50, 3, "/demo.Demo/Short");
  it.trailers(50.00001, 3, "0");
  it.request(99.9999, 5, "/demo.Demo/Last");
  it.trailers(100, 5, "0");
  it.trailers(100, 1, "0");
  it.end(100);
  return it.lines;
}

/** A call that breaks rules and waits for a window. */
export function findings() {
  const it = connection();
  it.request(1, 1, "/demo.Demo/Broken");
  it.finding(1, "note", "user-agent-missing");
  it.data(2, "to_client", 1);
  it.wait(1, 2, undefined);
  it.frame(3, "to_client", "DATA", 1, { record: { meaning: "messages", flag_names: ["END_STREAM"] } }, "00");
  it.finding(1, "error", "end-without-trailers");
  it.request(3, 3, "/demo.Demo/Sound");
  it.frame(4, "to_client", "HEADERS", 3, { record: { meaning: "trailers_only", status: "5", headers: [] } });
  it.end(9);
  return it.lines;
}
