#include "reader/snapshot_message.h"

#include <stdint.h>

#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/lsn.h"
#include "base/num.h"
#include "json/json_small.h"

static const struct view steps[] = {
    [SNAPSHOT_READ] = {"read", 4},
    [SNAPSHOT_KEYS] = {"keys", 4},
    [SNAPSHOT_END] = {"end", 3},
};

static const struct {
	struct view name;
	enum snapshot_kind kind;
} commands[] = {
    {{"pause", 5}, SNAPSHOT_PAUSE},
    {{"resume", 6}, SNAPSHOT_RESUME},
    {{"cancel", 6}, SNAPSHOT_CANCEL},
};

/* Writing */

static void
write_tables(struct buf *b, const struct snapshot_wish *w)
{
	struct view name;

	buf_adds(b, ",\"tables\":");
	if (w->all) {
		buf_adds(b, "null");
		return;
	}
	buf_addc(b, '[');
	for (size_t at = 0; at < w->tables.len; at += name.n + 1) {
		name = view_of(w->tables.data + at);
		buf_adds(b, at > 0 ? "," : "");
		json_write_string(b, name);
	}
	buf_addc(b, ']');
}

static void
write_parts(struct buf *b, const struct snapshot_state *s)
{
	const char *comma = "";

	for (size_t i = 0; i < s->n; i++) {
		const struct snapshot_table *t = &s->tables[i];

		if (t->step != SNAPSHOT_READ)
			continue;
		buf_adds(b, comma);
		buf_addc(b, '[');
		json_write_string(b, buf_view(&t->leaf.sql));
		buf_addf(b, ",%llu,%llu,%llu,%llu]",
		    (unsigned long long)t->filenode,
		    (unsigned long long)t->from, (unsigned long long)t->to,
		    (unsigned long long)t->leaf_blocks);
		comma = ",";
	}
}

static void
write_keys(struct buf *b, struct snapshot_table *t)
{
	struct buf keys = BUF_INIT;

	if (keyspool_batch(&t->keys, SIZE_MAX, &keys) != EXIT_DONE)
		b->failed = true;
	buf_addv(b, buf_view(&keys));
	buf_release(&keys);
}

static void
write_at(struct buf *b, struct snapshot_table *t, bool keys)
{
	buf_adds(b, "{\"table\":");
	json_write_string(b, buf_view(&t->name.sql));
	buf_addf(b,
	    ",\"step\":\"%s\",\"begun\":%s,\"rows\":%llu,\"blocks\":%llu,"
	    "\"of\":%llu",
	    steps[t->step].p, t->begun ? "true" : "false",
	    (unsigned long long)t->rows, (unsigned long long)t->blocks,
	    (unsigned long long)t->of);
	buf_addf(
	    b, ",\"leaf\":%llu,\"shape\":", (unsigned long long)t->leaf_oid);
	json_write_string(b, buf_view(&t->shape));
	buf_adds(b, ",\"keys\":[");
	if (keys)
		write_keys(b, t);
	buf_adds(b, "]}");
}

void
snapshot_marker_write(struct buf *b, struct snapshot_state *s, const char *run,
    const char *slot, uint64_t seen, bool keys)
{
	buf_addf(b,
	    "{\"run\":\"%s\",\"slot\":\"%s\",\"seen\":\"%s\",\"id\":", run,
	    slot, lsn_text(seen).s);
	json_write_string(b, buf_view(&s->wish.id));
	buf_adds(b, ",\"parts\":[");
	write_parts(b, s);
	buf_adds(b, "],\"next\":");
	json_write_string(b, buf_view(&s->next));
	write_tables(b, &s->wish);
	buf_adds(b, ",\"at\":[");
	for (size_t i = 0; i < s->n; i++) {
		buf_adds(b, i > 0 ? "," : "");
		write_at(b, &s->tables[i], keys);
	}
	buf_addf(b, "],\"paused\":%s,\"cancelled\":%s,\"queue\":[",
	    s->paused ? "true" : "false", s->cancelled ? "true" : "false");
	for (size_t i = 0; i < s->nqueue; i++) {
		buf_adds(b, i > 0 ? ",{\"id\":" : "{\"id\":");
		json_write_string(b, buf_view(&s->queue[i].id));
		write_tables(b, &s->queue[i]);
		buf_addc(b, '}');
	}
	buf_adds(b, "]}");
}

/* Reading */

struct reading {
	struct json_small d;
	struct snapshot_message *m;
	bool no_memory;
};

static void
bad(struct reading *g, const char *reason)
{
	g->m->kind = SNAPSHOT_BAD;
	if (g->m->reason == NULL)
		g->m->reason = reason;
}

/* The value of a member of the object at token i, if it is of this kind, or
 * NULL; a null is as none. */
static const struct json_token *
get(struct reading *g, size_t i, const char *key, enum json_kind kind)
{
	size_t at = json_small_member(&g->d, i, view_of(key));
	const struct json_token *t = at > 0 ? &g->d.tokens[at] : NULL;

	if (t == NULL || t->kind == JSON_NULL)
		return NULL;
	if (t->kind != kind)
		bad(g, "a member is of the wrong type");
	return t->kind == kind ? t : NULL;
}

/* A string without escapes, which names of ours do not need. */
static struct view
get_text(struct reading *g, size_t i, const char *key)
{
	const struct json_token *t = get(g, i, key, JSON_STRING);

	return t != NULL ? t->text : VIEW_NULL;
}

/* No text of ours has a NUL byte. */
static void
decode(struct reading *g, const struct json_token *t, struct buf *to)
{
	if (json_small_text(t, to) &&
	    (to->len == 0 || memchr(to->data, '\0', to->len) == NULL))
		return;
	g->no_memory |= to->failed;
	bad(g, "a text is malformed");
}

static void
get_decoded(struct reading *g, size_t i, const char *key, struct buf *to)
{
	const struct json_token *t = get(g, i, key, JSON_STRING);

	if (t == NULL)
		bad(g, "a member of a marker is missing");
	else
		decode(g, t, to);
}

static void
get_name(
    struct reading *g, const struct json_token *t, struct snapshot_name *to)
{
	struct buf sql = BUF_INIT;

	if (t == NULL || t->kind != JSON_STRING)
		bad(g, "a name of a marker is missing");
	else
		decode(g, t, &sql);
	if (g->m->reason == NULL && !snapshot_name_set(to, buf_view(&sql)))
		bad(g, "a name of a marker is malformed");
	buf_release(&sql);
}

static void
get_number(struct reading *g, size_t i, const char *key, uint64_t *to)
{
	const struct json_token *t = get(g, i, key, JSON_NUMBER);

	if (t == NULL || !num_parse_u64(t->text, to))
		bad(g, "a number of a marker is missing");
}

static bool
get_bool(struct reading *g, size_t i, const char *key)
{
	const struct json_token *t = get(g, i, key, JSON_BOOL);

	return t != NULL && t->text.p[0] == 't';
}

/* The id and the tables of the object at token i: null, or names. */
static void
read_wish(struct reading *g, size_t i, struct snapshot_wish *w)
{
	size_t at = json_small_member(&g->d, i, VIEW_LIT("tables"));
	const struct json_token *t = &g->d.tokens[at];
	struct buf name = BUF_INIT;

	w->all = at > 0 && t->kind == JSON_NULL;
	if (at == 0 || (t->kind != JSON_ARRAY && !w->all))
		bad(g, "\"tables\" is neither a list of names nor null");
	for (size_t k = 1; g->m->reason == NULL && !w->all && k <= t->n; k++) {
		if (t[k].kind != JSON_STRING || t[k].text.n == 0) {
			bad(g, "a name of \"tables\" is malformed");
			break;
		}
		decode(g, &t[k], &name);
		snapshot_wish_add(w, buf_view(&name));
	}
	t = get(g, i, "id", JSON_STRING);
	if (t != NULL)
		decode(g, t, &w->id);
	g->no_memory |= w->tables.failed;
	buf_release(&name);
}

static void
read_request(struct reading *g)
{
	g->m->kind = SNAPSHOT_REQUEST;
	read_wish(g, 0, &g->m->wish);
	if (!g->m->wish.all && g->m->wish.tables.len == 0)
		bad(g, "\"tables\" is empty");
}

static void
read_command(struct reading *g, struct view command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (view_eq(command, commands[i].name)) {
			g->m->kind = commands[i].kind;
			return;
		}
	}
	bad(g, "\"do\" is neither pause nor resume nor cancel");
}

/* Arrays of strings, all of the same length. */
static void
read_keys(struct reading *g, size_t i, struct snapshot_table *to)
{
	const struct json_token *t = get(g, i, "keys", JSON_ARRAY);
	size_t at = 1;

	if (t == NULL) {
		bad(g, "a marker has no keys");
		return;
	}
	for (size_t n = t->n; n > 0 && g->m->reason == NULL; n--) {
		if (t[at].kind != JSON_ARRAY || t[at].n != t[1].n)
			bad(g, "a key of a marker is malformed");
		for (size_t k = 1; g->m->reason == NULL && k <= t[at].n; k++)
			if (t[at + k].kind != JSON_STRING)
				bad(g, "a key of a marker is malformed");
		if (g->m->reason == NULL &&
		    keyspool_add(&to->keys, t[at].text) != EXIT_DONE)
			g->no_memory = true;
		at += t[at].n + 1;
	}
}

static void
read_step(struct reading *g, size_t i, struct snapshot_table *to)
{
	struct view step = get_text(g, i, "step");

	for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
		if (view_eq(step, steps[k])) {
			to->step = (enum snapshot_step)k;
			return;
		}
	}
	bad(g, "the step of a marker is unknown");
}

/* t is an element of `parts`. */
static void
read_part(
    struct reading *g, const struct json_token *t, struct snapshot_table *to)
{
	uint64_t *numbers[] = {
	    &to->filenode, &to->from, &to->to, &to->leaf_blocks};

	if (t->kind != JSON_ARRAY || t->n != 5) {
		bad(g, "a part of a marker is malformed");
		return;
	}
	get_name(g, &t[1], &to->leaf);
	for (size_t i = 0; i < 4; i++)
		if (!num_parse_u64(t[2 + i].text, numbers[i]))
			bad(g, "a part of a marker is malformed");
}

static void
read_table(struct reading *g, size_t i, struct snapshot_table *to)
{
	if (g->d.tokens[i].kind != JSON_OBJECT) {
		bad(g, "a table of a marker is malformed");
		return;
	}
	get_name(g, get(g, i, "table", JSON_STRING), &to->name);
	get_number(g, i, "rows", &to->rows);
	get_number(g, i, "blocks", &to->blocks);
	get_number(g, i, "of", &to->of);
	get_number(g, i, "leaf", &to->leaf_oid);
	get_decoded(g, i, "shape", &to->shape);
	to->begun = get_bool(g, i, "begun");
	read_step(g, i, to);
	read_keys(g, i, to);
}

/* The tables at hand, and their parts. */
static void
read_tables(struct reading *g, struct snapshot_state *s)
{
	const struct json_token *at = get(g, 0, "at", JSON_ARRAY);
	const struct json_token *parts = get(g, 0, "parts", JSON_ARRAY);
	size_t i, part, nparts = 0;

	if (at == NULL || at->n > SNAPSHOT_TABLES || parts == NULL) {
		bad(g, "a marker does not say which tables are at hand");
		return;
	}
	i = (size_t)(at - g->d.tokens) + 1;
	part = (size_t)(parts - g->d.tokens) + 1;
	for (; s->n < at->n && g->m->reason == NULL; s->n++) {
		struct snapshot_table *t = &s->tables[s->n];

		read_table(g, i, t);
		i = json_small_next(&g->d, i);
		if (g->m->reason != NULL || t->step != SNAPSHOT_READ)
			continue;
		if (nparts++ == parts->n) {
			bad(g, "a marker lacks a part");
			return;
		}
		read_part(g, &g->d.tokens[part], t);
		part = json_small_next(&g->d, part);
	}
}

static void
read_queue(struct reading *g, struct snapshot_state *s)
{
	const struct json_token *t = get(g, 0, "queue", JSON_ARRAY);
	size_t i = t != NULL ? (size_t)(t - g->d.tokens) + 1 : 0;

	if (t == NULL)
		bad(g, "a marker has no queue");
	for (size_t n = t != NULL ? t->n : 0; n > 0 && g->m->reason == NULL;
	     n--) {
		struct snapshot_wish w = {0};

		if (g->d.tokens[i].kind != JSON_OBJECT)
			bad(g, "the queue of a marker is malformed");
		else
			read_wish(g, i, &w);
		if (w.id.len == 0)
			bad(g, "a request of a marker has no id");
		if (g->m->reason == NULL)
			g->no_memory |= !snapshot_state_push(s, &w);
		snapshot_wish_release(&w);
		i = json_small_next(&g->d, i);
	}
}

static void
read_marker(struct reading *g)
{
	struct snapshot_state *s = &g->m->state;

	g->m->kind = SNAPSHOT_MARKER;
	if (!lsn_parse(get_text(g, 0, "seen"), &g->m->seen))
		bad(g, "a marker does not say which requests it has seen");
	read_wish(g, 0, &s->wish);
	get_decoded(g, 0, "id", &s->wish.id);
	get_decoded(g, 0, "next", &s->next);
	s->paused = get_bool(g, 0, "paused");
	s->cancelled = get_bool(g, 0, "cancelled");
	read_tables(g, s);
	read_queue(g, s);
}

bool
snapshot_message_read(struct view content, struct snapshot_message *m)
{
	struct reading g = {.m = m};
	struct view command;

	*m = (struct snapshot_message){0};
	if (!json_small_read(&g.d, content) ||
	    g.d.tokens[0].kind != JSON_OBJECT) {
		bad(&g, "not a JSON object");
		json_small_release(&g.d);
		return true;
	}
	m->slot = get_text(&g, 0, "slot");
	m->run = get_text(&g, 0, "run");
	command = get_text(&g, 0, "do");
	if (m->run.p != NULL)
		read_marker(&g);
	else if (command.p != NULL)
		read_command(&g, command);
	else
		read_request(&g);
	if (m->reason != NULL)
		m->kind = SNAPSHOT_BAD;
	json_small_release(&g.d);
	return !g.no_memory;
}

void
snapshot_message_release(struct snapshot_message *m)
{
	snapshot_wish_release(&m->wish);
	snapshot_state_release(&m->state);
}
