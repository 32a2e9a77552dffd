/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/asker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "control/client.h"
#include "manage/problem.h"

#define BODY_MAX (CN_REPLY_MAX + 4096u)

struct slot {
	char key[CN_ASKER_KEY_MAX];
	struct cn_answer *answer; /* a reference; NULL: none yet */
	uint64_t made_us;         /* when it was asked for */
	uint64_t used_us;
	bool is_asking;
};

struct cn_asker {
	char socket[CN_SNAP_PATH];
	uint64_t timeout_us;

	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct slot slot[CN_ASKER_SLOTS];
	size_t bytes;        /* of the answers in slots */
	unsigned own;        /* connections of changes */
	uint64_t changed_us; /* what is older is not true any more */
	uint64_t asked;

	pthread_mutex_t client_lock;
	struct cn_client *client; /* of reads; NULL while closed */
};

int
cn_asker_create(const char *socket, uint64_t timeout_us, struct cn_asker **ret)
{
	struct cn_asker *asker = cn_calloc(1, sizeof(*asker));

	if (asker == NULL) {
		return CN_ENOMEM;
	}
	asker->timeout_us = timeout_us;
	cn_snap_text(asker->socket, sizeof(asker->socket), socket);
	(void)pthread_mutex_init(&asker->lock, NULL);
	(void)pthread_mutex_init(&asker->client_lock, NULL);
	(void)pthread_cond_init(&asker->answered, NULL);
	*ret = asker;
	return CN_OK;
}

void
cn_answer_free(struct cn_answer **ap)
{
	struct cn_answer *answer = *ap;

	*ap = NULL;
	if (answer != NULL && atomic_fetch_sub(&answer->holders, 1) == 1) {
		json_decref(answer->data);
		cn_free(answer->body);
		cn_free(answer);
	}
}

void
cn_asker_free(struct cn_asker **ap)
{
	struct cn_asker *asker = *ap;

	*ap = NULL;
	if (asker == NULL) {
		return;
	}
	for (size_t i = 0; i < CN_ASKER_SLOTS; i++) {
		cn_answer_free(&asker->slot[i].answer);
	}
	cn_client_close(&asker->client);
	(void)pthread_mutex_destroy(&asker->lock);
	(void)pthread_mutex_destroy(&asker->client_lock);
	(void)pthread_cond_destroy(&asker->answered);
	cn_free(asker);
}

/* ---- answers ---- */

/* Take the buffer's bytes over. */
static int
finish(struct cn_answer *answer, struct cn_buf *body)
{
	answer->body = cn_memdup(body->data, body->len);
	answer->len = body->len;
	return answer->body == NULL ? CN_ENOMEM : CN_OK;
}

static int
append(const char *bytes, size_t len, void *data)
{
	return cn_buf_append(data, bytes, len) == CN_OK ? 0 : -1;
}

/* The data of a reply; `next' goes in beside it. */
static int
good_answer(struct cn_answer *answer, const struct cn_reply *reply)
{
	const char *etag =
	    json_string_value(json_object_get(reply->data, "etag"));
	struct cn_buf body;
	int err = CN_OK;

	answer->status = 200;
	answer->data = json_incref(reply->data);
	answer->next = reply->next;
	if (etag != NULL) {
		cn_snap_text(answer->etag, sizeof(answer->etag), etag);
	}
	if (reply->next != 0 &&
	    json_object_set_new(answer->data, "next",
		json_integer((json_int_t)reply->next)) != 0) {
		return CN_ENOMEM;
	}
	cn_buf_init(&body, BODY_MAX);
	if (json_dump_callback(answer->data, append, &body, JSON_COMPACT) !=
		0 ||
	    cn_buf_append(&body, "\n", 1) != CN_OK) {
		err = CN_ENOMEM;
	}
	if (err == CN_OK) {
		err = finish(answer, &body);
	}
	cn_buf_fini(&body);
	return err;
}

static int
problem_answer(struct cn_answer *answer, unsigned status, const char *code,
    const char *detail, const struct cn_diag_list *diags)
{
	struct cn_buf body;
	int err;

	answer->status = status;
	cn_buf_init(&body, BODY_MAX);
	err = cn_problem_encode(&body, status, code, detail, diags);
	if (err == CN_OK) {
		err = finish(answer, &body);
	}
	cn_buf_fini(&body);
	return err;
}

/* No reply came. */
static int
unreachable(struct cn_answer *answer, int err)
{
	char detail[CN_REPLY_TEXT_MAX];

	if (err == CN_EINVAL) {
		return problem_answer(answer, 400, "bad-request",
		    "the request's fields are too long", NULL);
	}
	(void)snprintf(detail, sizeof(detail),
	    err == CN_EACCES || err == CN_EPERM
		? "serve's user may not talk to the gateway: %s"
		: "no gateway answers: %s",
	    cn_err_text(err));
	return problem_answer(answer, 503, "unreachable", detail, NULL);
}

static int
make_answer(struct cn_answer *answer, int err, const struct cn_reply *reply)
{
	if (err < 0) {
		return unreachable(answer, err);
	}
	if (reply->is_ok) {
		return good_answer(answer, reply);
	}
	return problem_answer(answer, cn_problem_of_reply(reply->code),
	    cn_reply_code_name(reply->code),
	    reply->code == CN_REPLY_UNKNOWN_COMMAND
		? "the gateway does not know this: it is older than serve"
		: reply->text,
	    &reply->diags);
}

/* ---- asking ---- */

static uint64_t
timeout_of(const struct cn_asker *asker, const struct cn_question *question)
{
	return question->timeout_us != 0 ? question->timeout_us
					 : asker->timeout_us;
}

/* Over a connection of its own. */
static int
ask_alone(struct cn_asker *asker, const struct cn_question *question,
    struct cn_reply *reply)
{
	struct cn_client *client = NULL;
	int err =
	    cn_client_open(asker->socket, timeout_of(asker, question), &client);

	if (err == CN_OK) {
		err = cn_client_pass(client, question->command,
		    question->fields, question->payload, reply);
	}
	cn_client_close(&client);
	return err;
}

/* Over the connection of reads; a gateway that was started again is no
 * failure. */
static int
ask_shared(struct cn_asker *asker, const struct cn_question *question,
    struct cn_reply *reply)
{
	bool is_new = false;
	int err = CN_OK;

	pthread_mutex_lock(&asker->client_lock);
	for (;;) {
		if (asker->client == NULL) {
			is_new = true;
			err = cn_client_open(
			    asker->socket, asker->timeout_us, &asker->client);
		}
		if (err == CN_OK) {
			err = cn_client_pass(asker->client, question->command,
			    question->fields, NULL, reply);
		}
		if (err == CN_OK || err == CN_EINVAL) {
			break;
		}
		cn_client_close(&asker->client);
		if (is_new) {
			break;
		}
		err = CN_OK;
	}
	pthread_mutex_unlock(&asker->client_lock);
	return err;
}

static int
ask(struct cn_asker *asker, const struct cn_question *question, bool is_shared,
    struct cn_answer **ret)
{
	struct cn_answer *answer = cn_calloc(1, sizeof(*answer));
	struct cn_reply reply;
	int err;

	if (answer == NULL) {
		return CN_ENOMEM;
	}
	atomic_init(&answer->holders, 1);
	cn_reply_init(&reply);
	err = is_shared ? ask_shared(asker, question, &reply)
			: ask_alone(asker, question, &reply);
	err = make_answer(answer, err, &reply);
	cn_reply_fini(&reply);
	if (err < 0) {
		cn_answer_free(&answer);
		return err;
	}
	*ret = answer;
	return CN_OK;
}

static int
ask_own(struct cn_asker *asker, const struct cn_question *question,
    struct cn_answer **ret)
{
	struct cn_answer *answer = NULL;
	bool is_full;
	int err;

	pthread_mutex_lock(&asker->lock);
	is_full = asker->own >= CN_ASKER_OWN_MAX;
	asker->own += is_full ? 0 : 1;
	asker->asked += is_full ? 0 : 1;
	pthread_mutex_unlock(&asker->lock);
	if (is_full) {
		answer = cn_calloc(1, sizeof(*answer));
		if (answer == NULL) {
			return CN_ENOMEM;
		}
		atomic_init(&answer->holders, 1);
		err = problem_answer(answer, 503, "busy",
		    "too many changes are under way: try again", NULL);
		if (err < 0) {
			cn_answer_free(&answer);
			return err;
		}
		*ret = answer;
		return CN_OK;
	}
	err = ask(asker, question, false, ret);
	pthread_mutex_lock(&asker->lock);
	asker->own--;
	if (question->is_change) {
		asker->changed_us = cn_clock_us();
	}
	pthread_mutex_unlock(&asker->lock);
	return err;
}

/* ---- the cache; locked ---- */

static struct slot *
find_slot(struct cn_asker *asker, const char *key)
{
	for (size_t i = 0; i < CN_ASKER_SLOTS; i++) {
		if (strcmp(asker->slot[i].key, key) == 0) {
			return &asker->slot[i];
		}
	}
	return NULL;
}

static void
empty_slot(struct cn_asker *asker, struct slot *slot)
{
	if (slot->answer != NULL) {
		asker->bytes -= slot->answer->len;
	}
	cn_answer_free(&slot->answer);
}

/* The one that was not used for the longest; NULL: all are being asked. */
static struct slot *
oldest_slot(struct cn_asker *asker, bool with_answer)
{
	struct slot *oldest = NULL;

	for (size_t i = 0; i < CN_ASKER_SLOTS; i++) {
		struct slot *slot = &asker->slot[i];

		if (slot->is_asking || (with_answer && slot->answer == NULL)) {
			continue;
		}
		if (oldest == NULL || slot->used_us < oldest->used_us) {
			oldest = slot;
		}
	}
	return oldest;
}

static struct slot *
take_slot(struct cn_asker *asker, const char *key)
{
	struct slot *slot = oldest_slot(asker, false);

	if (slot != NULL) {
		empty_slot(asker, slot);
		slot->made_us = 0;
		memcpy(slot->key, key, strlen(key) + 1);
	}
	return slot;
}

static bool
is_fresh(const struct cn_asker *asker, const struct slot *slot, uint64_t now,
    uint64_t max_age_us)
{
	if (slot->answer == NULL || slot->made_us <= asker->changed_us) {
		return false;
	}
	if (slot->answer->status != 200) {
		max_age_us = CN_MIN(max_age_us, CN_ASKER_FAILURE_US);
	}
	return now - slot->made_us < max_age_us;
}

static void
hold(struct cn_answer *answer, struct cn_answer **ret)
{
	(void)atomic_fetch_add(&answer->holders, 1);
	*ret = answer;
}

/* Keep an answer, as long as there is room. */
static void
keep(struct cn_asker *asker, struct slot *slot, struct cn_answer *answer,
    uint64_t asked_us)
{
	struct slot *oldest;

	empty_slot(asker, slot);
	hold(answer, &slot->answer);
	slot->made_us = asked_us;
	asker->bytes += answer->len;
	while (asker->bytes > CN_ASKER_BYTES_MAX &&
	    (oldest = oldest_slot(asker, true)) != NULL) {
		empty_slot(asker, oldest);
	}
}

/* ---- asking through it ---- */

/* A slot of ours to fill, or the answer; NULL and no answer: no slot. */
static struct slot *
await_slot(struct cn_asker *asker, const char *key, uint64_t max_age_us,
    struct cn_answer **ret)
{
	for (;;) {
		uint64_t now = cn_clock_us();
		struct slot *slot = find_slot(asker, key);

		if (slot == NULL) {
			slot = take_slot(asker, key);
			if (slot == NULL) {
				return NULL;
			}
		}
		slot->used_us = now;
		if (is_fresh(asker, slot, now, max_age_us)) {
			hold(slot->answer, ret);
			return NULL;
		}
		if (!slot->is_asking) {
			slot->is_asking = true;
			return slot;
		}
		(void)pthread_cond_wait(&asker->answered, &asker->lock);
	}
}

static int
ask_cached(struct cn_asker *asker, const struct cn_question *question,
    const char *key, struct cn_answer **ret)
{
	struct cn_answer *answer = NULL;
	struct slot *slot;
	uint64_t asked_us;
	int err;

	pthread_mutex_lock(&asker->lock);
	slot = await_slot(asker, key, question->max_age_us, &answer);
	asked_us = cn_clock_us();
	asker->asked += answer == NULL ? 1 : 0;
	pthread_mutex_unlock(&asker->lock);
	if (answer != NULL) {
		*ret = answer;
		return CN_OK;
	}
	err = ask(asker, question, true, &answer);
	if (slot != NULL) {
		pthread_mutex_lock(&asker->lock);
		slot->is_asking = false;
		if (err == CN_OK) {
			keep(asker, slot, answer, asked_us);
		}
		pthread_cond_broadcast(&asker->answered);
		pthread_mutex_unlock(&asker->lock);
	}
	if (err == CN_OK) {
		*ret = answer;
	}
	return err;
}

/* The question as text; false: it is too long to be kept. */
static bool
write_key(const struct cn_question *question, char *key)
{
	size_t len = strlen(question->command);
	size_t room = CN_ASKER_KEY_MAX - len - 2, n = 0;

	memcpy(key, question->command, len);
	key[len] = ' ';
	if (question->fields != NULL) {
		n = json_dumpb(question->fields, key + len + 1, room,
		    JSON_COMPACT | JSON_SORT_KEYS);
		if (n == 0 || n > room) {
			return false;
		}
	}
	key[len + 1 + n] = '\0';
	return true;
}

int
cn_asker_ask(struct cn_asker *asker, const struct cn_question *question,
    struct cn_answer **ret)
{
	char key[CN_ASKER_KEY_MAX];

	if (question->max_age_us == 0 || question->payload != NULL ||
	    !write_key(question, key)) {
		return ask_own(asker, question, ret);
	}
	return ask_cached(asker, question, key, ret);
}

uint64_t
cn_asker_asked(struct cn_asker *asker)
{
	uint64_t asked;

	pthread_mutex_lock(&asker->lock);
	asked = asker->asked;
	pthread_mutex_unlock(&asker->lock);
	return asked;
}
