/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_capture.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "wire/cursor.h"
#include "wire/text.h"

#define CAPTURE_MAX (2u * 1024u * 1024u)

static FILE *
open_out(const char *folder, const char *name, const char *kind)
{
	char path[4096];
	FILE *file;
	int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, name, kind);

	assert(n > 0 && (size_t)n < sizeof(path));
	file = fopen(path, "wb");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	return file;
}

void
capture_item(struct capture *c)
{
	fputs(c->is_first ? "  {" : ",\n  {", c->json);
	c->is_first = false;
}

void
capture_hex(FILE *out, const uint8_t *bytes, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		fprintf(out, "%02x", bytes[i]);
	}
	fputc('"', out);
}

static void
put_bytes(struct capture *c, const char *name, const uint8_t *bytes, size_t len)
{
	fprintf(c->json, ", \"%s\": ", name);
	capture_hex(c->json, bytes, len);
}

void
capture_number(struct capture *c, const char *name, uint64_t value)
{
	fprintf(c->json, ", \"%s\": %" PRIu64, name, value);
}

/* Our texts need no escapes but for bytes above 7f. */
static void
put_text(struct capture *c, const char *name, const char *text, size_t len)
{
	fprintf(c->json, ", \"%s\": \"%.*s\"", name, (int)len, text);
}

void
capture_hash(struct capture *c, const char *name, uint64_t hash)
{
	fprintf(c->json, ", \"%s\": \"%016" PRIx64 "\"", name, hash);
}

void
capture_add(struct capture *c, const uint8_t *bytes, size_t len)
{
	assert(len <= CAPTURE_MAX - c->len);
	memcpy(c->bin + c->len, bytes, len);
	c->len += len;
}

void
capture_begin(struct capture *c, const char *folder, const char *name)
{
	*c = (struct capture){
		.folder = folder, .name = name, .is_first = true
	};
	c->bin = malloc(CAPTURE_MAX);
	assert(c->bin != NULL);
	c->json = open_out(folder, name, "json");
	fprintf(
	    c->json, "{\"libzstd\": %u, \"items\": [\n", ZSTD_versionNumber());
}

void
capture_end(struct capture *c)
{
	FILE *bin = open_out(c->folder, c->name, "bin");
	size_t written = fwrite(c->bin, 1, c->len, bin);

	fputs("\n]}\n", c->json);
	if (written != c->len || fclose(bin) != 0 || fclose(c->json) != 0) {
		perror(c->name);
		exit(1);
	}
	free(c->bin);
}

/* ---- hello ---- */

/* @later  bytes of fields that a later version might append */
void
capture_hello(struct capture *c, const struct cn_hello *hello, size_t later)
{
	uint8_t out[CN_HELLO_MAX] = { 0 };
	size_t len = cn_hello_encode(out, sizeof(out), hello);

	assert(len > 0 && len + later <= sizeof(out));
	cn_be16_put(out, (uint16_t)(len + later - 2));
	capture_add(c, out, len + later);
	capture_item(c);
	fputs("\"kind\": \"hello\"", c->json);
	capture_number(c, "version_min", hello->version_min);
	capture_number(c, "version_max", hello->version_max);
	capture_number(c, "status", hello->status);
	capture_number(c, "flags", hello->flags);
	capture_number(c, "features", hello->features);
	put_bytes(c, "identity", hello->identity, CN_IDENTITY_BYTES);
	put_bytes(c, "peer", hello->peer, CN_IDENTITY_BYTES);
	put_bytes(c, "exporter", hello->exporter, CN_EXPORTER_BYTES);
	put_bytes(c, "boot_id", hello->boot_id, CN_BOOT_ID_BYTES);
	put_bytes(c, "link_id", hello->link_id, CN_LINK_ID_BYTES);
	capture_number(c, "slot", hello->slot);
	capture_number(c, "generation", hello->generation);
	capture_number(c, "workers", hello->workers);
	capture_number(c, "credit_floor", hello->credit_floor);
	capture_number(c, "lanes", hello->lanes);
	capture_number(c, "lane_window_log", hello->lane_window_log);
	capture_number(c, "prefix_max", hello->prefix_max);
	capture_number(c, "streams_max", hello->streams_max);
	put_text(c, "name", hello->name, strlen(hello->name));
	put_text(c, "text", hello->text, strlen(hello->text));
	capture_number(c, "later", later);
	fputc('}', c->json);
}

/* ---- frames ---- */

static void
put_options(struct capture *c, const struct cn_frame_open *open)
{
	struct cn_cursor in;
	struct cn_tlv tlv;
	const char *between = "";

	fputs(", \"options\": [", c->json);
	cn_cursor_init(&in, open->options, open->options_len);
	while (cn_tlv_next(&in, &tlv)) {
		fprintf(c->json, "%s[%" PRIu64 ", ", between, tlv.type);
		capture_hex(c->json, tlv.data, tlv.len);
		fputc(']', c->json);
		between = ", ";
	}
	fputc(']', c->json);
}

static void
put_block_ack(struct capture *c, const struct cn_frame_block_ack *ack)
{
	capture_number(c, "next", ack->next);
	fputs(", \"ranges\": [", c->json);
	for (uint64_t i = 0; i < ack->ranges; i++) {
		fprintf(c->json, "%s[%" PRIu64 ", %" PRIu64 "]",
		    i == 0 ? "" : ", ", ack->range[i].skip, ack->range[i].run);
	}
	fputc(']', c->json);
}

/* @epoch  of a log; flags before it, as everywhere */
static void
put_log(struct capture *c, uint64_t flags, uint64_t epoch)
{
	capture_number(c, "flags", flags);
	capture_hash(c, "epoch", epoch);
}

static void
put_node(struct capture *c, const struct cn_frame_node *node)
{
	put_log(c, node->flags, node->epoch);
	capture_number(c, "level", node->level);
	capture_number(c, "index", node->index);
}

static void
put_extents(struct capture *c, const struct cn_frame_extents *extents)
{
	put_log(c, extents->flags, extents->epoch);
	capture_number(c, "sequence", extents->sequence);
	fputs(", \"hashes\": [", c->json);
	for (size_t i = 0; i < CN_LOG_EXTENTS; i++) {
		fprintf(c->json, "%s\"%08" PRIx32 "\"", i == 0 ? "" : ", ",
		    extents->hash[i]);
	}
	fputc(']', c->json);
}

static void
put_token(struct capture *c, uint64_t value)
{
	capture_hash(c, "token", value);
}

/* @is_verified  for FIN, HAVE and EXTENTS: what the receiver finds */
static void
put_fields(struct capture *c, const struct cn_frame *f, const char *is_verified)
{
	switch (f->type) {
	case CN_FRAME_OPEN:
		capture_number(c, "stream", f->u.open.stream);
		capture_number(c, "credit", f->u.open.credit);
		capture_hash(c, "scope", f->u.open.scope);
		capture_number(c, "flags", f->u.open.flags);
		put_text(
		    c, "service", f->u.open.service, f->u.open.service_len);
		put_options(c, &f->u.open);
		return;
	case CN_FRAME_DATA:
		capture_number(c, "stream", f->u.data.stream);
		capture_number(c, "offset", f->u.data.offset);
		put_bytes(c, "data", f->u.data.data, f->u.data.len);
		return;
	case CN_FRAME_FIN:
		capture_number(c, "stream", f->u.fin.stream);
		capture_number(c, "length", f->u.fin.length);
		put_bytes(c, "digest", f->u.fin.digest, CN_DIGEST_BYTES);
		fprintf(c->json, ", \"verified\": %s", is_verified);
		return;
	case CN_FRAME_RESET:
		capture_number(c, "stream", f->u.reset.stream);
		capture_number(c, "reason", f->u.reset.reason);
		return;
	case CN_FRAME_END:
		capture_number(c, "stream", f->u.end.stream);
		return;
	case CN_FRAME_DONE:
		capture_number(c, "stream", f->u.done.stream);
		return;
	case CN_FRAME_CREDIT:
		capture_number(c, "stream", f->u.credit.stream);
		capture_number(c, "offset", f->u.credit.offset);
		return;
	case CN_FRAME_ACK:
		capture_number(c, "stream", f->u.ack.stream);
		capture_number(c, "offset", f->u.ack.offset);
		return;
	case CN_FRAME_ACK_FIN:
		capture_number(c, "stream", f->u.ack_fin.stream);
		capture_number(c, "length", f->u.ack_fin.offset);
		return;
	case CN_FRAME_BLOCK_ACK:
		put_block_ack(c, &f->u.block_ack);
		return;
	case CN_FRAME_NACK:
		capture_number(c, "block", f->u.nack.block);
		capture_number(c, "reason", f->u.nack.reason);
		return;
	case CN_FRAME_MISS:
		capture_number(c, "stream", f->u.miss.stream);
		capture_number(c, "offset", f->u.miss.offset);
		capture_number(c, "length", f->u.miss.len);
		return;
	case CN_FRAME_PING:
		put_token(c, f->u.ping.token);
		return;
	case CN_FRAME_PONG:
		put_token(c, f->u.pong.token);
		return;
	case CN_FRAME_LANE_CLOSE:
		capture_number(c, "lane", f->u.lane_close.lane);
		capture_number(c, "generation", f->u.lane_close.generation);
		return;
	case CN_FRAME_RESUME:
		capture_number(c, "stream", f->u.resume.stream);
		capture_number(c, "received", f->u.resume.received);
		capture_number(c, "written", f->u.resume.written);
		capture_number(c, "credit", f->u.resume.credit);
		capture_number(c, "flags", f->u.resume.flags);
		return;
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		return;
	case CN_FRAME_CLOSE:
		capture_number(c, "code", f->u.close.code);
		put_text(c, "text", f->u.close.text, f->u.close.text_len);
		return;
	case CN_FRAME_HAVE:
		put_node(c, &f->u.have);
		capture_hash(c, "hash", f->u.have.hash);
		fprintf(c->json, ", \"same\": %s", is_verified);
		return;
	case CN_FRAME_WANT:
		put_node(c, &f->u.want);
		return;
	case CN_FRAME_EXTENTS:
		put_extents(c, &f->u.extents);
		fprintf(c->json, ", \"same\": %s", is_verified);
		return;
	case CN_FRAME_LACK:
		put_log(c, f->u.lack.flags, f->u.lack.epoch);
		capture_number(c, "pos", f->u.lack.pos);
		capture_number(c, "length", f->u.lack.len);
		return;
	}
}

void
capture_frames(struct capture *c, const struct cn_frame *frames, size_t count,
    const char *is_verified)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(c->json, "%s\n    {\"type\": \"%s\"", i == 0 ? "" : ",",
		    cn_frame_name(frames[i].type));
		put_fields(c, &frames[i], is_verified);
		fputc('}', c->json);
	}
}
