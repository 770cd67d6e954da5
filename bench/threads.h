/* What the load generators with threads share: a command on stdin, one login at a time in each of
 * so many threads, a line of results on stdout. A program defines `prepare` and `login`. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "load.h"

#define MOST_THREADS 256

struct worker {
    pthread_t thread;
    int number;
    uint64_t end;
    uint32_t *latencies;
    size_t count, room, wrong;
};

static struct worker workers[MOST_THREADS];
static atomic_size_t next_request;

/* Whether the password was accepted; anything but a clear yes or no ends the program. */
static int login(int worker, const char *user, const char *password);

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t before = now();
    while (before < worker->end) {
        /* See slapd.py: user NUL password NUL "1" or "0". */
        struct request *request = &requests[atomic_fetch_add(&next_request, 1) % request_count];
        const char *user = (const char *)request->octets, *password = user + strlen(user) + 1;
        int right = request->octets[request->length - 1] == '1';
        if (login(worker->number, user, password) != right && worker->wrong++ == 0)
            fprintf(stderr, "wrong verdict: %s was %s\n", user, right ? "refused" : "accepted");
        uint64_t after = now();
        if (worker->count == worker->room) {
            worker->room = worker->room ? worker->room * 2 : 1 << 14;
            worker->latencies = realloc(worker->latencies, worker->room * sizeof(uint32_t));
        }
        worker->latencies[worker->count++] = after - before > UINT32_MAX ? UINT32_MAX : (uint32_t)(after - before);
        before = after;
    }
    return NULL;
}

static void run(int threads, double seconds)
{
    uint64_t start = now();
    latency_count = wrong = 0;
    for (int i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].end = start + (uint64_t)(seconds * 1e9);
        workers[i].count = workers[i].wrong = 0;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("pthread_create");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    uint64_t elapsed = now() - start;
    for (int i = 0; i < threads; i++) {
        for (size_t j = 0; j < workers[i].count; j++)
            note(workers[i].latencies[j], 1);
        wrong += workers[i].wrong;
    }
    report(stdout, elapsed);
    fflush(stdout);
}
