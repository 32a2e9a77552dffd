// SPDX-License-Identifier: Apache-2.0
// LAN and WAN over time: an SVG and the table behind it.
import { make, setText, Table } from "/dom.js";
import * as format from "/format.js";

const WIDTH = 600, HEIGHT = 200, GAP_MS = 5000, SPAN_MIN_MS = 60000;
const SPAN_MAX_MS = 600000, STEP_MS = 10000;

const svg = (tag, attributes) => {
	const element = document.createElementNS(
	    "http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(attributes)) {
		element.setAttribute(name, value);
	}
	return element;
};

// The next of 1, 2 and 5 times a power of ten.
export function ceiling(value) {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
	return [1, 2, 5, 10].map((n) => n * power)
	    .find((n) => n >= value);
}

export class Chart {
	constructor(history) {
		this.history = history;
		this.picture = svg("svg", { role: "img",
			viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
			preserveAspectRatio: "none" });
		for (const y of [1, HEIGHT / 2, HEIGHT - 1]) {
			this.picture.append(svg("path", { class: "grid",
				d: `M0 ${y}H${WIDTH}`,
				"vector-effect": "non-scaling-stroke" }));
		}
		this.paths = {};
		for (const name of ["lan-area", "wan-area", "lan", "wan"]) {
			this.paths[name] = svg("path", { class: name,
				"stroke-width": "2", "stroke-linejoin": "round",
				"vector-effect": "non-scaling-stroke" });
			this.picture.append(this.paths[name]);
		}
		this.scale = [0, 1, 2].map(() => make("span"));
		this.from = make("span");
		this.table = new Table("LAN and WAN, means of 10 seconds", [
			{ title: "Time", value: (row) => row.at,
				text: format.clock },
			{ title: "LAN", value: (row) => row.lan, number: true,
				text: format.rate },
			{ title: "WAN", value: (row) => row.wan, number: true,
				text: format.rate },
		], (row) => row.at);
		this.details = make("details", {},
		    make("summary", {}, "The same as a table"),
		    this.table.element);
		this.element = make("section", {},
		    make("h2", {}, "Traffic"),
		    make("div", { class: "legend" },
			make("span", {}, "LAN"),
			make("span", { class: "is-wan" }, "WAN")),
		    make("div", { class: "chart" },
			make("div", { class: "scale", "aria-hidden": "true" },
			    ...this.scale),
			this.picture,
			make("div", { class: "time", "aria-hidden": "true" },
			    this.from, make("span", {}, "now"))),
		    this.details);
		this.update();
	}

	draw(which, samples, from, span, top) {
		const x = (at) => ((at - from) / span * WIDTH).toFixed(1);
		const y = (value) =>
		    (HEIGHT - 1 - value / top * (HEIGHT - 4)).toFixed(1);
		let line = "", area = "", last = null;
		for (const one of samples) {
			const point = `${x(one.at)} ${y(one[which])}`;
			if (!last || one.at - last.at > GAP_MS) {
				area += last ? `V${HEIGHT}Z` : "";
				area += `M${x(one.at)} ${HEIGHT}L${point}`;
				line += `M${point}`;
			} else {
				area += `L${point}`;
				line += `L${point}`;
			}
			last = one;
		}
		this.paths[which].setAttribute("d", line);
		this.paths[which + "-area"].setAttribute("d",
		    area + (last ? `V${HEIGHT}Z` : ""));
	}

	update() {
		const samples = this.history.samples;
		const to = samples.at(-1)?.at ?? Date.now();
		const span = Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS,
		    to - (samples[0]?.at ?? to)));
		const lan = this.history.peak("lan");
		const wan = this.history.peak("wan");
		const top = ceiling(Math.max(lan, wan) * 8) / 8;
		[top, top / 2, 0].forEach((value, i) =>
		    setText(this.scale[i], format.rate(value)));
		setText(this.from, `${format.age(span * 1000)} ago`);
		this.draw("lan", samples, to - span, span, top);
		this.draw("wan", samples, to - span, span, top);
		this.picture.setAttribute("aria-label",
		    `Traffic of the last ${Math.round(span / 1000)} seconds: ` +
		    `LAN up to ${format.rate(lan)}, WAN up to ` +
		    `${format.rate(wan)}. The table below has the numbers.`);
		if (this.details.open) {
			this.table.update(this.history.steps(STEP_MS));
		}
	}
}
