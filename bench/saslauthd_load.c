/* saslauthd_load REQUESTS SOCKET: asks a saslauthd as libsasl does, a connection for each login:
 * user, password, service and realm go out, each behind its length; "OK" or "NO …" comes back.
 * Each line of stdin, "OPERATION LINK THREADS SECONDS", is a turn; saslauthd's own configuration
 * has decided about the first two. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "threads.h"

static struct sockaddr_un server = {.sun_family = AF_UNIX};

static size_t put(unsigned char *to, const char *text)
{
    size_t length = strlen(text);
    to[0] = (unsigned char)(length >> 8);
    to[1] = (unsigned char)length;
    memcpy(to + 2, text, length);
    return length + 2;
}

static int login(int worker, const char *user, const char *password)
{
    unsigned char asked[1024], answer[1024];
    size_t length = put(asked, user), have = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)worker;
    length += put(asked + length, password);
    length += put(asked + length, "xmpp");
    length += put(asked + length, "example.org");
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    if (write(fd, asked, length) != (ssize_t)length)
        fail("write");
    while (have < 2 || have < 2u + ((size_t)answer[0] << 8 | answer[1])) {
        ssize_t got = read(fd, answer + have, sizeof answer - have);
        if (got <= 0)
            fail("saslauthd has closed a connection");
        have += (size_t)got;
    }
    close(fd);
    if (have > 4 && memmem(answer + 2, have - 2, "error", 5) != NULL) {
        fprintf(stderr, "saslauthd could not tell: %.*s\n", (int)have - 2, answer + 2);
        exit(1);
    }
    return memcmp(answer + 2, "OK", 2) == 0;
}

int main(int count, char **arguments)
{
    int threads;
    double seconds;
    if (count != 3 || strlen(arguments[2]) >= sizeof server.sun_path)
        return 2;
    read_requests(arguments[1]);
    strcpy(server.sun_path, arguments[2]);
    while (scanf("%*s %*s %d %lf", &threads, &seconds) == 2 && threads <= MOST_THREADS)
        run(threads, seconds);
    return 0;
}
