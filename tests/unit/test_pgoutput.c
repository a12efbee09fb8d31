#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/lsn.h"
#include "base/utf8.h"
#include "reader/pgoutput.h"
#include "tap.h"
#include "json/json_scan.h"

/*
 * Builds a message as fmt says, in memory that is valid for 32 messages:
 *	b h i l	an integer of 1, 2, 4, 8 bytes (int, int, uint32_t, uint64_t)
 *	s	a string and its NUL
 *	t	a column: 't', its length, the text of a string
 *	v	the same, the text of a struct view
 *	n u	a column that is null or unchanged
 *	others	themselves; a space stands for nothing
 */
static struct view
msg(const char *fmt, ...)
{
	static struct buf ring[32];
	static size_t at;
	struct buf *b = &ring[at++ % 32];
	va_list ap;

	buf_clear(b);
	va_start(ap, fmt);
	for (; *fmt != '\0'; fmt++) {
		struct view text = VIEW_NULL;
		uint64_t v = 0;
		size_t n = 0;

		switch (*fmt) {
		case ' ':
			continue;
		case 'b':
			v = (uint64_t)va_arg(ap, int);
			n = 1;
			break;
		case 'h':
			v = (uint64_t)va_arg(ap, int);
			n = 2;
			break;
		case 'i':
			v = va_arg(ap, uint32_t);
			n = 4;
			break;
		case 'l':
			v = va_arg(ap, uint64_t);
			n = 8;
			break;
		case 's':
			text = view_of(va_arg(ap, const char *));
			text.n++;
			break;
		case 't':
		case 'v':
			text = *fmt == 't' ? view_of(va_arg(ap, const char *))
					   : va_arg(ap, struct view);
			v = text.n;
			n = 4;
			buf_addc(b, 't');
			break;
		default:
			buf_addc(b, *fmt);
		}
		for (size_t i = 0; i < n; i++)
			buf_addc(b, (char)(v >> (8 * (n - 1 - i))));
		buf_addv(b, text);
	}
	va_end(ap);
	return buf_view(b);
}

static void
describe_text(struct buf *b, struct view v)
{
	buf_addc(b, ' ');
	buf_addv(b, v.p != NULL ? v : VIEW_LIT("-"));
}

/* OPERATION schema.table lsn xid commit/seq time keys before after metadata */
static void
describe(struct buf *b, const struct event *e)
{
	buf_addf(b, "%.*s %.*s.%.*s %.*s ", VIEW_FMT(e->operation),
	    VIEW_FMT(e->schema_name), VIEW_FMT(e->table_name),
	    VIEW_FMT(e->lsn));
	if (e->has_transaction_id)
		buf_addf(b, "%lld", (long long)e->transaction_id);
	else
		buf_addc(b, '-');
	buf_addf(b, " %s/%llu %lld", lsn_text(e->commit_lsn).s,
	    (unsigned long long)e->seq, (long long)e->event_time);
	describe_text(b, e->key_columns);
	describe_text(b, e->before_data);
	describe_text(b, e->after_data);
	describe_text(b, e->metadata);
	buf_addc(b, '\n');
}

/*
 * Feeds a message from memory of just its size.  Appends a line for each of its
 * events, and one for its end.
 */
static enum pgoutput_status
feed(struct pgoutput *d, struct view m, uint64_t lsn, struct buf *said)
{
	static const char *const ends[] = {[PGOUTPUT_DONE] = "done",
	    [PGOUTPUT_COMMIT] = "commit",
	    [PGOUTPUT_BAD] = "bad"};
	char *exact = malloc(m.n > 0 ? m.n : 1);
	enum pgoutput_status status;
	struct event e;

	if (exact == NULL || d == NULL)
		abort();
	memcpy(exact, m.p, m.n);
	buf_clear(said);
	pgoutput_feed(d, (struct view){exact, m.n}, lsn, 0);
	while ((status = pgoutput_next(d, &e)) == PGOUTPUT_EVENT)
		describe(said, &e);
	buf_adds(said, ends[status]);
	free(exact);
	return status;
}

/* The LSN of messages whose LSN does not matter. */
#define LSN_HERE UINT64_C(0x10)

static void
is_fed(struct pgoutput *d, struct view m, const char *wanted, const char *name)
{
	struct buf said = BUF_INIT;

	feed(d, m, LSN_HERE, &said);
	is_view(buf_view(&said), view_of(wanted), "%s", name);
	buf_release(&said);
}

static void
must(struct pgoutput *d, struct view m)
{
	struct buf said = BUF_INIT;

	if (feed(d, m, LSN_HERE, &said) == PGOUTPUT_BAD) {
		ok(false, "prelude: %s", pgoutput_reason(d));
		abort();
	}
	buf_release(&said);
}

#define COMMIT_LSN UINT64_C(0x1000)
#define COMMIT_END UINT64_C(0x1030)

static struct view
begin(void)
{
	return msg("Blli", COMMIT_LSN, (uint64_t)5, (uint32_t)742);
}

static struct view
commit(void)
{
	return msg("Cblll", 0, COMMIT_LSN, COMMIT_END, (uint64_t)5);
}

/* OIDs of types */
#define INT4 ((uint32_t)23)
#define TEXT ((uint32_t)25)
#define JSON ((uint32_t)114)
#define MOD  ((uint32_t)0xffffffff)

/* Relations: 1 with a key, 2 without a column, 3 in pg_catalog. */
#define REL1 ((uint32_t)16401)
#define REL2 ((uint32_t)2)
#define REL3 ((uint32_t)0xfffffff3)

static struct view
relation1(void)
{
	return msg("RissDh bsii bsii bsii", REL1, "public", "t", 3, 1, "id",
	    INT4, MOD, 0, "note", TEXT, MOD, 0, "doc", JSON, MOD);
}

static struct view
relation2(void)
{
	return msg("RissDh", REL2, "Odd \"s\"\n", "\360\237\230\200", 0);
}

static struct view
relation3(void)
{
	return msg("RissFh bsii", REL3, "", "x", 1, 1, "a", TEXT, MOD);
}

/* A decoder that knows the relations, in a transaction or not. */
static struct pgoutput *
decoder(bool in_transaction)
{
	struct pgoutput *d = pgoutput_new();

	must(d, relation1());
	must(d, relation2());
	must(d, relation3());
	if (in_transaction)
		must(d, begin());
	return d;
}

#define HEAD "public.t 0/10 742 0/1000/1 5 [\"id\"]"

/* Checks the first message of a transaction. */
static void
is_change(struct view m, const char *wanted, const char *name)
{
	struct pgoutput *d = decoder(true);

	is_fed(d, m, wanted, name);
	pgoutput_free(d);
}

static void
test_rows(void)
{
	is_change(msg("IiNh ttt", REL1, 3, "1", "a\"b", "{\"k\": [1]}"),
	    "INSERT " HEAD " - {\"id\":1,\"note\":\"a\\\"b\","
	    "\"doc\":{\"k\": [1]}} -\ndone",
	    "an insert");
	is_change(msg("IiNh tnn", REL1, 3, "1"),
	    "INSERT " HEAD " - {\"id\":1,\"note\":null,\"doc\":null} -\ndone",
	    "an insert of NULLs");
	is_change(msg("IiNh ttt", REL1, 3, "-0", "", "{\"a\":1,\"a\":2}"),
	    "INSERT " HEAD " - {\"id\":\"-0\",\"note\":\"\",\"doc\":"
	    "\"{\\\"a\\\":1,\\\"a\\\":2}\"} {\"json_text\":[\"doc\"]}\ndone",
	    "an insert of JSON that jsonb cannot hold");
	is_change(msg("UiNh ttt", REL1, 3, "1", "b", "2"),
	    "UPDATE " HEAD " - {\"id\":1,\"note\":\"b\",\"doc\":2} -\ndone",
	    "an update without the old row");
	is_change(msg("UiKh tnn Nh ttn", REL1, 3, "1", 3, "2", "b"),
	    "UPDATE " HEAD " {\"id\":1}"
	    " {\"id\":2,\"note\":\"b\",\"doc\":null} -\ndone",
	    "an update with the old key");
	is_change(msg("UiOh tnt Nh ttn", REL1, 3, "1", "{}", 3, "1", "b"),
	    "UPDATE " HEAD " {\"id\":1,\"note\":null,\"doc\":{}}"
	    " {\"id\":1,\"note\":\"b\",\"doc\":null} -\ndone",
	    "an update with the whole old row");
	is_change(msg("DiKh tnn", REL1, 3, "1"),
	    "DELETE " HEAD " {\"id\":1} - -\ndone", "a delete with the key");
	is_change(msg("DiOh ttn", REL1, 3, "1", "x"),
	    "DELETE " HEAD " {\"id\":1,\"note\":\"x\",\"doc\":null} - -\ndone",
	    "a delete with the whole row");
	is_change(msg("IiNh", REL2, 0),
	    "INSERT Odd \"s\"\n.\360\237\230\200 0/10 742 0/1000/1 5 []"
	    " - {} -\ndone",
	    "a row without columns, odd names");
	is_change(msg("IiNh t", REL3, 1, "x"),
	    "INSERT pg_catalog.x 0/10 742 0/1000/1 5 [\"a\"]"
	    " - {\"a\":\"x\"} -\ndone",
	    "the empty schema name is pg_catalog");
}

static void
test_unchanged(void)
{
	is_change(msg("UiNh tuu", REL1, 3, "1"),
	    "UPDATE " HEAD
	    " - {\"id\":1} {\"unchanged\":[\"note\",\"doc\"]}\ndone",
	    "unchanged values without the old row are absent and listed");
	is_change(msg("UiNh utt", REL1, 3, "a", "1"),
	    "UPDATE " HEAD " - {\"note\":\"a\",\"doc\":1}"
	    " {\"unchanged\":[\"id\"]}\ndone",
	    "the first column too");
	is_change(msg("UiOh ttt Nh tuu", REL1, 3, "1", "old", "[7]", 3, "2"),
	    "UPDATE " HEAD " {\"id\":1,\"note\":\"old\",\"doc\":[7]}"
	    " {\"id\":2,\"note\":\"old\",\"doc\":[7]} -\ndone",
	    "they are taken from the whole old row");
	is_change(msg("UiKh tnn Nh uut", REL1, 3, "1", 3, "2"),
	    "UPDATE " HEAD " {\"id\":1} {\"id\":1,\"doc\":2}"
	    " {\"unchanged\":[\"note\"]}\ndone",
	    "from the old key, which is NULL outside the key");
	is_change(msg("UiOh ttt Nh ttt", REL1, 3, "1", "x", "[1e131072]", 3,
		      "1", "y", "1"),
	    "UPDATE " HEAD " {\"id\":1,\"note\":\"x\",\"doc\":"
	    "\"[1e131072]\"} {\"id\":1,\"note\":\"y\",\"doc\":1}"
	    " {\"json_text\":[\"doc\"]}\ndone",
	    "json_text of the old row");
	is_change(msg("UiNh tut", REL1, 3, "1", "[1e131072]"),
	    "UPDATE " HEAD " - {\"id\":1,\"doc\":\"[1e131072]\"}"
	    " {\"unchanged\":[\"note\"],\"json_text\":[\"doc\"]}\ndone",
	    "unchanged and json_text together");
}

static bool
all_but_public(const void *arg, struct view schema, struct view table)
{
	return *(const bool *)arg && table.n > 0 &&
	    !view_eq(schema, VIEW_LIT("public"));
}

static void
test_left_out(void)
{
	bool arg = true;
	struct pgoutput *d = pgoutput_new();

	pgoutput_leave_out(d, all_but_public, &arg);
	must(d, relation1());
	must(d, relation2());
	must(d, relation3());
	is_fed(d, msg("IiNh", REL2, 0), "bad",
	    "a filtered change outside a transaction is bad, too");
	pgoutput_free(d);

	d = pgoutput_new();
	pgoutput_leave_out(d, all_but_public, &arg);
	must(d, relation1());
	must(d, relation2());
	must(d, relation3());
	must(d, begin());
	is_fed(d, msg("IiNh t", REL3, 1, "x"), "done", "a row is filtered out");
	is_fed(d, msg("Tibiii", (uint32_t)3, 0, REL2, REL1, REL3),
	    "TRUNCATE public.t 0/10 742 0/1000/3 5 [\"id\"] - - -\ndone",
	    "a TRUNCATE of some relations that are filtered out, which count");
	is_fed(d, msg("Tibii", (uint32_t)2, 0, REL2, REL3), "done",
	    "- or of such relations only");
	is_fed(d, msg("DiKh tnn", REL1, 3, "1"),
	    "DELETE public.t 0/10 742 0/1000/7 5 [\"id\"] {\"id\":1} - -\ndone",
	    "filtered changes have counted");
	is_fed(d, msg("Tibi", (uint32_t)2, 0, REL3), "bad",
	    "a truncated TRUNCATE");
	pgoutput_free(d);
}

static void
test_truncate(void)
{
	is_change(msg("Tibi", (uint32_t)1, 0, REL1),
	    "TRUNCATE " HEAD " - - -\ndone", "a truncate");
	is_change(msg("Tibi", (uint32_t)1, 1, REL1),
	    "TRUNCATE " HEAD " - - {\"cascade\":true}\ndone", "cascade");
	is_change(msg("Tibi", (uint32_t)1, 2, REL1),
	    "TRUNCATE " HEAD " - - {\"restart_identity\":true}\ndone",
	    "restart identity");
	is_change(msg("Tibiii", (uint32_t)3, 3, REL1, REL3, REL1),
	    "TRUNCATE " HEAD
	    " - - {\"cascade\":true,\"restart_identity\":true}\n"
	    "TRUNCATE pg_catalog.x 0/10 742 0/1000/2 5 [\"a\"]"
	    " - - {\"cascade\":true,\"restart_identity\":true}\n"
	    "TRUNCATE public.t 0/10 742 0/1000/3 5 [\"id\"]"
	    " - - {\"cascade\":true,\"restart_identity\":true}\ndone",
	    "three relations count as three");
	is_change(
	    msg("Tib", (uint32_t)0, 0), "done", "a truncate of no relations");
}

static void
test_message(void)
{
	struct pgoutput *d = decoder(false);

	is_change(msg("MblsiX", 1, (uint64_t)0x77, "p\"x", (uint32_t)1),
	    "MESSAGE . 0/10 742 0/1000/1 5 - -"
	    " {\"prefix\":\"p\\\"x\",\"content\":\"X\"} -\ndone",
	    "a transactional message");
	is_change(msg("Mblsibbb", 1, (uint64_t)0x77, "", (uint32_t)3, 0xff, 'A',
		      0x0a),
	    "MESSAGE . 0/10 742 0/1000/1 5 - -"
	    " {\"prefix\":\"\",\"content\":\"\\\\xff410a\"} -\ndone",
	    "content that is not UTF-8 is in hex");
	is_change(msg("Mblsi", 1, (uint64_t)0x77, "p", (uint32_t)0),
	    "MESSAGE . 0/10 742 0/1000/1 5 - -"
	    " {\"prefix\":\"p\",\"content\":\"\"} -\ndone",
	    "no content");
	is_fed(d, msg("MblsiX", 0, (uint64_t)0x77, "p", (uint32_t)1),
	    "MESSAGE . 0/77 - 0/76/1 0 - -"
	    " {\"prefix\":\"p\",\"content\":\"X\"} -\ncommit",
	    "a message outside a transaction is a transaction of its own");
	ok(!pgoutput_in_transaction(d), "- which has ended");
	ok(pgoutput_commit_end(d) == 0x77, "- with the end of its record");
	pgoutput_free(d);
}

static void
test_transaction(void)
{
	struct pgoutput *d = decoder(false);
	uint32_t xid = 0xffffffff;

	ok(!pgoutput_in_transaction(d) && pgoutput_commit_end(d) == 0,
	    "a new decoder is in no transaction");
	is_fed(d, begin(), "done", "begin");
	ok(pgoutput_in_transaction(d), "- begin opens one");
	is_fed(d, msg("Ols", (uint64_t)1, "origin"), "done", "origin");
	is_fed(
	    d, msg("Yiss", (uint32_t)70000, "public", "mood"), "done", "type");
	must(d, msg("IiNh tnn", REL1, 3, "1"));
	must(d, msg("Tibii", (uint32_t)2, 0, REL1, REL2));
	must(d, msg("Mblsi", 1, (uint64_t)1, "p", (uint32_t)0));
	must(d, relation1());
	is_fed(d, msg("DiKh tnn", REL1, 3, "1"),
	    "DELETE public.t 0/10 742 0/1000/5 5 [\"id\"]"
	    " {\"id\":1} - -\ndone",
	    "seq counts I, each of T, M, D and nothing else");
	is_fed(d, commit(), "commit", "commit");
	ok(!pgoutput_in_transaction(d), "- commit closes it");
	ok(pgoutput_commit_end(d) == COMMIT_END, "- its end is known");

	must(d, msg("Blli", UINT64_C(0x2000), (uint64_t)INT64_C(-7), xid));
	ok(pgoutput_commit_end(d) == COMMIT_END,
	    "the end stays until the next commit");
	is_fed(d, msg("UiNh tnn", REL1, 3, "1"),
	    "UPDATE public.t 0/10 4294967295 0/2000/1 -7 [\"id\"]"
	    " - {\"id\":1,\"note\":null,\"doc\":null} -\ndone",
	    "the next transaction: greatest xid, time before 2000");
	is_fed(d,
	    msg("Cblll", 0, UINT64_C(0x2000), UINT64_C(0x2028), (uint64_t)0),
	    "commit", "- its commit");
	ok(pgoutput_commit_end(d) == 0x2028, "- its end");
	pgoutput_free(d);
}

/* Nothing of a change is left in the next one. */
static void
test_independent(void)
{
	struct pgoutput *d = decoder(true);

	must(d,
	    msg("UiOh ttt Nh uut", REL1, 3, "1", "x", "[1e131072]", 3,
		"[1e131072]"));
	must(d, msg("UiNh uuu", REL1, 3));
	is_fed(d, msg("UiNh utn", REL1, 3, "a"),
	    "UPDATE public.t 0/10 742 0/1000/3 5 [\"id\"]"
	    " - {\"note\":\"a\",\"doc\":null}"
	    " {\"unchanged\":[\"id\"]}\ndone",
	    "an update after others: no old row, its own metadata");
	must(d, msg("Tibi", (uint32_t)1, 3, REL1));
	is_fed(d, msg("IiNh tnn", REL1, 3, "1"),
	    "INSERT public.t 0/10 742 0/1000/5 5 [\"id\"]"
	    " - {\"id\":1,\"note\":null,\"doc\":null} -\ndone",
	    "an insert after a truncate: no metadata");
	is_fed(d, msg("MblsiX", 1, (uint64_t)0x77, "p", (uint32_t)1),
	    "MESSAGE . 0/10 742 0/1000/6 5 - -"
	    " {\"prefix\":\"p\",\"content\":\"X\"} -\ndone",
	    "a message after an insert: no key columns");
	pgoutput_free(d);
}

static void
test_relations(void)
{
	struct pgoutput *d = decoder(true);
	struct buf said = BUF_INIT, m = BUF_INIT, wanted = BUF_INIT;

	/* ALTER TABLE: other names, another key, fewer columns */
	must(d,
	    msg("RissDh bsii bsii", REL1, "new", "u", 2, 1, "a\"\001b", TEXT,
		MOD, 1, "c", INT4, MOD));
	is_fed(d, msg("DiKh tt", REL1, 2, "x", "1"),
	    "DELETE new.u 0/10 742 0/1000/1 5 [\"a\\\"\\u0001b\",\"c\"]"
	    " {\"a\\\"\\u0001b\":\"x\",\"c\":1} - -\ndone",
	    "a relation described again");

	buf_addv(&m, msg("RissDh", (uint32_t)5, "s", "wide", 1600));
	for (unsigned i = 0; i < 1600; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%u", i);
		buf_addv(&m, msg("bsii", i == 1599, name, INT4, MOD));
	}
	must(d, buf_view(&m));
	buf_clear(&m);
	buf_addv(&m, msg("IiNh", (uint32_t)5, 1600));
	buf_adds(&wanted, "INSERT s.wide 0/10 742 0/1000/2 5 [\"c1599\"] - {");
	for (unsigned i = 0; i < 1600; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%u", i);
		buf_addv(&m, msg("t", value));
		buf_addf(&wanted, "%s\"c%u\":%u", i > 0 ? "," : "", i, i);
	}
	buf_adds(&wanted, "} -\ndone");
	feed(d, buf_view(&m), LSN_HERE, &said);
	is_view(buf_view(&said), buf_view(&wanted), "1600 columns");

	/* more relations than the cache begins with */
	for (uint32_t oid = 1; oid <= 500; oid++)
		must(d,
		    msg("RissDh bsii", oid * 1024, "s", "t", 1, 1, "id", INT4,
			MOD));
	for (uint32_t oid = 1; oid <= 500; oid++)
		if (feed(d, msg("DiKh t", oid * 1024, 1, "1"), LSN_HERE,
			&said) != PGOUTPUT_DONE)
			break;
	is_view(buf_view(&said),
	    VIEW_LIT("DELETE s.t 0/10 742 0/1000/502 5 [\"id\"]"
		     " {\"id\":1} - -\ndone"),
	    "500 relations");
	pgoutput_free(d);
	buf_release(&said);
	buf_release(&m);
	buf_release(&wanted);
}

/* Bad messages */

static void
is_bad(bool in_transaction, struct view m, const char *name)
{
	struct pgoutput *d = decoder(in_transaction);
	struct buf said = BUF_INIT;

	if (ok(feed(d, m, LSN_HERE, &said) == PGOUTPUT_BAD, "bad: %s", name))
		ok(pgoutput_reason(d) != NULL && *pgoutput_reason(d) != '\0',
		    "- for a reason: %s", pgoutput_reason(d));
	else
		tap_show("said", buf_view(&said));
	buf_release(&said);
	pgoutput_free(d);
}

static void
test_bad_structure(void)
{
	static const char types[] = "ScEAbPKrpXiz?";
	struct pgoutput *d = decoder(true);

	is_bad(true, msg(""), "an empty message");
	for (const char *t = types; *t != '\0'; t++) {
		char name[] = "type ?";

		name[5] = *t;
		is_bad(true, msg("bl", *t, (uint64_t)0), name);
	}
	is_bad(true, begin(), "begin inside a transaction");
	is_bad(false,
	    msg("Blli", COMMIT_LSN, (uint64_t)9223371331200000000u,
		(uint32_t)7),
	    "begin at a time after the last timestamp");
	is_bad(false,
	    msg("Blli", COMMIT_LSN, (uint64_t)INT64_MIN + 1, (uint32_t)7),
	    "begin at a time before the first timestamp");
	is_bad(false, commit(), "commit outside a transaction");
	is_bad(true, msg("Cblll", 0, COMMIT_LSN + 8, COMMIT_END, (uint64_t)5),
	    "commit of another transaction");
	is_bad(false, msg("IiNh tnn", REL1, 3, "1"),
	    "insert outside a transaction");
	is_bad(false, msg("UiNh tnn", REL1, 3, "1"),
	    "update outside a transaction");
	is_bad(false, msg("DiKh tnn", REL1, 3, "1"),
	    "delete outside a transaction");
	is_bad(false, msg("Tibi", (uint32_t)1, 0, REL1),
	    "truncate outside a transaction");
	is_bad(false, msg("Mblsi", 1, (uint64_t)1, "p", (uint32_t)0),
	    "a transactional message outside a transaction");

	ok(pgoutput_reason(d) == NULL, "no reason without a bad message");
	is_fed(d, msg("X"), "bad", "after a bad message");
	is_fed(d, relation1(), "bad", "- a good one is bad");
	pgoutput_free(d);
}

static void
test_bad_rows(void)
{
	is_bad(true, msg("IiNh t", (uint32_t)99, 1, "1"),
	    "insert, unknown relation");
	is_bad(true, msg("UiNh t", (uint32_t)99, 1, "1"),
	    "update, unknown relation");
	is_bad(true, msg("DiKh t", (uint32_t)99, 1, "1"),
	    "delete, unknown relation");
	is_bad(true, msg("Tibii", (uint32_t)2, 0, REL1, (uint32_t)99),
	    "truncate, unknown relation");
	is_bad(true, msg("IiNh tn", REL1, 2, "1"), "too few columns");
	is_bad(true, msg("IiNh tnnn", REL1, 4, "1"), "too many columns");
	is_bad(true, msg("IiNh", REL1, 0), "no columns");
	is_bad(true, msg("IiNh", REL1, -1), "65535 columns");
	is_bad(true, msg("IiNh n", REL2, 1),
	    "columns of a relation without columns");
	is_bad(true, msg("UiOh tnn Nh t", REL1, 3, "1", 1, "1"),
	    "old and new row differ in columns");
	is_bad(true, msg("IiKh tnn", REL1, 3, "1"), "insert of a key");
	is_bad(true, msg("IiOh tnn", REL1, 3, "1"), "insert of an old row");
	is_bad(true, msg("DiNh tnn", REL1, 3, "1"), "delete of a new row");
	is_bad(true, msg("DiXh tnn", REL1, 3, "1"), "delete of X");
	is_bad(true, msg("UiXh tnn", REL1, 3, "1"), "update of X");
	is_bad(true, msg("UiKh tnn", REL1, 3, "1"), "update, key only");
	is_bad(true,
	    msg("UiKh tnn Oh tnn Nh tnn", REL1, 3, "1", 3, "1", 3, "1"),
	    "update with key and old row");
	is_change(msg("UiNh tnn Nh tnn", REL1, 3, "1", 3, "1"), "bad",
	    "bad at once: update, two new rows");
	is_bad(true, msg("IiNh bi1 nn", REL1, 3, 'b', (uint32_t)1),
	    "a binary column");
	is_bad(true, msg("IiNh bi1 nn", REL1, 3, 'x', (uint32_t)1),
	    "a column of an unknown kind");
	is_bad(true, msg("IiNh nnv", REL1, 3, VIEW_LIT("a\0b")),
	    "a value with a NUL byte");
	is_bad(true, msg("IiNh nnbi", REL1, 3, 't', (uint32_t)0xffffffff),
	    "length -1");
	is_bad(true, msg("IiNh nnbi", REL1, 3, 't', (uint32_t)0x7fffffff),
	    "length 2^31 - 1");
	is_bad(true, msg("IiNh nnbi1", REL1, 3, 't', (uint32_t)2),
	    "a length beyond the message");
	is_bad(true, msg("RissDh", REL1, "p", "\377", 0),
	    "a table name that is not UTF-8");
	is_bad(true, msg("RissDh", REL1, "\300\200", "t", 0),
	    "a schema name in overlong form");
	is_bad(true,
	    msg("RissDh bsii", REL1, "p", "t", 1, 0, "\355\240\200", INT4, MOD),
	    "a surrogate in a column name");
	is_bad(true,
	    msg("RissDh bsii bsii bsii", REL1, "p", "t", 3, 1, "a", INT4, MOD,
		0, "b", INT4, MOD, 0, "a", INT4, MOD),
	    "a relation with a column twice");
	is_bad(true, msg("RissDh", REL1, "p", "t", -1),
	    "a relation that lacks its columns");
	is_bad(true, msg("Tib", (uint32_t)0xffffffff, 0),
	    "a truncate that lacks its relations");
	is_bad(true, msg("MblsiX", 1, (uint64_t)1, "p", (uint32_t)2),
	    "a message longer than it is");
	is_bad(true, msg("Mblsi", 1, (uint64_t)1, "p", (uint32_t)0xffffffff),
	    "a message of length -1");
}

/* One of each kind, and whether it belongs inside a transaction. */
#define NVALID 18

static struct view
valid(size_t i, bool *in_transaction)
{
	*in_transaction = i != 0 && i != 5;
	switch (i) {
	case 0:
		return begin();
	case 1:
		return commit();
	case 2:
		return relation1();
	case 3:
		return relation2();
	case 4:
		return msg("Ols", (uint64_t)1, "origin");
	case 5:
		return msg("Mblsi12", 0, (uint64_t)8, "p", (uint32_t)2);
	case 6:
		return msg("Mblsi12", 1, (uint64_t)1, "p", (uint32_t)2);
	case 7:
		return msg("Yiss", (uint32_t)70000, "public", "mood");
	case 8:
		return msg("IiNh ttt", REL1, 3, "1", "note", "{}");
	case 9:
		return msg("IiNh tnn", REL1, 3, "1");
	case 10:
		return msg("IiNh", REL2, 0);
	case 11:
		return msg("UiNh tuu", REL1, 3, "1");
	case 12:
		return msg("UiKh tnn Nh utt", REL1, 3, "1", 3, "ab", "[]");
	case 13:
		return msg("UiOh ttt Nh utn", REL1, 3, "1", "a", "2", 3, "b");
	case 14:
		return msg("DiKh tnn", REL1, 3, "1");
	case 15:
		return msg("DiOh ttt", REL1, 3, "1", "a", "b");
	case 16:
		return msg("Tibiii", (uint32_t)3, 3, REL1, REL2, REL3);
	default:
		return msg("Tib", (uint32_t)0, 0);
	}
}

static bool
is_good_alone(struct view m, bool in_transaction, bool wanted)
{
	struct pgoutput *d = decoder(in_transaction);
	struct buf said = BUF_INIT;
	bool bad = feed(d, m, LSN_HERE, &said) == PGOUTPUT_BAD;
	bool right = bad != wanted && (pgoutput_reason(d) != NULL) == bad;

	buf_release(&said);
	pgoutput_free(d);
	return right;
}

static void
test_cut(void)
{
	bool in;

	for (size_t i = 0; i < NVALID; i++) {
		struct buf m = BUF_INIT;
		char type = valid(i, &in).p[0];
		bool right = true;

		buf_addv(&m, valid(i, &in));
		ok(is_good_alone(buf_view(&m), in, true), "%c %zu is good",
		    type, i);
		for (size_t n = 0; n < m.len && right; n++)
			right = is_good_alone(
			    (struct view){m.data, n}, in, false);
		ok(right, "- cut anywhere it is bad");
		buf_addc(&m, '\0');
		ok(is_good_alone(buf_view(&m), in, false),
		    "- with another byte it is bad");
		buf_release(&m);
	}
}

static uint64_t
rnd(uint64_t *state, uint64_t below)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Whatever comes, it is decoded or bad for a reason, within its bounds. */
static void
test_damaged(void)
{
	const char *seed = getenv("SEED");
	uint64_t state = seed != NULL ? strtoull(seed, NULL, 10)
				      : (uint64_t)time(NULL);
	size_t nbad = 0;
	bool right = true, in;

	printf("# SEED=%llu\n", (unsigned long long)state);
	for (int i = 0; i < 30000 && right; i++) {
		struct view m = valid(rnd(&state, NVALID), &in);
		struct pgoutput *d = decoder(in);
		struct buf copy = BUF_INIT, said = BUF_INIT;
		bool bad;

		buf_addv(&copy, m);
		for (uint64_t n = 1 + rnd(&state, 4); n > 0; n--)
			copy.data[rnd(&state, copy.len)] = (char)(rnd(&state,
								      4) == 0
				? "\0\1\377\177NKOtnu"[rnd(&state, 10)]
				: (int)rnd(&state, 256));
		bad = feed(d, buf_view(&copy), LSN_HERE, &said) == PGOUTPUT_BAD;
		right = bad == (pgoutput_reason(d) != NULL);
		nbad += bad;
		buf_release(&copy);
		buf_release(&said);
		pgoutput_free(d);
	}
	ok(right,
	    "30000 damaged messages: bad if and only if there is a reason");
	ok(nbad > 3000 && nbad < 29000, "- %zu of them were bad", nbad);
}

/* What comes out must be fit for the stream. */
static void
test_storable(void)
{
	struct pgoutput *d = decoder(true);
	struct json_error je;
	struct event e;
	enum pgoutput_status status;

	pgoutput_feed(d, msg("MblsiAbB", 1, (uint64_t)1, "p", (uint32_t)3, 0),
	    LSN_HERE, 0);
	ok(pgoutput_next(d, &e) == PGOUTPUT_EVENT,
	    "a message whose content has a NUL byte");
	ok(json_storable(e.after_data, 256, false, &je),
	    "- is JSON that jsonb can hold: %.*s", VIEW_FMT(e.after_data));
	pgoutput_free(d);

	d = decoder(true);
	pgoutput_feed(d, msg("IiNh ttn", REL1, 3, "1", "a\377b"), LSN_HERE, 0);
	status = pgoutput_next(d, &e);
	ok(status == PGOUTPUT_BAD || utf8_valid(e.after_data),
	    "from a value that is not UTF-8 comes a line that is UTF-8");
	pgoutput_free(d);
}

/* A message ends where the next record begins. */
static void
test_order_of_messages(struct buf *said)
{
	struct pgoutput *d = decoder(true);

	must(d, commit());
	ok(feed(d, msg("Mblsi", 0, COMMIT_LSN + 1, "p", (uint32_t)0), LSN_HERE,
	       said) == PGOUTPUT_BAD,
	    "bad: a message that ends just after the start of the commit");
	pgoutput_free(d);

	d = decoder(true);
	must(d, commit());
	must(d, msg("Mblsi", 0, COMMIT_END + 8, "p", (uint32_t)0));
	must(d, msg("Mblsi", 0, COMMIT_END + 16, "p", (uint32_t)0));
	ok(feed(d, msg("Mblsi", 0, COMMIT_END + 16, "p", (uint32_t)0), LSN_HERE,
	       said) == PGOUTPUT_BAD,
	    "bad: a message that ends where the last one does");
	pgoutput_free(d);

	d = decoder(false);
	must(d, msg("Mblsi", 0, COMMIT_LSN, "p", (uint32_t)0));
	must(d, begin());
	is_fed(d, msg("IiNh tnn", REL1, 3, "1"),
	    "INSERT " HEAD " - {\"id\":1,\"note\":null,\"doc\":null} -\ndone",
	    "a commit that begins where a message ends");
	pgoutput_free(d);
}

static void
test_order(void)
{
	struct pgoutput *d = decoder(true);
	struct buf said = BUF_INIT;

	is_bad(true, msg("Mblsi", 0, COMMIT_LSN + 8, "p", (uint32_t)0),
	    "a non-transactional message inside a transaction");
	is_bad(false, msg("Mblsi", 0, (uint64_t)0, "p", (uint32_t)0),
	    "a message at 0/0");
	must(d, commit());
	must(d, msg("Mblsi", 0, COMMIT_LSN + 8, "p", (uint32_t)0));
	ok(feed(d, msg("Blli", COMMIT_LSN + 7, (uint64_t)5, (uint32_t)743),
	       LSN_HERE, &said) == PGOUTPUT_BAD,
	    "bad: a transaction that was committed before the last message");
	pgoutput_free(d);
	test_order_of_messages(&said);
	buf_release(&said);
}

static void
test_lists(void)
{
	struct pgoutput *d = decoder(true);

	must(d,
	    msg("RissDh bsii bsii bsii", REL1, "p", "t", 3, 1, "a,", TEXT, MOD,
		0, "b", TEXT, MOD, 0, ",", TEXT, MOD));
	is_fed(d, msg("UiNh uuu", REL1, 3),
	    "UPDATE p.t 0/10 742 0/1000/1 5 [\"a,\"] - {}"
	    " {\"unchanged\":[\"a,\",\"b\",\",\"]}\ndone",
	    "columns whose names consist of commas are listed one by one");
	pgoutput_free(d);
	is_change(msg("UiOh ttt Nh ttt", REL1, 3, "1", "x", "[1e131072]", 3,
		      "1", "y", "[1e131072]"),
	    "UPDATE " HEAD " {\"id\":1,\"note\":\"x\",\"doc\":"
	    "\"[1e131072]\"} {\"id\":1,\"note\":\"y\",\"doc\":"
	    "\"[1e131072]\"} {\"json_text\":[\"doc\"]}\ndone",
	    "json_text of both rows lists the column once");
}

int
main(void)
{
	test_rows();
	test_unchanged();
	test_truncate();
	test_left_out();
	test_message();
	test_transaction();
	test_independent();
	test_relations();
	test_bad_structure();
	test_bad_rows();
	test_cut();
	test_damaged();
	test_lists();
	test_order();
	test_storable();
	return done_testing();
}
