/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_MESSAGE_H
#define CN_CONTROL_MESSAGE_H

/*
 * Requests and replies of the control socket: one JSON object a line.
 *
 *   -> {"v":1,"id":7,"cmd":"streams","cursor":0,"limit":100}
 *   <- {"id":7,"ok":true,"data":{...},"next":4711}
 *   <- {"id":7,"ok":false,"error":{"code":"not-found","message":"..."}}
 *
 * A caller may send the next request before the reply to the last; replies
 * come in the order of the requests.  Long lists come in pages: `next' is
 * the cursor of the following page and is absent at the end.
 *
 * The gateway's turn, for each whole line (without its newline):
 *
 *   err = cn_request_decode(line, len, &req);      never trusts the line
 *   if (err < 0)                        cn_reply_refused(out, &req);
 *   else if (grant < cn_request_access(&req))
 *           cn_reply_error(out, req.id, CN_REPLY_NOT_ALLOWED, NULL, "...");
 *   else    cn_reply_status(out, req.id, &status);   and so on
 *
 * The bytes of an export of the store are not JSON: after a line that says
 * "payload":n, n raw bytes follow, of a request (store-import) or of a reply
 * (store-export).
 *
 * The connection that warms a store or probes a peer comes as a descriptor
 * beside the first byte of its request (store-warm, probe).
 *
 * A line longer than CN_REQUEST_MAX: answer CN_REPLY_TOO_LONG with id 0 and
 * close, for its end cannot be found within bounds.
 *
 * Life:       structs are the caller's; nothing is kept between calls.
 * Thread:     any, after cn_message_setup().
 * Document:   doc/management.md, "Control socket".
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/diag.h"
#include "control/access.h"
#include "control/event.h"
#include "control/snapshot.h"

#define CN_MESSAGE_VERSION 1u
/* A request's and a reply's line, newline included, bytes. */
#define CN_REQUEST_MAX 4096u
#define CN_REPLY_MAX (4u * 1024u * 1024u)
/* Raw bytes behind one line. */
#define CN_PAYLOAD_MAX (2u * 1024u * 1024u)
/* Key that an export is sealed with. */
#define CN_REQUEST_KEY_BYTES 32u
/* Offers of an invitation, forwards of a joining, and the text of one:
 * a name, '=', an address. */
#define CN_REQUEST_ITEMS_MAX 16u
#define CN_REQUEST_ITEM_MAX 336u
/* Text of a token of joining, and of an etag, with their NUL. */
#define CN_REQUEST_TOKEN_MAX CN_SNAP_TOKEN
#define CN_REQUEST_ETAG_MAX 64u
/* How long an invitation may be open, seconds. */
#define CN_REQUEST_EXPIRES_S 600u
#define CN_REQUEST_EXPIRES_MAX_S 86400u
/* Text of an error, bytes. */
#define CN_REPLY_TEXT_MAX 400u
/* What the gateway should grant on one socket; see doc/management.md. */
#define CN_CONTROL_CALLERS_MAX 32u

enum cn_command {
	CN_COMMAND_NONE,
	CN_COMMAND_VERSION,     /* cn_reply_version() */
	CN_COMMAND_STATUS,      /* cn_reply_status() */
	CN_COMMAND_STREAMS,     /* cn_reply_streams(), with cursor, limit */
	CN_COMMAND_STREAM_SHOW, /* cn_reply_stream(), of `stream' */
	CN_COMMAND_STREAM_KILL, /* cn_reply_done() */
	CN_COMMAND_STREAM_WHY,  /* cn_reply_why(), of `stream' */
	CN_COMMAND_PEERS,       /* cn_reply_peers() */
	CN_COMMAND_SERVICES,    /* cn_reply_services(), offers too */
	/* cn_reply_why(), of `service', which may be an offer */
	CN_COMMAND_SERVICE_WHY,
	CN_COMMAND_SERVICE_TEST, /* cn_reply_test(), of `target' */
	CN_COMMAND_CONFIG,       /* cn_reply_config(): effective, as YAML */
	CN_COMMAND_CONFIG_DIFF,  /* cn_reply_reload(): what a reload would do */
	/* cn_reply_reload(), with `etag'; the new text follows the request. */
	CN_COMMAND_CONFIG_WRITE,
	CN_COMMAND_RELOAD,      /* cn_reply_reload() */
	CN_COMMAND_PEER_DRAIN,  /* cn_reply_done(), of `peer' */
	CN_COMMAND_PEER_RESUME, /* cn_reply_done(), of `peer' */
	CN_COMMAND_PEER_REMOVE, /* cn_reply_reload(), of `peer' */
	/* cn_reply_invite(), of `peer', `address', `items', `expires_s' */
	CN_COMMAND_INVITE,
	/* cn_reply_join(), when it is over, with `token', `peer', `items' */
	CN_COMMAND_JOIN,
	CN_COMMAND_EVENTS, /* cn_reply_events(), with cursor, limit */
	CN_COMMAND_STORE,  /* cn_reply_store() */
	/* cn_reply_walk(), step by step: cursor, and `next' of the reply. */
	CN_COMMAND_STORE_VERIFY,
	CN_COMMAND_STORE_TRIM, /* cn_reply_done(), to `bytes' */
	/* A step, with key; bytes of the export follow the reply. */
	CN_COMMAND_STORE_EXPORT,
	/* A step, with key: the bytes from cursor on follow the request. */
	CN_COMMAND_STORE_IMPORT,
	/*
	 * cn_reply_warm(), of `service' and perhaps `client', with one end of
	 * a TCP connection as SCM_RIGHTS beside the line's first byte.
	 */
	CN_COMMAND_STORE_WARM,
	CN_COMMAND_STORE_WARM_END, /* cn_reply_warm(), once it is over */
	/*
	 * cn_reply_warm(), of `peer' and `service', one of those that every
	 * gateway has ("/echo"), with a descriptor as STORE_WARM.
	 */
	CN_COMMAND_PROBE,
	CN_COMMAND_PROBE_END, /* cn_reply_warm(), once it is over */
	CN_COMMAND_MAX
};

enum cn_reply_code {
	CN_REPLY_OK,
	CN_REPLY_BAD_REQUEST,     /* no JSON, missing or wrong fields */
	CN_REPLY_UNKNOWN_COMMAND, /* an older gateway, or a typing error */
	CN_REPLY_VERSION_MISMATCH,
	CN_REPLY_TOO_LONG,
	CN_REPLY_NOT_ALLOWED,
	CN_REPLY_NOT_FOUND, /* no such stream; no store */
	CN_REPLY_CONFIG,    /* with diagnostics */
	CN_REPLY_CONFLICT,  /* somebody else changed it meanwhile */
	CN_REPLY_REFUSED,   /* another gateway said no, or did not answer */
	CN_REPLY_BUSY,      /* come again */
	CN_REPLY_INTERNAL,
	CN_REPLY_CODE_MAX
};

struct cn_request {
	uint64_t id; /* the caller's; comes back in the reply */
	enum cn_command command;
	/* STREAM_SHOW, STREAM_KILL, STREAM_WHY: cn_snap_stream.id */
	uint64_t stream;
	uint64_t cursor; /* where pages: 0 starts; else `next' of a reply */
	uint32_t limit;  /* STREAMS, EVENTS: 1..CN_SNAP_STREAMS_PAGE */
	uint64_t bytes;  /* STORE_TRIM: that may be left */
	/* STORE_IMPORT: that follow; also of what did not decode, as far as
	 * it could be read: they follow all the same. */
	uint32_t payload;
	uint8_t key[CN_REQUEST_KEY_BYTES]; /* STORE_EXPORT, _IMPORT */
	/* STORE_WARM, SERVICE_WHY, PROBE */
	char service[CN_SNAP_NAME];
	char target[CN_SNAP_TEXT];        /* SERVICE_TEST: HOST:PORT */
	bool is_stored;                   /* PROBE: both sides may keep it */
	char client[CN_SNAP_TEXT];        /* STORE_WARM: an address; "" */
	char peer[CN_SNAP_NAME];          /* PEER_..., INVITE, JOIN, PROBE */
	char etag[CN_REQUEST_ETAG_MAX];   /* CONFIG_WRITE */
	char token[CN_REQUEST_TOKEN_MAX]; /* JOIN */
	/* INVITE: where the other gateway reaches us. */
	char address[CN_REQUEST_ITEM_MAX];
	uint32_t expires_s; /* INVITE; 0: CN_REQUEST_EXPIRES_S */
	/* INVITE: `offers', "NAME=ADDRESS" or the name of one that is there;
	 * JOIN: `forwards', "NAME=LISTEN". */
	char items[CN_REQUEST_ITEMS_MAX][CN_REQUEST_ITEM_MAX];
	uint32_t items_count;
	/* Set by a failed decode: why, and the words for it. */
	enum cn_reply_code code;
	char text[CN_REPLY_TEXT_MAX];
};

/*
 * Make jansson allocate through cn_alloc().  Once, before threads start and
 * before any other call here.
 */
void cn_message_setup(void);

/* ---- requests ---- */

/*
 * @line  without its newline; any bytes
 *
 * Returns CN_OK; CN_EPROTO with id (as far as it could be read), code and
 * text set; CN_ENOMEM likewise (INTERNAL).  Memory that runs out inside the
 * JSON parser may show as either.
 */
int cn_request_decode(
    const char *line, size_t len, struct cn_request *ret) CN_MUSTCHECK;

/* Append one line.  CN_OK, CN_ENOMEM, CN_ELIMIT (the buffer's cap). */
int cn_request_encode(
    const struct cn_request *request, struct cn_buf *out) CN_MUSTCHECK;

/* "status"; "none" for what is no command. */
const char *cn_command_name(enum cn_command command);
/* Grant that a request needs. */
enum cn_access cn_request_access(const struct cn_request *request);

/* ---- replies; all append one line to out ---- */

/*
 * All return CN_OK; CN_ENOMEM or CN_ELIMIT, and then out is as before, so
 * that cn_reply_error() can say so.
 */
int cn_reply_version(struct cn_buf *out, uint64_t id) CN_MUSTCHECK;
int cn_reply_status(struct cn_buf *out, uint64_t id,
    const struct cn_snap_status *status) CN_MUSTCHECK;
/* @next  cursor of the following page; 0: this is the last */
int cn_reply_streams(struct cn_buf *out, uint64_t id,
    const struct cn_snap_streams *streams, uint64_t next) CN_MUSTCHECK;
int cn_reply_stream(struct cn_buf *out, uint64_t id,
    const struct cn_snap_stream *stream) CN_MUSTCHECK;
int cn_reply_peers(struct cn_buf *out, uint64_t id,
    const struct cn_snap_peers *peers) CN_MUSTCHECK;
int cn_reply_services(struct cn_buf *out, uint64_t id,
    const struct cn_snap_services *services) CN_MUSTCHECK;
int cn_reply_why(struct cn_buf *out, uint64_t id,
    const struct cn_snap_why *why) CN_MUSTCHECK;
int cn_reply_test(struct cn_buf *out, uint64_t id,
    const struct cn_snap_test *test) CN_MUSTCHECK;
/* What the `config' command tells; all borrowed. */
struct cn_reply_config {
	const char *file; /* the main one */
	const char *yaml; /* of cn_config_dump() */
	size_t yaml_len;
	const char *etag;    /* of conf.d/managed.yaml */
	const char *managed; /* its text */
	size_t managed_len;  /* 0: it is empty, or not there */
};
int cn_reply_config(struct cn_buf *out, uint64_t id,
    const struct cn_reply_config *config) CN_MUSTCHECK;
/*
 * A reload that was taken over; diags holds its warnings or is NULL.
 *
 * @changes  one line of text for each change, or ""
 */
int cn_reply_reload(struct cn_buf *out, uint64_t id, const char *changes,
    const struct cn_diag_list *diags) CN_MUSTCHECK;
/* @next  as of streams */
int cn_reply_events(struct cn_buf *out, uint64_t id,
    const struct cn_snap_events *events, uint64_t next) CN_MUSTCHECK;
int cn_reply_store(struct cn_buf *out, uint64_t id,
    const struct cn_snap_store *store) CN_MUSTCHECK;
/*
 * A step over the store.
 *
 * @next     cursor of the following step; 0: this was the last
 * @payload  bytes that the caller sends behind the line; 0: none
 */
int cn_reply_walk(struct cn_buf *out, uint64_t id,
    const struct cn_snap_walk *walk, uint64_t next,
    uint32_t payload) CN_MUSTCHECK;
int cn_reply_warm(struct cn_buf *out, uint64_t id,
    const struct cn_snap_warm *warm) CN_MUSTCHECK;
int cn_reply_invite(struct cn_buf *out, uint64_t id,
    const struct cn_snap_invite *invite) CN_MUSTCHECK;
int cn_reply_join(struct cn_buf *out, uint64_t id,
    const struct cn_snap_join *joined) CN_MUSTCHECK;
/* Done, nothing to tell. */
int cn_reply_done(struct cn_buf *out, uint64_t id) CN_MUSTCHECK;

/* @diags  for CN_REPLY_CONFIG, else NULL */
int cn_reply_error(struct cn_buf *out, uint64_t id, enum cn_reply_code code,
    const struct cn_diag_list *diags, const char *fmt, ...) CN_MUSTCHECK
    CN_PRINTF(5, 6);
/* The answer to a request that did not decode. */
int cn_reply_refused(
    struct cn_buf *out, const struct cn_request *request) CN_MUSTCHECK;

/* "not-found"; "unknown" for what is no code. */
const char *cn_reply_code_name(enum cn_reply_code code);

/* ---- the caller's side of replies ---- */

struct cn_reply {
	uint64_t id;
	bool is_ok;
	json_t *data;     /* owned; an object; NULL unless is_ok */
	uint64_t next;    /* 0: the end */
	uint32_t payload; /* bytes that follow the line */
	enum cn_reply_code code;
	char text[CN_REPLY_TEXT_MAX];
	struct cn_diag_list diags; /* of errors and reloads */
};

void cn_reply_init(struct cn_reply *reply);
void cn_reply_fini(struct cn_reply *reply);

/*
 * @reply  after cn_reply_init() or _fini()
 *
 * Returns CN_OK (an error of the gateway is a reply too: see is_ok),
 * CN_EPROTO, CN_ELIMIT or CN_ENOMEM; reply is then as after init.
 */
int cn_reply_decode(
    const char *line, size_t len, struct cn_reply *reply) CN_MUSTCHECK;

#endif /* CN_CONTROL_MESSAGE_H */
