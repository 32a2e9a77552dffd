/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/depot.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateway/depot_private.h"
#include "store/export.h"

/* A step of a verification ends after so much: somebody waits for its reply,
 * and others for the pool. */
#define STEP_US 100000u
#define STEP_SEGMENTS 64u
#define ALIGN 4096u
/* How long an import waits for a disk that is behind. */
#define PATIENCE_US 2000000u
#define PATIENCE_MS 5u

struct cn_depot_stream {
	struct cn_export out;
	struct cn_import in;
	uint64_t at; /* cursor of the next step */
	/* Of an import: the head, the lead or the record that is coming. */
	bool has_head, has_lead;
	size_t len;
	uint8_t buffer[CN_EXPORT_RECORD_MAX];
};

/* ---- in the pool ---- */

/*
 * The next segment above the cursor.
 *
 * Returns CN_OK (image holds it), CN_ECODING (it was damaged), CN_EEND.
 */
static int
walk(struct cn_depot_work *work, uint8_t *image)
{
	uint64_t before = work->cursor;
	int err = cn_store_walk(work->depot->store, &work->cursor, image);

	if (err == CN_EEND) {
		return err;
	}
	if (work->cursor <= before) {
		return CN_EEND; /* it cannot go on */
	}
	work->next = work->cursor;
	work->walk.segments++;
	if (err != CN_OK) {
		/* What cannot be read is of no more use than what was
		 * changed. */
		work->walk.damaged++;
		return CN_ECODING;
	}
	work->walk.bytes += CN_SEGMENT_BYTES;
	return CN_OK;
}

static void
verify(struct cn_depot_work *work, uint8_t *image)
{
	uint64_t end = cn_clock_us() + STEP_US;
	int err;

	do {
		err = walk(work, image);
	} while (err != CN_EEND && work->walk.segments < STEP_SEGMENTS &&
	    cn_clock_us() < end);
	if (err == CN_EEND) {
		work->next = 0;
	}
}

/* ---- exports ---- */

/* The stream begins: its head goes out first. */
static int
begin_export(struct cn_depot_work *work)
{
	struct cn_depot_stream *stream = work->stream;
	int err;

	cn_export_fini(&stream->out);
	err = cn_export_begin(
	    &stream->out, work->key, NULL, work->depot->own, work->bytes);
	work->len = err == CN_OK ? CN_EXPORT_HEAD_BYTES : 0;
	return err;
}

static void
export_next(struct cn_depot_work *work, uint8_t *image)
{
	struct cn_depot_stream *stream = work->stream;
	size_t len = 0;
	int err;

	if (work->cursor != 0 && work->cursor != stream->at) {
		work->err = CN_EINVAL;
		return;
	}
	work->bytes = cn_alloc(CN_EXPORT_HEAD_BYTES + CN_EXPORT_RECORD_MAX);
	if (work->bytes == NULL) {
		work->err = CN_ENOMEM;
		return;
	}
	err = work->cursor == 0 ? begin_export(work) : CN_OK;
	if (err == CN_OK) {
		err = walk(work, image);
	}
	if (err == CN_OK) {
		err = cn_export_image(&stream->out, work->depot->key, image,
		    work->bytes + work->len, &len);
		work->len += err == CN_OK ? len : 0;
		work->walk.damaged += err == CN_ECODING;
	} else if (err == CN_EEND) {
		work->next = 0;
		err = cn_export_end(&stream->out, work->bytes + work->len);
		work->len += err == CN_OK ? CN_EXPORT_LEAD_BYTES : 0;
	}
	stream->at = work->next;
	/* What is damaged is counted, and left out. */
	work->err = err == CN_ECODING ? CN_OK : err;
}

/* ---- imports ---- */

/* Extents of one scope that stand together, from *first on. */
static bool
next_piece(const struct cn_image_info *info, uint32_t *first,
    struct cn_store_piece *piece)
{
	uint32_t i = *first;
	const struct cn_image_extent *extent = info->extent;

	while (i < CN_SEGMENT_EXTENTS && extent[i].used == 0) {
		i++;
	}
	if (i == CN_SEGMENT_EXTENTS) {
		return false;
	}
	*first = i;
	piece->offset = i << CN_EXTENT_SHIFT;
	piece->pos = piece->offset;
	piece->len = extent[i].used;
	for (i++;
	     i < CN_SEGMENT_EXTENTS && extent[i - 1].used == CN_EXTENT_BYTES &&
	     extent[i].used > 0 && extent[i].scope == extent[i - 1].scope;
	     i++) {
		piece->len += extent[i].used;
	}
	return true;
}

/* Find the chunks of a segment again. */
static void
find_chunks(struct cn_depot *depot, const struct cn_pair *pair,
    const uint8_t *plain, struct cn_image_info *info,
    struct cn_store_chunk *chunk)
{
	struct cn_store_piece piece;
	uint32_t at = 0;

	info->chunks = 0;
	while (next_piece(info, &at, &piece)) {
		info->chunks += (uint32_t)cn_match_table(depot->matcher, pair,
		    info->extent[at].scope, plain, &piece, chunk + info->chunks,
		    CN_IMAGE_CHUNKS_MAX - info->chunks);
		at = (piece.offset + piece.len + CN_EXTENT_BYTES - 1) >>
		    CN_EXTENT_SHIFT;
	}
}

/*
 * What comes from elsewhere has no chunks: their keys are this store's own.
 *
 * Returns CN_OK or an error of the image.
 */
static int
complete(struct cn_depot *depot, uint8_t *image)
{
	struct cn_store_chunk *chunk =
	    cn_alloc(CN_IMAGE_CHUNKS_MAX * sizeof(*chunk));
	uint8_t *plain = cn_alloc(CN_SEGMENT_BYTES);
	struct cn_pair *pair = NULL;
	struct cn_image_info info;
	int err = CN_ENOMEM;

	if (chunk != NULL && plain != NULL) {
		err = cn_image_open_data(depot->key, image, &info, plain);
	}
	if (err == CN_OK && info.chunks == 0) {
		pair = cn_store_pair(depot->store, info.peer);
		err = pair == NULL ? CN_ENOMEM : CN_OK;
	}
	if (pair != NULL) {
		find_chunks(depot, pair, plain, &info, chunk);
		cn_pair_put(&pair);
		err = cn_image_seal(depot->key, &info, chunk, plain, image);
	}
	cn_free(plain);
	cn_free(chunk);
	return err;
}

/* Take an image in.  Returns CN_OK also where it is not kept. */
static int
adopt(struct cn_depot_work *work, uint8_t *image)
{
	struct cn_depot *depot = work->depot;
	uint64_t end = cn_clock_us() + PATIENCE_US;
	int err = complete(depot, image);

	if (err == CN_OK) {
		err = cn_store_adopt(depot->store, image, cn_clock_us());
	}
	/* The disk is behind. */
	while (err == CN_EAGAIN && cn_clock_us() < end) {
		uv_sleep(PATIENCE_MS);
		err = cn_store_adopt(depot->store, image, cn_clock_us());
	}
	switch (err) {
	case CN_OK:
		work->walk.bytes += CN_SEGMENT_BYTES;
		break;
	case CN_EEXIST:
		work->walk.known++;
		break;
	case CN_EAGAIN:
	case CN_ENOSPC:
		work->walk.no_room++;
		break;
	default:
		return err;
	}
	return CN_OK;
}

static int
import_record(struct cn_depot_work *work, const uint8_t *record, size_t len,
    uint8_t *image)
{
	struct cn_depot_stream *stream = work->stream;
	int err;

	if (len == CN_EXPORT_LEAD_BYTES) {
		err = cn_import_end(&stream->in, record, len);
		work->walk.whole = err == CN_OK;
		return err;
	}
	err =
	    cn_import_image(&stream->in, work->depot->key, record, len, image);
	if (err == CN_OK || err == CN_EPEER) {
		work->walk.segments++;
	}
	if (err == CN_EPEER) {
		work->walk.foreign++;
		return CN_OK;
	}
	return err == CN_OK ? adopt(work, image) : err;
}

/*
 * Bytes that the stream needs to go on with: of the head, of a lead, of a
 * whole record.
 */
static int
wanted(struct cn_depot_stream *stream, bool has_head, size_t *ret)
{
	*ret = has_head ? CN_EXPORT_LEAD_BYTES : CN_EXPORT_HEAD_BYTES;
	if (!has_head || stream->len < CN_EXPORT_LEAD_BYTES) {
		return CN_OK;
	}
	return cn_import_length(&stream->in, stream->buffer, ret);
}

/* Move what is wanted from the work's bytes.  Returns whether it is there. */
static bool
gather(struct cn_depot_work *work, size_t *at, size_t want)
{
	struct cn_depot_stream *stream = work->stream;
	size_t n = CN_MIN(want - stream->len, work->len - *at);

	memcpy(stream->buffer + stream->len, work->bytes + *at, n);
	stream->len += n;
	*at += n;
	return stream->len == want;
}

static int
import_bytes(struct cn_depot_work *work, uint8_t *image)
{
	struct cn_depot_stream *stream = work->stream;
	size_t at = 0, want;
	int err = CN_OK;

	while (err == CN_OK && work->walk.whole == 0) {
		err = wanted(stream, stream->has_head, &want);
		if (err != CN_OK || !gather(work, &at, want)) {
			return err;
		}
		if (!stream->has_head) {
			err = cn_import_begin(&stream->in, work->key,
			    work->depot->own, stream->buffer);
			stream->has_head = true;
		} else if (!stream->has_lead) {
			/* Its length is known now. */
			err = cn_import_length(
			    &stream->in, stream->buffer, &want);
			stream->has_lead = true;
			if (err != CN_OK || want != stream->len) {
				continue;
			}
		}
		if (err == CN_OK && stream->has_lead) {
			err = import_record(
			    work, stream->buffer, stream->len, image);
			stream->has_lead = false;
		}
		stream->len = 0;
	}
	return err;
}

static void
import_next(struct cn_depot_work *work, uint8_t *image)
{
	struct cn_depot_stream *stream = work->stream;

	if (work->cursor == 0) {
		cn_import_fini(&stream->in);
		stream->len = 0;
		stream->has_head = stream->has_lead = false;
	} else if (work->cursor != stream->at) {
		work->err = CN_EINVAL;
		return;
	}
	work->err = import_bytes(work, image);
	stream->at = work->cursor + work->len;
	work->next =
	    work->err == CN_OK && work->walk.whole == 0 ? stream->at : 0;
	cn_free(work->bytes);
	work->bytes = NULL;
	work->len = 0;
}

struct cn_depot_stream *
cn_depot_stream_create(void)
{
	return cn_calloc(1, sizeof(struct cn_depot_stream));
}

void
cn_depot_stream_free(struct cn_depot_stream **sp)
{
	struct cn_depot_stream *stream = *sp;

	*sp = NULL;
	if (stream != NULL) {
		cn_export_fini(&stream->out);
		cn_import_fini(&stream->in);
		cn_free(stream);
	}
}

/* ---- steps ---- */

static void
run(uv_work_t *uv)
{
	struct cn_depot_work *work =
	    CN_CONTAINER_OF(uv, struct cn_depot_work, work);
	uint8_t *image = NULL;

	if (work->step == CN_DEPOT_TRIM) {
		cn_store_trim(work->depot->store, work->cursor);
		return;
	}
	image = cn_alloc_aligned(ALIGN, CN_IMAGE_BYTES);
	if (image == NULL) {
		work->err = CN_ENOMEM;
		return;
	}
	switch (work->step) {
	case CN_DEPOT_VERIFY:
		verify(work, image);
		break;
	case CN_DEPOT_EXPORT:
		export_next(work, image);
		break;
	case CN_DEPOT_IMPORT:
		import_next(work, image);
		break;
	case CN_DEPOT_TRIM:
		break;
	}
	cn_free(image);
}

/* ---- on the loop ---- */

static void begin(struct cn_depot *depot);

static void
after(uv_work_t *uv, int status)
{
	struct cn_depot_work *work =
	    CN_CONTAINER_OF(uv, struct cn_depot_work, work);
	struct cn_depot *depot = work->depot;

	if (status != 0) {
		work->err = CN_ECLOSED;
	}
	explicit_bzero(work->key, sizeof(work->key));
	cn_list_remove(&work->item);
	begin(depot);
	work->done(work);
}

/* The first in the list, if any. */
static void
begin(struct cn_depot *depot)
{
	struct cn_list *item = cn_list_first(&depot->works);
	struct cn_depot_work *work;

	if (item == NULL) {
		return;
	}
	work = CN_LIST_ENTRY(item, struct cn_depot_work, item);
	/* It fails only without a function to run. */
	(void)uv_queue_work(depot->loop, &work->work, run, after);
}

void
cn_depot_work(struct cn_depot *depot, struct cn_depot_work *work)
{
	bool is_idle = cn_list_is_empty(&depot->works);

	work->depot = depot;
	cn_list_init(&work->item);
	cn_list_append(&depot->works, &work->item);
	if (is_idle) {
		begin(depot);
	}
}

void
cn_depot_work_free(struct cn_depot_work **wp)
{
	struct cn_depot_work *work = *wp;

	*wp = NULL;
	if (work != NULL) {
		explicit_bzero(work->key, sizeof(work->key));
		cn_free(work->bytes);
		cn_free(work);
	}
}
