// SPDX-License-Identifier: Apache-2.0
// Trades the code of the address for a cookie, then shows the status as it
// comes.
const state = document.getElementById("state");

async function signIn() {
	const code = new URLSearchParams(location.hash.slice(1)).get("code");
	if (code) {
		history.replaceState(null, "", location.pathname);
		await fetch("/api/v1/session", {
			method: "POST",
			headers: {
				"Content-Type": "application/json",
				"X-CompressNET": "1",
			},
			body: JSON.stringify({ code }),
		});
	}
	return (await fetch("/api/v1/session")).ok;
}

if (await signIn()) {
	const stream = new EventSource("/api/v1/watch");
	state.textContent = "Connected.";
	stream.addEventListener("status", (event) => {
		document.getElementById("status").textContent =
			JSON.stringify(JSON.parse(event.data), null, 2);
	});
} else {
	state.textContent =
		"Not signed in: open the address that `compressnet dashboard` prints.";
}
