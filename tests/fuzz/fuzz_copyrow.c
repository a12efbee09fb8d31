/* A row that copyrow_get accepts is the row that copyrow_put writes for the
 * event.  The first byte of the input says whether a header is expected. */
#include <stdint.h>
#include <stdlib.h>

#include "buffer/copyrow.h"
#include "same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool first = size > 0 && (data[0] & 1) != 0;
	struct view message = {(const char *)data + 1, size - 1};
	struct buf row = BUF_INIT;
	struct event e;
	size_t header = first ? 19 : 0;
	bool same;

	if (size == 0 || copyrow_get(message, first, &e) != COPYROW_EVENT)
		return 0;
	/* compare without id and created_at, and without the number of fields
	 * before them */
	copyrow_put(&row, &e);
	same = message.n == header + row.len + 24 &&
	    memcmp(message.p + header + 14, row.data + 2, row.len - 2) == 0;
	/* of an incomplete identity nothing is written */
	if (!same && e.seq != 0 && e.commit_lsn != 0)
		abort();
	buf_release(&row);
	return 0;
}
