// Tests that the page explains what it shows: filters, the timeline, the side that ended a call, unreadable files.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { bytes, calls, fine, rows, tab, text, until } from "./browser.mjs";
import { endings, findings, lengths } from "./lines.mjs";

const methods = (page) => page.locator("#calls .method b").allInnerTexts();
const box = (page, selector) => page.locator(selector).first().boundingBox();

/** The cases; `file` names files of the test. */
export function clarity(file) {
  async function opened(browser, saved, name, lines, options) {
    writeFileSync(file(name), `${lines.join("\n")}\n`);
    const page = await tab(browser, saved, options);
    await page.goto(saved);
    await until(page, calls, 15);
    await page.locator("#file").setInputFiles(file(name));
    await until(page, (name) => document.getElementById("source").textContent.startsWith(name) && !document.getElementById("state").textContent, name);
    return page;
  }
  const filtered = (page, filter) => page.locator("#filter").fill(filter);

  return {
    async "filters calls, and explains an empty list"({ browser, saved }) {
      const page = await opened(browser, saved, "endings.jsonl", endings());
      await filtered(page, "status=9");
      assert.deepEqual(await methods(page), ["Refused"]);
      assert.equal(await text(page, "#calls-count"), "1 of 7");
      await filtered(page, "method~Given");
      assert.deepEqual(await methods(page), ["GivenUp"]);
      await filtered(page, "status=none type=RST_STREAM");
      assert.deepEqual(await methods(page), ["Late", "GivenUp", "Broken"]);
      await filtered(page, "");
      await page.locator("#statuses").selectOption("FAILED_PRECONDITION");
      assert.deepEqual(await methods(page), ["Refused"]);
      await filtered(page, "status=OK");
      assert.equal(await page.locator("#statuses").inputValue(), "OK", "the list says what the field says");

      // A selected call disappears while the filter excludes it, and returns afterwards.
      await filtered(page, "");
      await rows(page, "calls").first().click();
      await filtered(page, "status=9");
      assert.equal(await page.locator("#calls .selected").count(), 0);
      assert.deepEqual(await page.locator("#frames .number").first().innerText(), "6");
      await filtered(page, "status=0");
      assert.match(await text(page, "#calls .selected"), /Fine/);
      assert.equal(await text(page, "#frames-count"), "4 of 16");

      await filtered(page, "status=5");
      assert.match(await text(page, "#calls-note"), /No call passes the filter status=5\./);
      assert.match(await text(page, "#frames-note"), /No frame passes the filter status=5\./);
      await page.screenshot({ path: file("filter-nothing.png") });
      await page.locator("#frames-note button").click();
      assert.equal(await page.locator("#filter").inputValue(), "");
      assert.equal(await rows(page, "calls").count(), 7);
      assert.ok(!(await page.locator("#frames-note").isVisible()));

      // An invalid filter is reported with the error and with the filter in force.
      await filtered(page, "status=9");
      await filtered(page, "foo=bar");
      assert.match(await text(page, "#filter-error"), /^"foo=bar" is not a filter: it begins with stream, .* In force is status=9\.$/s);
      assert.equal(await page.locator("#filter").getAttribute("aria-invalid"), "true");
      assert.deepEqual(await methods(page), ["Refused"]);
      await page.screenshot({ path: file("filter-wrong.png") });
      await filtered(page, "stream=x");
      assert.match(await text(page, "#filter-error"), /"stream=x" is not a filter: "x" is no number of a stream/);
      await filtered(page, "status=");
      assert.match(await text(page, "#filter-error"), /nothing stands behind the sign/);
      await filtered(page, "status=9");
      assert.equal(await page.locator("#filter").getAttribute("aria-invalid"), null);
      assert.equal(await text(page, "#filter-error"), "");
      fine(page);
    },

    async "marks what breaks rules, and what waits"({ browser, saved }) {
      const page = await opened(browser, saved, "findings.jsonl", findings());
      assert.equal(await page.locator("#calls .row", { hasText: "Broken" }).locator(".wait").count(), 1);
      assert.match(await page.locator("#calls .row", { hasText: "Broken" }).locator(".status").innerText(), /no status !/);
      assert.match(await page.locator("#frames .fault").innerText(), /✗/);
      assert.equal(await page.locator("#frames .fault").count(), 1, "a note is no fault");
      await page.locator("#frames .fault").click();
      assert.match(await text(page, "#details"), /✗ error end-without-trailers, bytes 0\.\.9: broken: end-without-trailers \(RFC 9113, section 8\.1; rule 41\)/);
      assert.match(await text(page, "#details"), /END_STREAM on DATA, without trailers[^]*still waits for the client's WINDOW_UPDATE on stream 1: since 2 s[^]*1 error, 1 note/);
      assert.match(await page.locator("#calls .row", { hasText: "Broken" }).locator(".kind").innerText(), /\?/);
      await page.locator("#calls .row", { hasText: "Sound" }).click();
      assert.match(await text(page, "#details"), /NOT_FOUND[^]*ended by the server's Trailers-Only/);
      for (const [wanted, found] of [["fault", ["Broken"]], ["status=NOT-FOUND", ["Sound"]]]) {
        await filtered(page, wanted);
        assert.deepEqual(await methods(page), found, wanted);
      }
      fine(page);
    },

    async "names the side that ended a call"({ browser, saved }) {
      const page = await opened(browser, saved, "endings.jsonl", endings());
      assert.match(await text(page, "#hex-count"), /^frame 2 · HEADERS/, "the first frame of the first call is open");
      const ends = {
        Fine: /OK[^]*ended by the server's trailers/, Refused: /FAILED_PRECONDITION: not ready[^]*ended by the server's trailers/,
        Late: /ended by the client at its deadline of 50/, GivenUp: /ended by the client's RST_STREAM CANCEL/,
        Broken: /ended by the server's RST_STREAM INTERNAL_ERROR/, Unheard: /ended by the server's GOAWAY NO_ERROR/, CutOff: /ended by the connection's end/,
      };
      for (const [method, words] of Object.entries(ends)) {
        await page.locator("#calls .row", { hasText: method }).click();
        assert.match(await text(page, "#details"), words, method);
      }
      await page.locator("#calls .row", { hasText: "GivenUp" }).click();
      await rows(page, "frames").last().click();
      await page.locator("#tree .node", { hasText: "error code" }).click();
      assert.match(await text(page, "#details"), /The stream is no longer needed/);
      await page.keyboard.press("Escape");
      for (const width of [1440, 1400, 1340, 1280, 1241, 1200, 1061, 1000, 900]) {
        await page.setViewportSize({ width, height: 900 });
        const cut = (cells) => cells.filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.textContent);
        assert.deepEqual(await page.locator("#calls .status, #frames .type").evaluateAll(cut), [], `cut at a width of ${width}`);
      }
      fine(page);
    },

    async "marks frames on the timeline"({ browser, saved }) {
      for (const width of [1440, 1000]) {
        const page = await opened(browser, saved, "lengths.jsonl", lengths(), { viewport: { width, height: 900 } });
        const tracks = page.locator("#calls .track");
        for (const place of [0, 1, 2]) {
          const track = await tracks.nth(place).boundingBox();
          const bar = await tracks.nth(place).locator(".bar").boundingBox();
          assert.ok(bar.width >= 4, `a bar of ${bar.width} pixels`);
          assert.ok(bar.x >= track.x - 0.1 && bar.x + bar.width <= track.x + track.width + 0.1, "the whole bar is in sight");
        }
        const track = await tracks.first().boundingBox();
        const at = (part) => [track.x + track.width * part, track.y + track.height / 2];
        // The pointer is on the bar: the nearest frame is marked in the list and here.
        await page.mouse.move(...at(0.31));
        assert.match(await text(page, "#frames .hover"), /^4\n/);
        const hovered = await box(page, "#calls .row:first-child .mark.pointed");
        assert.ok(Math.abs(hovered.x + hovered.width / 2 - at(0.3)[0]) < 4, "the mark stands where the frame does");
        await page.mouse.click(...at(0.62));
        assert.match(await text(page, "#frames .selected"), /^7\n/);
        assert.match(await text(page, "#calls .selected"), /Long/);
        const selected = await box(page, "#calls .row:first-child .mark.chosen");
        assert.ok(Math.abs(selected.x + selected.width / 2 - at(0.6)[0]) < 4);
        // Keys move the mark, and so does the pointer on a frame.
        await page.keyboard.press("]");
        assert.ok(Math.abs((await box(page, "#calls .row:first-child .mark.chosen")).x - at(0.7)[0]) < 5);
        await rows(page, "frames").first().hover();
        assert.ok(Math.abs((await box(page, "#calls .row:first-child .mark.pointed")).x - at(0)[0]) < 5);
        await page.screenshot({ path: file(`timeline-${width}.png`) });
        fine(page);
        await page.context().close();
      }
    },

    async "reports a file that it can't read, and keeps its contents"({ browser, saved }) {
      const page = await opened(browser, saved, "endings.jsonl", endings());
      const shown = await text(page, "#frames-count");
      const said = async (name, bytes) => {
        writeFileSync(file(name), bytes);
        await page.locator("#file").setInputFiles(file(name));
        await until(page, (name) => document.getElementById("notice").textContent.includes(name), name);
        assert.equal(await text(page, "#frames-count"), shown);
        assert.match(await text(page, "#source"), /^endings\.jsonl/);
        return text(page, "#notice");
      };
      assert.match(await said("a.pcapng", Buffer.from("0a0d0d0a1c0000004d3c2b1a", "hex")), /pcapng.*barewire decode a\.pcapng --html page\.html.*--web/);
      for (const magic of ["a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1"]) {
        assert.match(await said(`${magic}.pcap`, Buffer.from(`${magic}02000400`, "hex")), /is a pcap.*barewire decode/);
      }
      assert.match(await said("picture.png", Buffer.from("89504e470d0a1a0a", "hex")), /no capture/);
      assert.match(await said("empty.jsonl", ""), /is empty/);
      await page.locator("#notice button").click();
      assert.ok(!(await page.locator("#notice").isVisible()));
      fine(page);
    },

    async "leaves out a bad line, says so, and links to specifications only"({ browser, saved }) {
      const lines = endings();
      const good = JSON.parse(lines.find((line) => line.includes("RST_STREAM")));
      const bad = [{ annotations: [{}] }, { annotations: [] }, { headers: [null] }, { messages: [{ segments: null }] }, { faults: [1] },
        { time: "soon" }, { bytes: "0g" }, { bytes: "00" }, { summary: {} }, { annotations: [{ range: [0, 99], layer: "frame" }] }, { path: 1 }];
      const linked = (url, number) => JSON.stringify({ ...good, number, annotations: good.annotations.map((node) => ({ ...node, rule: { document: "RFC 9113", section: "7", url } })) });
      const urls = ["javascript:alert(1)", "https://evil.example/", "http://www.rfc-editor.org/rfc/rfc9113", "https://github.com/evil/x",
        "https://www.rfc-editor.org.evil.example/rfc/", "https://user@evil.example/rfc/", "https://www.rfc-editor.org/rfc/rfc9113#section-7"];
      const all = [...bad.map((more) => JSON.stringify({ ...good, ...more })), "no JSON", "null", "[]", JSON.stringify({ record: "end", connection: 1, time: "x" }), ...lines, ...urls.map((url, at) => linked(url, 100 + at))];
      const page = await opened(browser, saved, "bad.jsonl", all);
      await until(page, (count) => document.getElementById("notice").textContent.includes(`${count} lines not understood`), bad.length + 4);
      const frames = rows(page, "frames");
      const shown = lines.filter((line) => line.includes('"frame"')).length;
      assert.equal(await text(page, "#frames-count"), String(shown + urls.length));
      for (let at = 0; at < urls.length; at += 1) {
        await frames.nth(shown + at).click();
        await rows(page, "tree").first().click();
        const links = await page.locator("#details a").evaluateAll((all) => all.map((link) => link.href));
        assert.deepEqual(links, at === urls.length - 1 ? [urls[at]] : [], urls[at]);
        assert.match(await text(page, "#details"), /RFC 9113, section 7/);
      }
      fine(page);
      await page.context().close();
    },

    async "shows redacted bytes as dots, and marks only the byte at the cursor"({ browser, secret }) {
      const page = await tab(browser, secret);
      await page.goto(secret);
      await until(page, calls, 1);
      await page.locator("#tree .node", { hasText: "authorization" }).click();
      assert.match(await text(page, "#details"), /bytes\s+57 0a ·· ··/);
      assert.match(await text(page, "#details"), /Both sides add the header to their dynamic tables/, "the sentences of --explain");
      const shadow = await bytes(page, "cursor").first().evaluate((it) => getComputedStyle(it).boxShadow);
      assert.ok(shadow === "none" || shadow.split("),").every((one) => one.includes("inset")), shadow);
      const long = page.locator("#tree .node", { hasText: ":path" });
      assert.match(await long.getAttribute("title"), /:path \/routeguide\.RouteGuide\/GetFeature/);
      fine(page);
    },

    async "explains on an empty page what to do"({ browser, saved }) {
      const whole = readFileSync(new URL(saved), "utf8");
      writeFileSync(file("empty.html"), whole.replace(/(id="capture"[^>]*>\n)[^]*?(?=<\/script>)/, "$1"));
      const page = await tab(browser, pathToFileURL(file("empty.html")).href);
      await page.goto(pathToFileURL(file("empty.html")).href);
      await page.locator("#empty").waitFor();
      assert.match(await text(page, "#empty"), /barewire tap .*--jsonl FILE/s);
      assert.ok(!(await page.locator("main").isVisible()), "nothing is written over it");
      fine(page);
    },

    async "has a header of two rows at most"({ browser, saved }) {
      for (const [width, most] of [[1400, 60], [1000, 100], [700, 100]]) {
        const page = await tab(browser, saved, { viewport: { width, height: 800 } });
        await page.goto(saved);
        await until(page, calls, 15);
        const { height } = await box(page, "header");
        assert.ok(height < most, `${height} pixels at a width of ${width}`);
        await page.context().close();
      }
    },
  };
}
