#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

char *
buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap;
	char *data;

	if (b->failed)
		return NULL;
	if (n > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return NULL;
	}
	if (cap < 64)
		cap = 64;
	while (cap - b->len < n)
		cap *= 2;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

void
buf_addvf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		b->failed = true;
	else if ((to = buf_reserve(b, (size_t)n + 1)) != NULL) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(b, fmt, ap);
	va_end(ap);
}

void
buf_consume(struct buf *b, size_t n)
{
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

void
buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

const char *
buf_str(struct buf *b)
{
	char *end = buf_reserve(b, 1);

	if (end == NULL)
		return NULL;
	*end = '\0';
	return b->data;
}
