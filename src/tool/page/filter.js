// The filter: words and comparisons, all of which have to hold.
//
//   stream=5  method~Route  status!=OK  type=DATA,HEADERS  connection=2  from=client  fault  some words

const FILTERS = {
  stream: (frame) => String(frame.stream),
  method: (frame) => frame.call?.path,
  status: (frame) => frame.call && (frame.call.open ? "open" : frame.call.status),
  type: (frame) => frame.type,
  connection: (frame) => String(frame.connection),
  from: (frame) => (frame.up ? "client" : "server"),
};

/** A function from frame to whether it is shown; throws what is wrong with the text. */
function parseFilter(text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map(parseTerm);
  return (frame) => tests.every((test) => test(frame));
}

function parseTerm(term) {
  const [, key, operator, wanted] = /^([a-z]+)(!=|=|~)(.*)$/i.exec(term) ?? [];
  if (term === "fault") return (frame) => frame.fault;
  if (!key) {
    const word = term.toLowerCase();
    return (frame) => `${frame.type} ${frame.summary} ${frame.gist} ${frame.call?.path ?? ""}`.toLowerCase().includes(word);
  }
  const name = key.toLowerCase() === "frame" ? "type" : key.toLowerCase();
  const value = FILTERS[name];
  if (!value) throw new Error(`${key}? There is ${Object.keys(FILTERS).join(", ")} and fault.`);
  const any = wanted.split(",").map((one) => comparable(name, one));
  // What a frame does not have is equal to nothing, and different from everything.
  const has = (frame) => value(frame)?.toLowerCase().replaceAll(" ", "_");
  if (operator === "~") return (frame) => any.some((one) => has(frame)?.includes(one));
  if (operator === "=") return (frame) => any.includes(has(frame));
  return (frame) => !any.includes(has(frame));
}

function comparable(name, wanted) {
  const lower = wanted.toLowerCase();
  return name === "status" && /^\d+$/.test(lower) ? (STATUS[Number(lower)] ?? `status_${lower}`).toLowerCase() : lower;
}

/** The filter with one comparison set, or taken out if there is no value. */
function withTerm(text, key, value) {
  const rest = text.trim().split(/\s+/).filter((term) => term && !term.toLowerCase().startsWith(`${key}=`));
  return [...rest, ...(value ? [`${key}=${value.replaceAll(" ", "_")}`] : [])].join(" ");
}
