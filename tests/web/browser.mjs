// SPDX-License-Identifier: Apache-2.0
// A browser for tests/e2e/test_dashboard.py.
//
//   node browser.mjs MODULES CHROMIUM FOLDER
//
// Each line on stdin is a list: the name of a step and what it takes.  Each
// line on stdout is {"value":..} or {"error":..}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const [modules, executablePath, folder] = process.argv.slice(2);
const require = createRequire(join(modules, "node_modules", "x.js"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const context = await chromium.launchPersistentContext(folder, {
	executablePath,
	headless: true,
	// The page's guard against foreign scripts is for axe too.
	bypassCSP: false,
	viewport: { width: 1200, height: 900 },
	args: ["--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking",
		"--disable-component-update", "--disable-sync",
		...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
});
const page = context.pages()[0] ?? await context.newPage();
const requests = [], errors = [];
page.on("request", (request) => requests.push(request.url()));
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => {
	if (message.type() === "error") {
		errors.push(message.text());
	}
});
page.setDefaultTimeout(10000);

const steps = {
	open: (url) => page.goto(url).then(() => null),
	wait: (selector, state, timeout) =>
		page.waitForSelector(selector, { state, timeout })
		    .then(() => null),
	text: (selector) => page.innerText(selector),
	count: (selector) => page.locator(selector).count(),
	click: (selector) => page.click(selector).then(() => null),
	press: (key) => page.keyboard.press(key).then(() => null),
	size: (width, height) => page.setViewportSize({ width, height })
	    .then(() => null),
	scheme: (colorScheme) => page.emulateMedia({ colorScheme })
	    .then(() => null),
	evaluate: (expression) => page.evaluate(expression),
	shot: (path) => page.screenshot({ path }).then(() => null),
	fake: (path, body) => page.route(path, (route) => route.fulfill({
		contentType: "application/json", body: JSON.stringify(body) })),
	real: () => page.unrouteAll(),
	requests: () => requests,
	errors: () => errors.splice(0),
	axe: async () => {
		await page.evaluate(require("node:fs")
		    .readFileSync(axe, "utf8"));
		const found = await page.evaluate("axe.run()");
		return found.violations.map((one) => ({ id: one.id,
			nodes: one.nodes.map((node) => node.html) }));
	},
};

for await (const line of createInterface({ input: process.stdin })) {
	const [name, ...given] = JSON.parse(line);
	let said;
	try {
		said = { value: await steps[name](...given) ?? null };
	} catch (error) {
		said = { error: `${name}: ${error.message}` };
	}
	console.log(JSON.stringify(said));
}
await context.close();
