/* SPDX-License-Identifier: Apache-2.0 */
/* The disk on real files, and on system calls that fail or do half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/rand.h"
#include "disk/disk_private.h"
#include "store/image.h"

#define PAGE 4096u
#define FIRST_WAIT_US 200u

static char parent[64]; /* of each test: a fresh folder */
static char folder[80]; /* in it; made by the disk */
static char file[96];   /* in that */

static int
set_up(void **ret CN_UNUSED)
{
	(void)snprintf(parent, sizeof(parent), "/tmp/cn-disk-XXXXXX");
	assert_non_null(mkdtemp(parent));
	(void)snprintf(folder, sizeof(folder), "%s/store", parent);
	(void)snprintf(file, sizeof(file), "%s/segments", folder);
	(void)umask(0);
	return 0;
}

static int
tear_down(void **ret CN_UNUSED)
{
	(void)unlink(file);
	(void)rmdir(file);
	(void)rmdir(folder);
	(void)unlink(folder);
	assert_int_equal(rmdir(parent), 0);
	return 0;
}

static unsigned
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		n++;
	}
	(void)closedir(dir);
	return n;
}

static struct cn_disk *
open_disk(unsigned threads)
{
	struct cn_disk *disk = NULL;

	assert_int_equal(cn_disk_open(folder, threads, &disk), CN_OK);
	return disk;
}

/* ---- jobs ---- */

struct task {
	struct cn_job job;
	uint64_t number; /* what a write leaves in each page */
	_Atomic bool is_done;
	atomic_uint *done; /* borrowed; counts */
	uint64_t *order;   /* borrowed; number + 1 of the last of its slot */
	bool is_out_of_order;
	atomic_uint *gate;   /* borrowed; work() waits until it is 0 */
	atomic_uint *inside; /* borrowed; counts who waits */
	int refusal;         /* what work() makes the result */
	int seen;            /* the result that work() saw */
	unsigned works;
	struct cn_disk *again; /* done() submits `next' there */
	struct task *next;
};

static void
work(struct cn_job *job)
{
	struct task *task = CN_CONTAINER_OF(job, struct task, job);

	task->works++;
	task->seen = job->result;
	if (task->gate != NULL) {
		atomic_fetch_add(task->inside, 1);
		while (atomic_load(task->gate) != 0) {
			(void)usleep(FIRST_WAIT_US);
		}
	}
	if (job->kind == CN_JOB_WRITE) {
		for (size_t i = 0; i < job->len; i += PAGE) {
			memcpy(job->image + job->at + i, &task->number,
			    sizeof(task->number));
		}
	}
	if (task->refusal != CN_OK) {
		job->result = task->refusal;
	}
}

static void
done(struct cn_job *job)
{
	struct task *task = CN_CONTAINER_OF(job, struct task, job);

	if (task->order != NULL) {
		/* No lock: jobs of one slot do not overlap. */
		task->is_out_of_order = *task->order > task->number;
		*task->order = task->number + 1;
	}
	if (task->again != NULL) {
		const struct cn_job_ops *ops = cn_disk_ops(task->again);

		ops->submit(ops->ctx, &task->next->job);
	}
	if (task->done != NULL) {
		atomic_fetch_add(task->done, 1);
	}
	atomic_store(&task->is_done, true);
}

static void
task_init(struct task *task, enum cn_job_kind kind, uint64_t slot, size_t len)
{
	memset(task, 0, sizeof(*task));
	task->job.kind = kind;
	task->job.slot = slot;
	task->job.len = len;
	task->job.result = 77;
	task->job.work = work;
	task->job.done = done;
	task->job.image = cn_alloc_aligned(PAGE, len);
	assert_non_null(task->job.image);
	memset(task->job.image, 0, len);
}

static void
submit(struct cn_disk *disk, struct task *task)
{
	const struct cn_job_ops *ops = cn_disk_ops(disk);

	ops->submit(ops->ctx, &task->job);
}

/* Do one alone.  Returns its result. */
static int
do_task(struct cn_disk *disk, struct task *task)
{
	submit(disk, task);
	cn_disk_drain(disk);
	assert_true(atomic_load(&task->is_done));
	return task->job.result;
}

static int
read_now(struct cn_disk *disk, uint64_t slot, size_t at, void *out, size_t len)
{
	const struct cn_job_ops *ops = cn_disk_ops(disk);

	return ops->read_now(ops->ctx, slot, at, out, len);
}

static uint64_t
number_in(const uint8_t *page)
{
	uint64_t number;

	memcpy(&number, page, sizeof(number));
	return number;
}

/* ---- what it does ---- */

static void
test_round_trip(void **ret CN_UNUSED)
{
	static uint8_t pages[3 * PAGE + 1];
	struct cn_disk *disk = open_disk(2);
	struct task w, r;
	int fd;

	task_init(&w, CN_JOB_WRITE, 3, CN_IMAGE_BYTES);
	task_init(&r, CN_JOB_READ, 3, CN_IMAGE_BYTES);
	w.number = 42;
	memset(w.job.image + 8, 5, CN_IMAGE_BYTES - 8);
	assert_int_equal(do_task(disk, &w), CN_OK);
	assert_int_equal(w.works, 1);
	assert_int_equal(do_task(disk, &r), CN_OK);
	assert_int_equal(r.works, 1);
	assert_int_equal(r.seen, CN_OK);
	assert_memory_equal(r.job.image, w.job.image, CN_IMAGE_BYTES);
	/* A part goes to its own place in the image. */
	memset(r.job.image, 0, CN_IMAGE_BYTES);
	r.job.at = 2 * PAGE;
	r.job.len = PAGE;
	assert_int_equal(do_task(disk, &r), CN_OK);
	assert_int_equal(number_in(r.job.image + 2 * PAGE), 42);
	assert_int_equal(number_in(r.job.image + PAGE), 0);
	assert_int_equal(number_in(r.job.image + 3 * PAGE), 0);
	/* At once, to any address. */
	assert_int_equal(read_now(disk, 3, PAGE, pages + 1, 3 * PAGE), CN_OK);
	assert_memory_equal(pages + 1, w.job.image + PAGE, 3 * PAGE);
	cn_disk_close(&disk);
	assert_null(disk);
	/* Where doc/store.md says that a slot is. */
	fd = open(file, O_RDONLY);
	assert_int_equal(
	    pread(fd, pages, PAGE, 3 * (off_t)CN_IMAGE_BYTES), PAGE);
	assert_memory_equal(pages, w.job.image, PAGE);
	(void)close(fd);
	cn_free(w.job.image);
	cn_free(r.job.image);
}

/* What is beyond the end, or cut off, was never written; a hole is zeros. */
static void
test_end(void **ret CN_UNUSED)
{
	static uint8_t page[PAGE];
	struct cn_disk *disk = open_disk(1);
	struct task task;

	assert_int_equal(read_now(disk, 0, 0, page, PAGE), CN_EEND);
	task_init(&task, CN_JOB_READ, 1, CN_IMAGE_BYTES);
	assert_int_equal(do_task(disk, &task), CN_EEND);
	assert_int_equal(task.seen, CN_EEND); /* work() is told */
	task.job.kind = CN_JOB_WRITE;
	task.number = 1;
	assert_int_equal(do_task(disk, &task), CN_OK);
	memset(page, 1, PAGE);
	assert_int_equal(read_now(disk, 0, 0, page, PAGE), CN_OK);
	assert_int_equal(number_in(page), 0);
	assert_int_equal(read_now(disk, 2, 0, page, PAGE), CN_EEND);
	assert_int_equal(
	    truncate(file, (off_t)CN_IMAGE_BYTES + 10 * PAGE + 7), 0);
	assert_int_equal(read_now(disk, 1, 9 * PAGE, page, PAGE), CN_OK);
	assert_int_equal(read_now(disk, 1, 10 * PAGE, page, PAGE), CN_EEND);
	task.job.kind = CN_JOB_READ;
	assert_int_equal(do_task(disk, &task), CN_EEND);
	cn_disk_close(&disk);
	cn_free(task.job.image);
}

static void
test_ranges(void **ret CN_UNUSED)
{
	static uint8_t page[PAGE];
	struct cn_disk *disk = open_disk(1);
	uint64_t last = (uint64_t)INT64_MAX / CN_IMAGE_BYTES;

	assert_int_equal(read_now(disk, last, 0, page, PAGE), CN_EINVAL);
	assert_int_equal(read_now(disk, last - 1, 0, page, PAGE), CN_EEND);
	assert_int_equal(read_now(disk, UINT64_MAX, 0, page, PAGE), CN_EINVAL);
	assert_int_equal(
	    read_now(disk, 0, CN_IMAGE_BYTES, page, PAGE), CN_EINVAL);
	assert_int_equal(read_now(disk, 0, SIZE_MAX, page, PAGE), CN_EINVAL);
	cn_disk_close(&disk);
	assert_int_equal(cn_disk_open(folder, 0, &disk), CN_EINVAL);
	assert_int_equal(cn_disk_open(folder, 9, &disk), CN_EINVAL);
	disk = open_disk(8);
	cn_disk_close(&disk);
	cn_disk_close(&disk);
}

/* A writer that failed to seal: nothing is written. */
static void
test_work_refuses(void **ret CN_UNUSED)
{
	static uint8_t page[PAGE];
	struct cn_disk *disk = open_disk(1);
	struct task task;

	task_init(&task, CN_JOB_WRITE, 0, PAGE);
	task.refusal = CN_ENOMEM;
	assert_int_equal(do_task(disk, &task), CN_ENOMEM);
	assert_int_equal(read_now(disk, 0, 0, page, PAGE), CN_EEND);
	task.refusal = CN_OK;
	task.job.work = NULL;
	assert_int_equal(do_task(disk, &task), CN_OK);
	assert_int_equal(read_now(disk, 0, 0, page, PAGE), CN_OK);
	cn_disk_close(&disk);
	cn_free(task.job.image);
}

/* ---- order ---- */

#define ORDER_TASKS 600u
#define ORDER_SLOTS 7u

/* Each read finds what was written before it, whatever the threads do. */
static void
test_order(void **ret CN_UNUSED)
{
	static struct task tasks[ORDER_TASKS];
	uint64_t order[ORDER_SLOTS] = { 0 };
	struct cn_prng prng;

	for (unsigned threads = 1; threads <= 8; threads += threads) {
		uint64_t written[ORDER_SLOTS] = { 0 };
		uint64_t expected[ORDER_TASKS] = { 0 };
		struct cn_disk *disk = open_disk(threads);

		cn_prng_init(&prng, threads);
		memset(order, 0, sizeof(order));
		for (size_t i = 0; i < ORDER_TASKS; i++) {
			uint64_t slot = cn_prng_below(&prng, ORDER_SLOTS);
			bool is_write =
			    written[slot] == 0 || cn_prng_chance(&prng, 1, 2);

			task_init(&tasks[i],
			    is_write ? CN_JOB_WRITE : CN_JOB_READ, slot, PAGE);
			tasks[i].number = i + 1; /* 0: never written */
			tasks[i].order = &order[slot];
			if (is_write) {
				written[slot] = i + 1;
			}
			expected[i] = written[slot];
			submit(disk, &tasks[i]);
		}
		cn_disk_close(&disk);
		for (size_t i = 0; i < ORDER_TASKS; i++) {
			assert_true(atomic_load(&tasks[i].is_done));
			assert_int_equal(tasks[i].job.result, CN_OK);
			assert_false(tasks[i].is_out_of_order);
			assert_int_equal(
			    number_in(tasks[i].job.image), expected[i]);
			cn_free(tasks[i].job.image);
		}
		(void)unlink(file);
	}
}

/* Wait until so many are in their work(). */
static void
wait_inside(atomic_uint *inside, unsigned n)
{
	for (unsigned i = 0; atomic_load(inside) < n; i++) {
		assert_true(i < 50000);
		(void)usleep(FIRST_WAIT_US);
	}
}

/*
 * Two threads are held in two jobs; one is let go and does what is queued:
 * a write, a read of another slot, and a read of the first slot.
 *
 * Returns true if the first read came before the write.
 */
static bool
race(struct cn_disk *disk, unsigned let_go)
{
	atomic_uint gate[2] = { 1, 1 };
	atomic_uint inside = 0, finished = 0;
	struct task held[2], queued[3];
	uint64_t order = 0;
	bool is_read_first;

	for (unsigned i = 0; i < 2; i++) {
		task_init(&held[i], CN_JOB_WRITE, i, PAGE);
		held[i].gate = &gate[i];
		held[i].inside = &inside;
		submit(disk, &held[i]);
	}
	wait_inside(&inside, 2);
	for (unsigned i = 0; i < 3; i++) {
		task_init(&queued[i], i == 0 ? CN_JOB_WRITE : CN_JOB_READ,
		    i == 1 ? 3 : 2, PAGE);
		queued[i].number = i;
		queued[i].order = &order;
		queued[i].done = &finished;
		submit(disk, &queued[i]);
	}
	atomic_store(&gate[let_go], 0);
	wait_inside(&finished, 3);
	atomic_store(&gate[1 - let_go], 0);
	cn_disk_drain(disk);
	is_read_first = queued[0].is_out_of_order;
	assert_false(queued[2].is_out_of_order); /* never before its write */
	for (unsigned i = 0; i < 3; i++) {
		cn_free(queued[i].job.image);
	}
	cn_free(held[0].job.image);
	cn_free(held[1].job.image);
	return is_read_first;
}

/* One of two threads serves readers first, the other whoever waits longest. */
static void
test_readers_first(void **ret CN_UNUSED)
{
	struct cn_disk *disk = open_disk(2);
	bool seen[2] = { false, false };

	for (unsigned i = 0; i < 2000 && !(seen[0] && seen[1]); i++) {
		seen[race(disk, i % 2)] = true;
	}
	assert_true(seen[0]);
	assert_true(seen[1]);
	cn_disk_close(&disk);
}

/* Closing waits for all that was submitted, and for what done() submits. */
static void
test_close_in_flight(void **ret CN_UNUSED)
{
	static struct task first[40], second[40];
	atomic_uint finished = 0;
	struct cn_disk *disk = open_disk(3);

	for (size_t i = 0; i < CN_ARRAY_LEN(first); i++) {
		task_init(&first[i], CN_JOB_WRITE, i % 5, PAGE);
		task_init(&second[i], CN_JOB_READ, i % 5, PAGE);
		first[i].done = &finished;
		second[i].done = &finished;
		first[i].again = disk;
		first[i].next = &second[i];
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(first); i++) {
		submit(disk, &first[i]);
	}
	cn_disk_close(&disk);
	assert_int_equal(atomic_load(&finished), 80);
	for (size_t i = 0; i < CN_ARRAY_LEN(first); i++) {
		assert_int_equal(second[i].job.result, CN_OK);
		cn_free(first[i].job.image);
		cn_free(second[i].job.image);
	}
}

/* ---- disks that fail ---- */

/* Beyond the limit a write fails; the signal of it kills nobody. */
static void
test_file_limit(void **ret CN_UNUSED)
{
	struct cn_disk *disk = open_disk(1);
	struct rlimit before, small;
	struct task task;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = CN_IMAGE_BYTES + 64 * PAGE;
	task_init(&task, CN_JOB_WRITE, 0, CN_IMAGE_BYTES);
	task.number = 9;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(do_task(disk, &task), CN_OK);
	task.job.slot = 1;
	assert_int_equal(do_task(disk, &task), CN_EFBIG);
	task.job.slot = 2;
	assert_int_equal(do_task(disk, &task), CN_EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	/* What is there is still read, and the half slot is none. */
	task.job.kind = CN_JOB_READ;
	task.job.slot = 0;
	assert_int_equal(do_task(disk, &task), CN_OK);
	task.job.slot = 1;
	assert_int_equal(do_task(disk, &task), CN_EEND);
	task.job.kind = CN_JOB_WRITE;
	assert_int_equal(do_task(disk, &task), CN_OK);
	cn_disk_close(&disk);
	cn_free(task.job.image);
}

/* In a process of its own: fill a file system of 2 MiB.  Returns 0, or the
 * line that went wrong. */
static int
fill_small_mount(void)
{
	struct cn_disk *disk = NULL;
	struct task task;
	int rc = 0;

	if (cn_disk_open(folder, 2, &disk) != CN_OK) {
		return __LINE__;
	}
	task_init(&task, CN_JOB_WRITE, 0, CN_IMAGE_BYTES);
	if (do_task(disk, &task) != CN_OK) {
		rc = __LINE__;
	}
	task.job.slot = 1;
	if (do_task(disk, &task) != CN_ENOSPC) {
		rc = __LINE__;
	}
	task.job.kind = CN_JOB_READ;
	task.job.slot = 0;
	if (do_task(disk, &task) != CN_OK) {
		rc = __LINE__;
	}
	cn_disk_close(&disk);
	cn_free(task.job.image);
	return rc;
}

/* A file system that is really full: needs root, for the mount. */
static void
test_full_mount(void **ret CN_UNUSED)
{
	int status = 0;
	pid_t pid;

	if (geteuid() != 0) {
		return; /* test_failing_calls has the same without */
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) != 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		    mount("tmpfs", parent, "tmpfs", 0, "size=2m") != 0) {
			_exit(0); /* root, but confined */
		}
		_exit(fill_small_mount() & 0xff);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What the doubles do. */
static struct {
	atomic_uint calls;
	unsigned fail_at; /* 1: the next */
	int failure;      /* errno, 0: it moves no byte */
	size_t most;      /* bytes at once */
	bool interrupts;  /* every other call */
	bool refuses_direct;
} fault;

/* How many of len bytes may go; -1: none, see errno. */
static ssize_t
double_len(int fd, size_t len)
{
	unsigned n = atomic_fetch_add(&fault.calls, 1) + 1;

	if (n == fault.fail_at) {
		errno = fault.failure;
		return fault.failure == 0 ? 0 : -1;
	}
	if (fault.interrupts && n % 2 == 1) {
		errno = EINTR;
		return -1;
	}
	if (fault.refuses_direct && (fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
		errno = EINVAL;
		return -1;
	}
	return (ssize_t)CN_MIN(len, fault.most);
}

static ssize_t
double_read(int fd, void *out, size_t len, off_t at)
{
	ssize_t n = double_len(fd, len);

	return n <= 0 ? n : pread(fd, out, (size_t)n, at);
}

static ssize_t
double_write(int fd, const void *in, size_t len, off_t at)
{
	ssize_t n = double_len(fd, len);

	return n <= 0 ? n : pwrite(fd, in, (size_t)n, at);
}

static const struct cn_disk_io double_io = { double_read, double_write };

static void
clear_fault(void)
{
	memset(&fault, 0, sizeof(fault));
	fault.most = SIZE_MAX;
}

/* Calls that move a part, an odd one too, and calls that are interrupted. */
static void
test_short_calls(void **ret CN_UNUSED)
{
	static const size_t most[] = { PAGE, 3 * PAGE, 77777, 5000 };
	struct task w, r;

	task_init(&w, CN_JOB_WRITE, 1, CN_IMAGE_BYTES);
	task_init(&r, CN_JOB_READ, 1, CN_IMAGE_BYTES);
	for (size_t i = 0; i < CN_ARRAY_LEN(most); i++) {
		struct cn_disk *disk = NULL;

		clear_fault();
		fault.most = most[i];
		fault.interrupts = i % 2 == 1;
		assert_int_equal(
		    cn_disk_open_io(folder, 1, &double_io, &disk), CN_OK);
		w.number = 100 + i;
		assert_int_equal(do_task(disk, &w), CN_OK);
		assert_int_equal(do_task(disk, &r), CN_OK);
		assert_memory_equal(r.job.image, w.job.image, CN_IMAGE_BYTES);
		cn_disk_close(&disk);
	}
	cn_free(w.job.image);
	cn_free(r.job.image);
}

/* O_DIRECT is granted, and then no transfer is. */
static void
test_no_direct(void **ret CN_UNUSED)
{
	struct cn_disk *disk = NULL;
	struct task task;
	bool was_direct;

	clear_fault();
	fault.refuses_direct = true;
	assert_int_equal(cn_disk_open_io(folder, 1, &double_io, &disk), CN_OK);
	was_direct = cn_disk_is_direct(disk);
	task_init(&task, CN_JOB_WRITE, 0, CN_IMAGE_BYTES);
	task.number = 5;
	assert_int_equal(do_task(disk, &task), CN_OK);
	assert_false(cn_disk_is_direct(disk));
	memset(task.job.image, 0, CN_IMAGE_BYTES);
	task.job.kind = CN_JOB_READ;
	assert_int_equal(do_task(disk, &task), CN_OK);
	assert_int_equal(number_in(task.job.image), 5);
	/* Asked once, never again. */
	assert_int_equal(atomic_load(&fault.calls), was_direct ? 3 : 2);
	cn_disk_close(&disk);
	cn_free(task.job.image);
}

/* Each call of a transfer fails once, in each way. */
static void
test_failing_calls(void **ret CN_UNUSED)
{
	static const struct {
		int failure;
		int on_read;
		int on_write;
	} ways[] = {
		{ EIO, CN_EIO, CN_EIO },
		{ ENOSPC, CN_ENOSPC, CN_ENOSPC },
		{ EROFS, CN_EROFS, CN_EROFS },
		{ 0, CN_EEND, CN_EIO },
	};
	static uint8_t page[PAGE];
	struct cn_disk *disk = NULL;
	struct task task;

	clear_fault();
	assert_int_equal(cn_disk_open_io(folder, 1, &double_io, &disk), CN_OK);
	task_init(&task, CN_JOB_WRITE, 0, 16 * PAGE);
	assert_int_equal(do_task(disk, &task), CN_OK);
	fault.most = 4 * PAGE;
	for (size_t i = 0; i < CN_ARRAY_LEN(ways); i++) {
		for (unsigned n = 1; n <= 5; n++) {
			fault.failure = ways[i].failure;
			fault.fail_at = n;
			atomic_store(&fault.calls, 0);
			task.job.kind = CN_JOB_WRITE;
			assert_int_equal(do_task(disk, &task),
			    n <= 4 ? ways[i].on_write : CN_OK);
			atomic_store(&fault.calls, 0);
			task.job.kind = CN_JOB_READ;
			assert_int_equal(do_task(disk, &task),
			    n <= 4 ? ways[i].on_read : CN_OK);
			/* A failure is told to work() before done(). */
			assert_int_equal(
			    task.seen, n <= 4 ? ways[i].on_read : CN_OK);
		}
		fault.fail_at = 1;
		atomic_store(&fault.calls, 0);
		assert_int_equal(
		    read_now(disk, 0, 0, page, PAGE), ways[i].on_read);
	}
	cn_disk_close(&disk);
	cn_free(task.job.image);
}

/* ---- who may have it ---- */

/* Another process has it, until it dies. */
static void
test_locked(void **ret CN_UNUSED)
{
	struct cn_disk *disk = NULL, *second = NULL;
	int to_us[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(to_us), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (cn_disk_open(folder, 1, &disk) != CN_OK ||
		    write(to_us[1], "x", 1) != 1) {
			_exit(1);
		}
		(void)pause();
		_exit(1);
	}
	(void)close(to_us[1]);
	assert_int_equal(read(to_us[0], &byte, 1), 1);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EBUSY);
	assert_null(disk);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(to_us[0]);
	disk = open_disk(1);
	/* Nor may this process have it twice. */
	assert_int_equal(cn_disk_open(folder, 1, &second), CN_EBUSY);
	cn_disk_close(&disk);
	disk = open_disk(1);
	cn_disk_close(&disk);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void
test_modes(void **ret CN_UNUSED)
{
	struct cn_disk *disk = open_disk(1);

	assert_int_equal(mode_of(folder), 0700);
	assert_int_equal(mode_of(file), 0600);
	cn_disk_close(&disk);
	/* A file that others may read is so no longer. */
	assert_int_equal(chmod(file, 0666), 0);
	disk = open_disk(1);
	assert_int_equal(mode_of(file), 0600);
	cn_disk_close(&disk);
	/* A folder that others may read is the administrator's affair; one
	 * that others may write to is refused. */
	assert_int_equal(chmod(folder, 0755), 0);
	disk = open_disk(1);
	cn_disk_close(&disk);
	assert_int_equal(chmod(folder, 0770), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EACCES);
	assert_int_equal(chmod(folder, 0702), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EACCES);
	if (geteuid() == 0) {
		assert_int_equal(chmod(folder, 0700), 0);
		assert_int_equal(chown(folder, 65534, 65534), 0);
		assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EACCES);
	}
	assert_null(disk);
}

/* What stands where the file should be is not touched. */
static void
test_no_file(void **ret CN_UNUSED)
{
	struct cn_disk *disk = NULL;
	char target[96];
	unsigned fds = count_fds();

	assert_int_equal(mkdir(folder, 0700), 0);
	(void)snprintf(target, sizeof(target), "%s/target", parent);
	assert_int_equal(symlink(target, file), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), -ELOOP);
	assert_int_equal(access(target, F_OK), -1); /* nor made */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EISDIR);
	assert_int_equal(rmdir(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_EINVAL);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(folder), 0);
	/* No folder: a file, nothing to make it in. */
	assert_int_equal(mknod(folder, S_IFREG | 0600, 0), 0);
	assert_int_equal(cn_disk_open(folder, 1, &disk), CN_ENOTDIR);
	assert_int_equal(unlink(folder), 0);
	(void)snprintf(target, sizeof(target), "%s/a/b", parent);
	assert_int_equal(cn_disk_open(target, 1, &disk), CN_ENOENT);
	assert_null(disk);
	assert_int_equal(count_fds(), fds);
}

/* Nothing is left behind, whatever fails. */
static void
test_torture(void **ret CN_UNUSED)
{
	unsigned fds = count_fds();
	uint64_t blocks = cn_alloc_count();
	struct cn_disk *disk = NULL;
	uint64_t nth = 0;
	int rc;

	do {
		cn_alloc_fail_at(++nth);
		rc = cn_disk_open(folder, 2, &disk);
		assert_int_equal(rc, cn_alloc_has_failed() ? CN_ENOMEM : CN_OK);
		cn_alloc_fail_at(0);
	} while (rc != CN_OK);
	assert_true(nth > 1);
	cn_disk_close(&disk);
	assert_int_equal(cn_alloc_count(), blocks);
	assert_int_equal(count_fds(), fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* Those that fork come before any threads. */
		cmocka_unit_test_setup_teardown(test_locked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_full_mount, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_round_trip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_work_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_readers_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_close_in_flight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_file_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_short_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_no_direct, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_failing_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_torture, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
