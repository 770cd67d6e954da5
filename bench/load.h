/* What all load generators share: requests from a file, latencies, one line of results. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct request {
    unsigned char *octets;
    size_t length;
};

static struct request *requests;
static size_t request_count;
static uint32_t *latencies; /* nanoseconds */
static size_t latency_count, latency_room;
static size_t wrong;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Records of a uint32 (big-endian) and that many octets. */
static void read_requests(const char *path)
{
    unsigned char head[4];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path);
    while (fread(head, 1, 4, file) == 4) {
        size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        requests[request_count].octets = malloc(length);
        requests[request_count].length = length;
        if (fread(requests[request_count++].octets, 1, length, file) != length)
            fail(path);
    }
    fclose(file);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note(uint64_t nanoseconds, int right)
{
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
    }
    latencies[latency_count++] = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
    wrong += !right;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Requests, nanoseconds of all, of the median and of the 99th percentile, wrong ones. */
static void report(FILE *to, uint64_t elapsed)
{
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    fprintf(to, "%zu %llu %u %u %zu\n", latency_count, (unsigned long long)elapsed,
            latency_count ? latencies[latency_count / 2] : 0,
            latency_count ? latencies[latency_count * 99 / 100] : 0, wrong);
}
