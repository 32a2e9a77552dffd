/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "disk/disk_private.h"
#include "store/image.h"

#define FILE_NAME "segments"
#define THREADS_MAX 8u
/* What O_DIRECT wants of addresses, offsets and lengths. */
#define ALIGN 4096u
#define SLOT_END ((uint64_t)INT64_MAX / CN_IMAGE_BYTES)
#define NO_SLOT UINT64_MAX
/* A recovery reads slot after slot: so many ahead are asked for. */
#define AHEAD_SLOTS 16u

struct worker {
	struct cn_disk *disk; /* borrowed */
	uv_thread_t thread;
	uint64_t slot; /* of its job; NO_SLOT: it has none */
};

struct cn_disk {
	struct cn_job_ops ops;
	const struct cn_disk_io *io; /* borrowed */
	int fd;                      /* owned; holds the lock; -1: not yet */
	int direct_fd;               /* owned; the same file; -1: none */
	_Atomic bool is_direct;

	uv_mutex_t lock; /* guards what follows */
	uv_cond_t come;  /* a job or the end */
	uv_cond_t idle;  /* pending is 0 */
	struct cn_list queue;
	uint64_t pending; /* submitted and not yet done */
	bool is_closing;
	bool has_lock, has_come, has_idle;
	unsigned threads; /* that run */
	struct worker worker[THREADS_MAX];
};

static const struct cn_disk_io system_io = { .read = pread, .write = pwrite };

/* ---- transfers ---- */

static bool
is_aligned(const void *p, size_t len, off_t at)
{
	return (((uintptr_t)p | len | (uintptr_t)at) & (ALIGN - 1)) == 0;
}

/*
 * One call, past the page cache if that is wanted and works.  A file system
 * may open a file for that and refuse each transfer; then all go through the
 * cache.
 */
static ssize_t
call(struct cn_disk *disk, enum cn_job_kind kind, off_t at, uint8_t *p,
    size_t len, bool is_direct)
{
	ssize_t n;

	for (;;) {
		int fd = is_direct ? disk->direct_fd : disk->fd;

		n = kind == CN_JOB_READ ? disk->io->read(fd, p, len, at)
					: disk->io->write(fd, p, len, at);
		if (n >= 0 ||
		    (errno != EINTR && !(errno == EINVAL && is_direct))) {
			return n;
		}
		if (errno == EINVAL) {
			atomic_store(&disk->is_direct, false);
			is_direct = false;
		}
	}
}

/* Where that is in the file; CN_EINVAL: nowhere. */
static int
locate(uint64_t slot, size_t at, size_t len, off_t *ret)
{
	if (slot >= SLOT_END || at > CN_IMAGE_BYTES ||
	    len > CN_IMAGE_BYTES - at) {
		return CN_EINVAL;
	}
	*ret = (off_t)(slot * CN_IMAGE_BYTES + at);
	return CN_OK;
}

/* All of it, in as many calls as it takes. */
static int
transfer(struct cn_disk *disk, enum cn_job_kind kind, off_t at, uint8_t *p,
    size_t len, bool wants_direct)
{
	while (len > 0) {
		bool is_direct = wants_direct &&
		    atomic_load(&disk->is_direct) && is_aligned(p, len, at);
		ssize_t n = call(disk, kind, at, p, len, is_direct);

		if (n < 0) {
			return cn_err_from_errno(errno);
		}
		if (n == 0) {
			/* A slot that is not there to its end was never
			 * written. */
			return kind == CN_JOB_READ ? CN_EEND : CN_EIO;
		}
		p += n;
		len -= (size_t)n;
		at += n;
	}
	return CN_OK;
}

/* ---- jobs ---- */

static void
carry_out(struct cn_disk *disk, struct cn_job *job)
{
	off_t at = 0;

	job->result = CN_OK;
	if (job->kind == CN_JOB_WRITE && job->work != NULL) {
		job->work(job);
	}
	if (job->result == CN_OK) {
		job->result = locate(job->slot, job->at, job->len, &at);
	}
	if (job->result == CN_OK) {
		job->result = transfer(
		    disk, job->kind, at, job->image + job->at, job->len, true);
	}
	if (job->kind == CN_JOB_READ && job->work != NULL) {
		job->work(job);
	}
	job->done(job); /* gone */
}

/* Is another thread at work on that slot? */
static bool
is_busy(const struct cn_disk *disk, uint64_t slot)
{
	for (unsigned i = 0; i < disk->threads; i++) {
		if (disk->worker[i].slot == slot) {
			return true;
		}
	}
	return false;
}

/* Does an older job of the same slot wait? */
static bool
has_older(const struct cn_disk *disk, const struct cn_job *job)
{
	const struct cn_list *it;

	for (it = job->item.prev; it != &disk->queue; it = it->prev) {
		if (CN_LIST_ENTRY(it, struct cn_job, item)->slot == job->slot) {
			return true;
		}
	}
	return false;
}

/*
 * The job to do next, NULL for none.  Streams wait for reads and nobody for
 * writes, so all threads but the first look for a read before they take the
 * oldest.  The first sees to it that writes are never left lying.
 */
static struct cn_job *
pick(struct cn_disk *disk, bool prefers_reads)
{
	struct cn_job *oldest = NULL;
	struct cn_list *it;

	CN_LIST_EACH(&disk->queue, it)
	{
		struct cn_job *job = CN_LIST_ENTRY(it, struct cn_job, item);

		if (is_busy(disk, job->slot)) {
			continue;
		}
		if (!prefers_reads) {
			return job;
		}
		if (job->kind == CN_JOB_READ && !has_older(disk, job)) {
			return job;
		}
		if (oldest == NULL) {
			oldest = job;
		}
	}
	return oldest;
}

/* Wait for a job; it is out of the queue and its slot is this worker's. */
static struct cn_job *
next_job(struct worker *worker)
{
	struct cn_disk *disk = worker->disk;
	bool prefers_reads = worker != &disk->worker[0];
	struct cn_job *job;

	while ((job = pick(disk, prefers_reads)) == NULL) {
		if (disk->is_closing) {
			return NULL;
		}
		uv_cond_wait(&disk->come, &disk->lock);
	}
	cn_list_remove(&job->item);
	worker->slot = job->slot;
	return job;
}

static void
run(void *arg)
{
	struct worker *worker = arg;
	struct cn_disk *disk = worker->disk;
	struct cn_job *job;

	uv_mutex_lock(&disk->lock);
	while ((job = next_job(worker)) != NULL) {
		uv_mutex_unlock(&disk->lock);
		carry_out(disk, job);
		uv_mutex_lock(&disk->lock);
		worker->slot = NO_SLOT;
		disk->pending--;
		if (disk->pending == 0) {
			uv_cond_broadcast(&disk->idle);
		} else {
			/* Another may wait for this slot. */
			uv_cond_broadcast(&disk->come);
		}
	}
	uv_mutex_unlock(&disk->lock);
}

static void
submit(void *ctx, struct cn_job *job)
{
	struct cn_disk *disk = ctx;

	uv_mutex_lock(&disk->lock);
	assert(!disk->is_closing);
	cn_list_append(&disk->queue, &job->item);
	disk->pending++;
	uv_cond_signal(&disk->come);
	uv_mutex_unlock(&disk->lock);
}

/*
 * Through the page cache, since that reads ahead while we look at what is
 * here: the footers of 10 GiB one by one took two seconds, so they take one.
 * What was read is not kept there.
 */
static int
read_now(void *ctx, uint64_t slot, size_t at, uint8_t *out, size_t len)
{
	struct cn_disk *disk = ctx;
	off_t offset;
	int rc;

	rc = locate(slot, at, len, &offset);
	if (rc != CN_OK) {
		return rc;
	}
	/* Hints: beyond the end they are for nothing. */
	if (slot < SLOT_END - AHEAD_SLOTS) {
		(void)posix_fadvise(disk->fd,
		    offset + (off_t)(AHEAD_SLOTS * CN_IMAGE_BYTES), (off_t)len,
		    POSIX_FADV_WILLNEED);
	}
	rc = transfer(disk, CN_JOB_READ, offset, out, len, false);
	(void)posix_fadvise(disk->fd, offset, (off_t)len, POSIX_FADV_DONTNEED);
	return rc;
}

/* ---- opening and closing ---- */

/* The folder, made if need be.  Nobody else may put files there. */
static int
open_folder(const char *folder, int *ret)
{
	struct stat st;
	int fd;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		return cn_err_from_errno(errno);
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int rc = cn_err_from_errno(errno);

		if (fd >= 0) {
			(void)close(fd);
		}
		return rc;
	}
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		(void)close(fd);
		return CN_EACCES;
	}
	*ret = fd;
	return CN_OK;
}

/* Make sure that it is our file and nobody else's now. */
static int
take_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return cn_err_from_errno(errno);
	}
	if (!S_ISREG(st.st_mode)) {
		return CN_EINVAL;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		return errno == EWOULDBLOCK ? CN_EBUSY
					    : cn_err_from_errno(errno);
	}
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0) {
		return cn_err_from_errno(errno);
	}
	return CN_OK;
}

static int
open_file(struct cn_disk *disk, int folder_fd)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st, direct_st;
	int rc;

	disk->fd = openat(folder_fd, FILE_NAME, flags | O_CREAT, 0600);
	if (disk->fd < 0) {
		return cn_err_from_errno(errno);
	}
	rc = take_file(disk->fd);
	if (rc != CN_OK) {
		return rc;
	}
	disk->direct_fd = openat(folder_fd, FILE_NAME, flags | O_DIRECT);
	if (disk->direct_fd < 0) {
		return CN_OK; /* the file system cannot */
	}
	if (fstat(disk->fd, &st) != 0 ||
	    fstat(disk->direct_fd, &direct_st) != 0) {
		return cn_err_from_errno(errno);
	}
	/* Not a file that has just taken its name. */
	atomic_store(&disk->is_direct,
	    st.st_dev == direct_st.st_dev && st.st_ino == direct_st.st_ino);
	return CN_OK;
}

/* Threads that no signal comes to: it belongs to the loops, and a write
 * beyond a limit is to fail, not to kill. */
static int
start_threads(struct cn_disk *disk, unsigned threads)
{
	sigset_t all, before;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < threads && rc == 0; i++) {
		struct worker *worker = &disk->worker[i];

		worker->disk = disk;
		worker->slot = NO_SLOT;
		/* A thread that runs already looks at all that are counted. */
		uv_mutex_lock(&disk->lock);
		rc = uv_thread_create(&worker->thread, run, worker);
		disk->threads += rc == 0;
		uv_mutex_unlock(&disk->lock);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? CN_OK : cn_err_from_errno(-rc);
}

static int
init_locks(struct cn_disk *disk)
{
	int rc;

	rc = uv_mutex_init(&disk->lock);
	disk->has_lock = rc == 0;
	if (rc == 0) {
		rc = uv_cond_init(&disk->come);
		disk->has_come = rc == 0;
	}
	if (rc == 0) {
		rc = uv_cond_init(&disk->idle);
		disk->has_idle = rc == 0;
	}
	return rc == 0 ? CN_OK : cn_err_from_errno(-rc);
}

int
cn_disk_open_io(const char *folder, unsigned threads,
    const struct cn_disk_io *io, struct cn_disk **ret)
{
	struct cn_disk *disk;
	int folder_fd = -1;
	int rc;

	if (threads < 1 || threads > THREADS_MAX) {
		return CN_EINVAL;
	}
	disk = cn_calloc(1, sizeof(*disk));
	if (disk == NULL) {
		return CN_ENOMEM;
	}
	disk->ops = (struct cn_job_ops){
		.submit = submit, .read_now = read_now, .ctx = disk
	};
	disk->io = io;
	disk->fd = -1;
	disk->direct_fd = -1;
	cn_list_init(&disk->queue);
	rc = open_folder(folder, &folder_fd);
	if (rc == CN_OK) {
		rc = open_file(disk, folder_fd);
		(void)close(folder_fd);
	}
	if (rc == CN_OK) {
		rc = init_locks(disk);
	}
	if (rc == CN_OK) {
		rc = start_threads(disk, threads);
	}
	if (rc != CN_OK) {
		cn_disk_close(&disk);
		return rc;
	}
	*ret = disk;
	return CN_OK;
}

int
cn_disk_open(const char *folder, unsigned threads, struct cn_disk **ret)
{
	return cn_disk_open_io(folder, threads, &system_io, ret);
}

const struct cn_job_ops *
cn_disk_ops(struct cn_disk *disk)
{
	return &disk->ops;
}

bool
cn_disk_is_direct(const struct cn_disk *disk)
{
	return atomic_load(&disk->is_direct);
}

void
cn_disk_drain(struct cn_disk *disk)
{
	uv_mutex_lock(&disk->lock);
	while (disk->pending > 0) {
		uv_cond_wait(&disk->idle, &disk->lock);
	}
	uv_mutex_unlock(&disk->lock);
}

static void
stop_threads(struct cn_disk *disk)
{
	cn_disk_drain(disk);
	uv_mutex_lock(&disk->lock);
	disk->is_closing = true;
	uv_cond_broadcast(&disk->come);
	uv_mutex_unlock(&disk->lock);
	for (unsigned i = 0; i < disk->threads; i++) {
		(void)uv_thread_join(&disk->worker[i].thread);
	}
}

void
cn_disk_close(struct cn_disk **dp)
{
	struct cn_disk *disk = *dp;

	if (disk == NULL) {
		return;
	}
	if (disk->threads > 0) {
		stop_threads(disk);
	}
	if (disk->has_idle) {
		uv_cond_destroy(&disk->idle);
	}
	if (disk->has_come) {
		uv_cond_destroy(&disk->come);
	}
	if (disk->has_lock) {
		uv_mutex_destroy(&disk->lock);
	}
	if (disk->direct_fd >= 0) {
		(void)close(disk->direct_fd);
	}
	if (disk->fd >= 0) {
		(void)close(disk->fd);
	}
	cn_free(disk);
	*dp = NULL;
}
