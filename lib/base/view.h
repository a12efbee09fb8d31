/*
 * A borrowed run of bytes: a pointer and a length, not NUL-terminated.  A view
 * owns nothing; it lives as long as what it was taken from.  p == NULL is
 * "absent" (SQL null, JSON null), which differs from the empty string.
 */
#ifndef VIEW_H
#define VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct view {
	const char *p;
	size_t n;
};

#define VIEW_NULL   ((struct view){NULL, 0})
#define VIEW_LIT(s) ((struct view){"" s, sizeof(s) - 1})
/* for printf's "%.*s" */
#define VIEW_FMT(v) (int)(v).n, (v).p != NULL ? (v).p : ""

static inline struct view
view_of(const char *s)
{
	return s != NULL ? (struct view){s, strlen(s)} : VIEW_NULL;
}

/* The first line of text, without its newline. */
static inline struct view
view_first_line(const char *text)
{
	return (struct view){text, strcspn(text, "\n")};
}

static inline bool
view_eq(struct view a, struct view b)
{
	return a.n == b.n && (a.p == NULL) == (b.p == NULL) &&
	    (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif
