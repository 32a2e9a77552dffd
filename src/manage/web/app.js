// SPDX-License-Identifier: Apache-2.0
// The session, the one stream of events, and which page is shown.
import { make, setPill, setText, show } from "/dom.js";
import { History } from "/history.js";
import { pages } from "/pages.js";

const EVENTS_MAX = 1000, SILENCE_MS = 5000;
const WAIT_MS = 1000, WAIT_MAX_MS = 15000;
const at = (id) => document.getElementById(id);

class App {
	constructor() {
		this.history = new History();
		this.events = new Map();
		this.status = this.page = this.source = null;
		this.mayChange = false;
		this.failures = 0;
		this.timer = this.silence = null;
	}

	// A request of the API; its data, with the cursor of the next page as
	// next, or null after the reason was shown (or kept, when quiet).
	async call(method, path, isQuiet = false) {
		let problem = { title: "Nothing answers", detail:
			"Neither the gateway nor `compressnet serve' answers." };
		try {
			const reply = await fetch("/api/v1/" + path, { method,
				headers: { "X-CompressNET": "1" } });
			const text = await reply.text();
			const data = text ? JSON.parse(text) : {};
			if (reply.ok) {
				const next = /cursor=(\d+)>/.exec(
				    reply.headers.get("Link") ?? "");
				return { ...data, next: next?.[1] ?? null };
			}
			if (reply.status === 401) {
				this.signedOut();
				return null;
			}
			problem = data;
		} catch {
			// Said below.
		}
		if (!isQuiet) {
			show(problem.title ?? "Refused",
			    make("p", {}, problem.detail ?? ""),
			    ...(problem.diagnostics ?? []).map((one) =>
				make("p", {}, make("code", {},
				    `${one.line}:${one.column}: ` +
				    `${one.text ?? one.message}`))));
		}
		return null;
	}

	addEvents(list) {
		for (const one of list ?? []) {
			this.events.set(one.id, one);
			if (this.events.size > EVENTS_MAX) {
				this.events.delete(
				    this.events.keys().next().value);
			}
		}
	}

	// ---- the stream ----

	connect() {
		clearTimeout(this.timer);
		this.source?.close();
		this.source = new EventSource("/api/v1/watch");
		this.listen();
		this.source.addEventListener("status", (event) => {
			this.failures = 0;
			this.listen();
			this.take(JSON.parse(event.data));
		});
		this.source.addEventListener("events", (event) => {
			this.addEvents(JSON.parse(event.data).events);
		});
		this.source.addEventListener("problem", (event) => {
			this.listen();
			this.trouble("No gateway: " +
			    JSON.parse(event.data).detail);
		});
		this.source.onerror = () => this.lost();
	}

	// A stream that says nothing is a lost one.
	listen() {
		clearTimeout(this.silence);
		this.silence = setTimeout(() => this.lost(), SILENCE_MS);
	}

	async lost() {
		const wait = Math.min(WAIT_MAX_MS,
		    WAIT_MS * 2 ** this.failures) * (1 + Math.random() / 4);
		this.source?.close();
		clearTimeout(this.silence);
		clearTimeout(this.timer);
		this.failures++;
		this.trouble("Disconnected: `compressnet serve' does not " +
		    `answer. Trying again in ${Math.ceil(wait / 1000)} s.`);
		this.timer = setTimeout(() => this.again(), wait);
	}

	async again() {
		clearTimeout(this.timer);
		try {
			const reply = await fetch("/api/v1/session");
			if (reply.status === 401) {
				this.signedOut();
				return;
			}
			this.connect();
		} catch {
			this.lost();
		}
	}

	trouble(text) {
		setText(at("state"), "disconnected");
		at("state").className = "pill bad";
		setText(at("trouble-text"), text);
		at("trouble").hidden = false;
		at("main").classList.add("stale");
	}

	take(status) {
		this.status = status;
		this.history.add(status, Date.now());
		at("trouble").hidden = true;
		at("main").classList.remove("stale");
		setPill(at("state"), status.gateway.state);
		setText(at("gateway"), status.gateway.name);
		document.title = `${status.gateway.name} · CompressNET`;
		this.page?.update(status);
	}

	// ---- pages ----

	route(isFirst) {
		const hash = location.hash.replace(/^#\/?/, "");
		if (hash === "main") {
			return; // the skip link
		}
		const [name, title, Page] = pages.find((one) =>
		    one[0] === hash) ?? pages[0];
		for (const link of at("nav").children) {
			if (link.hash === `#/${name}`) {
				link.setAttribute("aria-current", "page");
			} else {
				link.removeAttribute("aria-current");
			}
		}
		const head = make("h1", { tabindex: "-1" }, title);
		this.page = new Page(this);
		at("main").replaceChildren(head, this.page.element);
		if (this.status) {
			this.page.update(this.status);
		}
		if (!isFirst) {
			head.focus();
		}
	}

	signedOut() {
		this.source?.close();
		clearTimeout(this.timer);
		clearTimeout(this.silence);
		at("trouble").hidden = true;
		at("nav").hidden = true;
		at("state").className = "pill warn";
		setText(at("state"), "not signed in");
		this.page = null;
		at("main").replaceChildren(make("h1", {}, "Sign in"),
		    make("section", {},
			make("p", {}, "On the gateway's host, run"),
			make("p", {}, make("code", {}, "compressnet dashboard")),
			make("p", {}, "and open the address that it prints. It ",
			    "works once, within five minutes.")));
	}

	async start() {
		const code = new URLSearchParams(location.hash.slice(1))
		    .get("code");
		if (code) {
			history.replaceState(null, "", location.pathname);
			await fetch("/api/v1/session", { method: "POST",
				headers: { "Content-Type": "application/json",
					"X-CompressNET": "1" },
				body: JSON.stringify({ code }) });
		}
		const session = await fetch("/api/v1/session");
		if (!session.ok) {
			this.signedOut();
			return;
		}
		this.mayChange = (await session.json()).right === "change";
		at("nav").replaceChildren(...pages.map(([name, title]) =>
		    make("a", { href: `#/${name}` }, title)));
		at("nav").hidden = false;
		setText(at("state"), "connecting");
		addEventListener("hashchange", () => this.route(false));
		at("retry").addEventListener("click", () => this.again());
		document.querySelector(".skip").addEventListener("click",
		    (event) => {
			event.preventDefault();
			at("main").focus();
		    });
		this.route(true);
		this.connect();
	}
}

await new App().start();
