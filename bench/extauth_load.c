/* extauth_load REQUESTS SECONDS: drives an extauth program as ejabberd does, one request
 * outstanding; its answers are on our stdin, its requests go to our stdout. */
#include <string.h>
#include <unistd.h>

#include "load.h"

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    read_requests(arguments[1]);
    uint64_t start = now(), end = start + (uint64_t)(atof(arguments[2]) * 1e9), before = start;
    for (size_t i = 0; before < end; i = (i + 1) % request_count) {
        char answer[4];
        ssize_t have = 0;
        if (write(1, requests[i].octets, requests[i].length) != (ssize_t)requests[i].length)
            fail("write");
        while (have < 4) {
            ssize_t got = read(0, answer + have, sizeof answer - (size_t)have);
            if (got <= 0)
                fail("the program ended");
            have += got;
        }
        uint64_t after = now();
        note(after - before, memcmp(answer, "\0\2\0\1", 4) == 0);
        before = after;
    }
    report(stderr, before - start);
    return 0;
}
