/* Records what a process does to the files below one directory, in order, into a trace.
 *
 * cc -shared -fPIC -O2 -o recorder.so recorder.c -ldl
 * LD_PRELOAD=recorder.so POWER_CUT_WATCH=/the/directory POWER_CUT_TRACE=/the/trace command
 *
 * One lock is held over each call and its record, so that the trace's order is the real one. A file is
 * known by its inode's number, its path is relative to the directory. What the process says (on its
 * standard output and to TCP sockets) is recorded before it is said: all before it in the trace is
 * what an acknowledgement may rely on. What can't be followed (a file written through a mapping, a
 * stream or a link) is recorded as such, for the reader to refuse.
 *
 * A record: kind, flags, path's length, data's length, file, number, and when it was made, by the clock that
 * all processes of a host share, in ns; then the path, then the data.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The same functions under their 64-bit names are aliases here; off_t has 64 bits. */
_Static_assert(sizeof(off_t) == 8, "needs a 64-bit off_t");

struct header {
    uint8_t kind, flags;
    uint16_t path;
    uint32_t pad;
    uint64_t data, file, number, time;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char watch[PATH_MAX];
static size_t watch_length;
static int trace = -1;

#define REAL(result, name, ...)                                    \
    static result (*real)(__VA_ARGS__);                            \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void fail(const char *what) {
    static const char text[] = "power cut recorder: ";
    syscall(SYS_write, 2, text, sizeof text - 1);
    syscall(SYS_write, 2, what, strlen(what));
    syscall(SYS_write, 2, "\n", 1);
    abort();
}

__attribute__((constructor)) static void start(void) {
    const char *directory = getenv("POWER_CUT_WATCH"), *file = getenv("POWER_CUT_TRACE");
    if (!directory || !file) return;
    if (!realpath(directory, watch)) fail("no directory to watch");
    watch_length = strlen(watch);
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    trace = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 200);
    if (trace < 0) fail("no trace");
    syscall(SYS_close, fd);
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length) {
        ssize_t count = syscall(SYS_write, trace, at, length);
        if (count < 0) fail("the trace can't be written");
        at += count;
        length -= count;
    }
}

static void begin(char kind, int flags, const char *path, uint64_t file, uint64_t number, uint64_t data) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t time = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
    struct header header = {kind, flags, strlen(path), 0, data, file, number, time};
    put(&header, sizeof header);
    put(path, header.path);
}

/* Takes "write" for a vector of count pieces, of which length bytes were written. */
static void put_vector(const struct iovec *pieces, int count, size_t length) {
    for (int i = 0; i < count && length; i++) {
        size_t part = pieces[i].iov_len < length ? pieces[i].iov_len : length;
        put(pieces[i].iov_base, part);
        length -= part;
    }
}

static const char *below(const char *path) {
    if (!watch_length || strncmp(path, watch, watch_length)) return NULL;
    if (!path[watch_length]) return "";
    return path[watch_length] == '/' ? path + watch_length + 1 : NULL;
}

/* The path of an open file relative to the watched directory, or NULL. */
static const char *watched(int fd, char *buffer) {
    char link[40];
    if (trace < 0 || fd < 0) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0) return NULL;
    buffer[length] = 0;
    return below(buffer);
}

/* The path that a call names, the last part taken as it is; relative to the watched directory, or NULL. */
static const char *named(int at, const char *path, char *buffer) {
    char whole[2 * PATH_MAX], link[40];
    if (trace < 0) return NULL;
    whole[0] = 0;
    if (path[0] != '/') {
        if (at == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, whole, PATH_MAX - 1);
        if (length < 0) return NULL;
        strcpy(whole + length, "/");
    }
    strncat(whole, path, PATH_MAX - 1);
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    char *last = strrchr(whole, '/');
    char name[PATH_MAX];
    strncpy(name, last + 1, PATH_MAX - 1);
    name[PATH_MAX - 1] = 0;
    last[last == whole] = 0;
    if (!realpath(whole, buffer) || strlen(buffer) + strlen(name) + 2 > PATH_MAX) return NULL;
    if (strcmp(buffer, "/")) strcat(buffer, "/");
    strcat(buffer, name);
    return below(buffer);
}

static uint64_t inode(int fd) {
    struct stat stat;
    return fstat(fd, &stat) ? 0 : stat.st_ino;
}

/* The caller holds the lock. */
static void refuse(const char *call, const char *path) {
    begin('?', 0, path, 0, 0, strlen(call));
    put(call, strlen(call));
}

static void refuse_alone(const char *call, const char *path) {
    pthread_mutex_lock(&lock);
    refuse(call, path);
    pthread_mutex_unlock(&lock);
}

static int is_output(int fd) {
    int domain;
    socklen_t length = sizeof domain;
    if (trace < 0) return 0;
    if (fd == STDOUT_FILENO) return 1;
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) && (domain == AF_INET || domain == AF_INET6);
}

/* What a kernel holds back does not count: said is what was handed to it, all or not. */
static void said(int fd, const struct iovec *pieces, int count) {
    uint64_t length = 0;
    for (int i = 0; i < count; i++) length += pieces[i].iov_len;
    begin('s', 0, "", fd, 0, length);
    put_vector(pieces, count, length);
}

static int opened(int fd, int flags, int existed) {
    char buffer[PATH_MAX];
    int kept = errno;
    const char *path = fd < 0 ? NULL : watched(fd, buffer);
    if (path) {
        int truncated = (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY;
        if ((flags & O_TMPFILE) == O_TMPFILE) refuse("open with O_TMPFILE", path);
        else begin('o', ((flags & O_CREAT) && !existed) | truncated << 1, path, inode(fd), 0, 0);
    }
    errno = kept;
    return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    if (trace < 0) return real(at, path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = !faccessat(at, path, F_OK, 0);
    int fd = opened(real(at, path, flags, mode), flags, existed);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE                                    \
    va_list list;                               \
    va_start(list, flags);                      \
    mode_t mode = va_arg(list, int);            \
    va_end(list)

int open(const char *path, int flags, ...) { MODE; return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE; return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE; return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static FILE *stream(FILE *(*real)(const char *, const char *), const char *path, const char *mode) {
    char buffer[PATH_MAX];
    const char *name = mode[0] == 'r' && !strchr(mode, '+') ? NULL : named(AT_FDCWD, path, buffer);
    if (name) refuse_alone("fopen", name);
    return real(path, mode);
}

FILE *fopen(const char *path, const char *mode) {
    REAL(FILE *, fopen, const char *, const char *);
    return stream(real, path, mode);
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

/* All writing goes through here; at < 0 stands for the file's own position. */
static ssize_t write_to(int fd, const struct iovec *pieces, int count, off_t at, int flags) {
    REAL(ssize_t, pwritev2, int, const struct iovec *, int, off_t, int);
    char buffer[PATH_MAX];
    const char *path = watched(fd, buffer);
    if (!path) {
        if (is_output(fd)) {
            pthread_mutex_lock(&lock);
            said(fd, pieces, count);
            pthread_mutex_unlock(&lock);
        }
        return real(fd, pieces, count, at, flags);
    }
    pthread_mutex_lock(&lock);
    ssize_t length = real(fd, pieces, count, at, flags);
    int kept = errno;
    if (length > 0) {
        if (at < 0) at = lseek(fd, 0, SEEK_CUR) - length;
        int durable = (flags & (RWF_DSYNC | RWF_SYNC)) || (fcntl(fd, F_GETFL) & O_DSYNC);
        begin('w', durable, path, inode(fd), at, length);
        put_vector(pieces, count, length);
    }
    errno = kept;
    pthread_mutex_unlock(&lock);
    return length;
}

#define ONE(data, length) (&(struct iovec){(void *)(data), length}), 1

ssize_t write(int fd, const void *data, size_t n) { return write_to(fd, ONE(data, n), -1, 0); }
ssize_t writev(int fd, const struct iovec *v, int n) { return write_to(fd, v, n, -1, 0); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return write_to(fd, ONE(data, n), at, 0); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return write_to(fd, ONE(data, n), at, 0); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return write_to(fd, v, n, at, 0); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) { return write_to(fd, v, n, at, 0); }
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags) { return write_to(fd, v, n, at, flags); }
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t at, int flags) { return write_to(fd, v, n, at, flags); }

static void said_to(int fd, const struct iovec *pieces, int count) {
    if (!is_output(fd)) return;
    pthread_mutex_lock(&lock);
    said(fd, pieces, count);
    pthread_mutex_unlock(&lock);
}

ssize_t send(int fd, const void *data, size_t n, int flags) {
    REAL(ssize_t, send, int, const void *, size_t, int);
    said_to(fd, ONE(data, n));
    return real(fd, data, n, flags);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t length) {
    REAL(ssize_t, sendto, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    said_to(fd, ONE(data, n));
    return real(fd, data, n, flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
    said_to(fd, message->msg_iov, message->msg_iovlen);
    return real(fd, message, flags);
}

/* Calls on an open file that change no bytes: done, then recorded with one number. */
#define ON_FILE(kind, flags, number, good, call)                             \
    char buffer[PATH_MAX];                                                   \
    const char *path = watched(fd, buffer);                                  \
    if (!path) return call;                                                  \
    pthread_mutex_lock(&lock);                                               \
    int result = call, kept = errno;                                         \
    if (good) begin(kind, flags, path, inode(fd), number, 0);                \
    errno = kept;                                                            \
    pthread_mutex_unlock(&lock);                                             \
    return result

static int cut(int fd, off_t size) {
    REAL(int, ftruncate, int, off_t);
    ON_FILE('t', 0, size, !result, real(fd, size));
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

static int cut_by_name(const char *path, off_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = cut(fd, size), kept = errno;
    close(fd);
    errno = kept;
    return result;
}

int truncate(const char *path, off_t size) { return cut_by_name(path, size); }
int truncate64(const char *path, off_t size) { return cut_by_name(path, size); }

static int allocate(int fd, off_t at, off_t length) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    ON_FILE('a', 0, at + length, !result, real(fd, at, length));
}

int posix_fallocate(int fd, off_t at, off_t length) { return allocate(fd, at, length); }
int posix_fallocate64(int fd, off_t at, off_t length) { return allocate(fd, at, length); }

static int allocate_mode(int fd, int mode, off_t at, off_t length) {
    REAL(int, fallocate, int, int, off_t, off_t);
    if (mode & ~FALLOC_FL_KEEP_SIZE) {
        char name[PATH_MAX];
        const char *path = watched(fd, name);
        if (path) refuse_alone("fallocate that changes bytes", path);
    }
    ON_FILE('a', 0, mode ? 0 : at + length, !result, real(fd, mode, at, length));
}

int fallocate(int fd, int mode, off_t at, off_t length) { return allocate_mode(fd, mode, at, length); }
int fallocate64(int fd, int mode, off_t at, off_t length) { return allocate_mode(fd, mode, at, length); }

int fsync(int fd) {
    REAL(int, fsync, int);
    ON_FILE('f', 0, 0, !result, real(fd));
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    ON_FILE('f', 0, 0, !result, real(fd));
}

/* Calls on names. */
#define ON_NAME(kind, at, name, call)                                        \
    char buffer[PATH_MAX];                                                   \
    const char *path = named(at, name, buffer);                              \
    if (!path) return call;                                                  \
    pthread_mutex_lock(&lock);                                               \
    int result = call, kept = errno;                                         \
    if (!result) begin(kind, 0, path, 0, 0, 0);                              \
    errno = kept;                                                            \
    pthread_mutex_unlock(&lock);                                             \
    return result

int unlinkat(int at, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    ON_NAME('u', at, name, real(at, name, flags));
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int remove(const char *name) {
    struct stat stat;
    return unlinkat(AT_FDCWD, name, !lstat(name, &stat) && S_ISDIR(stat.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int at, const char *name, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    ON_NAME('d', at, name, real(at, name, mode));
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    char old_buffer[PATH_MAX], new_buffer[PATH_MAX];
    const char *old_path = named(from, old, old_buffer), *new_path = named(to, new, new_buffer);
    if (!old_path && !new_path) return real(from, old, to, new, flags);
    pthread_mutex_lock(&lock);
    int result = real(from, old, to, new, flags), kept = errno;
    if (!result) {
        if (!old_path || !new_path || flags & RENAME_EXCHANGE) refuse("rename", old_path ? old_path : new_path);
        else {
            begin('r', 0, old_path, 0, 0, strlen(new_path));
            put(new_path, strlen(new_path));
        }
    }
    errno = kept;
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    char buffer[PATH_MAX];
    const char *path = named(to, new, buffer);
    int result = real(from, old, to, new, flags);
    if (path && !result) refuse_alone("link", path);
    return result;
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

static void *map(void *where, size_t length, int protection, int flags, int fd, off_t at) {
    char buffer[PATH_MAX];
    const char *path = flags & MAP_SHARED && protection & PROT_WRITE ? watched(fd, buffer) : NULL;
    if (path) refuse_alone("mmap for writing", path);
    return (void *)syscall(SYS_mmap, where, length, protection, flags, fd, at);
}

void *mmap(void *where, size_t n, int prot, int flags, int fd, off_t at) { return map(where, n, prot, flags, fd, at); }
void *mmap64(void *where, size_t n, int prot, int flags, int fd, off_t at) { return map(where, n, prot, flags, fd, at); }
