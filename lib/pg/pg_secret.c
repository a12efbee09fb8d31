#include "pg/pg_secret.h"

#include <string.h>
#include <strings.h>

/* Secrets of newer versions, which libpq does not mark as passwords. */
static const char *const secrets[] = {
    "oauth_client_secret", "scram_client_key", "scram_server_key"};

/* A string that cannot be parsed may have been meant to set a secret if it
 * holds one of these: parts of option names, percent-encoding, a URI. */
static const char *const signs[] = {"pass", "secret", "_key", "%", "://"};

/* Is there an '@' in the host or database of a URI? */
static bool
has_stray_at(const char *conninfo)
{
	const char *at, *authority = strstr(conninfo, "://");
	size_t n;

	if (strncmp(conninfo, "postgres://", 11) != 0 &&
	    strncmp(conninfo, "postgresql://", 13) != 0)
		return false;
	authority += 3;
	n = strcspn(authority, "@/");
	if (authority[n] == '@')
		n++;
	at = strpbrk(authority + n, "@?");
	return at != NULL && *at == '@';
}

PQconninfoOption *
pg_parse(const char *conninfo, char **message)
{
	if (!has_stray_at(conninfo))
		return PQconninfoParse(conninfo, message);
	if (message != NULL)
		*message = NULL;
	return NULL;
}

bool
pg_is_secret(const PQconninfoOption *o)
{
	bool secret = o->dispchar[0] == '*';

	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		secret = secret || strcmp(o->keyword, secrets[i]) == 0;
	return secret && o->val != NULL && *o->val != '\0';
}

static bool
has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text != '\0'; text++) {
		if (strncasecmp(text, word, n) == 0)
			return true;
	}
	return false;
}

static bool
looks_secret(const char *text)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		if (has_word(text, signs[i]))
			return true;
	}
	return false;
}

bool
pg_has_secret(const char *conninfo)
{
	PQconninfoOption *parsed = pg_parse(conninfo, NULL);
	bool found = false;

	if (parsed == NULL)
		return looks_secret(conninfo);
	for (const PQconninfoOption *o = parsed; o->keyword != NULL; o++)
		found = found || pg_is_secret(o);
	PQconninfoFree(parsed);
	return found;
}
