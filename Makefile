# make [build]  the four tools, and pg-exec for the scripts, into bin/
# make test     scripts/test: everything, on real servers
# make fuzz     the drivers of tests/fuzz, FUZZ_TIME seconds each (libFuzzer)
# make soak     scripts/soak: tests that take longer
# make demo     scripts/demo: the pipeline at work
# make bench    scripts/bench: its speed, compared with other tools
# make lint     scripts/lint
# make install  into $(DESTDIR)$(PREFIX)
# make clean
#
# SAN=address,undefined builds with sanitizers, into build/san and bin/san.

PREFIX  = /usr/local
DESTDIR =
SAN     =
CC      = gcc
CFLAGS  = -O2 -g

BUILD = build$(if $(SAN),/san)
BIN   = bin$(if $(SAN),/san)

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
       -Wmissing-prototypes -Wformat=2 -Werror
HARDEN = -fPIE -fstack-protector-strong \
       $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer \
       -fno-sanitize-recover=all,-D_FORTIFY_SOURCE=2)
# With --as-needed a program loads only those that it uses.
PKG_CFLAGS := $(shell pkg-config --cflags libpq libcrypto)
PKG_LIBS   := -Wl,--as-needed $(shell pkg-config --libs libpq libcrypto)

CPPFLAGS_ALL = -std=c11 -D_POSIX_C_SOURCE=200809L -Ilib -I$(BUILD) \
       $(PKG_CFLAGS)
CFLAGS_ALL = $(CPPFLAGS_ALL) $(WARN) $(HARDEN) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

TOOLS = pg-cdc-read buffer-write buffer-batch buffer-gc
# Programs that only our scripts run.
INTERNAL = pg-exec

FUZZ_TIME = 60
CLANG     = clang
BENCH = $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
UNITS = $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ  = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
LIBS  = $(patsubst %.c,$(BUILD)/%.o,$(wildcard lib/*/*.c))
RULED = $(patsubst %.c,$(BUILD)/ruled/%.o,$(wildcard lib/reader/*.c))

.PHONY: build unit fault probes fuzz-replay fuzz test soak demo bench lint install \
    uninstall clean print-cflags
.SECONDARY:
.DELETE_ON_ERROR:

build: $(TOOLS:%=$(BIN)/%) $(INTERNAL:%=$(BIN)/%)

unit: $(UNITS:%=$(BIN)/unit/%) fuzz-replay fault $(BIN)/ruled/pg-cdc-read

# Programs and libraries with which the bats files disturb the tools.
fault: $(BIN)/fault/proxy $(BIN)/fault/hostile $(BIN)/fault/hasty.so \
    $(BIN)/fault/clock.so

fuzz-replay: $(FUZZ:%=$(BIN)/fuzz/%)

probes: $(BENCH:%=$(BIN)/bench/%)

# Each program links what it needs from an archive of all of lib/.
$(BUILD)/libphilotes.a: $(LIBS)
	@rm -f $@
	ar rcs $@ $^

$(BIN)/%: $(BUILD)/tools/%.o $(BUILD)/libphilotes.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

$(BIN)/unit/%: $(BUILD)/tests/unit/test_%.o $(BUILD)/libphilotes.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

$(BIN)/fuzz/%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/main.o \
    $(BUILD)/libphilotes.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

$(BIN)/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/libphilotes.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

# A reader for the tests of snapshots.
$(BIN)/ruled/pg-cdc-read: $(BUILD)/tools/pg-cdc-read.o $(RULED) \
    $(BUILD)/libphilotes.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

$(BUILD)/ruled/%.o: %.c tests/ruled.h | $(BUILD)/sql.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -include tests/ruled.h -MMD -MP -c -o $@ $<

$(BIN)/fault/%: $(BUILD)/tests/fault/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^

$(BIN)/fault/%.so: tests/fault/%.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC $(WARN) $(CFLAGS) -o $@ $<

$(BUILD)/%.o: %.c | $(BUILD)/sql.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/sql.h: scripts/embed-sql $(wildcard sql/queries/*.sql)
	@mkdir -p $(@D)
	scripts/embed-sql sql/queries/*.sql >$@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

test:
	SAN=$(SAN) scripts/test

# New inputs stay in build/fuzz/NAME; `make fuzz-keep-NAME` copies those that
# add coverage to tests/fuzz/corpus/NAME.
fuzz: $(FUZZ:%=fuzz-%)

fuzz-%: tests/fuzz/fuzz_%.c $(BUILD)/sql.h
	@mkdir -p $(BUILD)/fuzz/$*
	$(CLANG) $(CPPFLAGS_ALL) -O1 -g -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -o $(BUILD)/fuzz/fuzz_$* $< \
	    $(wildcard tests/fuzz/mutate_$*.c lib/*/*.c) $(PKG_LIBS)
	$(BUILD)/fuzz/fuzz_$* -max_total_time=$(FUZZ_TIME) \
	    -artifact_prefix=$(BUILD)/fuzz/$*- -max_len=8192 \
	    $(BUILD)/fuzz/$* tests/fuzz/corpus/$*

fuzz-keep-%:
	$(BUILD)/fuzz/fuzz_$* -set_cover_merge=1 -use_counters=0 \
	    -max_len=4096 tests/fuzz/corpus/$* $(BUILD)/fuzz/$*

soak:
	SAN=$(SAN) scripts/soak

demo:
	scripts/demo

bench:
	scripts/bench

lint:
	scripts/lint

print-cflags:
	@echo $(CPPFLAGS_ALL)

SHARE = $(DESTDIR)$(PREFIX)/share/philotes
LIBEXEC = $(DESTDIR)$(PREFIX)/lib/philotes
MAN   = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
HANDLERS = $(filter-out %.py %.txt %__pycache__,$(wildcard share/handlers/*))

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/lib
	install -d $(SHARE)/sql/schema $(SHARE)/sql/operator $(SHARE)/handlers
	install -d $(MAN)/man1 $(MAN)/man5 $(MAN)/man7 $(UNITDIR) $(LIBEXEC)
	install $(TOOLS:%=bin/%) scripts/philotes $(DESTDIR)$(PREFIX)/bin
	install $(INTERNAL:%=bin/%) $(LIBEXEC)
	install -m 644 sql/*.sql $(SHARE)/sql
	install -m 644 sql/schema/*.sql $(SHARE)/sql/schema
	install -m 644 sql/operator/*.sql $(SHARE)/sql/operator
	install -m 644 scripts/cluster.sh $(SHARE)
	install $(HANDLERS) $(SHARE)/handlers
	install -m 644 share/handlers/*.py share/handlers/requirements.txt \
	    $(SHARE)/handlers
	install -m 644 scripts/lib/*.sh $(SHARE)/lib
	$(foreach s,1 5 7,install -m 644 man/*.$(s) $(MAN)/man$(s) &&) true
	for file in share/systemd/*; do \
	    sed 's|/usr/local/bin|$(PREFIX)/bin|' $$file \
	        >$(UNITDIR)/$${file##*/} || exit; \
	done
	sed 's|/usr/local/bin|$(PREFIX)/bin|' share/crontab.example \
	    >$(SHARE)/crontab.example

uninstall:
	rm -f $(TOOLS:%=$(DESTDIR)$(PREFIX)/bin/%) \
	    $(DESTDIR)$(PREFIX)/bin/philotes
	rm -f $(foreach s,1 5 7,\
	    $(patsubst man/%,$(MAN)/man$(s)/%,$(wildcard man/*.$(s))))
	rm -f $(patsubst share/systemd/%,$(UNITDIR)/%,$(wildcard share/systemd/*))
	rm -rf $(SHARE) $(LIBEXEC)

clean:
	rm -rf build bin
