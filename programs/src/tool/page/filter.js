// The filter: words and comparisons, all of which must match.
//
//   stream=5  method~Route  status!=OK  type=DATA,HEADERS  connection=2  from=client  fault  some words
//
// A term is about calls or about frames. A frame passes if all terms match it and its call. A call passes if all terms about
// calls match and one of its frames passes the others.

const callOf = (it) => it.call ?? it;

/** The values that terms compare: of a call and its frames, and of frames alone. */
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

/** The names under which a filter finds a call's status. */
function outcomes({ path, open, status, code }) {
  if (path === undefined) return [];
  if (open) return ["open"];
  return code === undefined ? [status, "none"] : [status];
}

/** Parses a filter; throws an error in the words of the command line if the text is invalid. */
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
  const wrong = (why) => new Error(`invalid filter "${text}": ${why}`);
  const name = key.toLowerCase() === "frame" ? "type" : key.toLowerCase();
  const ofCalls = Object.hasOwn(OF_CALLS, name);
  if (!ofCalls && !Object.hasOwn(OF_FRAMES, name)) throw wrong("use stream, method, status, type, connection or from");
  if (!wanted) throw wrong("the value is missing");
  const any = wanted.split(",").map((one) => comparable(name, one, wrong));
  const value = ofCalls ? OF_CALLS[name] : OF_FRAMES[name];
  // A missing value equals nothing, and differs from everything.
  const has = (it) => value(it).filter(Boolean).map((one) => one.toLowerCase().replaceAll(" ", "_"));
  const found = operator === "~" ? (it) => has(it).some((one) => any.some((part) => one.includes(part))) : (it) => has(it).some((one) => any.includes(one));
  return { name, ofCalls, holds: operator === "!=" ? (it) => !found(it) : found };
}

function comparable(name, wanted, wrong) {
  const lower = wanted.toLowerCase();
  if ((name === "stream" || name === "connection") && !/^\d+$/.test(lower)) throw wrong(`invalid ${name} number "${wanted}"`);
  return name === "status" && /^\d+$/.test(lower) ? (STATUS[Number(lower)] ?? `status_${lower}`).toLowerCase() : lower;
}

/** Returns the filter with one comparison set, or removed if there is no value. */
function withTerm(text, key, value) {
  const rest = text.trim().split(/\s+/).filter((term) => term && !term.toLowerCase().startsWith(`${key}=`));
  return [...rest, ...(value ? [`${key}=${value.replaceAll(" ", "_")}`] : [])].join(" ");
}

/** Returns the value that a filter compares a key with, if it is one value. */
function valueOf(text, key) {
  const found = text.trim().split(/\s+/).find((term) => term.toLowerCase().startsWith(`${key}=`));
  return found?.slice(key.length + 1).toLowerCase();
}
