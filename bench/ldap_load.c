/* ldap_load REQUESTS PLAIN TLS CA_FILE BASE FILTER USER_DN SERVICE_DN SERVICE_PASSWORD
 *
 * What a good C client does with libldap: threads, each with a connection for searches and one for
 * binds that stay open, a deadline on everything, the server's certificate verified, one TLS
 * context for all. Each line of stdin, "OPERATION LINK THREADS SECONDS", is a turn: OPERATION is
 * "bind", "search" (and bind) or "search+policy" (with the password policy control sent and read),
 * LINK is "plain" or "tls". */
#include <ldap.h>

#include "threads.h"

static const char *uris[2], *authority, *base, *filter, *user_dn, *service_dn, *service_password;
static LDAP *searching[2][MOST_THREADS], *binding[2][MOST_THREADS];
static int tls, search, policy;
static struct timeval patience = {5, 0};

static void must(int code, const char *what)
{
    if (code == LDAP_SUCCESS)
        return;
    fprintf(stderr, "%s: %s\n", what, ldap_err2string(code));
    exit(1);
}

static void options(void)
{
    int demand = LDAP_OPT_X_TLS_DEMAND, least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0, version = 3;
    must(ldap_set_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version), "version");
    must(ldap_set_option(NULL, LDAP_OPT_REFERRALS, LDAP_OPT_OFF), "referrals");
    must(ldap_set_option(NULL, LDAP_OPT_NETWORK_TIMEOUT, &patience), "network timeout");
    must(ldap_set_option(NULL, LDAP_OPT_X_TLS_CACERTFILE, authority), "CA file");
    must(ldap_set_option(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand), "verification");
    must(ldap_set_option(NULL, LDAP_OPT_X_TLS_PROTOCOL_MIN, &least), "TLS 1.2");
    must(ldap_set_option(NULL, LDAP_OPT_X_TLS_NEWCTX, &client), "TLS context");
}

/* A simple bind: whether the password was accepted. */
static int bind_as(LDAP *ld, const char *dn, const char *password)
{
    struct berval credentials = {strlen(password), (char *)password};
    LDAPControl control = {LDAP_CONTROL_PASSWORDPOLICYREQUEST, {0, NULL}, 0}, *sent[] = {&control, NULL};
    LDAPControl **received = NULL;
    LDAPMessage *message = NULL;
    int id, code;
    must(ldap_sasl_bind(ld, dn, LDAP_SASL_SIMPLE, &credentials, policy ? sent : NULL, NULL, &id), "bind");
    if (ldap_result(ld, id, LDAP_MSG_ALL, &patience, &message) != LDAP_RES_BIND) {
        fprintf(stderr, "no answer to a bind\n");
        exit(1);
    }
    must(ldap_parse_result(ld, message, &code, NULL, NULL, NULL, policy ? &received : NULL, 1), "reply");
    if (code != LDAP_SUCCESS && code != LDAP_INVALID_CREDENTIALS)
        must(code, "bind");
    if (received != NULL) {
        ber_int_t expires, grace;
        LDAPPasswordPolicyError error = PP_noError;
        LDAPControl *found = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, received, NULL);
        if (found != NULL)
            must(ldap_parse_passwordpolicy_control(ld, found, &expires, &grace, &error), "policy");
        ldap_controls_free(received);
        if (error != PP_noError)
            return 0;
    }
    return code == LDAP_SUCCESS;
}

static int login(int worker, const char *user, const char *password)
{
    char text[512], name[256];
    struct berval raw = {strlen(user), (char *)user}, escaped = {0, NULL};
    char *attributes[] = {"uid", "shadowExpire", "pwdEndTime", NULL};
    LDAPMessage *found = NULL;
    const char *hole = strstr(search ? filter : user_dn, "{user}");
    int before = (int)(hole - (search ? filter : user_dn));
    if (!search) {
        snprintf(name, sizeof name, "%.*s%s%s", before, user_dn, user, hole + 6);
        return bind_as(binding[tls][worker], name, password);
    }
    must(ldap_bv2escaped_filter_value(&raw, &escaped), "escape");
    snprintf(text, sizeof text, "%.*s%s%s", before, filter, escaped.bv_val, hole + 6);
    ldap_memfree(escaped.bv_val);
    LDAP *ld = searching[tls][worker];
    must(ldap_search_ext_s(ld, base, LDAP_SCOPE_SUBTREE, text, attributes, 0, NULL, NULL, &patience, 2, &found),
         "search");
    if (ldap_count_entries(ld, found) != 1) {
        fprintf(stderr, "%s: not one entry\n", user);
        exit(1);
    }
    LDAPMessage *entry = ldap_first_entry(ld, found);
    struct berval **values = ldap_get_values_len(ld, entry, "uid");
    if (values == NULL || strcasecmp(values[0]->bv_val, user) != 0 || values[1] != NULL) {
        fprintf(stderr, "%s: somebody else's entry\n", user);
        exit(1);
    }
    ldap_value_free_len(values);
    char *dn = ldap_get_dn(ld, entry);
    int accepted = bind_as(binding[tls][worker], dn, password);
    ldap_memfree(dn);
    ldap_msgfree(found);
    return accepted;
}

static LDAP *opened(const char *uri)
{
    LDAP *ld = NULL;
    must(ldap_initialize(&ld, uri), uri);
    if (!bind_as(ld, service_dn, service_password)) {
        fprintf(stderr, "the service account was refused\n");
        exit(1);
    }
    return ld;
}

int main(int count, char **arguments)
{
    char operation[32], link[32];
    int threads;
    double seconds;
    if (count != 10)
        return 2;
    read_requests(arguments[1]);
    uris[0] = arguments[2], uris[1] = arguments[3], authority = arguments[4], base = arguments[5];
    filter = arguments[6], user_dn = arguments[7], service_dn = arguments[8], service_password = arguments[9];
    options();
    while (scanf("%31s %31s %d %lf", operation, link, &threads, &seconds) == 4 && threads <= MOST_THREADS) {
        tls = strcmp(link, "tls") == 0;
        search = strcmp(operation, "bind") != 0;
        policy = strcmp(operation, "search+policy") == 0;
        for (int i = 0; i < threads; i++) {
            if (searching[tls][i] == NULL)
                searching[tls][i] = opened(uris[tls]);
            if (binding[tls][i] == NULL)
                binding[tls][i] = opened(uris[tls]);
        }
        run(threads, seconds);
    }
    return 0;
}
