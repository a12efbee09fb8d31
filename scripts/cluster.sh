# PostgreSQL for scripts: private clusters, and psql.  To be sourced.
#
#   cluster_create DIR [NAME=VALUE ...]   creates a cluster with these settings
#   cluster_start DIR                     starts it unless it runs already
#   cluster_running DIR                   does it accept connections?
#   cluster_url DIR [DATABASE]            its connection string, while it runs
#   cluster_stop DIR [MODE]               stops it; the default mode is fast
#   cluster_remove DIR                    stops a throw-away cluster, deletes it
#   psql_on CONNINFO [ARGUMENT ...]       psql without psqlrc, without secrets
#                                         in argv, run by "${psql_by[@]}"
#   psql_pinned CONNINFO ARGUMENT ...     the same, independent of the role's
#                                         settings, with search_path pg_catalog
#   has_password TEXT                     does TEXT have a secret in it?
#   pg_bin NAME                           path of a PostgreSQL program
#   pg_version                            the server's version, such as 15.18
#   pg_knows NAME                         does this version have the setting?
#   pg_unset                              unsets libpq's variables
#   at_exit FUNCTION                      calls it at the end of this shell with
#                                         the exit status
#
# A cluster listens on one unix socket only, in a directory of mode 0700, so
# whoever may enter that directory is trusted.  DIR is absolute.  A function
# that fails prints one line to stderr and returns non-zero.
# shellcheck shell=bash

cluster_home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib/text.sh
. "$cluster_home/lib/text.sh"

psql_by=()

at_exit()
{
	# shellcheck disable=SC2064 # the function is known now
	trap "end_of_shell $1 \$?" EXIT
}

# A child that is told to end while it is still a mere copy of this shell runs
# the trap as well; it must not stop our servers or take our locks away.
end_of_shell()
{
	((BASHPID != $$)) || "$1" "$2"
}

# The program in the directory PGBIN, if that is set; else that of the newest
# installed version, since Debian keeps the servers' programs out of PATH.
# PGBIN may lack clients, but a server of another version is never used
# instead.
pg_bin()
{
	local found=${PGBIN-}/$1
	if [[ -z ${PGBIN-} || ! -x $found ]]; then
		if [[ -n ${PGBIN-} && $1 =~ ^(postgres|initdb|pg_ctl)$ ]]; then
			cluster_fail find "$found" "PGBIN has no such program"
			return 1
		fi
		found=$(compgen -G "/usr/lib/postgresql/*/bin/$1" |
			sort -V | tail -n 1)
	fi
	[[ -n $found ]] || found=$(type -P "$1") ||
		cluster_fail find "$1" "PostgreSQL is not installed" || return 1
	printf '%s\n' "$found"
}

pg_version()
{
	local said
	said=$("$(pg_bin postgres)" --version) || return 1
	said=${said#*) }
	printf '%s\n' "${said%% *}"
}

# PGBIN is ours, not libpq's.
pg_unset()
{
	local name
	for name in "${!PG@}"; do
		[[ $name == PGBIN ]] || unset "$name"
	done
}

pg_knows()
{
	grep -q "^$1	" <<<"$("$(pg_bin postgres)" --describe-config)"
}

cluster_fail()
{
	local REPLY
	one_line "could not $1 \"$2\": $3"
	printf '%s: error: %s\n' "${0##*/}" "$REPLY" >&2
	return 1
}

# PostgreSQL refuses to run as root.
server_user()
{
	if ((EUID != 0)); then
		id -un
	elif id postgres >/dev/null 2>&1; then
		echo postgres
	else
		echo nobody
	fi
}

# A server may outlive us, so it gets none of our environment, and only
# descriptors 0 to 2: it must not hold our pipes and locks.
as_server() (
	local drop=()
	if ((EUID == 0)); then
		local user
		user=$(server_user)
		drop=(setpriv "--reuid=$user" "--regid=$(id -g "$user")"
			--clear-groups --)
	fi
	cd /
	exec "${drop[@]}" env -i "PATH=$PATH" LC_ALL=C.UTF-8 "$@" \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 10>&- 12>&-
)

cluster_create()
{
	local dir=$1 user said version options=(--no-instructions)
	shift
	user=$(server_user)
	# pg_ctl puts the name into a command of sh, and into a file of lines
	[[ $dir != *[$'"$`\n']* ]] || cluster_fail create "$dir" \
		'its name has one of " $ ` or a line break' || return 1
	version=$(pg_version) || return 1
	((${version%%[!0-9]*} >= 14)) || cluster_fail create "$dir" \
		"PostgreSQL $version is older than 14" || return 1
	[[ " $* " != *" fsync=off "* ]] || options+=(--no-sync)
	mkdir -p "$dir" && chown "$user" "$dir" && chmod 0700 "$dir" || return 1
	as_server test -w "$dir" || {
		cluster_fail create "$dir" "user \"$user\" cannot reach it"
		return 1
	}
	said=$(as_server "$(pg_bin initdb)" -D "$dir" -U postgres -A trust \
		-E UTF8 --locale=C.UTF-8 "${options[@]}" 2>&1) || {
		# what follows the reason tells how initdb cleans up
		[[ ! $said =~ (error|FATAL|PANIC):\ +([^$'\n']*) ]] ||
			said=${BASH_REMATCH[2]}
		cluster_fail create "$dir" "${said##*$'\n'}"
		return 1
	}
	cluster_set "$dir" "listen_addresses=" "$@"
}

# The last line for a setting in postgresql.conf counts.
cluster_set()
{
	local dir=$1 setting
	shift
	for setting; do
		printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
	done >>"$dir/postgresql.conf"
}

# The fifth line of postmaster.pid names the directory of the socket.
cluster_sockets()
{
	local line
	mapfile -t line 2>/dev/null <"$1/postmaster.pid" && echo "${line[4]-}"
}

# 0: accepts connections; 1: not yet, or no longer; 2: there is no server.  A
# killed server that has not been reaped counts as 1, since the next one would
# refuse to start beside it.
cluster_probe()
{
	local sockets pid status=0
	sockets=$(cluster_sockets "$1" 2>/dev/null) && [[ -n $sockets ]] ||
		return 2
	"$(pg_bin pg_isready)" -q -h "$sockets" -p 5432 || status=$?
	read -r pid <"$1/postmaster.pid" || return 2
	! grep -qs '^State:.Z' "/proc/$pid/status" || return 1
	return "$status"
}

cluster_running()
{
	cluster_probe "$1"
}

# Waits while a server starts or stops, perhaps left by a killed supervisor.
cluster_settle()
{
	local left=600 status
	while ((left-- > 0)); do
		status=0
		cluster_probe "$1" || status=$?
		((status == 1)) || return "$status"
		sleep 0.1
	done
	return 1
}

# The path of a socket has room for 107 bytes; a deep DIR has its socket in
# /tmp.
cluster_start()
{
	local dir=$1 sockets=$1
	! cluster_settle "$dir" || return 0
	cluster_forget_sockets "$dir"
	[[ $dir =~ ^[A-Za-z0-9/._-]{1,90}$ ]] ||
		sockets=$(as_server mktemp -d /tmp/philotes.XXXXXX) || return 1
	as_server "$(pg_bin pg_ctl)" start -s -w -t 60 -D "$dir" \
		-l "$dir/server.log" -o "-k $sockets -p 5432" >/dev/null 2>&1 </dev/null ||
	{
		[[ $sockets == "$dir" ]] || rm -rf "$sockets"
		cluster_fail start "$dir" "see server.log there"
	}
}

cluster_url()
{
	printf "host='%s' port=5432 user=postgres dbname=%s\n" \
		"$(cluster_sockets "$1")" "${2:-postgres}"
}

cluster_forget_sockets()
{
	local sockets
	sockets=$(cluster_sockets "$1" 2>/dev/null) || return 0
	[[ $sockets != /tmp/philotes.?????? ]] || rm -rf "$sockets"
}

cluster_stop()
{
	local dir=$1 sockets said
	sockets=$(cluster_sockets "$dir" 2>/dev/null) || return 0
	said=$(as_server "$(pg_bin pg_ctl)" stop -s -w -t 60 -D "$dir" \
		-m "${2:-fast}" 2>&1) ||
		cluster_fail stop "$dir" "${said%%$'\n'*}" || return 1
	[[ $sockets != /tmp/philotes.?????? ]] || rm -rf "$sockets"
}

# A server that was killed cannot be stopped, but its directory is deleted.
cluster_remove()
{
	cluster_stop "$1" immediate 2>/dev/null ||
		cluster_forget_sockets "$1"
	rm -rf "$1"
}

# In PHILOTES_BIN, or where it is built or installed relative to this file.
find_pg_exec()
{
	local file
	for file in "${PHILOTES_BIN:+$PHILOTES_BIN/pg-exec}" \
	    "$cluster_home/../bin/pg-exec" \
	    "$cluster_home/../../lib/philotes/pg-exec"; do
		[[ ! -x $file ]] || {
			REPLY=$file
			return 0
		}
	done
	cluster_fail find pg-exec "it is not built"
}

# psql accepts a connection string only in argv, which everybody can read;
# pg-exec passes the secrets in it another way.
psql_on()
{
	local conninfo=$1 REPLY
	shift
	find_pg_exec || return 1
	PG_EXEC_CONNINFO=$conninfo "${psql_by[@]}" "$REPLY" PG_EXEC_CONNINFO \
		"$(pg_bin psql)" -X -q -w -v ON_ERROR_STOP=1 "$@"
}

# For SQL that must not meet other people's functions and operators, nor depend
# on settings of the role and the database.
psql_pinned()
{
	local pins="
		SET statement_timeout = 0;
		SET idle_session_timeout = 0;
		SET idle_in_transaction_session_timeout = 0;
		DO 'BEGIN
			PERFORM pg_catalog.set_config(name, ''0'', false)
			FROM pg_catalog.pg_settings
			WHERE name OPERATOR(pg_catalog.=) ''transaction_timeout'';
		END';
		SET lock_timeout = '10s';
		SET jit = off;
		SET geqo = off;
		SET vacuum_cost_delay = 0;
		SET client_min_messages = warning;
		SET client_encoding = 'UTF8';
		SET default_transaction_isolation = 'read committed';
		SET default_transaction_read_only = off;
		SET default_transaction_deferrable = off;
		SET standard_conforming_strings = on;
		SET quote_all_identifiers = off;
		SET transform_null_equals = off;
		SET array_nulls = on;
		SET check_function_bodies = on;
		SET datestyle = 'ISO';
		SET intervalstyle = 'postgres';
		SET timezone = 'UTC';
		SET extra_float_digits = 1;
		SET bytea_output = 'hex';
		SET search_path = pg_catalog, pg_temp"
	psql_on "$1" -c "$pins" "${@:2}"
}

# Is there a password, or another secret, in what may be a connection string?
has_password()
{
	local REPLY
	# libpq can find a secret only in such strings
	[[ $1 == *=* || $1 == *://* ]] && find_pg_exec &&
		PG_EXEC_CONNINFO=$1 "$REPLY" --has-secret PG_EXEC_CONNINFO
}
