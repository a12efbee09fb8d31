#include "history.h"

#include <string.h>

#include "buf.h"
#include "lsn.h"

/* Without the white space that JSON allows and an LSN does not. */
static void
squeeze(struct buf *to, struct view json)
{
	for (size_t i = 0; i < json.n; i++) {
		if (strchr(" \t\r\n", json.p[i]) == NULL)
			buf_addc(to, json.p[i]);
	}
	buf_str(to);
}

/* history = [ [timeline,"LSN"], … ] */
bool
history_find(struct view history, uint32_t timeline, uint64_t *switch_lsn)
{
	struct buf pattern = BUF_INIT, text = BUF_INIT;
	const char *at = NULL;
	bool found = false;
	size_t n;

	squeeze(&text, history);
	buf_addf(&pattern, "[%u,\"", (unsigned)timeline);
	if (!text.failed && !pattern.failed)
		at = strstr(text.data, pattern.data);
	if (at != NULL) {
		at += pattern.len;
		n = strcspn(at, "\"");
		found = at[n] == '"' &&
		    lsn_parse((struct view){at, n}, switch_lsn);
	}
	buf_release(&pattern);
	buf_release(&text);
	return found;
}
