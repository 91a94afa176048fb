// Tests the page in a browser: headless Chromium, driven by playwright-core.
//
//   node tests/page/page.mjs [PART]      all cases, or those with that part in their names
//
// Builds the programs, runs the route guide's client and server through `barewire tap --web --html --jsonl`, and checks the
// page live, as a saved file and with an opened capture. The page may neither load anything from elsewhere nor write to the
// console. Pictures go to target/page/. Installs missing programs: playwright-core (pinned in package-lock.json) into
// target/page/, Chromium by apt-get. If that is impossible, it prints the reason and fails.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { bytes, calls, digits, fine, focused, rows, tab, text, until } from "./browser.mjs";
import { clarity } from "./clarity.mjs";
import { endings } from "./lines.mjs";

const root = path.resolve(import.meta.dirname, "../..");
const work = path.join(root, "target/page");
const programs = path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug");
const file = (name) => path.join(work, name);

function install() {
  const found = () => ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => {
    const folders = process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, name));
    return folders.filter(existsSync);
  })[0];
  if (!found()) {
    try {
      execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { stdio: ["ignore", "ignore", "inherit"] });
    } catch (error) {
      console.log(`FAILED: Chromium is not installed and apt-get can't install it: ${error.message}`);
      process.exit(1);
    }
  }
  mkdirSync(work, { recursive: true });
  for (const name of ["package.json", "package-lock.json"]) copyFileSync(path.join(import.meta.dirname, name), file(name));
  execFileSync("npm", ["ci", "--silent", "--no-audit", "--no-fund"], { cwd: work, stdio: "inherit" });
  execFileSync("cargo", ["build", "--locked", "--quiet", "--bins"], { cwd: root, stdio: "inherit" });
  return found();
}

// ---- programs

const running = [];

/** Starts a program; gives what it says on stderr until `words` match, and the means to end it. */
async function start(name, args, words) {
  const child = spawn(path.join(programs, name), args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => child.on("exit", done));
  running.push(child);
  let said = "";
  const match = await new Promise((done, fail) => {
    child.stderr.on("data", (data) => {
      said += data;
      const found = words.map((word) => word.exec(said));
      if (found.every(Boolean)) done(found.map(([, group]) => group));
    });
    ended.then(() => fail(new Error(`${name} ended and said: ${said}`)));
  });
  return { match, end: async () => { child.kill("SIGTERM"); assert.equal(await ended, 0, said); } };
}

const client = (address) => execFileSync(path.join(programs, "route_guide_client"), ["-addr", address], { stdio: "ignore" });

/** Sends a request that a malicious page could make a browser send. */
function request(web, headers, path = "/", method = "GET") {
  const [host, port, token] = web.split(/[:/]/);
  return new Promise((done, fail) => {
    const sent = http.request({ host, port, path: token ? `/${token}${path}` : path, method, headers }, (response) => {
      response.destroy();
      done(response);
    });
    sent.on("error", fail).end();
  });
}

const cases = {
  async "updates while calls run"({ browser, web, tap }) {
    const page = await tab(browser, `http://${web}/`);
    await page.goto(`http://${web}/`);
    assert.match(await text(page, "h1"), /barewire/);
    await until(page, () => document.getElementById("state").textContent === "live");
    assert.equal(await rows(page, "calls").count(), 0);
    client(tap);
    await until(page, calls, 5);
    await until(page, () => document.querySelectorAll("#calls .open").length === 0);
    const methods = await page.locator("#calls .method b").allInnerTexts();
    assert.deepEqual(methods, ["GetFeature", "GetFeature", "ListFeatures", "RecordRoute", "RouteChat"]);
    assert.deepEqual(await page.locator("#calls .kind").allInnerTexts(), ["unary", "unary", "server ≫", "client ≫", "bidi ≫"]);
    assert.equal(await page.locator("#calls .kind[title]").count(), 0, "kinds are known from the schema");
    for (const status of await page.locator("#calls .status").allInnerTexts()) assert.equal(status, "✓ OK");
    const before = await text(page, "#frames-count");
    client(tap);
    await until(page, calls, 10);
    assert.notEqual(await text(page, "#frames-count"), before);
    const newest = async () => (await page.locator("#frames .row .number").first().innerText()).length > 0 && page.evaluate(() => {
      const list = document.getElementById("frames");
      return list.scrollHeight - list.scrollTop - list.clientHeight < 48;
    });
    assert.ok(await newest(), "the newest frame is in sight");
    await page.screenshot({ path: file("live.png") });
    await rows(page, "frames").nth(6).click();
    assert.equal(await page.locator("#follow").getAttribute("aria-pressed"), "false");
    client(tap);
    await until(page, calls, 15);
    assert.ok(!(await newest()), "what was picked stays in sight");
    await page.keyboard.press("f");
    assert.ok(await newest());
    fine(page);
  },

  async "shows what it waits for, returns to it after a file, and shows its end"({ browser, server }) {
    const tap = await start("barewire", ["tap", "--listen", "127.0.0.1:0", "--to", server, "--show", "none", "--web", "0"],
      [/listening on (\S+),/, /http:\/\/(\S+)\//]);
    const [address, web] = tap.match;
    const page = await tab(browser, `http://${web}/`);
    await page.goto(`http://${web}/`);
    await until(page, () => document.getElementById("state").textContent === "live");
    await until(page, (words) => document.getElementById("calls-note").textContent === words, `Waiting for calls at ${address}.`);
    await page.screenshot({ path: file("waiting.png") });
    client(address);
    await until(page, calls, 5);
    assert.ok(!(await page.locator("#calls-note").isVisible()));
    writeFileSync(file("endings.jsonl"), `${endings().join("\n")}\n`);
    await page.locator("#file").setInputFiles(file("endings.jsonl"));
    await until(page, calls, 7);
    await page.locator("#live").click();
    await until(page, calls, 5);
    await until(page, () => document.getElementById("state").textContent === "live");
    await tap.end();
    await until(page, () => document.getElementById("state").textContent === "the tap has ended");
    page.wrong = page.wrong.filter((words) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE/.test(words));
    fine(page);
  },

  async "refuses other hosts and origins"({ web }) {
    for (const host of ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]) {
      assert.equal((await request(web, { host })).statusCode, 421, host);
    }
    const [own] = web.split("/");
    for (const host of [own, "localhost", "LOCALHOST:1", "[::1]:9", "192.0.2.1"]) {
      assert.equal((await request(web, { host })).statusCode, 200, host);
    }
    for (const site of ["cross-site", "same-site"]) {
      assert.equal((await request(web, { "sec-fetch-site": site }, "/events")).statusCode, 403);
    }
    assert.equal((await request(web, {}, "/", "POST")).statusCode, 405);
    assert.equal((await request(web, {}, "/nothing")).statusCode, 404);
    for (const path of ["/", "/events", "/page.js", "/0123456789abcdef0123456789abcdef/events"]) {
      assert.equal((await request(own, {}, path)).statusCode, 404, "without the token of its address");
    }
    const { headers, statusCode } = await request(web, { origin: "http://evil.example" }, "/events");
    assert.equal(statusCode, 200);
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.match(headers["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'/);
  },

  async "shows a call, its frames, its bytes and their meaning"({ browser, saved }) {
    const page = await tab(browser, saved);
    await page.goto(saved);
    await until(page, calls, 15);
    await rows(page, "calls").first().click();
    await until(page, () => document.querySelectorAll("#frames [role=option]").length === 5);
    assert.deepEqual(await page.locator("#frames .type").allInnerTexts(), ["HEADERS", "DATA", "HEADERS", "DATA", "HEADERS"]);
    await rows(page, "frames").nth(1).click();
    const leaf = page.locator("#tree .node", { hasText: "latitude" });

    // From the tree to the bytes.
    await leaf.hover();
    const hovered = await digits(page, "hover");
    assert.match(hovered, /^08( [0-9a-f]{2})+$/);
    await leaf.click();
    assert.equal(await digits(page, "selected"), hovered);
    assert.match(await text(page, "#path"), /Length-Prefixed-Message.*latitude.*409146138/s);
    assert.match(await text(page, "#details"), /Protocol Buffers encoding/);

    // From the bytes to the tree.
    await bytes(page, "grpc").first().hover();
    assert.match(await text(page, "#tree .hover"), /Compressed-Flag/);
    assert.match(await text(page, "#path"), /Compressed-Flag.*uncompressed/s);
    await bytes(page, "frame").first().click();
    assert.match(await text(page, "#tree .selected"), /length/);
    assert.equal((await digits(page, "selected")).split(" ").length, 3);
    await page.locator("#hex-title").hover();
    await page.screenshot({ path: file("selected-light.png") });
    await page.emulateMedia({ colorScheme: "dark" });
    await leaf.click();
    await page.screenshot({ path: file("selected-dark.png") });
    fine(page);
  },

  async "can be used without a pointer"({ browser, saved }) {
    const page = await tab(browser, saved);
    await page.goto(saved);
    await until(page, calls, 15);
    const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
    assert.equal(await focused(page), "calls");
    await press("ArrowDown", "ArrowDown", "ArrowDown");
    assert.match(await text(page, "#calls .selected"), /ListFeatures/);
    await press("Enter");
    assert.equal(await focused(page), "frames");
    await press("ArrowDown", "End", "ArrowUp", "Home", "ArrowDown");
    assert.match(await text(page, "#frames .selected"), /DATA/);
    await press("Enter");
    assert.equal(await focused(page), "hex");
    await press("ArrowRight", "ArrowDown", "ArrowLeft");
    assert.equal(await page.locator("#hex .cursor[role=gridcell]").getAttribute("data-at"), "15");
    assert.equal(await page.locator("#hex").getAttribute("aria-activedescendant"), "hex-15");
    assert.ok((await text(page, "#path")).length > 0);
    await press("Enter", "Home", "ArrowRight");
    assert.equal(await focused(page), "tree");
    assert.match(await text(page, "#tree .selected"), /length/);
    await press("ArrowLeft", "ArrowLeft");
    assert.equal(await page.locator("#tree .selected").getAttribute("aria-expanded"), "false");
    for (const [key, pane] of [["1", "calls"], ["2", "frames"], ["3", "hex"], ["4", "tree"]]) {
      await press(key);
      assert.equal(await focused(page), pane);
      const outline = await page.locator(`#${pane}`).evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.equal(outline, "solid", `${pane} shows that it has the focus`);
    }
    const number = await text(page, "#hex-count");
    await press("]");
    assert.notEqual(await text(page, "#hex-count"), number);
    await press("[");
    assert.equal(await text(page, "#hex-count"), number);
    await press("?");
    assert.ok(await page.locator("#help").isVisible());
    await page.screenshot({ path: file("help.png") });
    await press("Escape");
    assert.ok(!(await page.locator("#help").isVisible()));
    await press("Escape");
    assert.equal(await page.locator("#calls .selected").count(), 0);
    // Every element that the tab key reaches is visible and has a name.
    const stops = [];
    for (let stop = 0; stop < 14; stop += 1) {
      await press("Tab");
      stops.push(await page.evaluate(() => document.activeElement.id));
    }
    for (const wanted of ["filter", "open", "save", "help-button", "calls", "frames", "hex", "tree"]) assert.ok(stops.includes(wanted), `${wanted} in ${stops}`);
    fine(page);
  },

  async "filters frames"({ browser, saved }) {
    const page = await tab(browser, saved);
    await page.goto(saved);
    await until(page, calls, 15);
    const shown = async (filter) => {
      await page.locator("#filter").fill(filter);
      return Number((await text(page, "#frames-count")).split(" ")[0].replaceAll(",", ""));
    };
    const all = await shown("");
    const types = await shown("type=DATA");
    assert.ok(types > 0 && types < all);
    assert.deepEqual(new Set(await page.locator("#frames .type").allInnerTexts()), new Set(["DATA"]));
    assert.equal((await shown("type=DATA")) + (await shown("type!=DATA")), all);
    assert.equal(await shown("method~GetFeature stream=1 connection=1"), 5);
    assert.equal(await shown("status=0"), await shown("status=OK"));
    assert.equal(await shown("status=5"), 0);
    assert.equal(await shown("frame=data,headers from=client"), await shown("type=DATA,HEADERS from=client"));
    await shown("colour=red");
    assert.match(await text(page, "#filter-error"), /"colour=red" is not a filter: it begins with stream/);
    await shown("");
    await page.locator("#types").selectOption("SETTINGS");
    assert.equal(await page.locator("#filter").inputValue(), "type=SETTINGS");
    assert.deepEqual(new Set(await page.locator("#frames .type").allInnerTexts()), new Set(["SETTINGS"]));
    fine(page);
  },

  async "opens a saved capture, and saves it"({ browser, capture, saved }) {
    const page = await tab(browser, saved);
    await page.goto(saved);
    await until(page, calls, 15);
    const before = await text(page, "#frames-count");
    const download = page.waitForEvent("download");
    await page.locator("#save").click();
    await (await download).saveAs(file("saved-again.jsonl"));
    await page.locator("#file").setInputFiles(file("saved-again.jsonl"));
    await until(page, () => document.getElementById("source").textContent.startsWith("saved-again.jsonl"));
    await until(page, (count) => document.getElementById("frames-count").textContent === count, before);
    const lines = readFileSync(capture, "utf8");
    await page.evaluate((lines) => {
      const data = new DataTransfer();
      data.items.add(new File([lines, "{}\nnot json\n"], "dropped.jsonl"));
      document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }, lines);
    await until(page, () => document.getElementById("source").textContent.startsWith("dropped.jsonl"));
    await until(page, () => document.getElementById("notice").textContent.includes("2 lines not understood"));
    assert.equal(await text(page, "#frames-count"), before);
    fine(page);
  },

  async "shows a message in several frames as one, and hides secrets"({ browser, secret }) {
    const page = await tab(browser, secret);
    await page.goto(secret);
    await until(page, calls, 1);
    await rows(page, "frames").nth(1).click();
    await page.locator("#tree .node", { hasText: "authorization" }).click();
    assert.match(await text(page, "#path"), /authorization.*redacted/s);
    assert.match(await digits(page, "selected"), /··/);
    assert.ok(!readFileSync(new URL(secret), "utf8").includes("opensesame"));
    await rows(page, "frames").nth(2).click();
    await page.locator("#tree .node", { hasText: "latitude" }).click();
    assert.match(await text(page, "#path"), /latitude/);
    await page.locator("#details button", { hasText: "frame 4" }).click();
    assert.match(await text(page, "#hex-count"), /^frame 4/);
    assert.match(await text(page, "#tree"), /longitude/);
    fine(page);
  },

  async "shows a capture that the program has decoded"({ browser }) {
    const decode = await start("barewire", ["decode", file("secret.bin"), "--show", "none", "--web"], [/http:\/\/(\S+)\//]);
    const page = await tab(browser, `http://${decode.match[0]}/`);
    await page.goto(`http://${decode.match[0]}/`);
    await until(page, calls, 1);
    await until(page, () => document.getElementById("frames-count").textContent === "4");
    await until(page, () => document.getElementById("state").textContent === "");
    assert.match(await text(page, "#calls"), /GetFeature/);
    fine(page);
    await page.close();
    await decode.end();
  },

  async "stays responsive with a hundred thousand frames"({ browser, capture, saved }) {
    const lines = readFileSync(capture, "utf8").trim().split("\n");
    const frames = lines.filter((line) => line.startsWith('{"record":"frame","connection":1,') && line.length < 6000);
    const many = file("many.jsonl");
    writeFileSync(many, "");
    let number = 0;
    for (let round = 0; number < 100000; round += 1) {
      const copies = frames.slice(0, 100000 - number).map((line) => line.replace(/"number":\d+/, () => `"number":${number += 1}`).replace(/"stream":(\d+)/, (_, id) => `"stream":${id === "0" ? 0 : Number(id) + 8 * round}`));
      appendFileSync(many, copies.join("\n") + "\n");
    }
    const page = await tab(browser, saved);
    await page.goto(saved);
    await page.evaluate(() => {
      window.longest = 0;
      let last = performance.now();
      const beat = () => {
        window.longest = Math.max(window.longest, performance.now() - last);
        last = performance.now();
        setTimeout(beat, 0);
      };
      beat();
    });
    const begun = Date.now();
    await page.locator("#file").setInputFiles(many);
    page.setDefaultTimeout(180000);
    await until(page, () => document.getElementById("frames-count").textContent === "100,000" && !document.getElementById("state").textContent);
    const read = Date.now() - begun;
    await page.locator("#frames").focus();
    const pressed = Date.now();
    await page.keyboard.press("End");
    assert.match(await text(page, "#frames .selected"), /^100000/);
    const moved = Date.now() - pressed;
    const drawn = await page.locator("#frames .row").count();
    const longest = await page.evaluate(() => window.longest);
    console.log(`    ${(statSync(many).size / 1e6).toFixed(0)} MB read in ${read} ms, the longest stall ${longest.toFixed(0)} ms, the end shown after ${moved} ms, ${drawn} rows drawn`);
    assert.ok(drawn < 100, `${drawn} rows are in the page`);
    assert.ok(moved < 5000);
    rmSync(many);
    fine(page);
  },

  async "fits narrow windows"({ browser, saved }) {
    for (const [width, height] of [[1280, 800], [1000, 700], [420, 800]]) {
      const page = await tab(browser, saved, { viewport: { width, height }, colorScheme: width === 1000 ? "dark" : "light" });
      await page.goto(saved);
      await until(page, calls, 15);
      await rows(page, "calls").nth(2).click();
      await rows(page, "frames").nth(3).click();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} pixels in a window of ${width}`);
      await page.screenshot({ path: file(`width-${width}.png`), fullPage: true });
      fine(page);
      await page.context().close();
    }
  },

  ...clarity(file),
};

/** A connection with a secret and a message over two frames, as a file of raw bytes for `barewire decode`. */
function rawCapture() {
  const frame = (type, flags, ...payload) => {
    const body = Buffer.concat(payload.map((part) => Buffer.from(part)));
    return Buffer.concat([Buffer.from([0, 0, body.length, type, flags, 0, 0, 0, 1]), body]);
  };
  const route = "/routeguide.RouteGuide/GetFeature";
  const headers = frame(1, 4, [0x83, 0x86, 0x44, route.length], route, [0x5f, 16], "application/grpc", [0x57, 10], "opensesame");
  const first = frame(0, 0, [0, 0, 0, 0, 17, 0x08, 0x9a, 0xf1]);
  const second = frame(0, 1, [0x8d, 0xc3, 0x01, 0x10, 0x86, 0xe2, 0xe2, 0x9b, 0xfd, 0xff, 0xff, 0xff, 0xff, 0x01]);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  writeFileSync(file("secret.bin"), Buffer.concat([preface, headers, first, second]));
  execFileSync(path.join(programs, "barewire"), ["decode", file("secret.bin"), "--show", "none", "--html", file("secret.html")], { stdio: "inherit" });
}

const executablePath = install();
const { chromium } = createRequire(file("package.json"))("playwright-core");
const chosen = Object.entries(cases).filter(([name]) => name.includes(process.argv[2] ?? "") || name === "updates while calls run");
let browser;
let failed = 0;
try {
  const server = await start("route_guide_server", ["-port", "0"], [/listening on (\S+)/]);
  const names = { capture: file("capture.jsonl"), html: file("saved.html") };
  const tap = await start("barewire", ["tap", "--listen", "127.0.0.1:0", "--to", server.match[0], "--show", "none", "--web", "0",
    "--html", names.html, "--jsonl", names.capture], [/listening on (\S+),/, /http:\/\/(\S+)\//]);
  rawCapture();
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const at = { browser, server: server.match[0], tap: tap.match[0], web: tap.match[1], capture: names.capture, saved: pathToFileURL(names.html).href, secret: pathToFileURL(file("secret.html")).href };
  let ended = false;
  for (const [name, run] of chosen) {
    // The saved page is complete when the program has ended.
    if (!ended && run.toString().includes("saved")) {
      await tap.end();
      ended = true;
    }
    try {
      await run(at);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  }
  await server.end();
} finally {
  await browser?.close();
  for (const child of running) child.exitCode ?? child.kill();
}
console.log(failed ? `${failed} of ${chosen.length} failed` : `the page: ${chosen.length} cases passed`);
process.exit(failed ? 1 : 0);
