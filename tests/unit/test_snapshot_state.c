#include "reader/snapshot_state.h"
#include "tap.h"

static void
set(struct buf *b, const char *text)
{
	buf_clear(b);
	buf_adds(b, text);
}

/* A marker that is read is the state that was written. */
static void
test_marker(void)
{
	struct snapshot_state s = {.step = SNAPSHOT_READ,
				  .paused = true,
				  .filenode = 16384,
				  .from = 5,
				  .to = 9,
				  .leaf_blocks = 77,
				  .rows = 10,
				  .blocks = 11,
				  .of = 12},
			      t = {0};
	struct buf first = BUF_INIT, again = BUF_INIT;
	struct snapshot_message m;

	set(&s.id, "a \"1\"");
	set(&s.tables, "[\"public.a\",\"b\"]");
	set(&s.table, "public.\"A\\B\"");
	set(&s.leaf, "public.\303\244");
	set(&s.queue, "{\"id\":\"x\",\"tables\":null}");
	set(&s.keys, "[\"1\"],[\"2\"]");
	snapshot_state_write(&first, &s, "f00d", "slot", 0x123, true, true);
	ok(snapshot_message_read(buf_view(&first), &m, &t) &&
		m.kind == SNAPSHOT_MARKER && m.part && m.seen == 0x123,
	    "a marker is read");
	is_view(m.run, VIEW_LIT("f00d"), "- its run");
	is_view(m.slot, VIEW_LIT("slot"), "- its slot");
	snapshot_state_write(&again, &t, "f00d", "slot", 0x123, true, true);
	is_view(buf_view(&again), buf_view(&first), "- and written again");
	buf_release(&first);
	buf_release(&again);
	snapshot_state_release(&s);
	snapshot_state_release(&t);
}

static enum snapshot_kind
kind_of(const char *content)
{
	struct snapshot_state s = {0};
	struct snapshot_message m;
	bool read = snapshot_message_read(view_of(content), &m, &s);

	snapshot_state_release(&s);
	return read ? m.kind : SNAPSHOT_BAD;
}

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
	    {"{\"run\":\"x\",\"seen\":\"0/1\",\"id\":\"\",\"step\":\"read\","
	     "\"parts\":[[\"a\",1,2]],\"next\":\"a\",\"tables\":null,"
	     "\"rows\":0,\"blocks\":0,\"of\":0,\"keys\":[],\"queue\":[]}",
		SNAPSHOT_BAD},
	    {"{\"run\":\"x\",\"seen\":\"0/1\",\"id\":\"\",\"step\":\"read\","
	     "\"parts\":[],\"next\":\"a\",\"tables\":null,\"rows\":0,"
	     "\"blocks\":0,\"of\":0,\"keys\":[[1]],\"queue\":[]}",
		SNAPSHOT_BAD},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(kind_of(cases[i].content) == cases[i].kind, "%s",
		    cases[i].content);
}

/* Requests wait in order; a table waits once. */
static void
test_queue(void)
{
	struct snapshot_state s = {0};
	struct buf name = BUF_INIT;

	snapshot_state_add(&s, VIEW_LIT("1"), VIEW_LIT("[\"a\",\"b\"]"));
	snapshot_state_add(&s, VIEW_LIT("2"), VIEW_LIT("[\"b\",\"c\"]"));
	snapshot_state_add(&s, VIEW_LIT("3"), VIEW_LIT("[\"c\",\"a\"]"));
	is_view(buf_view(&s.queue),
	    VIEW_LIT("{\"id\":\"1\",\"tables\":[\"a\",\"b\"]},"
		     "{\"id\":\"2\",\"tables\":[\"c\"]}"),
	    "a table that waits is not added again");
	snapshot_state_pop(&s);
	is_view(buf_view(&s.id), VIEW_LIT("1"), "the first request is at hand");
	ok(snapshot_state_first(&s, &name), "- and its first table");
	is_view(buf_view(&name), VIEW_LIT("a"), "- which is a");
	snapshot_state_drop_first(&s);
	snapshot_state_prepend(&s, VIEW_LIT("x\"y"));
	is_view(buf_view(&s.tables), VIEW_LIT("[\"x\\\"y\",\"b\"]"),
	    "tables are taken off and put back");
	snapshot_state_pop(&s);
	is_view(buf_view(&s.tables), VIEW_LIT("[\"c\"]"), "the second request");
	snapshot_state_add(&s, VIEW_LIT("4"), VIEW_LIT("null"));
	snapshot_state_pop(&s);
	is_view(buf_view(&s.tables), VIEW_LIT("null"), "one of all tables");
	ok(!snapshot_state_first(&s, &name), "- has no first");
	snapshot_state_pop(&s);
	ok(s.id.len == 0 && s.queue.len == 0, "no request is left");
	buf_release(&name);
	snapshot_state_release(&s);
}

int
main(void)
{
	test_marker();
	test_messages();
	test_queue();
	return done_testing();
}
