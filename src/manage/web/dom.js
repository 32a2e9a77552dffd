// SPDX-License-Identifier: Apache-2.0
// Elements.  Texts become text nodes alone: what a gateway, a peer or a
// client is called can be no markup.

export function make(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (name === "onclick") {
			element.addEventListener("click", value);
		} else if (value !== null && value !== undefined) {
			element.setAttribute(name, value);
		}
	}
	element.append(...children);
	return element;
}

// Set only what changed, so that a selection and the focus stay.
export function setText(element, text) {
	if (element.textContent !== text) {
		element.textContent = text;
	}
}

const GOOD = ["up"];
const BAD = ["down", "failed", "error"];

export function setPill(element, state) {
	setText(element, state);
	element.className = "pill " + (GOOD.includes(state) ? "good"
	    : BAD.includes(state) ? "bad"
	    : state === "info" ? "" : "warn");
}

export function button(text, label, action, kind) {
	return make("button", {
		type: "button", "aria-label": label, onclick: action,
		class: kind,
	}, text);
}

// A table whose rows are updated in place.  A column: {title, value(row),
// text(row)?, pill?, number?, wide?, negative?, node(row)?}; columns whose
// value is undefined in all rows are left out.
export class Table {
	constructor(label, columns, key, sort = null) {
		this.columns = columns;
		this.key = key;
		this.sort = sort;
		this.down = false;
		this.rows = new Map();
		this.data = [];
		this.head = make("tr");
		this.body = make("tbody");
		this.none = make("p", { class: "soft" }, "None.");
		this.scroll = make("div", { class: "scroll", role: "region",
			tabindex: "0", "aria-label": label },
		    make("table", {},
			make("caption", { hidden: "" }, label),
			make("thead", {}, this.head), this.body));
		this.element = make("div", {}, this.scroll, this.none);
		columns.forEach((column) => {
			column.head = make("th", { scope: "col",
				class: column.number ? "number" : null });
			column.head.append(column.node ? column.title
			    : make("button", { type: "button",
				onclick: () => this.turn(column) },
				column.title));
			this.head.append(column.head);
		});
	}

	turn(column) {
		this.down = this.sort === column.title && !this.down;
		this.sort = column.title;
		this.update(this.data);
	}

	order(data) {
		const by = this.columns.find((one) => one.title === this.sort);
		if (!by) {
			return data;
		}
		const value = (row) => by.value(row) ?? "";
		return [...data].sort((a, b) => {
			const x = value(a), y = value(b);
			const less = typeof x === "number" && typeof y === "number"
			    ? x - y : String(x).localeCompare(String(y));
			return this.down ? -less : less;
		});
	}

	row(item) {
		const made = { item, cells: [] };
		made.element = make("tr");
		for (const column of this.columns) {
			const cell = make("td", { class: column.number ? "number"
			    : column.wide ? "wide" : null });
			if (column.node) {
				cell.append(...[column.node(() => made.item)]
				    .flat());
			} else if (column.pill) {
				cell.append(make("span"));
			}
			made.cells.push(cell);
			made.element.append(cell);
		}
		return made;
	}

	fill(made, item) {
		made.item = item;
		this.columns.forEach((column, i) => {
			const cell = made.cells[i];
			cell.hidden = column.head.hidden;
			if (column.node) {
				column.change?.(cell, item);
				return;
			}
			const value = column.value(item);
			const text = value === undefined || value === null ? "–"
			    : column.text ? column.text(value) : String(value);
			if (column.pill) {
				setPill(cell.firstChild, text);
			} else {
				setText(cell, text);
			}
			cell.classList.toggle("negative",
			    Boolean(column.signed) && value < 0);
		});
	}

	update(data) {
		this.data = data;
		for (const column of this.columns) {
			column.head.hidden = column.shown ? !column.shown(data)
			    : !column.node && data.length > 0 &&
				data.every((row) =>
				    column.value(row) === undefined);
			if (column.title === this.sort) {
				column.head.setAttribute("aria-sort",
				    this.down ? "descending" : "ascending");
			} else {
				column.head.removeAttribute("aria-sort");
			}
		}
		const keys = new Set();
		this.order(data).forEach((item, i) => {
			const key = this.key(item);
			let made = this.rows.get(key);
			keys.add(key);
			if (!made) {
				made = this.row(item);
				this.rows.set(key, made);
			}
			this.fill(made, item);
			if (this.body.children[i] !== made.element) {
				this.body.insertBefore(made.element,
				    this.body.children[i] ?? null);
			}
		});
		for (const [key, made] of this.rows) {
			if (!keys.has(key)) {
				made.element.remove();
				this.rows.delete(key);
			}
		}
		this.none.hidden = data.length > 0;
		this.scroll.hidden = data.length === 0;
	}
}

// A list of names and values; those without a value are left out.
export class Facts {
	constructor() {
		this.element = make("dl");
		this.shown = new Map();
	}

	update(facts) {
		for (const [name, value] of Object.entries(facts)) {
			let one = this.shown.get(name);
			if (!one) {
				one = { dd: make("dd") };
				one.element = make("div", {},
				    make("dt", {}, name), one.dd);
				this.shown.set(name, one);
				this.element.append(one.element);
			}
			one.element.hidden = value === undefined ||
			    value === null || value === "";
			setText(one.dd, String(value));
		}
	}
}

// Ask before something is done; resolves to whether.
export function confirm(title, text, action) {
	const dialog = document.getElementById("dialog");
	return new Promise((resolve) => {
		const end = (value) => () => dialog.close(value);
		dialog.replaceChildren(
		    make("h2", { id: "dialog-title" }, title),
		    make("p", {}, text),
		    make("div", { class: "actions" },
			button("Cancel", null, end("")),
			button(action, null, end("yes"), "danger")));
		dialog.returnValue = "";
		dialog.addEventListener("close",
		    () => resolve(dialog.returnValue === "yes"),
		    { once: true });
		dialog.showModal();
	});
}

export function show(title, ...children) {
	const dialog = document.getElementById("dialog");
	dialog.replaceChildren(make("h2", { id: "dialog-title" }, title),
	    ...children, make("div", { class: "actions" },
		button("Close", null, () => dialog.close())));
	dialog.showModal();
}
