// SPDX-License-Identifier: Apache-2.0
// The last ten minutes of a gateway, from its totals of each second.

const KEPT_MS = 600000;
const SAMPLES_MAX = 1200;

export class History {
	constructor() {
		this.samples = []; // { at, lan, wan }: ms, bytes a second
		this.last = null;
	}

	add(status, at) {
		const next = {
			up: status.gateway.uptime_us,
			lan: status.sent.lan + status.received.lan,
			wan: status.sent.wan + status.received.wan,
		};
		const last = this.last;
		this.last = next;
		// A gateway that started again counts from zero.
		if (!last || next.up < last.up) {
			return;
		}
		const s = (next.up - last.up) / 1e6;
		if (s < 0.2) {
			this.last = last;
			return;
		}
		// What a gap of more than a few seconds had is not known.
		if (s < 5) {
			this.samples.push({ at,
				lan: Math.max(0, next.lan - last.lan) / s,
				wan: Math.max(0, next.wan - last.wan) / s });
		}
		while (this.samples.length > SAMPLES_MAX ||
		    this.samples[0]?.at < at - KEPT_MS) {
			this.samples.shift();
		}
	}

	now() {
		return this.samples.at(-1) ?? null;
	}

	peak(which) {
		return this.samples.reduce((most, one) =>
		    Math.max(most, one[which]), 0);
	}

	percentile(which, part) {
		const sorted = this.samples.map((one) => one[which])
		    .sort((a, b) => a - b);
		return sorted[Math.max(0,
		    Math.ceil(sorted.length * part) - 1)] ?? 0;
	}

	// Means of so many ms each, the newest first.
	steps(ms) {
		const found = new Map();
		for (const one of this.samples) {
			const at = Math.floor(one.at / ms) * ms;
			const step = found.get(at) ?? { at, lan: 0, wan: 0, n: 0 };
			step.lan += one.lan;
			step.wan += one.wan;
			step.n++;
			found.set(at, step);
		}
		return [...found.values()].reverse().map((step) => ({
			at: step.at, lan: step.lan / step.n,
			wan: step.wan / step.n }));
	}
}
