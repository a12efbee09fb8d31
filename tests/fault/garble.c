/*
 * LD_PRELOAD: in the replication stream, an Insert that holds "GARBLE" arrives
 * with its first column of an invalid kind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#define KIND_AT 33 /* after header 25, 'I', OID, 'N', number of columns */

int PQgetCopyData(void *conn, char **buffer, int async);

int
PQgetCopyData(void *conn, char **buffer, int async)
{
	static int (*real)(void *, char **, int);
	int n;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "PQgetCopyData");
	n = real(conn, buffer, async);
	if (n > KIND_AT && (*buffer)[25] == 'I' &&
	    memmem(*buffer, (size_t)n, "GARBLE", 6) != NULL)
		(*buffer)[KIND_AT] = '?';
	return n;
}
