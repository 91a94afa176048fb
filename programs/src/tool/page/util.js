// Helpers. Bytes from a peer are never parsed as HTML: they enter the page as text.

const byId = (id) => document.getElementById(id);

/** An element with properties, attributes (those with a dash, and role) and children. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key in element && !key.includes("-")) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** Seconds for a person: "480 µs", "12.3 ms", "1.25 s". */
function span(seconds) {
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${(seconds * 1e3).toPrecision(3)} ms`;
  return `${seconds < 999.5 ? seconds.toPrecision(3) : Math.round(seconds).toLocaleString("en")} s`;
}

/**
 * A scrolled list of rows of one height, of which only those in sight are in the page.
 * `render(index)` gives a row; rows are drawn anew when anything changes, which is cheap because they are few.
 */
class Rows {
  constructor(element, height, render) {
    Object.assign(this, { element, height, render, length: 0, drawn: "" });
    this.body = make("div", { className: "rows", role: "presentation" });
    element.append(this.body);
    element.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw(true)).observe(element);
  }

  resize(length) {
    this.length = length;
    this.body.style.height = `${length * this.height}px`;
    this.draw(true);
  }

  /** Draws what is in sight; only if other rows came into sight, unless `anew`. */
  draw(anew = false) {
    const first = clamp(Math.floor(this.element.scrollTop / this.height) - 4, 0, this.length);
    const last = clamp(first + Math.ceil(this.element.clientHeight / this.height) + 8, 0, this.length);
    const drawn = `${first}-${last}`;
    if (!anew && drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = [];
    for (let index = first; index < last; index += 1) {
      const row = this.render(index);
      row.style.transform = `translateY(${index * this.height}px)`;
      rows.push(row);
    }
    this.body.replaceChildren(...rows);
  }

  reveal(index) {
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top - this.height;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + 2 * this.height - clientHeight;
    this.draw();
  }

  get page() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
  }
}

/** Where a key leads in a list, or undefined if it is none that moves. */
function moved(key, at, length, page) {
  const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
  if (!(key in steps) || length === 0) return undefined;
  if (at < 0) return key === "End" ? length - 1 : 0;
  return clamp(at + steps[key], 0, length - 1);
}
