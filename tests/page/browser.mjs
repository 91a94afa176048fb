// Helpers of the cases: a page that fails on any error, and short names for its elements.

import assert from "node:assert/strict";

/** A page on which nothing may go wrong; its requests may go to `origin` and nowhere else. */
export async function tab(browser, origin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.wrong.push(message.text()));
  page.on("pageerror", (error) => page.wrong.push(error.stack));
  page.on("request", (sent) => {
    const url = sent.url();
    if (!url.startsWith(origin) && !url.startsWith("data:") && !url.startsWith("blob:")) page.wrong.push(`a request to ${url}`);
  });
  page.setDefaultTimeout(20000);
  return page;
}

export const fine = (page) => assert.deepEqual(page.wrong, []);
export const text = (page, selector) => page.locator(selector).innerText();
export const rows = (page, list) => page.locator(`#${list} [role=option], #${list} [role=treeitem]`);
export const bytes = (page, marks) => page.locator(`#hex [role=gridcell].${marks}`);
export const digits = async (page, marks) => (await bytes(page, marks).allInnerTexts()).join(" ");
export const focused = (page) => page.evaluate(() => document.activeElement.id);
export const until = (page, wanted, argument) => page.waitForFunction(wanted, argument);

export const calls = (count) => document.getElementById("calls-count").textContent === String(count);
