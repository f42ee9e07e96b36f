/* What a process really does to the files below one directory: told in order, and made to fail or to kill it at the nth call.
 *
 * Preloaded (ld.so(8), LD_PRELOAD), it stands before the C library's calls that change files, whoever makes them: Python, SQLite, ctypes.
 * Idle until recorder_begin. Calls that change something are made one at a time, so that the record is their order.
 * A line of the record: operation, two numbers, the lengths of two paths and of the data, the thread; then these, and a newline.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define LONGEST 4096
enum { CHANGES = 1, OPENS = 2 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char top[LONGEST], kept[LONGEST];
static size_t top_length;
static int active, record = -1, error, kinds;
static long countdown, seen;
static __thread int muted;

/* Begins, for calls below a directory: to be told in a file (NULL: nowhere); the nth of these kinds fails with the error (0: SIGKILL).
 * `pool` (NULL: none): a directory of the same file system into which every file is linked, under its inode's number, before it loses a name. */
int recorder_begin(const char *directory, const char *file, long nth, int with, int of, const char *pool) {
    snprintf(top, sizeof top, "%s", directory);
    snprintf(kept, sizeof kept, "%s", pool ? pool : "");
    top_length = strlen(top);
    record = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file && record < 0) return -1;
    countdown = nth; error = with; kinds = of; seen = 0; active = 1;
    return 0;
}

/* Ends; returns how many calls of the kinds there were. */
long recorder_end(void) {
    active = 0;
    if (record >= 0) syscall(SYS_close, record);
    record = -1;
    return seen;
}

static void tell(const char *operation, const char *one, const char *other, long a, long b, const void *data, size_t length) {
    char head[256];
    if (record < 0) return;
    int size = snprintf(head, sizeof head, "%s %ld %ld %zu %zu %zu %ld\n", operation, a, b, strlen(one), strlen(other), length,
                        (long)syscall(SYS_gettid));
    struct iovec parts[] = {{head, (size_t)size}, {(void *)one, strlen(one)}, {(void *)other, strlen(other)}, {(void *)data, length}, {"\n", 1}};
    syscall(SYS_writev, record, parts, 5);
}

/* From now on what this thread does is not looked at, or is again. */
void recorder_mute(int whether) { muted = whether; }

/* Puts a word of the caller's into the record. */
void recorder_note(const char *word) {
    if (!active) return;
    pthread_mutex_lock(&one_at_a_time);
    tell("note", word, "", 0, 0, "", 0);
    pthread_mutex_unlock(&one_at_a_time);
}

static int path_of(int fd, char *found) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, found, LONGEST - 1);
    if (size < 0) return 0;
    found[size] = 0;
    return 1;
}

static int place(int at, const char *name, char *found) {
    if (!active || muted) return 0;
    int fd;
    char base[LONGEST];
    if (sscanf(name, "/proc/self/fd/%d", &fd) == 1 && !strchr(name + 14, '/')) {
        if (!path_of(fd, found)) return 0;
    } else if (name[0] == '/') {
        snprintf(found, LONGEST, "%s", name);
    } else {
        if (at == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(at, base)) return 0;
        if (snprintf(found, LONGEST, "%s/%s", base, name) >= LONGEST) return 0;
    }
    return !strncmp(found, top, top_length) && (found[top_length] == '/' || !found[top_length]);
}

static int place_of(int fd, char *found) {
    return active && !muted && path_of(fd, found) && !strncmp(found, top, top_length) && (found[top_length] == '/' || !found[top_length]);
}

/* Returns whether the call may be made; where not, errno says why it is said to have failed. Locked from here to `done`. */
static int begin(int kind) {
    pthread_mutex_lock(&one_at_a_time);
    if (!(kinds & kind)) return 1;
    seen++;
    if (countdown <= 0 || --countdown) return 1;
    if (!error) syscall(SYS_kill, getpid(), SIGKILL);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return 0;
}

static long done(long result, const char *operation, const char *one, const char *other, long a, long b, const void *data, size_t length) {
    int before = errno;
    if (result >= 0) tell(operation, one, other, a, b, data, length);
    pthread_mutex_unlock(&one_at_a_time);
    errno = before;
    return result;
}

static void keep(int at, const char *name) {
    struct stat about;
    char pooled[LONGEST + 32];
    int before = errno;
    if (kept[0] && !fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(about.st_mode)) {
        snprintf(pooled, sizeof pooled, "%s/%lu", kept, (unsigned long)about.st_ino);
        syscall(SYS_linkat, at, name, AT_FDCWD, pooled, 0);
    }
    errno = before;
}

static int open_at(int at, const char *name, int flags, mode_t mode) {
    char path[LONGEST];
    struct stat about;
    if (!place(at, name, path)) return (int)syscall(SYS_openat, at, name, flags, mode);
    int is_new = (flags & O_CREAT) && fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW);
    int cuts = !is_new && (flags & O_TRUNC);
    if (!begin(is_new || cuts ? CHANGES | OPENS : OPENS)) return -1;
    int fd = (int)syscall(SYS_openat, at, name, flags, mode);
    if (!is_new && !cuts) {
        int before = errno;
        pthread_mutex_unlock(&one_at_a_time);
        errno = before;
        return fd;
    }
    long inode = fd >= 0 && !fstat(fd, &about) ? (long)about.st_ino : 0;
    return (int)done(fd, is_new ? "create" : "truncate", path, "", is_new ? (long)(about.st_mode & 07777) : 0, inode, "", 0);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE(flags) return open_at(at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE(flags) return open_at(at, name, flags, mode); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[LONGEST];
    if (!place_of(fd, path)) return syscall(SYS_write, fd, data, size);
    if (!begin(CHANGES)) return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    long result = syscall(SYS_write, fd, data, size);
    return done(result, "write", path, "", at, 0, data, result > 0 ? (size_t)result : 0);
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t at) {
    char path[LONGEST];
    if (!place_of(fd, path)) return syscall(SYS_pwrite64, fd, data, size, at);
    if (!begin(CHANGES)) return -1;
    long result = syscall(SYS_pwrite64, fd, data, size, at);
    return done(result, "write", path, "", at, 0, data, result > 0 ? (size_t)result : 0);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_at(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return write_at(fd, data, size, at); }

static int cut(int fd, off_t size) {
    char path[LONGEST];
    if (!place_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, size);
    if (!begin(CHANGES)) return -1;
    return (int)done(syscall(SYS_ftruncate, fd, size), "truncate", path, "", size, 0, "", 0);
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

static int cut_at(const char *name, off_t size) {
    char path[LONGEST];
    if (!place(AT_FDCWD, name, path)) return (int)syscall(SYS_truncate, name, size);
    if (!begin(CHANGES)) return -1;
    return (int)done(syscall(SYS_truncate, name, size), "truncate", path, "", size, 0, "", 0);
}
int truncate(const char *name, off_t size) { return cut_at(name, size); }
int truncate64(const char *name, off_t size) { return cut_at(name, size); }

#define ONE(name, kernel, told) \
    int name(int fd) { \
        char path[LONGEST]; \
        if (!place_of(fd, path)) return (int)syscall(kernel, fd); \
        if (!begin(CHANGES)) return -1; \
        return (int)done(syscall(kernel, fd), told, path, "", 0, 0, "", 0); \
    }
ONE(fsync, SYS_fsync, "sync")
ONE(fdatasync, SYS_fdatasync, "sync")
ONE(syncfs, SYS_syncfs, "syncfs")

int renameat2(int from, const char *one, int to, const char *other, unsigned flags) {
    char path[LONGEST], target[LONGEST];
    if (!place(from, one, path) || !place(to, other, target)) return (int)syscall(SYS_renameat2, from, one, to, other, flags);
    if (!begin(CHANGES)) return -1;
    if (!flags) keep(to, other);
    return (int)done(syscall(SYS_renameat2, from, one, to, other, flags), "rename", path, target, flags, 0, "", 0);
}
int renameat(int from, const char *one, int to, const char *other) { return renameat2(from, one, to, other, 0); }
int rename(const char *one, const char *other) { return renameat2(AT_FDCWD, one, AT_FDCWD, other, 0); }

int unlinkat(int at, const char *name, int flags) {
    char path[LONGEST];
    if (!place(at, name, path)) return (int)syscall(SYS_unlinkat, at, name, flags);
    if (!begin(CHANGES)) return -1;
    if (!(flags & AT_REMOVEDIR)) keep(at, name);
    return (int)done(syscall(SYS_unlinkat, at, name, flags), flags & AT_REMOVEDIR ? "rmdir" : "unlink", path, "", 0, 0, "", 0);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int at, const char *name, mode_t mode) {
    char path[LONGEST];
    struct stat about = {0};
    if (!place(at, name, path)) return (int)syscall(SYS_mkdirat, at, name, mode);
    if (!begin(CHANGES)) return -1;
    int result = (int)syscall(SYS_mkdirat, at, name, mode);
    int before = errno;
    if (result >= 0) fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return (int)done(result, "mkdir", path, "", about.st_mode & 07777, 0, "", 0);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int symlinkat(const char *target, int at, const char *name) {
    char path[LONGEST];
    struct stat about = {0};
    if (!place(at, name, path)) return (int)syscall(SYS_symlinkat, target, at, name);
    if (!begin(CHANGES)) return -1;
    int result = (int)syscall(SYS_symlinkat, target, at, name);
    int before = errno;
    if (result >= 0) fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return (int)done(result, "symlink", path, target, 0, (long)about.st_ino, "", 0);
}
int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

int linkat(int from, const char *one, int to, const char *other, int flags) {
    char path[LONGEST], target[LONGEST];
    if (!place(from, one, path) || !place(to, other, target)) return (int)syscall(SYS_linkat, from, one, to, other, flags);
    if (!begin(CHANGES)) return -1;
    return (int)done(syscall(SYS_linkat, from, one, to, other, flags), "link", path, target, 0, 0, "", 0);
}
int link(const char *one, const char *other) { return linkat(AT_FDCWD, one, AT_FDCWD, other, 0); }

int fchmod(int fd, mode_t mode) {
    char path[LONGEST];
    if (!place_of(fd, path)) return (int)syscall(SYS_fchmod, fd, mode);
    if (!begin(CHANGES)) return -1;
    return (int)done(syscall(SYS_fchmod, fd, mode), "chmod", path, "", mode, 0, "", 0);
}

int chmod(const char *name, mode_t mode) {
    char path[LONGEST];
    if (!place(AT_FDCWD, name, path)) return (int)syscall(SYS_fchmodat, AT_FDCWD, name, mode);
    if (!begin(CHANGES)) return -1;
    return (int)done(syscall(SYS_fchmodat, AT_FDCWD, name, mode), "chmod", path, "", mode, 0, "", 0);
}
