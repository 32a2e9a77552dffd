// SPDX-License-Identifier: Apache-2.0
// One class a page: element, update(status) each second.
import { button, confirm, Facts, make, setText, show, Table } from "/dom.js";
import { Chart } from "/chart.js";
import * as format from "/format.js";

const lan = (row) => row.sent.lan + row.received.lan;
const wan = (row) => row.sent.wan + row.received.wan;
const saved = (row) => format.reduction(lan(row), wan(row));
const known = (text) => text || undefined;
const path = (...parts) => parts.map(encodeURIComponent).join("/");

// Columns that more than one table has.
const column = {
	streams: { title: "Streams", value: (row) => row.streams,
		number: true, text: format.count },
	opened: { title: "Opened", value: (row) => row.opened, number: true,
		text: format.count },
	resets: { title: "Resets", value: (row) => row.resets, number: true,
		text: format.count },
	lan: { title: "LAN", value: lan, number: true, text: format.bytes },
	wan: { title: "WAN", value: wan, number: true, text: format.bytes },
	saved: { title: "Reduction", value: saved, number: true,
		text: format.percent, signed: true },
	state: { title: "State", value: (row) => row.state, pill: true },
	error: { title: "Error", value: (row) => known(row.error),
		wide: true },
};
const columns = (...list) => list.map((one) =>
    ({ ...(typeof one === "string" ? column[one] : one) }));

function section(title, ...children) {
	return make("section", {}, make("h2", {}, title), ...children);
}

// Why something is not smaller, as `compressnet streams why' says it.
async function explain(app, title, url) {
	const why = await app.call("GET", url);
	if (!why) {
		return;
	}
	const findings = (why.findings ?? []).map((one) => make("div", {},
	    make("p", {}, make("strong", {},
		`${format.percent(one.share / 1000)} ${one.reason}`),
		`: ${one.text}`),
	    one.evidence ? make("p", { class: "soft" }, one.evidence) : "",
	    one.fix ? make("p", {}, one.fix) : ""));
	show(title, ...(findings.length > 0 ? findings
	    : [make("p", {}, "Nothing stands in the way.")]));
}

class Overview {
	constructor(app) {
		this.app = app;
		this.chart = new Chart(app.history);
		this.cards = make("div", { class: "cards" });
		this.values = {};
		for (const name of ["LAN now", "WAN now", "WAN peak", "WAN P95",
			"Reduction", "Streams"]) {
			const number = make("span", {}, "–");
			const unit = make("span", { class: "unit" });
			const value = make("div", { class: "value" },
			    number, unit);
			const note = make("div", { class: "note" });
			this.values[name] = { value, number, unit, note };
			this.cards.append(make("div", { class: "card" },
			    make("div", { class: "name" }, name), value, note));
		}
		this.facts = new Facts();
		this.element = make("div", {}, this.cards, this.chart.element,
		    section("Gateway", this.facts.element));
	}

	set(name, value, note, isBad = false) {
		const [number, unit] = value.split(" ");
		setText(this.values[name].number, number);
		setText(this.values[name].unit, unit ? " " + unit : "");
		setText(this.values[name].note, note);
		this.values[name].value.classList.toggle("negative", isBad);
	}

	update(status) {
		const history = this.app.history, now = history.now();
		const share = saved(status), gateway = status.gateway;
		if (now) {
			const at = `LAN ${format.rate(history.peak("lan"))}`;
			this.set("LAN now", format.rate(now.lan), "both ways");
			this.set("WAN now", format.rate(now.wan), "TLS included");
			this.set("WAN peak", format.rate(history.peak("wan")), at);
			this.set("WAN P95",
			    format.rate(history.percentile("wan", .95)),
			    "of the chart");
		}
		this.set("Reduction",
		    share === null ? "–" : format.percent(share),
		    `${format.bytes(lan(status))} LAN, ` +
		    `${format.bytes(wan(status))} WAN`, share < 0);
		this.set("Streams", format.count(status.streams),
		    `${format.count(status.streams_opened +
			status.streams_accepted)} since the start`);
		this.chart.update();
		this.facts.update({
			"Name": gateway.name,
			"State": gateway.state,
			"Version": gateway.version,
			"Up for": format.age(gateway.uptime_us),
			"Listens on": gateway.listen,
			"Workers": gateway.workers,
			"Memory": format.bytes(status.memory.resident),
			"Configuration": gateway.config,
			"Configuration error": gateway.config_error,
			"Identity": gateway.identity,
		});
	}
}

class Services {
	constructor(app) {
		const why = { title: "Why", shown: () => true,
			node: (item) => button("Why",
			    `Why ${item().name} is not smaller`, () =>
			    explain(app, `Service ${item().name}`,
				path("services", item().name, "why"))) };
		const tail = ["streams", "opened", "resets", "lan", "wan",
			"saved", "error"];
		this.services = new Table("Services", columns(
		    { title: "Service", value: (row) => row.name },
		    "state",
		    { title: "Way", value: (row) => row.way },
		    { title: "Listens on", value: (row) => row.listen },
		    { title: "Peer", value: (row) => row.peer },
		    { title: "Profile", value: (row) => row.profile },
		    ...tail, why), (row) => row.name);
		this.offers = new Table("Offers", columns(
		    { title: "Offer", value: (row) => row.name },
		    { title: "Target", value: (row) => row.target },
		    { title: "Peers", value: (row) => row.peers },
		    ...tail, why), (row) => row.name);
		this.element = make("div", {},
		    section("Ways in", this.services.element),
		    section("What peers may reach", this.offers.element));
	}

	update(status) {
		this.services.update(status.services);
		this.offers.update(status.offers);
	}
}

class Streams {
	constructor(app) {
		this.app = app;
		this.cursor = this.next = null;
		this.note = make("p", { class: "soft" });
		this.first = button("First page", null, () => this.go(null));
		this.more = button("Next page", null, () => this.go(this.next));
		this.table = new Table("Streams", columns(
		    { title: "Id", value: (row) => row.id, number: true },
		    { title: "Service", value: (row) => row.service },
		    { title: "Client", value: (row) => known(row.client) },
		    { title: "Target", value: (row) => known(row.target) },
		    { title: "Peer", value: (row) => row.peer },
		    "state",
		    { title: "Age", value: (row) => row.age_us, number: true,
			text: format.age },
		    { title: "Idle", value: (row) => row.idle_us, number: true,
			text: format.age },
		    "lan", "wan", "saved",
		    { title: "Reason", value: (row) => known(row.why) },
		    { title: "Actions", node: (item) => this.actions(item) }),
		    (row) => row.id);
		this.element = make("div", {}, make("section", {}, this.note,
		    this.table.element, make("div", { class: "actions" },
			this.first, this.more)));
		this.first.hidden = this.more.hidden = true;
	}

	actions(item) {
		const id = item().id;
		const list = [];
		if (item().why !== undefined) {
			list.push(button("Why",
			    `Why stream ${id} is not smaller`,
			    () => explain(this.app, `Stream ${id}`,
				path("streams", id, "why"))));
		}
		if (this.app.mayChange) {
			list.push(button("Kill", `Kill stream ${id}`,
			    () => this.kill(item()), "danger"));
		}
		return list;
	}

	async kill(row) {
		if (await confirm(`Kill stream ${row.id}?`,
		    `The connection of ${row.client || row.target} through ` +
		    `${row.service} is reset at both ends.`, "Kill")) {
			await this.app.call("DELETE", path("streams", row.id));
			await this.load();
		}
	}

	go(cursor) {
		this.cursor = cursor;
		return this.load();
	}

	async load() {
		const at = this.cursor;
		const page = await this.app.call("GET", "streams?limit=100" +
		    (at === null ? "" : `&cursor=${at}`), true);
		if (!page || at !== this.cursor) {
			return;
		}
		this.next = page.next;
		this.first.hidden = at === null;
		this.more.hidden = this.next === null;
		setText(this.note, `${format.count(page.streams.length)} of ` +
		    `${format.count(page.total)} streams`);
		this.table.update(page.streams);
	}

	update() {
		this.load();
	}
}

class Peers {
	constructor(app) {
		const order = (name, verb) => async () => {
			if (verb === "resume" || await confirm(
			    `Drain ${name}?`, `No new streams go to or come ` +
			    `from ${name}; those that are go on.`, "Drain")) {
				await app.call("POST", path("peers", name, verb));
			}
		};
		const drain = { title: "Actions",
			shown: (rows) => app.mayChange && rows.some((row) =>
			    row.is_drained !== undefined),
			node: (item) => {
				const name = item().name;
				return [button("Drain", `Drain ${name}`,
				    order(name, "drain")),
				button("Resume", `Resume ${name}`,
				    order(name, "resume"))];
			},
			change: (cell, item) => {
				cell.children[0].hidden = item.is_drained;
				cell.children[1].hidden = !item.is_drained;
			} };
		this.peers = new Table("Peers", columns(
		    { title: "Peer", value: (row) => row.name },
		    "state",
		    { title: "Gateway", value: (row) => known(row.gateway) },
		    { title: "Address", value: (row) => known(row.address) },
		    { title: "RTT", value: (row) => row.rtt_us || undefined,
			number: true, text: format.age },
		    "streams",
		    { title: "Resumes", value: (row) => row.resumes,
			number: true, text: format.count },
		    "lan", "wan", "saved", "error", drain),
		    (row) => row.name);
		this.carriers = new Table("Carriers", columns(
		    { title: "Peer", value: (row) => row.peer },
		    { title: "Worker", value: (row) => row.worker,
			number: true },
		    { title: "Slot", value: (row) => row.slot, number: true },
		    "state",
		    { title: "Remote", value: (row) => known(row.remote) },
		    { title: "Age", value: (row) => row.age_us, number: true,
			text: format.age },
		    { title: "RTT", value: (row) => row.rtt_us || undefined,
			number: true, text: format.age },
		    { title: "Can carry", number: true,
			value: (row) => row.rate_bps || undefined,
			text: (bps) => format.rate(bps / 8) },
		    { title: "Sent again", number: true,
			value: (row) => (row.segments_data > 0
			    ? row.segments_resent / row.segments_data
			    : undefined), text: format.percent },
		    { title: "WAN out", value: (row) => row.wan_sent,
			number: true, text: format.bytes },
		    { title: "WAN in", value: (row) => row.wan_received,
			number: true, text: format.bytes },
		    "error"), (row) => `${row.link} ${row.slot}`);
		this.element = make("div", {},
		    section("Gateways", this.peers.element),
		    section("Carriers", this.carriers.element));
	}

	update(status) {
		this.peers.update(status.peers);
		this.carriers.update(status.peers.flatMap((peer) =>
		    peer.links.flatMap((link) => link.carriers.map((one) =>
			({ ...one, peer: peer.name, link: link.id,
			    worker: link.worker })))));
	}
}

class Store {
	constructor() {
		this.facts = new Facts();
		this.hits = new Facts();
		this.off = make("p", {}, "This gateway keeps no store.");
		this.bars = ["Memory", "Disk"].map((name) => {
			const bar = make("progress", { max: "1",
				"aria-label": name });
			const text = make("p", { class: "soft" });
			return { name, bar, text, element: make("div", {},
			    make("p", {}, name), bar, text) };
		});
		this.element = make("div", {}, this.off,
		    section("Hits", this.hits.element),
		    section("Size", ...this.bars.map((one) => one.element)),
		    section("Segments", this.facts.element));
	}

	update({ store }) {
		const number = (value) =>
		    (value === undefined ? undefined : format.count(value));
		this.off.hidden = store.is_on;
		[[store.memory_bytes, store.memory_cap],
		    [store.disk_bytes, store.disk_cap]]
		    .forEach(([used, cap], i) => {
			const one = this.bars[i];
			one.element.hidden = !cap;
			one.bar.value = cap ? Math.min(1, used / cap) : 0;
			setText(one.text, `${format.bytes(used)} of ` +
			    `${format.bytes(cap)}`);
		    });
		this.hits.update({
			"Hit rate": store.lan > 0
			    ? format.percent(store.copied / store.lan)
			    : undefined,
			"Bytes looked at": format.bytes(store.lan),
			"Bytes found": format.bytes(store.copied),
			"Oldest": store.oldest_us
			    ? format.age(store.oldest_us) : undefined,
		});
		this.facts.update({
			"Segments": number(store.segments),
			"In memory": number(store.memory_segments),
			"On disk": number(store.disk_segments),
			"Scopes": number(store.scopes),
			"Taken in": format.bytes(store.appended),
			"Given up": number(store.evicted),
			"Damaged": number(store.damaged),
			"Index": format.bytes(store.index_bytes),
			"Folder": store.path,
			"Error": store.error,
		});
	}
}

class Events {
	constructor(app) {
		this.app = app;
		this.note = make("p", { class: "soft" }, "Reading.");
		this.table = new Table("Events", columns(
		    { title: "Time", value: (row) => row.at_us,
			text: format.stamp },
		    { title: "Level", value: (row) => row.level, pill: true },
		    { title: "Kind", value: (row) => row.kind },
		    { title: "Peer", value: (row) => known(row.peer) },
		    { title: "Service", value: (row) => known(row.service) },
		    { title: "Text", value: (row) => row.text, wide: true }),
		    (row) => row.id, "Time");
		this.table.down = true;
		this.element = make("div", {},
		    make("section", {}, this.note, this.table.element));
		this.load();
	}

	async load() {
		// Pages go from old to new; 16 of them hold all that is kept.
		for (let cursor = 0, i = 0; i < 16; i++) {
			const page = await this.app.call("GET",
			    `events?limit=100&cursor=${cursor}`, true);
			if (!page) {
				this.table.element.hidden = true;
				setText(this.note,
				    "This gateway tells of no events.");
				return;
			}
			this.app.addEvents(page.events);
			if (!page.next || page.events.length === 0) {
				break;
			}
			cursor = page.next;
		}
		this.update();
	}

	update() {
		this.note.hidden = this.app.events.size > 0;
		setText(this.note, "Nothing happened yet.");
		this.table.update([...this.app.events.values()]);
	}
}

class Configuration {
	constructor(app) {
		this.app = app;
		this.facts = new Facts();
		this.text = make("pre", { tabindex: "0", role: "region",
			"aria-label": "Effective configuration" });
		this.said = make("p", { role: "status" });
		this.element = make("div", {},
		    section("In force", this.facts.element,
			make("div", { class: "actions" },
			    ...(app.mayChange ? [button("Reload", null,
				() => this.reload())] : [])), this.said),
		    make("section", {}, this.text));
		this.load();
	}

	async load() {
		const config = await this.app.call("GET", "config");
		if (config) {
			this.facts.update({ "File": config.file,
				"ETag": config.etag });
			setText(this.text, config.yaml);
		}
	}

	async reload() {
		if (await this.app.call("POST", "reload")) {
			setText(this.said, "The configuration was read again.");
			await this.load();
		}
	}

	update() {}
}

export const pages = [
	["overview", "Overview", Overview],
	["services", "Services", Services],
	["streams", "Streams", Streams],
	["peers", "Peers", Peers],
	["store", "Store", Store],
	["events", "Events", Events],
	["configuration", "Configuration", Configuration],
];
