#include "reader/snapshot_state.h"

#include <stdlib.h>

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

void
snapshot_state_release(struct snapshot_state *s)
{
	buf_release(&s->id);
	buf_release(&s->tables);
	buf_release(&s->table);
	buf_release(&s->leaf);
	buf_release(&s->keys);
	buf_release(&s->queue);
	*s = (struct snapshot_state){0};
}

static void
write_part(struct buf *b, const struct snapshot_state *s)
{
	buf_addc(b, '[');
	json_write_string(b, buf_view(&s->leaf));
	buf_addf(b, ",%llu,%llu,%llu,%llu]", (unsigned long long)s->filenode,
	    (unsigned long long)s->from, (unsigned long long)s->to,
	    (unsigned long long)s->leaf_blocks);
}

void
snapshot_state_write(struct buf *b, const struct snapshot_state *s,
    const char *run, const char *slot, uint64_t seen, bool part, bool keys)
{
	buf_addf(b,
	    "{\"run\":\"%s\",\"slot\":\"%s\",\"seen\":\"%s\",\"id\":", run,
	    slot, lsn_text(seen).s);
	json_write_string(b, buf_view(&s->id));
	buf_addf(b, ",\"step\":\"%s\",\"parts\":[", steps[s->step].p);
	if (part)
		write_part(b, s);
	buf_adds(b, "],\"next\":");
	json_write_string(b, buf_view(&s->table));
	buf_adds(b, ",\"tables\":");
	buf_addv(b, buf_view(&s->tables));
	buf_addf(b, ",\"rows\":%llu,\"blocks\":%llu,\"of\":%llu,\"paused\":%s",
	    (unsigned long long)s->rows, (unsigned long long)s->blocks,
	    (unsigned long long)s->of, s->paused ? "true" : "false");
	buf_adds(b, ",\"keys\":[");
	if (keys)
		buf_addv(b, buf_view(&s->keys));
	buf_adds(b, "],\"queue\":[");
	buf_addv(b, buf_view(&s->queue));
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

/* The value of a member of this kind, or NULL; a null is as none. */
static const struct json_token *
get(struct reading *g, const char *key, enum json_kind kind)
{
	size_t i = json_small_member(&g->d, 0, view_of(key));
	const struct json_token *t = i > 0 ? &g->d.tokens[i] : NULL;

	if (t == NULL || t->kind == JSON_NULL)
		return NULL;
	if (t->kind != kind)
		bad(g, "a member is of the wrong type");
	return t->kind == kind ? t : NULL;
}

/* A string without escapes, which names of ours do not need. */
static struct view
get_text(struct reading *g, const char *key)
{
	const struct json_token *t = get(g, key, JSON_STRING);

	return t != NULL ? t->text : VIEW_NULL;
}

static void
decode(struct reading *g, const struct json_token *t, struct buf *to)
{
	if (json_small_text(t, to))
		return;
	g->no_memory |= to->failed;
	bad(g, "half a pair of surrogates");
}

static void
get_decoded(struct reading *g, const char *key, struct buf *to)
{
	const struct json_token *t = get(g, key, JSON_STRING);

	if (t == NULL)
		bad(g, "a member of a marker is missing");
	else
		decode(g, t, to);
}

static void
get_number(struct reading *g, const char *key, uint64_t *to)
{
	const struct json_token *t = get(g, key, JSON_NUMBER);

	if (t == NULL || !num_parse_u64(t->text, to))
		bad(g, "a number of a marker is missing");
}

/* Are the tables of a request null, or an array of strings that are names? */
static bool
are_tables(const struct reading *g, size_t i)
{
	const struct json_token *t = &g->d.tokens[i];

	if (i == 0 || (t->kind != JSON_ARRAY && t->kind != JSON_NULL))
		return false;
	if (t->kind == JSON_ARRAY && t->n == 0)
		return false;
	for (size_t k = 1; t->kind == JSON_ARRAY && k <= t->n; k++)
		if (t[k].kind != JSON_STRING || t[k].text.n == 0)
			return false;
	return true;
}

static void
read_request(struct reading *g)
{
	size_t tables = json_small_member(&g->d, 0, VIEW_LIT("tables"));

	g->m->kind = SNAPSHOT_REQUEST;
	g->m->id = get_text(g, "id");
	if (!are_tables(g, tables))
		bad(g, "\"tables\" is neither a list of names nor null");
	else
		g->m->tables = g->d.tokens[tables].text;
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

static void
read_part(struct reading *g, struct snapshot_state *s)
{
	const struct json_token *t = get(g, "parts", JSON_ARRAY);
	uint64_t *numbers[] = {&s->filenode, &s->from, &s->to, &s->leaf_blocks};

	if (t == NULL || t->n > 1) {
		bad(g, "a marker does not say which part");
		return;
	}
	g->m->part = t->n == 1;
	if (!g->m->part)
		return;
	if (t[1].kind != JSON_ARRAY || t[1].n != 5 ||
	    t[2].kind != JSON_STRING) {
		bad(g, "the part of a marker is malformed");
		return;
	}
	decode(g, &t[2], &s->leaf);
	for (size_t i = 0; i < 4; i++)
		if (!num_parse_u64(t[3 + i].text, numbers[i]))
			bad(g, "the part of a marker is malformed");
}

static void
read_step(struct reading *g, struct snapshot_state *s)
{
	struct view step = get_text(g, "step");

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (view_eq(step, steps[i])) {
			s->step = (enum snapshot_step)i;
			return;
		}
	}
	bad(g, "the step of a marker is unknown");
}

/* Arrays of strings, all of the same length. */
static void
read_keys(struct reading *g, struct snapshot_state *s)
{
	const struct json_token *t = get(g, "keys", JSON_ARRAY);
	size_t at = 1;

	if (t == NULL) {
		bad(g, "a marker has no keys");
		return;
	}
	for (size_t n = t->n; n > 0; n--) {
		if (t[at].kind != JSON_ARRAY || t[at].n != t[1].n)
			bad(g, "a key of a marker is malformed");
		for (size_t i = 1; i <= t[at].n; i++)
			if (t[at + i].kind != JSON_STRING)
				bad(g, "a key of a marker is malformed");
		at += t[at].n + 1;
		if (g->m->reason != NULL)
			return;
	}
	buf_add(&s->keys, t->text.p + 1, t->text.n - 2);
}

static void
read_queue(struct reading *g, struct snapshot_state *s)
{
	const struct json_token *t = get(g, "queue", JSON_ARRAY);

	if (t == NULL)
		bad(g, "a marker has no queue");
	else
		buf_add(&s->queue, t->text.p + 1, t->text.n - 2);
}

static void
read_marker(struct reading *g, struct snapshot_state *s)
{
	size_t tables = json_small_member(&g->d, 0, VIEW_LIT("tables"));
	const struct json_token *paused;

	g->m->kind = SNAPSHOT_MARKER;
	if (!lsn_parse(get_text(g, "seen"), &g->m->seen))
		bad(g, "a marker does not say which requests it has seen");
	get_decoded(g, "id", &s->id);
	get_decoded(g, "next", &s->table);
	get_number(g, "rows", &s->rows);
	get_number(g, "blocks", &s->blocks);
	get_number(g, "of", &s->of);
	paused = get(g, "paused", JSON_BOOL);
	s->paused = paused != NULL && paused->text.p[0] == 't';
	if (tables == 0)
		bad(g, "a marker has no tables");
	else
		buf_addv(&s->tables, g->d.tokens[tables].text);
	read_step(g, s);
	read_part(g, s);
	read_keys(g, s);
	read_queue(g, s);
}

bool
snapshot_message_read(
    struct view content, struct snapshot_message *m, struct snapshot_state *s)
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
	m->slot = get_text(&g, "slot");
	m->run = get_text(&g, "run");
	command = get_text(&g, "do");
	if (m->run.p != NULL)
		read_marker(&g, s);
	else if (command.p != NULL)
		read_command(&g, command);
	else
		read_request(&g);
	if (m->reason != NULL)
		m->kind = SNAPSHOT_BAD;
	json_small_release(&g.d);
	return !g.no_memory && !s->id.failed && !s->tables.failed &&
	    !s->queue.failed;
}

/* The queue */

/* Is the table, as a JSON string without its quotes, in an array, or is that
 * null and means all? */
static bool
is_wanted(const struct json_small *d, size_t array, struct view table)
{
	const struct json_token *t = &d->tokens[array];

	if (array == 0 || t->kind != JSON_ARRAY)
		return array != 0;
	for (size_t i = 1; i <= t->n; i++)
		if (view_eq(t[i].text, table))
			return true;
	return false;
}

/* Is it in a request that waits? */
static bool
waits(const struct json_small *queue, struct view table)
{
	size_t at = 1;

	for (size_t n = queue->tokens[0].n; n > 0; n--) {
		size_t tables = json_small_member(
		    queue, at, VIEW_LIT("tables"));

		if (is_wanted(queue, tables, table))
			return true;
		at = json_small_next(queue, at);
	}
	return false;
}

/* Appends those of the tables that do not wait yet as an array. */
static bool
add_tables(struct buf *b, struct view tables, const struct json_small *queue)
{
	struct json_small d;
	bool any = false;

	if (!json_small_read(&d, tables))
		return false;
	buf_addc(b, '[');
	for (size_t i = 1; i < d.n; i++) {
		if (waits(queue, d.tokens[i].text))
			continue;
		buf_adds(b, any ? ",\"" : "\"");
		buf_addv(b, d.tokens[i].text);
		buf_addc(b, '"');
		any = true;
	}
	buf_addc(b, ']');
	json_small_release(&d);
	return any;
}

bool
snapshot_state_add(struct snapshot_state *s, struct view id, struct view tables)
{
	struct buf array = BUF_INIT, item = BUF_INIT;
	struct json_small queue;
	bool any = true;

	buf_addc(&array, '[');
	buf_addv(&array, buf_view(&s->queue));
	buf_addc(&array, ']');
	if (!json_small_read(&queue, buf_view(&array))) {
		buf_release(&array);
		return false;
	}
	buf_adds(&item, "{\"id\":");
	json_write_string(&item, id);
	buf_adds(&item, ",\"tables\":");
	if (tables.p[0] == '[')
		any = add_tables(&item, tables, &queue);
	else
		buf_adds(&item, "null");
	buf_addc(&item, '}');
	if (any) {
		if (s->queue.len > 0)
			buf_addc(&s->queue, ',');
		buf_addv(&s->queue, buf_view(&item));
	}
	json_small_release(&queue);
	buf_release(&array);
	any = !item.failed && !s->queue.failed;
	buf_release(&item);
	return any;
}

void
snapshot_state_pop(struct snapshot_state *s)
{
	struct buf array = BUF_INIT, rest = BUF_INIT;
	struct json_small d;
	struct view item;

	buf_clear(&s->id);
	buf_clear(&s->tables);
	buf_clear(&s->table);
	buf_clear(&s->leaf);
	s->step = SNAPSHOT_READ;
	s->filenode = s->from = s->to = s->leaf_blocks = 0;
	s->rows = s->blocks = s->of = 0;
	buf_addc(&array, '[');
	buf_addv(&array, buf_view(&s->queue));
	buf_addc(&array, ']');
	if (s->queue.len > 0 && json_small_read(&d, buf_view(&array))) {
		size_t id = json_small_member(&d, 1, VIEW_LIT("id"));
		size_t tables = json_small_member(&d, 1, VIEW_LIT("tables"));

		json_small_text(&d.tokens[id], &s->id);
		buf_addv(&s->tables, d.tokens[tables].text);
		item = d.tokens[1].text;
		item = (struct view){item.p + item.n,
		    (size_t)(buf_view(&array).p + array.len - 1 -
			(item.p + item.n))};
		if (item.n > 0)
			buf_add(&rest, item.p + 1, item.n - 1);
		json_small_release(&d);
	}
	buf_release(&s->queue);
	s->queue = rest;
	buf_release(&array);
}

bool
snapshot_state_first(const struct snapshot_state *s, struct buf *name)
{
	struct json_small d;
	bool found;

	if (!json_small_read(&d, buf_view(&s->tables)))
		return false;
	found = d.tokens[0].kind == JSON_ARRAY && d.tokens[0].n > 0;
	if (found)
		found = json_small_text(&d.tokens[1], name);
	json_small_release(&d);
	return found;
}

void
snapshot_state_drop_first(struct snapshot_state *s)
{
	struct json_small d;
	struct buf rest = BUF_INIT;

	if (!json_small_read(&d, buf_view(&s->tables)))
		return;
	buf_addc(&rest, '[');
	for (size_t i = 2; i < d.n; i++) {
		buf_adds(&rest, i > 2 ? ",\"" : "\"");
		buf_addv(&rest, d.tokens[i].text);
		buf_addc(&rest, '"');
	}
	buf_addc(&rest, ']');
	if (d.tokens[0].kind == JSON_ARRAY) {
		buf_release(&s->tables);
		s->tables = rest;
	} else {
		buf_release(&rest);
	}
	json_small_release(&d);
}

void
snapshot_state_prepend(struct snapshot_state *s, struct view name)
{
	struct buf tables = BUF_INIT;
	struct view rest = buf_view(&s->tables);

	buf_addc(&tables, '[');
	json_write_string(&tables, name);
	if (rest.n > 2)
		buf_addc(&tables, ',');
	buf_add(&tables, rest.p + 1, rest.n - 1);
	buf_release(&s->tables);
	s->tables = tables;
}
