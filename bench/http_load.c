/* http_load REQUESTS SECONDS PORT CONNECTIONS keep|new BODY [STATUS]: drives an HTTP server on
 * 127.0.0.1, one request outstanding on each connection; "new" opens one for each request. An
 * answer is right if its status is STATUS (200) and its body is BODY. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define MOST 256

struct connection {
    uint64_t asked;
    size_t have;
    char buffer[4096];
};

static struct connection connections[MOST];
static struct pollfd polled[MOST];
static struct sockaddr_in server;
static size_t next_request;
static const char *status = "200";

static void dial(int i)
{
    int one = 1;
    polled[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(polled[i].fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    setsockopt(polled[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void ask(int i)
{
    if (polled[i].fd < 0)
        dial(i);
    struct request *request = &requests[next_request++ % request_count];
    connections[i].have = 0;
    if (write(polled[i].fd, request->octets, request->length) != (ssize_t)request->length)
        fail("write");
}

/* The length of a complete response with its status and body judged, or 0. */
static size_t complete(struct connection *connection, const char *body, int *right)
{
    connection->buffer[connection->have] = 0;
    char *end = strstr(connection->buffer, "\r\n\r\n");
    char *length = strcasestr(connection->buffer, "\r\nContent-Length:");
    if (end == NULL || length == NULL || length > end)
        return 0;
    size_t octets = strtoul(length + 17, NULL, 10);
    size_t head = (size_t)(end - connection->buffer) + 4;
    if (connection->have < head + octets)
        return 0;
    *right = strncmp(connection->buffer + 9, status, 3) == 0 && octets == strlen(body) &&
             memcmp(end + 4, body, octets) == 0;
    return head + octets;
}

int main(int count, char **arguments)
{
    if (count < 7 || count > 8 || atoi(arguments[4]) > MOST)
        return 2;
    if (count == 8)
        status = arguments[7];
    read_requests(arguments[1]);
    int wanted = atoi(arguments[4]), keep = strcmp(arguments[5], "keep") == 0, open = wanted;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(arguments[3]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < wanted; i++) {
        dial(i);
        polled[i].events = POLLIN;
        usleep(2000); /* ejabberd lets five wait to be accepted, and the next for a second */
    }
    uint64_t start = now(), end = start + (uint64_t)(atof(arguments[2]) * 1e9), moment = start;
    for (int i = 0; i < wanted; i++) {
        connections[i].asked = now();
        ask(i);
    }
    while (open > 0) {
        if (poll(polled, (nfds_t)wanted, 10000) <= 0)
            fail("no answer within 10 s");
        for (int i = 0; i < wanted; i++) {
            struct connection *connection = &connections[i];
            int right = 0;
            if (polled[i].fd < 0 || !polled[i].revents)
                continue;
            ssize_t got = read(polled[i].fd, connection->buffer + connection->have,
                               sizeof connection->buffer - 1 - connection->have);
            if (got <= 0)
                fail("the server has closed a connection");
            connection->have += (size_t)got;
            if (complete(connection, arguments[6], &right) == 0)
                continue;
            moment = now();
            note(moment - connection->asked, right);
            connection->asked = moment;
            if (!keep || moment >= end) {
                close(polled[i].fd);
                polled[i].fd = -1;
            }
            if (moment < end)
                ask(i);
            else
                open--;
        }
    }
    report(stderr, moment - start);
    return 0;
}
