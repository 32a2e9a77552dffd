// SPDX-License-Identifier: Apache-2.0
// Numbers in the words of the command line: see src/manage/human.c.

const scaled = (value, units, step) => {
	let at = 0;
	while (value >= step && at < units.length - 1) {
		value /= step;
		at++;
	}
	return (at === 0 ? Math.round(value) : value.toFixed(1)) +
	    " " + units[at];
};

export const bytes = (value) =>
	scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
export const rate = (bytesPerSecond) =>
	scaled(bytesPerSecond * 8, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"],
	    1000);
export const count = (value) => value.toLocaleString("en");

export function percent(share) {
	const shown = Math.abs(share) < 0.0005 ? 0 : share * 100;
	return shown < -999 ? "< -999 %" : shown.toFixed(1) + " %";
}

// The part of LAN that did not cross; null when there was none.
export const reduction = (lan, wan) => (lan > 0 ? 1 - wan / lan : null);

export function age(us) {
	const s = us / 1e6;
	if (us < 1e6) {
		return us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(1)} ms`;
	}
	return s < 60 ? `${Math.floor(s)} s`
	    : s < 3600 ? `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`
	    : s < 86400 ? `${Math.floor(s / 3600)} h ` +
		`${Math.floor(s % 3600 / 60)} min`
	    : `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const stamp = (us) => new Date(us / 1000).toLocaleString("sv-SE");
