/* A double for the disk and the clock, preloaded into the unmodified program: it lets every call through but the one that its
 * rule names, where it kills the process or lets the call fail.
 *
 * DISK_RULE   steps and an action, separated by blanks: "recv:socket:* write:*-wal#2 kill-half". A step is OP:GLOB#N: the
 *             N-th call (1 where it is left out) of an operation on a path since the step before. OP is a pattern too.
 *             The action takes place at the last step's call:
 *               kill-before, kill-half (of a write's bytes), kill-after
 *               fail-once:ERRNO, fail:ERRNO (from then on), short:ERRNO (half of a write's bytes, then fail:ERRNO)
 *               space:BYTES (free, from then on), magic:NUMBER (of the file system, from then on)
 *               hang (for ever), wait:PATH (until that is there), note (nothing but the log)
 * DISK_FIRED  a file that is made when the action takes place; its lines are that call and all that follow it.
 * CLOCK_LEAP  a file of a 64-bit number of nanoseconds. Once it is not 0, CLOCK_MONOTONIC stands still, so much later than when
 *             that was first seen. Only what asks for the time sees it: waits take what they take.
 *
 * Operations: open (of a folder, too), create (open for writing), write, sync, truncate, rename, swap, link and symlink (on the
 * new path), mkdir, unlink, read (of a file, where the rule has this word), recv and send (on socket:*), statvfs, statfs, thread (new). A call that returned nothing, as a recv
 * that would block, is none. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_MAX = 16, LINE_MAX_BYTES = PATH_MAX + 32 };
enum action { NOTHING, KILL_BEFORE, KILL_HALF, KILL_AFTER, FAIL, SHORT, HANG };

struct step {
    char *op, *glob;
    long left;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct step steps[STEPS_MAX];
static int step_count, step_now, fired, log_fd = -1;
static char *action_name, *action_value;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void fail_loudly(const char *why) {
    fprintf(stderr, "disk double: %s\n", why);
    _exit(99);
}

static int open_log(const char *path) {
    int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) fail_loudly("its log can't be opened");
    return fd;
}

static int error_number(const char *name) {
    static const struct { const char *name; int number; } known[] = {
        {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EACCES", EACCES}, {"EINVAL", EINVAL},
        {"EAGAIN", EAGAIN},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].number;
    fail_loudly("unknown errno");
    return 0;
}

__attribute__((constructor)) static void read_rule(void) {
    if (!getenv("DISK_RULE")) return;
    char *rest = strdup(getenv("DISK_RULE")), *word;
    while ((word = strsep(&rest, " "))) {
        char *colon = strchr(word, ':'), *number;
        if (!rest) {
            action_name = word;
            if (colon) *colon = 0, action_value = colon + 1;
            return;
        }
        if (!colon || step_count == STEPS_MAX) fail_loudly("its rule can't be read");
        struct step *step = &steps[step_count++];
        *colon = 0;
        step->op = word, step->glob = colon + 1, step->left = 1;
        if ((number = strrchr(step->glob, '#'))) *number = 0, step->left = atol(number + 1);
    }
    fail_loudly("its rule has no action");
}

static int watches_reads(void) {
    for (int i = 0; i < step_count; i++)
        if (strcmp(steps[i].op, "read") == 0) return 1;
    return 0;
}

static void note(const char *op, const char *path) {
    if (log_fd < 0) return;
    char line[LINE_MAX_BYTES];
    int length = snprintf(line, sizeof line, "%s %s\n", op, path);
    if (REAL(write)(log_fd, line, (size_t)length) != length) fail_loudly("its log can't be written");
}

static int is_now(const char *op, const char *path) {
    struct step *step = &steps[step_now];
    return fnmatch(step->op, op, FNM_EXTMATCH) == 0 && fnmatch(step->glob, path, FNM_EXTMATCH) == 0;
}

/* Says whether the action takes place at this call. */
static int takes_place(const char *op, const char *path) {
    if (step_count == 0) return 0;
    int lasting = action_name && strncmp(action_name, "kill", 4) != 0 && strcmp(action_name, "fail-once") != 0
        && strcmp(action_name, "wait") != 0;
    if (fired) return lasting && is_now(op, path);
    if (!is_now(op, path) || --steps[step_now].left > 0) return 0;
    if (++step_now < step_count) return 0;
    step_now--;
    fired = 1;
    const char *marker = getenv("DISK_FIRED");
    if (!marker) fail_loudly("DISK_FIRED is not set");
    log_fd = open_log(marker);
    return 2;
}

/* What is to be done at this call: FAIL sets errno. */
static enum action look(const char *op, const char *path) {
    int keep = errno;
    pthread_mutex_lock(&lock);
    int takes = takes_place(op, path);
    note(op, path);
    pthread_mutex_unlock(&lock);
    errno = keep;
    if (!takes) return NOTHING;
    if (strcmp(action_name, "kill-before") == 0) return KILL_BEFORE;
    if (strcmp(action_name, "kill-half") == 0) return KILL_HALF;
    if (strcmp(action_name, "kill-after") == 0) return KILL_AFTER;
    if (strcmp(action_name, "hang") == 0) return HANG;
    if (strcmp(action_name, "wait") == 0) {
        while (access(action_value, F_OK) != 0) usleep(1000);
        errno = keep;
    }
    if (strcmp(action_name, "short") == 0 && takes == 2) return SHORT;
    if (strncmp(action_name, "fail", 4) == 0 || strcmp(action_name, "short") == 0) {
        errno = error_number(action_value);
        return FAIL;
    }
    return NOTHING; /* space and magic are asked for by what they change, and a note is one already */
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static const char *path_of(int fd, char *room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, room, PATH_MAX - 1);
    room[length > 0 ? length : 0] = 0;
    return room;
}

/* A call that is done whole or not at all. */
#define AROUND(op, path, failure, call)             \
    do {                                            \
        enum action now = look(op, path);           \
        if (now == FAIL) return failure;            \
        if (now == HANG) for (;;) pause();          \
        if (now == KILL_BEFORE || now == KILL_HALF) die(); \
        __typeof__(call) result = call;             \
        if (now == KILL_AFTER) die();               \
        return result;                              \
    } while (0)

static int opens_for_writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name, parameters, arguments, path_argument)                               \
    int name parameters {                                                              \
        mode_t mode = 0;                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                           \
            va_list more;                                                              \
            va_start(more, flags);                                                     \
            mode = va_arg(more, mode_t);                                               \
            va_end(more);                                                              \
        }                                                                              \
        AROUND(opens_for_writing(flags) ? "create" : "open", path_argument, -1, REAL(name) arguments); \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), path)
OPEN(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), path)

/* A write can be done by half. `half` writes that and `all` everything. */
#define WRITE(fd, half, all)                                                       \
    do {                                                                           \
        char room[PATH_MAX];                                                       \
        const char *path = path_of(fd, room);                                      \
        enum action now = look(strncmp(path, "socket:", 7) ? "write" : "send", path); \
        if (now == FAIL) return -1;                                                \
        if (now == KILL_BEFORE) die();                                             \
        ssize_t result = now == KILL_HALF || now == SHORT ? half : all;            \
        if (now == KILL_HALF || now == KILL_AFTER) die();                          \
        return result;                                                             \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t count) {
    WRITE(fd, REAL(write)(fd, bytes, count / 2), REAL(write)(fd, bytes, count));
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    WRITE(fd, REAL(pwrite)(fd, bytes, count / 2, at), REAL(pwrite)(fd, bytes, count, at));
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    WRITE(fd, REAL(pwrite64)(fd, bytes, count / 2, at), REAL(pwrite64)(fd, bytes, count, at));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    WRITE(fd, REAL(write)(fd, parts[0].iov_base, parts[0].iov_len / 2), REAL(writev)(fd, parts, count));
}
ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    WRITE(fd, REAL(send)(fd, bytes, count / 2, flags), REAL(send)(fd, bytes, count, flags));
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    char room[PATH_MAX];
    if (watches_reads() && look("read", path_of(fd, room)) == FAIL) return -1;
    return REAL(pread64)(fd, bytes, count, at);
}

#define ON_FD(name, op, parameters, arguments)                   \
    int name parameters {                                        \
        char room[PATH_MAX];                                     \
        AROUND(op, path_of(fd, room), -1, REAL(name) arguments); \
    }

ON_FD(fsync, "sync", (int fd), (fd))
ON_FD(fdatasync, "sync", (int fd), (fd))
ON_FD(ftruncate, "truncate", (int fd, off_t length), (fd, length))
ON_FD(ftruncate64, "truncate", (int fd, off64_t length), (fd, length))

static const char *path_at(int dir, const char *name, char *room) {
    if (dir == AT_FDCWD || name[0] == '/') return name;
    size_t length = strlen(path_of(dir, room));
    snprintf(room + length, PATH_MAX - length, "/%s", name);
    return room;
}

int renameat2(int from_dir, const char *from, int dir, const char *path, unsigned flags) {
    AROUND(flags & RENAME_EXCHANGE ? "swap" : "rename", path, -1, REAL(renameat2)(from_dir, from, dir, path, flags));
}
int linkat(int from_dir, const char *from, int dir, const char *path, int flags) {
    AROUND("link", path, -1, REAL(linkat)(from_dir, from, dir, path, flags));
}
int unlinkat(int dir, const char *name, int flags) {
    char room[PATH_MAX];
    AROUND("unlink", path_at(dir, name, room), -1, REAL(unlinkat)(dir, name, flags));
}
DIR *opendir(const char *path) { AROUND("open", path, NULL, REAL(opendir)(path)); }
int rename(const char *from, const char *path) { AROUND("rename", path, -1, REAL(rename)(from, path)); }
int symlink(const char *to, const char *path) { AROUND("symlink", path, -1, REAL(symlink)(to, path)); }
int mkdir(const char *path, mode_t mode) { AROUND("mkdir", path, -1, REAL(mkdir)(path, mode)); }
int unlink(const char *path) { AROUND("unlink", path, -1, REAL(unlink)(path)); }

/* The bytes are there before it is a call at all. */
#define RECEIVE(fd, call)                                       \
    do {                                                        \
        char room[PATH_MAX];                                    \
        ssize_t result = call;                                  \
        if (result <= 0) return result;                         \
        if (strncmp(path_of(fd, room), "socket:", 7))           \
            return watches_reads() && look("read", room) == FAIL ? -1 : result; \
        enum action now = look("recv", room);                   \
        if (now == FAIL) return -1;                             \
        if (now != NOTHING) die();                              \
        return result;                                          \
    } while (0)

ssize_t recv(int fd, void *bytes, size_t count, int flags) { RECEIVE(fd, REAL(recv)(fd, bytes, count, flags)); }
ssize_t read(int fd, void *bytes, size_t count) { RECEIVE(fd, REAL(read)(fd, bytes, count)); }

static int changes(const char *what, const char *op, const char *path) {
    look(op, path);
    return fired && action_name && strcmp(action_name, what) == 0 && is_now(op, path);
}

#define SPACE(name, type)                                                                  \
    int name(const char *path, struct type *found) {                                       \
        int result = REAL(name)(path, found);                                              \
        if (result == 0 && changes("space", "statvfs", path))                              \
            found->f_bavail = found->f_bfree = (fsblkcnt_t)atoll(action_value) / found->f_frsize; \
        return result;                                                                     \
    }

SPACE(statvfs, statvfs)
SPACE(statvfs64, statvfs64)

#define MAGIC(name, type)                                               \
    int name(const char *path, struct type *found) {                    \
        int result = REAL(name)(path, found);                           \
        if (result == 0 && changes("magic", "statfs", path))            \
            found->f_type = (__typeof__(found->f_type))strtoll(action_value, NULL, 0); \
        return result;                                                  \
    }

MAGIC(statfs, statfs)
MAGIC(statfs64, statfs64)

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    AROUND("thread", "new", errno, REAL(pthread_create)(thread, attributes, run, argument));
}

static const volatile long long *leap;

__attribute__((constructor)) static void see_leap(void) {
    const char *path = getenv("CLOCK_LEAP");
    if (!path) return;
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    void *seen = mmap(NULL, sizeof *leap, PROT_READ, MAP_SHARED, fd, 0);
    if (seen == MAP_FAILED) fail_loudly("the clock's file can't be seen");
    leap = seen;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    static struct timespec stopped;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result || clock != CLOCK_MONOTONIC || !leap || !*leap) return result;
    pthread_mutex_lock(&first);
    if (!stopped.tv_sec) stopped = *now;
    pthread_mutex_unlock(&first);
    long long later = stopped.tv_nsec + *leap;
    now->tv_sec = stopped.tv_sec + later / 1000000000;
    now->tv_nsec = later % 1000000000;
    return result;
}
