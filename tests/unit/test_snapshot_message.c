#include "reader/snapshot_message.h"
#include "tap.h"

static void
set(struct buf *b, const char *text)
{
	buf_clear(b);
	buf_adds(b, text);
}

static void
wish(struct snapshot_state *s, const char *id, const char *a, const char *b)
{
	struct snapshot_wish w = {.all = a == NULL};

	set(&w.id, id);
	if (a != NULL)
		snapshot_wish_add(&w, view_of(a));
	if (b != NULL)
		snapshot_wish_add(&w, view_of(b));
	ok(snapshot_state_add(s, &w), "request %s is added", id);
}

static void
fill(struct snapshot_state *s)
{
	struct snapshot_table *t = s->tables;

	s->paused = s->cancelled = true;
	wish(s, "a \"1\"", "public.a", "b");
	snapshot_state_pop(s);
	snapshot_state_add_table(
	    s, VIEW_LIT("public.\"A\\B\""), VIEW_LIT("public.\303\244"), 12);
	snapshot_state_add_table(s, VIEW_LIT("x.y"), VIEW_LIT("x.y"), 3);
	snapshot_state_add_table(s, VIEW_LIT("x.z"), VIEW_LIT("x.z1"), 3);
	s->cancelled = true;
	t[0].filenode = 16384;
	t[0].leaf_oid = 3;
	set(&t[0].shape, "abc");
	t[0].from = 5;
	t[0].to = 9;
	t[0].leaf_blocks = 77;
	t[0].rows = 10;
	t[0].blocks = 11;
	t[0].begun = true;
	t[1].step = SNAPSHOT_KEYS;
	keyspool_add(&t[1].keys, VIEW_LIT("[\"1\",\"2\"]"));
	keyspool_add(&t[1].keys, VIEW_LIT("[\"3\",\"4\"]"));
	wish(s, "x", "c", NULL);
	wish(s, "y", NULL, NULL);
}

/* A marker that is read is the state that was written. */
static void
test_marker(void)
{
	static struct snapshot_state s;
	struct buf first = BUF_INIT, again = BUF_INIT;
	struct snapshot_message m;

	fill(&s);
	snapshot_marker_write(&first, &s, "f00d", "slot", 0x123, true);
	ok(snapshot_message_read(buf_view(&first), &m) &&
		m.kind == SNAPSHOT_MARKER && m.seen == 0x123,
	    "a marker is read: %s", m.reason != NULL ? m.reason : "well");
	is_view(m.run, VIEW_LIT("f00d"), "- its run");
	is_view(m.slot, VIEW_LIT("slot"), "- its slot");
	ok(keyspool_count(&m.state.tables[1].keys) == 2, "- its keys");
	snapshot_marker_write(&again, &m.state, "f00d", "slot", 0x123, true);
	is_view(buf_view(&again), buf_view(&first), "- and written again");
	snapshot_message_release(&m);
	buf_release(&first);
	buf_release(&again);
	snapshot_state_release(&s);
}

static enum snapshot_kind
kind_of(const char *content)
{
	struct snapshot_message m;
	bool read = snapshot_message_read(view_of(content), &m);

	snapshot_message_release(&m);
	return read ? m.kind : SNAPSHOT_BAD;
}

#define MARKER(parts, at) \
	"{\"run\":\"x\",\"seen\":\"0/1\",\"id\":\"1\",\"parts\":[" parts \
	"],\"next\":\"\",\"tables\":null,\"at\":[" at "],\"queue\":[]}"
#define AT(table, step, keys) \
	"{\"table\":\"" table "\",\"step\":\"" step \
	"\",\"rows\":0,\"blocks\":0,\"of\":0,\"leaf\":1,\"shape\":\"\"," \
	"\"keys\":[" keys "]}"

static void
test_messages(void)
{
	static const struct {
		const char *content;
		enum snapshot_kind kind;
	} cases[] = {
	    {"{\"tables\":null}", SNAPSHOT_REQUEST},
	    {"{\"tables\":[\"a\",\"b.c\"],\"id\":\"1\"}", SNAPSHOT_REQUEST},
	    {"{\"do\":\"pause\"}", SNAPSHOT_PAUSE},
	    {"{\"do\":\"resume\",\"slot\":\"s\"}", SNAPSHOT_RESUME},
	    {"{\"do\":\"cancel\"}", SNAPSHOT_CANCEL},
	    {"{\"do\":\"stop\"}", SNAPSHOT_BAD},
	    {"", SNAPSHOT_BAD},
	    {"null", SNAPSHOT_BAD},
	    {"[]", SNAPSHOT_BAD},
	    {"{}", SNAPSHOT_BAD},
	    {"{\"tables\":[]}", SNAPSHOT_BAD},
	    {"{\"tables\":[\"\"]}", SNAPSHOT_BAD},
	    {"{\"tables\":[[\"a\"]]}", SNAPSHOT_BAD},
	    {"{\"tables\":{\"a\":1}}", SNAPSHOT_BAD},
	    {"{\"tables\":null,\"slot\":1}", SNAPSHOT_BAD},
	    {"{\"run\":\"x\"}", SNAPSHOT_BAD},
	    {MARKER("[\"a\",1,2,3,4]", AT("a", "read", "")), SNAPSHOT_MARKER},
	    {MARKER("[\"a\",1,2,3]", AT("a", "read", "")), SNAPSHOT_BAD},
	    {MARKER("", AT("a", "read", "")), SNAPSHOT_BAD},
	    {MARKER("[\"a\",1,2,3,4]", AT("", "read", "")), SNAPSHOT_BAD},
	    {MARKER("[\"a.b.c\",1,2,3,4]", AT("a", "read", "")), SNAPSHOT_BAD},
	    {MARKER("", AT("a", "jump", "")), SNAPSHOT_BAD},
	    {MARKER("", AT("a", "keys", "[\"1\"]")), SNAPSHOT_MARKER},
	    {MARKER("", AT("a", "keys", "[1]")), SNAPSHOT_BAD},
	    {MARKER("", AT("a", "keys", "[\"1\"],[]")), SNAPSHOT_BAD},
	    {MARKER("", "1"), SNAPSHOT_BAD},
	    {MARKER("", ""), SNAPSHOT_MARKER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(kind_of(cases[i].content) == cases[i].kind, "%s",
		    cases[i].content);
}

/* Requests wait in order; a table waits once. */
static void
test_queue(void)
{
	static struct snapshot_state s;

	wish(&s, "1", "a", "b");
	wish(&s, "2", "b", "c");
	wish(&s, "3", "c", "a");
	ok(s.nqueue == 3 && s.queue[2].tables.len == 0,
	    "a table that waits is not added again");
	snapshot_state_pop(&s);
	is_view(buf_view(&s.wish.id), VIEW_LIT("1"),
	    "the first request is at hand");
	is_view(snapshot_wish_first(&s.wish), VIEW_LIT("a"),
	    "- and its first table");
	snapshot_wish_drop_first(&s.wish);
	snapshot_wish_prepend(&s.wish, VIEW_LIT("x\"y"));
	is_view(buf_view(&s.wish.tables), VIEW_LIT("x\"y\0b\0"),
	    "tables are taken off and put back");
	snapshot_state_pop(&s);
	is_view(
	    snapshot_wish_first(&s.wish), VIEW_LIT("c"), "the second request");
	wish(&s, "4", NULL, NULL);
	snapshot_state_pop(&s);
	is_view(buf_view(&s.wish.id), VIEW_LIT("3"), "the third request");
	snapshot_state_pop(&s);
	ok(s.wish.all, "one of all tables");
	ok(snapshot_wish_first(&s.wish).p == NULL, "- has no first");
	snapshot_state_pop(&s);
	ok(s.wish.id.len == 0 && s.nqueue == 0, "no request is left");
	snapshot_state_release(&s);
}

/* Tables at hand. */
static void
test_tables(void)
{
	static struct snapshot_state s;

	ok(!snapshot_state_add_table(&s, VIEW_LIT("a.b.c"), VIEW_LIT("a"), 1),
	    "a name of three parts is none");
	snapshot_state_remove(&s, 0);
	snapshot_state_add_table(&s, VIEW_LIT("A"), VIEW_LIT("a"), 1);
	snapshot_state_add_table(&s, VIEW_LIT("\"A\""), VIEW_LIT("a"), 1);
	ok(snapshot_state_find(&s, VIEW_LIT("public"), VIEW_LIT("A")) ==
		&s.tables[1],
	    "a table is found by the parts of its name");
	snapshot_state_remove(&s, 0);
	ok(s.n == 1 &&
		snapshot_state_find(&s, VIEW_LIT("public"), VIEW_LIT("A")) ==
		    &s.tables[0],
	    "- and removed");
	snapshot_state_release(&s);
}

int
main(void)
{
	test_marker();
	test_messages();
	test_queue();
	test_tables();
	return done_testing();
}
