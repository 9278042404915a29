// load: puts load on servers that speak the ZooKeeper client protocol, and tells what they bore.
//
//   load -s HOST:PORT[,HOST:PORT...] -o OPERATION [options]
//
//   -o OPERATION  get, set, create or mixed[:PERCENT OF GETS] (90); create makes sequential znodes, and
//                 deletes them afterwards, uncounted, so that data does not grow from run to run
//   -c COUNT      connections, dealt out to the servers in turn (16)
//   -d COUNT      requests each connection keeps in flight (1)
//   -w SECONDS    warm-up: as what follows, but not counted (0)
//   -t SECONDS    how long to measure (5)
//   -n COUNT      measure until so many requests are answered instead, without -w; what is created stays
//   -v BYTES      length of every value (100)
//   -k COUNT      znodes that get and set go to, at random (1000)
//   -p PATH       the parent of all znodes; made if it is missing (/load)
//   -W            get and set over znoded's WebSocket, a message for each request
//
// Prints one line of JSON: times in milliseconds, quantiles from a histogram with steps of 1.6 %.
// Exit status 1, with the reason on stderr, when a server breaks the protocol, answers out of order or
// closes a connection; 2 for wrong usage. One thread, epoll. Build: cc -O2 -o load load.c

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, DELETE = 2, GET_DATA = 4, SET_DATA = 5, SYNC = 9, CLOSE = -11 };
enum { PERSISTENT = 0, SEQUENTIAL = 2 };
enum { NODE_EXISTS = -110 };
enum { ALL_PERMISSIONS = 31, ANY_VERSION = -1 };
enum { SESSION_TIMEOUT_MS = 30000, PASSWORD = 16 };
enum { HEADER = 16, SUFFIX = 10 };  // of a reply: xid, zxid, err; of a sequential znode's name
enum { READ_SIZE = 1 << 16, MAX_FRAME = 1 << 24, MAX_SERVERS = 64 };

static const uint64_t NS = 1000000000;

static const char *operation = "get", *parent = "/load";
static int connections = 16, depth = 1, value_length = 100, keys = 1000;
static double warm_up = 0, duration = 5;
static uint64_t limit = 0;  // 0: duration counts
static int get_percent;
static bool over_websocket;
static enum { ACCESSING, CREATING, DELETING } phase;
static char *value;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *checked(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS + (uint64_t)time.tv_nsec;
}

// ---- latencies: 64 buckets for each power of two, so that memory is constant and no sample is left out

static uint64_t histogram[64 * 64];
static uint64_t counted, errors, slowest;

static void count_latency(uint64_t ns) {
    int shift = ns < 128 ? 0 : 57 - __builtin_clzll(ns);
    histogram[64 * shift + (ns >> shift)]++;
    counted++;
    if (ns > slowest) slowest = ns;
}

// The upper edge of the bucket that a share of all samples does not exceed, in milliseconds.
static double quantile(double share) {
    uint64_t wanted = (uint64_t)(share * (double)counted), seen = 0;
    for (int bucket = 0; bucket < 64 * 64; bucket++) {
        seen += histogram[bucket];
        if (seen <= wanted) continue;
        int shift = bucket < 128 ? 0 : bucket / 64 - 1;
        uint64_t edge = ((uint64_t)(bucket - 64 * shift + 1) << shift) - 1;
        return (double)(edge < slowest ? edge : slowest) / 1e6;
    }
    return (double)slowest / 1e6;
}

// ---- a connection and its bytes

typedef struct {
    char *bytes;
    size_t start, end, capacity;  // what is to be sent or read stands from start to end
} Buffer;

typedef struct {
    int fd;
    Buffer out, in;
    uint64_t *started;          // when each request in flight was made, by xid modulo depth
    uint32_t issued, answered;  // the last xid of each kind
    bool blocked;               // the socket takes no more for now
} Connection;

static void reserve(Buffer *buffer, size_t length) {
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
    if (buffer->capacity - buffer->end >= length) return;
    memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->end - buffer->start);
    buffer->end -= buffer->start;
    buffer->start = 0;
    if (buffer->capacity - buffer->end >= length) return;
    buffer->capacity = 2 * (buffer->end + length);
    buffer->bytes = checked(realloc(buffer->bytes, buffer->capacity));
}

static void put(Buffer *buffer, const void *bytes, size_t length) {
    reserve(buffer, length);
    memcpy(buffer->bytes + buffer->end, bytes, length);
    buffer->end += length;
}

static void put_int(Buffer *buffer, int32_t number) {
    uint32_t wire = htonl((uint32_t)number);
    put(buffer, &wire, sizeof wire);
}

static void put_text(Buffer *buffer, const char *text) {
    put_int(buffer, (int32_t)strlen(text));
    put(buffer, text, strlen(text));
}

static int32_t int_at(const char *bytes) {
    uint32_t wire;
    memcpy(&wire, bytes, sizeof wire);
    return (int32_t)ntohl(wire);
}

// ---- requests

// Puts a request's header and path, after room for the frame's length; returns where the frame began,
// relative to the buffer's start, since more bytes may move it.
static size_t begin(Buffer *out, int32_t xid, int32_t type, const char *path) {
    size_t frame = out->end - out->start;
    put_int(out, 0);
    put_int(out, xid);
    put_int(out, type);
    if (path) put_text(out, path);
    return frame;
}

static void finish(Buffer *out, size_t frame) {
    char *at = out->bytes + out->start + frame;
    uint32_t length = htonl((uint32_t)(out->bytes + out->end - at - 4));
    memcpy(at, &length, sizeof length);
}

static void put_plain(Buffer *out, int32_t xid, int32_t type, const char *path) {
    finish(out, begin(out, xid, type, path));
}

static void put_get(Buffer *out, int32_t xid, const char *path) {
    size_t frame = begin(out, xid, GET_DATA, path);
    put(out, "\0", 1);  // no watch
    finish(out, frame);
}

static void put_set(Buffer *out, int32_t xid, const char *path) {
    size_t frame = begin(out, xid, SET_DATA, path);
    put_int(out, value_length);
    put(out, value, (size_t)value_length);
    put_int(out, ANY_VERSION);
    finish(out, frame);
}

static void put_create(Buffer *out, int32_t xid, const char *path, int32_t flags) {
    size_t frame = begin(out, xid, CREATE, path);
    put_int(out, value_length);
    put(out, value, (size_t)value_length);
    put_int(out, 1);  // one ACL
    put_int(out, ALL_PERMISSIONS);
    put_text(out, "world");
    put_text(out, "anyone");
    put_int(out, flags);
    finish(out, frame);
}

static void put_delete(Buffer *out, int32_t xid, const char *path) {
    size_t frame = begin(out, xid, DELETE, path);
    put_int(out, ANY_VERSION);
    finish(out, frame);
}

// ---- the same over a WebSocket: frames with a mask of zeros, CBOR with lengths of 4 bytes

enum { BINARY = 0x82, MASKED = 0x80, LENGTH_16 = 126, LENGTH_64 = 127 };
enum { UINT_32 = 0x1a, BYTES_32 = 0x5a, TEXT_32 = 0x7a };  // the first byte of a number, bytes, a text

static void put_byte(Buffer *buffer, int byte) { put(buffer, &(char){(char)byte}, 1); }

static size_t begin_message(Buffer *out) {
    size_t frame = out->end - out->start;
    put(out, "\x82\xfe\0\0\0\0\0", 8);  // binary; masked, with a length of 2 bytes; the mask
    return frame;
}

static void finish_message(Buffer *out, size_t frame) {
    char *at = out->bytes + out->start + frame;
    uint16_t length = htons((uint16_t)(out->bytes + out->end - at - 8));
    memcpy(at + 2, &length, sizeof length);
}

static void put_cbor_text(Buffer *out, const char *text) {
    put_byte(out, TEXT_32);
    put_text(out, text);
}

// Puts [[xid, name, {"path": path}]], or with "data" if there is any.
static void put_message(Buffer *out, int32_t xid, const char *name, const char *path, const char *data) {
    size_t frame = begin_message(out);
    put(out, "\x81\x83", 2);
    put_byte(out, UINT_32);
    put_int(out, xid);
    put_cbor_text(out, name);
    put_byte(out, data ? 0xa2 : 0xa1);
    put_cbor_text(out, "path");
    put_cbor_text(out, path);
    if (data) {
        put_cbor_text(out, "data");
        put_byte(out, BYTES_32);
        put_int(out, value_length);
        put(out, data, (size_t)value_length);
    }
    finish_message(out, frame);
}

// Takes the head of a CBOR item: its major type, and its number, length or count.
static int take_head(const unsigned char **at, const unsigned char *end, uint64_t *number) {
    if (*at == end) die("an answer that ends too soon");
    int first = *(*at)++, info = first & 31, size = info < 24 ? 0 : 1 << (info - 24);
    if (info > 27 || end - *at < size) die("an answer that is not CBOR");
    *number = size ? 0 : (uint64_t)info;
    for (; size; size--) *number = *number << 8 | *(*at)++;
    return first >> 5;
}

static void skip_item(const unsigned char **at, const unsigned char *end) {
    uint64_t number;
    int major = take_head(at, end, &number);
    if (major == 2 || major == 3) {
        if ((uint64_t)(end - *at) < number) die("an answer that ends too soon");
        *at += number;
    } else if (major == 4 || major == 5) {
        for (number *= (uint64_t)(major - 3); number; number--) skip_item(at, end);
    }
}

static uint32_t random_number(void) {
    static uint32_t state = 12345;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

// The numbers in the names of sequential znodes that are to be deleted.
static uint32_t *created;
static size_t created_count, created_capacity;

static void remember_created(const char *reply, int32_t length) {
    char digits[SUFFIX + 1] = {0};
    if (length < HEADER + 4 + SUFFIX) die("a path too short for a sequential znode's");
    memcpy(digits, reply + length - SUFFIX, SUFFIX);
    if (created_count == created_capacity) {
        created_capacity = created_capacity ? 2 * created_capacity : 1 << 16;
        created = checked(realloc(created, created_capacity * sizeof *created));
    }
    created[created_count++] = (uint32_t)strtoul(digits, NULL, 10);
}

static void put_next(Connection *connection, uint64_t time) {
    char path[256];
    int32_t xid = (int32_t)++connection->issued;
    connection->started[xid % depth] = time;
    if (phase == CREATING) {
        snprintf(path, sizeof path, "%s/c-", parent);
        put_create(&connection->out, xid, path, SEQUENTIAL);
        return;
    }
    if (phase == DELETING) {
        snprintf(path, sizeof path, "%s/c-%010u", parent, created[--created_count]);
        put_delete(&connection->out, xid, path);
        return;
    }
    snprintf(path, sizeof path, "%s/k%u", parent, random_number() % (uint32_t)keys);
    bool reads = (int)(random_number() % 100) < get_percent;
    if (over_websocket)
        put_message(&connection->out, xid, reads ? "get" : "set", path, reads ? NULL : value);
    else if (reads)
        put_get(&connection->out, xid, path);
    else
        put_set(&connection->out, xid, path);
}

// ---- before and after the load: one request at a time, blocking

static void send_all(Connection *connection) {
    Buffer *out = &connection->out;
    while (out->start < out->end) {
        ssize_t sent = write(connection->fd, out->bytes + out->start, out->end - out->start);
        if (sent < 0) die("write: %s", strerror(errno));
        out->start += (size_t)sent;
    }
}

static void receive(Connection *connection, char *bytes, size_t length) {
    while (length) {
        ssize_t got = read(connection->fd, bytes, length);
        if (got < 0) die("read: %s", strerror(errno));
        if (got == 0) die("a server closed the connection");
        bytes += got;
        length -= (size_t)got;
    }
}

// Reads one frame into the connection's buffer, and returns its length.
static int32_t receive_frame(Connection *connection) {
    Buffer *in = &connection->in;
    char prefix[4];
    receive(connection, prefix, sizeof prefix);
    int32_t length = int_at(prefix);
    if (length < 0 || length > MAX_FRAME) die("a frame of %d bytes", length);
    in->start = in->end = 0;
    reserve(in, (size_t)length);
    receive(connection, in->bytes, (size_t)length);
    return length;
}

// Reads a reply, passing over events; returns its error code.
static int32_t receive_reply(Connection *connection) {
    for (;;) {
        if (receive_frame(connection) < HEADER) die("a reply shorter than its header");
        if (int_at(connection->in.bytes) >= 0) return int_at(connection->in.bytes + 12);
    }
}

static int dial(const char *server) {
    char *host = checked(strdup(server)), *colon = strrchr(host, ':');
    if (!colon) die("%s has no port", server);
    *colon = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int failed = getaddrinfo(host, colon + 1, &hints, &found);
    if (failed) die("%s: %s", server, gai_strerror(failed));
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen)) die("%s: %s", server, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    freeaddrinfo(found);
    free(host);
    return fd;
}

static void open_session(Connection *connection, const char *server) {
    static const char zeros[PASSWORD];
    Buffer *out = &connection->out;
    connection->fd = dial(server);
    connection->started = checked(calloc((size_t)depth, sizeof *connection->started));
    put_int(out, 4 + 8 + 4 + 8 + 4 + PASSWORD + 1);
    put_int(out, 0);     // protocol version
    put(out, zeros, 8);  // last zxid seen
    put_int(out, SESSION_TIMEOUT_MS);
    put(out, zeros, 8);  // session id
    put_int(out, PASSWORD);
    put(out, zeros, PASSWORD);
    put(out, zeros, 1);  // not read-only
    send_all(connection);
    if (receive_frame(connection) < 20 || int_at(connection->in.bytes + 4) <= 0)
        die("%s refused the session", server);
}

static void open_websocket(Connection *connection, const char *server) {
    Buffer *out = &connection->out;
    char request[512], answer[1] = {0};
    connection->fd = dial(server);
    connection->started = checked(calloc((size_t)depth, sizeof *connection->started));
    int length = snprintf(
        request, sizeof request,
        "GET /ws/v1 HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        server);
    put(out, request, (size_t)length);
    send_all(connection);
    for (int breaks = 0; breaks < 2;) {  // an empty line ends the answer's head
        receive(connection, answer, 1);
        breaks = *answer == '\n' ? breaks + 1 : *answer == '\r' ? breaks : 0;
    }
    size_t frame = begin_message(out);
    put(out, "\x81\x83\0\x67" "connect\xa1\x67timeout\x19\x75\x30", 23);  // 30 s
    finish_message(out, frame);
    send_all(connection);
    unsigned char head[2], rest[125];
    receive(connection, (char *)head, sizeof head);
    if (head[0] != BINARY || head[1] > sizeof rest) die("%s refused the session", server);
    receive(connection, (char *)rest, head[1]);
}

static void close_websocket(Connection *connection) {
    size_t frame = begin_message(&connection->out);
    put(&connection->out, "\x81\x82\0\x65" "close", 9);
    finish_message(&connection->out, frame);
    send_all(connection);
    char answer;
    receive(connection, &answer, 1);
    close(connection->fd);
}

static void close_session(Connection *connection) {
    put_plain(&connection->out, 0, CLOSE, NULL);
    send_all(connection);
    int32_t error = receive_reply(connection);
    if (error) die("closing a session: error %d", error);
    close(connection->fd);
}

// Makes the parent and the keys. What is there already, from a run before, will do.
static void make_znodes(Connection *connection) {
    enum { BATCH = 100 };
    int last = phase == CREATING ? 0 : keys;
    for (int made = 0; made <= last;) {
        int batch = 0;
        for (; batch < BATCH && made <= last; batch++, made++) {
            char path[256];
            snprintf(path, sizeof path, "%s/k%d", parent, made - 1);
            put_create(&connection->out, 0, made ? path : parent, PERSISTENT);
        }
        send_all(connection);
        for (; batch; batch--) {
            int32_t error = receive_reply(connection);
            if (error && error != NODE_EXISTS) die("creating %s: error %d", parent, error);
        }
    }
}

// ---- the load

static int poller;

static void watch_for(Connection *connection, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, how, connection->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void send_some(Connection *connection) {
    Buffer *out = &connection->out;
    ssize_t sent =
        out->start == out->end ? 0 : write(connection->fd, out->bytes + out->start, out->end - out->start);
    if (sent > 0) out->start += (size_t)sent;
    if (sent < 0 && errno != EAGAIN) die("write: %s", strerror(errno));
    bool blocked = out->start < out->end;
    if (blocked != connection->blocked)
        watch_for(connection, EPOLL_CTL_MOD, EPOLLIN | (blocked ? EPOLLOUT : 0));
    connection->blocked = blocked;
}

static void set_blocking(Connection *all, bool blocking) {
    if (!blocking && (poller = epoll_create1(0)) < 0) die("epoll_create1: %s", strerror(errno));
    for (int i = 0; i < connections; i++) {
        fcntl(all[i].fd, F_SETFL, blocking ? 0 : O_NONBLOCK);
        if (!blocking) watch_for(&all[i], EPOLL_CTL_ADD, EPOLLIN);
        all[i].in.start = all[i].in.end = 0;
    }
}

static uint64_t total_issued, total_answered, begins, ends;

static bool more_wanted(uint64_t time) { return limit ? total_issued < limit : time < ends; }

static void issue(Connection *connection, uint64_t time) {
    if (!more_wanted(time)) return;
    total_issued++;
    put_next(connection, time);
}

// reply: of ZooKeeper's protocol, NULL over a WebSocket.
static void take_reply(
    Connection *connection, int32_t xid, int32_t error, const char *reply, int32_t length, uint64_t time) {
    if ((uint32_t)xid != connection->answered + 1)
        die("out of order: got the reply to request %d before that to %u", xid, connection->answered + 1);
    connection->answered++;
    total_answered++;
    if (phase == DELETING && error) die("deleting what was created: error %d", error);
    if (phase == CREATING && !limit && !error) remember_created(reply, length);
    if (phase != DELETING && time >= begins && (limit || time <= ends)) {
        if (error) errors++;
        count_latency(time - connection->started[xid % depth]);
    }
    issue(connection, time);
}

// Takes the first frame of the input, if it is all there.
static bool take_frame(Connection *connection, uint64_t time) {
    Buffer *in = &connection->in;
    if (in->end - in->start < 4) return false;
    const char *frame = in->bytes + in->start;
    int32_t length = int_at(frame);
    if (length < HEADER || length > MAX_FRAME) die("a frame of %d bytes", length);
    if (in->end - in->start < 4 + (size_t)length) return false;
    in->start += 4 + (size_t)length;
    int32_t xid = int_at(frame + 4);
    if (xid >= 0)  // not an event or a ping's answer
        take_reply(connection, xid, int_at(frame + 16), frame + 4, length, time);
    return true;
}

// Likewise a WebSocket's frame, which holds a whole message: [[xid, zxid, error, result], ...].
static bool take_message(Connection *connection, uint64_t time) {
    Buffer *in = &connection->in;
    const unsigned char *at = (const unsigned char *)in->bytes + in->start;
    size_t left = in->end - in->start, head = 2;
    if (left < head) return false;
    if (at[0] != BINARY) die("a frame that begins with %02x", at[0]);
    uint64_t length = at[1], number, count;
    if (length >= LENGTH_16) {
        size_t size = length == LENGTH_16 ? 2 : 8;
        if (left < head + size) return false;
        length = 0;
        for (; head < 2 + size; head++) length = length << 8 | at[head];
    }
    if (length > MAX_FRAME) die("a frame of %llu bytes", (unsigned long long)length);
    if (left < head + length) return false;
    in->start += head + length;
    const unsigned char *end = at + head + length;
    at += head;
    take_head(&at, end, &count);
    for (; count; count--) {
        take_head(&at, end, &number);
        if (number != 4) die("an answer of %llu parts", (unsigned long long)number);
        take_head(&at, end, &number);
        int32_t xid = (int32_t)number;
        skip_item(&at, end);
        take_head(&at, end, &number);
        skip_item(&at, end);
        take_reply(connection, xid, (int32_t)number, NULL, 0, time);
    }
    return true;
}

static void take_input(Connection *connection) {
    Buffer *in = &connection->in;
    reserve(in, READ_SIZE);
    ssize_t got = read(connection->fd, in->bytes + in->end, in->capacity - in->end);
    if (got == 0) die("a server closed the connection");
    if (got < 0 && errno != EAGAIN) die("read: %s", strerror(errno));
    if (got < 0) return;
    in->end += (size_t)got;
    uint64_t time = now();
    while (over_websocket ? take_message(connection, time) : take_frame(connection, time)) {
    }
}

// Loads the servers until all is answered; returns how many seconds were counted.
static double run(Connection *all) {
    struct epoll_event ready[256];
    begins = now() + (uint64_t)(warm_up * (double)NS);
    ends = begins + (uint64_t)(duration * (double)NS);
    for (int round = 0; round < depth; round++)
        for (int i = 0; i < connections; i++) issue(&all[i], now());
    for (int i = 0; i < connections; i++) send_some(&all[i]);
    while (total_answered < total_issued) {
        int count = epoll_wait(poller, ready, sizeof ready / sizeof *ready, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            take_input(ready[i].data.ptr);
            send_some(ready[i].data.ptr);
        }
    }
    return limit ? (double)(now() - begins) / (double)NS : duration;
}

static void delete_created(Connection *all) {
    if (!created_count) return;
    phase = DELETING;
    limit = total_issued + created_count;
    run(all);
}

static bool known_operation(void) {
    if (!strncmp(operation, "mixed", 5)) {
        get_percent = operation[5] == ':' ? atoi(operation + 6) : 90;
        return operation[5] == ':' || !operation[5];
    }
    get_percent = strcmp(operation, "get") ? 0 : 100;
    if (!strcmp(operation, "create")) phase = CREATING;
    return get_percent || phase == CREATING || !strcmp(operation, "set");
}

int main(int count, char **arguments) {
    char *servers[MAX_SERVERS], *list = NULL;
    int server_count = 0, flag;
    while ((flag = getopt(count, arguments, "s:o:c:d:w:t:n:v:k:p:W")) != -1) switch (flag) {
        case 's': list = optarg; break;
        case 'o': operation = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'd': depth = atoi(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 't': duration = atof(optarg); break;
        case 'n': limit = strtoull(optarg, NULL, 10); break;
        case 'v': value_length = atoi(optarg); break;
        case 'k': keys = atoi(optarg); break;
        case 'p': parent = optarg; break;
        case 'W': over_websocket = true; break;
        default: return 2;
        }
    for (char *server = list ? strtok(list, ",") : NULL; server && server_count < MAX_SERVERS;
         server = strtok(NULL, ","))
        servers[server_count++] = server;
    if (!server_count || !known_operation() || connections < 1 || depth < 1 || value_length < 0 || keys < 1 ||
        strlen(parent) > 200 || (limit && warm_up > 0) ||
        (over_websocket && (phase == CREATING || value_length > 60000))) {
        fprintf(stderr, "usage: see the top of load.c\n");
        return 2;
    }
    value = checked(malloc((size_t)value_length + 1));
    memset(value, 'x', (size_t)value_length);

    Connection *all = checked(calloc((size_t)connections, sizeof *all));
    for (int i = 0; i < connections; i++) {
        open_session(&all[i], servers[i % server_count]);
        if (i == 0) make_znodes(&all[i]);
        // A server that lags behind must see the znodes before it is asked for them.
        put_plain(&all[i].out, 0, SYNC, parent);
        send_all(&all[i]);
        int32_t error = receive_reply(&all[i]);
        if (error) die("sync: error %d", error);
        if (over_websocket) {
            close_session(&all[i]);
            open_websocket(&all[i], servers[i % server_count]);
        }
    }
    set_blocking(all, false);
    double seconds = run(all);
    delete_created(all);
    set_blocking(all, true);
    for (int i = 0; i < connections; i++) (over_websocket ? close_websocket : close_session)(&all[i]);

    printf(
        "{\"operation\": \"%s\", \"connections\": %d, \"depth\": %d, \"bytes\": %d, \"seconds\": %.3f, "
        "\"count\": %llu, \"errors\": %llu, \"per_second\": %.1f, "
        "\"p50\": %.4f, \"p99\": %.4f, \"p999\": %.4f, \"max\": %.4f}\n",
        operation, connections, depth, value_length, seconds, (unsigned long long)counted,
        (unsigned long long)errors, (double)counted / seconds, quantile(.5), quantile(.99), quantile(.999),
        (double)slowest / 1e6);
    return 0;
}
