-- The workload of the handlers' tests: keys and types of all kinds, large
-- values, and changes of the schema in its midst.  :n orders.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN cents AS bigint CHECK (value >= 0);
CREATE TYPE point3 AS (x int, y int, z int);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL,
    status text, amount numeric(12,2), sku varchar(40), qty smallint,
    created timestamptz DEFAULT now(), note text);
CREATE TABLE lines (order_id bigint, line int, price numeric(20,6),
    paid boolean, PRIMARY KEY (line, order_id));
CREATE TABLE types (id bigint PRIMARY KEY, big bigint, num numeric,
    num38 numeric(38,10), d8 double precision, r4 real, b bytea, j jsonb,
    jt json, a int[], at text[], iv interval, rng int4range, tsr tstzrange,
    ts timestamp, tstz timestamptz, dt date, tm time, u uuid, m mood,
    ms mood[], c cents, cs cents[], p point3, ip inet, mo money, bits bit(4),
    ch char(5), o boolean);
CREATE TABLE docs (id int PRIMARY KEY, title text, body text, rev int);
ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
CREATE TABLE dated (d date, t timestamptz, n numeric(9,2), b bytea, body text,
    rev int, PRIMARY KEY (d, t, n, b));
ALTER TABLE dated ALTER body SET STORAGE EXTERNAL;
CREATE TABLE full_id (id int PRIMARY KEY, v text, n int);
ALTER TABLE full_id REPLICA IDENTITY FULL;
CREATE TABLE keyless (v text, j json);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, v text);
CREATE UNIQUE INDEX by_index_key ON by_index (b, a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE "Mixed %s Case" ("Key One" int PRIMARY KEY, "va""l{}%s" text);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us');

INSERT INTO orders (id, customer_id, status, amount, sku, qty, note)
SELECT i, i % 1000, 'new', (i % 10000) / 100.0, 'SKU-' || i % 5000, i % 10,
    E'note\\' || i FROM generate_series(1, :n) i;
INSERT INTO lines SELECT i, l, i * l / 7.0, false
FROM generate_series(1, :n / 10) i, generate_series(1, 3) l;
INSERT INTO types (id, big, num, num38, d8, r4, b, j, jt, a, at, iv, rng, tsr,
    ts, tstz, dt, tm, u, m, ms, c, cs, p, ip, mo, bits, ch, o) VALUES
(1, 9223372036854775807, 12345678901234567890.123456789012345678,
    1234567890123456789012345678.1234567891, 1e308, 1.1, '\x00ff',
    '{"a": 12345678901234567890, "n": null}', '{"a":1,"a":2}', '{1,null,3}',
    '{"x,y",null,"NULL"}', '1 mon 2 days 03:04:05', '[1,10)',
    '[2020-01-01,infinity)', '2020-01-01 00:00:00.123456',
    '2020-01-01 12:00+02', '2020-01-01', '12:34:56.789',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'happy', '{sad,happy}', 5, '{1,2}',
    '(1,2,3)', '10.0.0.1/24', 12.34, B'1010', 'ab', true),
(2, -9007199254740993, 'NaN', -0.0000000001, 'Infinity', 'NaN', '', 'null',
    '"x"', '{}', '{}', '-1 year', 'empty', NULL, 'infinity', '-infinity',
    '0044-03-15 BC', '24:00', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL,
    '', false),
(3, NULL, NULL, NULL, '-0', NULL, NULL, '{"u":"\u00e9"}', '{ "k" : [1.50 ] }',
    '{{1,2},{3,4}}', '[0:1]={a,b}', NULL, NULL, NULL, NULL, NULL, '294276-01-01',
    NULL, NULL, 'sad', NULL, NULL, NULL, '(1,,)', NULL, NULL, NULL, NULL, NULL);
INSERT INTO docs SELECT i, 'doc ' || i, (SELECT string_agg(
    md5((i * 1000 + k)::text), '') FROM generate_series(1, 100) k), 1
FROM generate_series(1, 100) i;
INSERT INTO dated SELECT '2026-01-01', '2026-01-01 02:03:04+02', i, '\x01',
    repeat(i::text, 3000), 1 FROM generate_series(1, 9) i;
INSERT INTO full_id SELECT i, 'v' || i, i FROM generate_series(1, 200) i;
INSERT INTO keyless SELECT 'v' || i % 5, '{"i":  1}'
FROM generate_series(1, 20) i;
INSERT INTO by_index SELECT i, 'b' || i, 'v' FROM generate_series(1, 50) i;
INSERT INTO "Mixed %s Case" VALUES (1, 'a'), (2, 'b');
INSERT INTO part SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, 'p'
FROM generate_series(1, 100) i;

-- updates, deletes, moved keys, large values that stay
UPDATE orders SET status = 'paid', amount = amount + 1 WHERE id % 3 = 0;
DELETE FROM orders WHERE id % 11 = 0;
UPDATE orders SET id = id + 10000000 WHERE id % 1000 = 1;
UPDATE lines SET paid = true WHERE line = 2;
UPDATE lines SET line = 9 WHERE order_id % 5 = 0 AND line = 1;
DELETE FROM lines WHERE order_id % 7 = 0;
UPDATE docs SET rev = 2 WHERE id % 2 = 0;
UPDATE docs SET rev = 3, id = id + 1000 WHERE id % 10 = 0;
BEGIN;
UPDATE docs SET id = -1 WHERE id = 1;
UPDATE docs SET id = 1, title = 'two' WHERE id = 2;
UPDATE docs SET id = 2, rev = 9 WHERE id = -1;
UPDATE docs SET rev = 10 WHERE id = 2;
UPDATE docs SET body = 'short' WHERE id = 2;
DELETE FROM docs WHERE id = 3;
INSERT INTO docs VALUES (3, 'again', 'b', 1);
UPDATE docs SET rev = 4 WHERE id = 3;
COMMIT;
UPDATE dated SET rev = 2 WHERE n > 5;
UPDATE dated SET t = '2026-01-01 02:03:04.5+02' WHERE n < 3;
UPDATE full_id SET v = 'x' WHERE id % 2 = 0;
UPDATE full_id SET id = id + 1000 WHERE id % 7 = 0;
DELETE FROM full_id WHERE id % 5 = 0;
-- some of the rows that are equal
UPDATE keyless SET v = 'w' WHERE ctid IN (SELECT ctid FROM keyless
    WHERE v = 'v1' LIMIT 2);
DELETE FROM keyless WHERE ctid IN (SELECT ctid FROM keyless
    WHERE v = 'v2' LIMIT 3);
UPDATE by_index SET b = 'moved' WHERE a % 5 = 0;
DELETE FROM by_index WHERE a % 7 = 0;
UPDATE part SET region = 'us' WHERE id = 2;
DELETE FROM part WHERE id % 9 = 0;
BEGIN;
TRUNCATE lines;
INSERT INTO lines SELECT i, 1, 1.5, NULL FROM generate_series(1, 50) i;
COMMIT;

-- the schema changes
ALTER TABLE orders ADD COLUMN channel text DEFAULT 'web';
INSERT INTO orders (id, customer_id, status, amount, channel)
SELECT 20000000 + i, 1, 'new', 5, 'app' FROM generate_series(1, :n / 10) i;
ALTER TABLE orders RENAME COLUMN note TO remark;
UPDATE orders SET remark = 'renamed' WHERE id % 50 = 3;
ALTER TABLE orders DROP COLUMN sku;
UPDATE orders SET qty = qty + 1 WHERE id % 50 = 4;
ALTER TABLE orders ALTER COLUMN qty TYPE bigint;
UPDATE orders SET qty = 5000000000 WHERE id % 50 = 5;
ALTER TABLE orders ALTER COLUMN amount TYPE numeric(18,2);
UPDATE orders SET amount = amount * 1000000 WHERE id % 50 = 6;
ALTER TABLE docs RENAME TO documents;
UPDATE documents SET title = 'renamed table' WHERE id = 4;
ALTER TYPE mood ADD VALUE 'ecstatic';
INSERT INTO types (id, m, ms) VALUES (4, 'ecstatic', '{ok,ecstatic}');
