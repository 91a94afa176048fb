// The filter: words and comparisons. All of them must hold.
//
//   stream=5  method~Route  status!=OK  type=DATA,HEADERS  connection=2  from=client  fault  some words
//
// A term is about calls or about frames. A frame passes if all terms hold for it and its call; a call, if those about calls
// do and one of its frames passes the rest.

const callOf = (it) => it.call ?? it;

/** What a term compares: of a call and its frames, and of frames alone. */
const OF_CALLS = {
  stream: (it) => [String(it.stream)],
  method: (it) => [callOf(it).path],
  status: (it) => outcomes(callOf(it)),
  connection: (it) => [String(it.connection)],
};
const OF_FRAMES = {
  type: (frame) => [frame.type],
  from: (frame) => [frame.up ? "client" : "server"],
};

/** What a call's status may be asked for as. */
function outcomes({ path, open, status, code }) {
  if (path === undefined) return [];
  if (open) return ["open"];
  if (code === "1") return [status, "CANCEL"];
  return code === undefined ? [status, "none"] : [status];
}

/** A filter; throws what is wrong with the text, in the words of the command line. */
function parseFilter(text) {
  const terms = text.trim().split(/\s+/).filter(Boolean).map(parseTerm);
  const [ofCalls, ofFrames] = [true, false].map((wanted) => terms.filter((term) => term.ofCalls === wanted));
  return {
    text: text.trim(),
    frame: (frame) => terms.every((term) => term.holds(frame)),
    call: (call) => ofCalls.every((term) => term.holds(call)) && (!ofFrames.length || call.passing > 0),
    asksForStatus: terms.some((term) => term.name === "status"),
    asksForFrames: ofFrames.length > 0,
  };
}

function parseTerm(text) {
  if (text === "fault") return { ofCalls: false, holds: (frame) => frame.fault };
  const [, key, operator, wanted] = /^([^=~!]*)(!=|=|~)(.*)$/.exec(text) ?? [];
  if (key === undefined) {
    const word = text.toLowerCase();
    return { ofCalls: false, holds: (frame) => `${frame.type} ${frame.summary} ${frame.gist} ${frame.call?.path ?? ""}`.toLowerCase().includes(word) };
  }
  const wrong = (why) => new Error(`"${text}" is not a filter: ${why}`);
  const name = key.toLowerCase() === "frame" ? "type" : key.toLowerCase();
  const ofCalls = Object.hasOwn(OF_CALLS, name);
  if (!ofCalls && !Object.hasOwn(OF_FRAMES, name)) throw wrong("it begins with stream, method, status, type, connection or from");
  if (!wanted) throw wrong("nothing stands behind the sign");
  const any = wanted.split(",").map((one) => comparable(name, one, wrong));
  const value = ofCalls ? OF_CALLS[name] : OF_FRAMES[name];
  // A frame without the property equals no value and differs from every value.
  const has = (it) => value(it).filter(Boolean).map((one) => one.toLowerCase().replaceAll(/[ -]/g, "_"));
  const found = operator === "~" ? (it) => has(it).some((one) => any.some((part) => one.includes(part))) : (it) => has(it).some((one) => any.includes(one));
  return { name, ofCalls, holds: operator === "!=" ? (it) => !found(it) : found };
}

function comparable(name, wanted, wrong) {
  const lower = name === "status" ? wanted.toLowerCase().replaceAll("-", "_") : wanted.toLowerCase();
  if ((name === "stream" || name === "connection") && !/^\d+$/.test(lower)) throw wrong(`"${wanted}" is no number of a ${name}`);
  // CANCEL is also the name of a reset.
  if (name === "status" && lower === "canceled") return "cancelled";
  return name === "status" && /^\d+$/.test(lower) ? (STATUS[Number(lower)] ?? `status_${lower}`).toLowerCase() : lower;
}

/** The filter with one comparison set, or taken out if there is no value. */
function withTerm(text, key, value) {
  const rest = text.trim().split(/\s+/).filter((term) => term && !term.toLowerCase().startsWith(`${key}=`));
  return [...rest, ...(value ? [`${key}=${value.replaceAll(" ", "_")}`] : [])].join(" ");
}

/** What a filter says a comparison must be equal to, if it is one value. */
function valueOf(text, key) {
  const found = text.trim().split(/\s+/).find((term) => term.toLowerCase().startsWith(`${key}=`));
  return found?.slice(key.length + 1).toLowerCase();
}
