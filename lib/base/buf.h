/*
 * A buffer that grows.  It owns its bytes; everything else is a view (view.h).
 *
 * Zero-initialise it (BUF_INIT or static), append freely, and test `failed`
 * once at the end: after an allocation failure further appends do nothing.
 * buf_clear empties it but keeps the memory; buf_release frees the memory.  An
 * append may move the memory, so it ends the life of every view into the buf.
 */
#ifndef BUF_H
#define BUF_H

#include <stdarg.h>

#include "base/view.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

#define BUF_INIT \
	{ \
		NULL, 0, 0, false \
	}

/* The slow path of buf_reserve. */
char *buf_grow(struct buf *b, size_t n);

/*
 * Makes room for n more bytes and returns a pointer to it, or sets failed and
 * returns NULL.  The caller adds the number of bytes it wrote there to len.
 */
static inline char *
buf_reserve(struct buf *b, size_t n)
{
	if (n <= b->cap - b->len && b->data != NULL && !b->failed)
		return b->data + b->len;
	return buf_grow(b, n);
}

void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_addvf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Frees the memory and leaves an empty, usable buf. */
void buf_release(struct buf *b);

static inline void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, n);

	if (to != NULL && n > 0) {
		memcpy(to, p, n);
		b->len += n;
	}
}

static inline void
buf_addc(struct buf *b, char c)
{
	char *to = buf_reserve(b, 1);

	if (to != NULL) {
		*to = c;
		b->len++;
	}
}

static inline void
buf_addv(struct buf *b, struct view v)
{
	buf_add(b, v.p, v.n);
}

static inline void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

/* The content; an empty string, not a null view, if the buf is empty. */
static inline struct view
buf_view(const struct buf *b)
{
	return (struct view){b->data != NULL ? b->data : "", b->len};
}

/* The content as a C string, or NULL after a failure; len does not count the
 * NUL. */
const char *buf_str(struct buf *b);

#endif
